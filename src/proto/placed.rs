//! What the ring has placed here: what there is room for, what is fetched next, and what is given up.
//!
//! Belongs here: the rule. Does not: which node is to keep what (`chord/`); measuring, fetching and removing (the face).
//! Invariant: what lies here counts as it was measured, whole or not, for listed sizes may lie; and nothing is fetched for
//! which there is no room.

use crate::id::ContentId;
use crate::limits::{
    LEASE_SECS, REJOIN_WAIT, RING_PLACED_DISK_PART, RING_PLACED_GIB_MAX, RING_PLACED_MAX,
    RING_PLACED_TRIES_MAX, RING_PLACED_WAITING_MAX,
};
use crate::time::{Instant, Span};
use crate::wire::RingRecord;
use core::fmt;
use std::collections::{BTreeMap, VecDeque};

/// How much a node keeps for its ring.
#[derive(Clone, Copy, Debug)]
pub struct PlacedBounds {
    /// Files.
    pub files: usize,
    /// And bytes.
    pub bytes: u64,
}

impl PlacedBounds {
    /// What is usual.
    pub const USUAL: Self = Self {
        files: RING_PLACED_MAX,
        bytes: RING_PLACED_GIB_MAX << 30,
    };
}

/// Why a content is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// So many files are kept, as many as may be.
    Files(usize),
    /// It has so many bytes; there is room for so many.
    Bytes(u64, u64),
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(files) => write!(f, "{files} files are kept for it, as many as may be"),
            Self::Bytes(bytes, room) => {
                write!(f, "it has {bytes} bytes, and there is room for {room}")
            }
        }
    }
}

/// A content on its way here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedAttempt {
    /// The content, and who is said to hold it.
    pub record: RingRecord,
    /// The bytes it may have, whatever is listed.
    pub bytes_max: u64,
    tries: u32,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacedStep {
    /// Fetch a content.
    Fetch(PlacedAttempt),
    /// Tell the ring that a content is not kept here.
    Refuse(RingRecord, NoRoom),
}

#[derive(Debug)]
struct Waiting {
    record: RingRecord,
    tries: u32,
    due: Instant,
}

/// What lies here under one id.
#[derive(Debug, Default)]
struct Lying {
    files: usize,
    bytes: u64,
    /// Since when the ring has no use for it: it is a part of a content, or the ring would not keep its record.
    useless: Option<Instant>,
}

/// What the ring has placed at one node.
#[derive(Debug)]
pub struct Placed {
    bounds: PlacedBounds,
    lying: BTreeMap<ContentId, Lying>,
    waiting: VecDeque<Waiting>,
}

impl Placed {
    /// Nothing yet.
    pub const fn new(bounds: PlacedBounds) -> Self {
        Self {
            bounds,
            lying: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// What lies here under an id now: whole files, and bytes in all.
    pub fn measured(&mut self, now: Instant, id: ContentId, files: usize, bytes: u64) {
        if files == 0 && bytes == 0 {
            self.lying.remove(&id);
            return;
        }
        let lying = self.lying.entry(id).or_default();
        (lying.files, lying.bytes) = (files, bytes);
        if files == 0 {
            lying.useless.get_or_insert(now);
        }
    }

    /// The ring knows, or would not know, that a content is kept here.
    pub fn renewed(&mut self, now: Instant, id: ContentId, known: bool) {
        if let Some(lying) = self.lying.get_mut(&id) {
            if known {
                lying.useless = None;
            } else {
                lying.useless.get_or_insert(now);
            }
        }
    }

    /// What is to be given up: the ring has had no use for it for as long as it remembers anything.
    pub fn expired(&self, now: Instant) -> Vec<ContentId> {
        let lease = Span::from_secs(u64::from(LEASE_SECS));
        let on_the_way = |id: &ContentId| {
            self.waiting
                .iter()
                .any(|waiting| waiting.record.content.id == *id)
        };
        let useless = self.lying.iter().filter(|(id, lying)| {
            let since = lying.useless.is_some_and(|since| since.after(lease) <= now);
            since && !on_the_way(id)
        });
        useless.map(|(id, _)| *id).collect()
    }

    /// The ring wants a content here; false if too many wait already.
    pub fn want(&mut self, now: Instant, record: RingRecord) -> bool {
        let key = record.content.key();
        if self
            .waiting
            .iter()
            .any(|waiting| waiting.record.content.key() == key)
        {
            return true;
        }
        let room = self.waiting.len() < RING_PLACED_WAITING_MAX;
        if room {
            self.wait(record, 0, now);
        }
        room
    }

    fn wait(&mut self, record: RingRecord, tries: u32, due: Instant) {
        self.waiting.push_back(Waiting { record, tries, due });
    }

    /// The next thing to do, with so many bytes free on the disk; none if nothing is due.
    pub fn next(&mut self, now: Instant, free: u64) -> Option<PlacedStep> {
        let at = self.waiting.iter().position(|waiting| waiting.due <= now)?;
        let Waiting { record, tries, .. } = self.waiting.remove(at)?;
        Some(match self.room_for(record.content.id, free) {
            Err(files) => PlacedStep::Refuse(record, NoRoom::Files(files)),
            Ok(room) if record.content.bytes > room => {
                let bytes = record.content.bytes;
                PlacedStep::Refuse(record, NoRoom::Bytes(bytes, room))
            }
            Ok(bytes_max) => PlacedStep::Fetch(PlacedAttempt {
                record,
                bytes_max,
                tries,
            }),
        })
    }

    /// The bytes there is room for under an id, with what lies there already; or the files there are, if too many.
    fn room_for(&self, id: ContentId, free: u64) -> Result<u64, usize> {
        let files = self.lying.values().map(|lying| lying.files).sum();
        if files >= self.bounds.files {
            return Err(files);
        }
        let all: u64 = self.lying.values().map(|lying| lying.bytes).sum();
        let most = self
            .bounds
            .bytes
            .min(free.saturating_add(all) / RING_PLACED_DISK_PART);
        let own = self.lying.get(&id).map_or(0, |lying| lying.bytes);
        Ok(most.saturating_sub(all - own))
    }

    /// It did not come: it is tried again later; false if it is left to others now.
    pub fn failed(&mut self, now: Instant, attempt: PlacedAttempt) -> bool {
        let tries = attempt.tries + 1;
        let again = tries < RING_PLACED_TRIES_MAX;
        if again {
            self.wait(attempt.record, tries, now.after(REJOIN_WAIT));
        }
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ContentName;
    use crate::wire::{ContentInfo, ContentKind, List, Text};

    const MIB: u64 = 1 << 20;
    const BOUNDS: PlacedBounds = PlacedBounds {
        files: 3,
        bytes: 10 * MIB,
    };
    const AMPLE: u64 = u64::MAX;

    fn id(number: u8) -> ContentId {
        ContentId([number; 32])
    }

    fn record(number: u8, bytes: u64) -> RingRecord {
        RingRecord {
            key: crate::wire::RingKeyOf::Name,
            place: true,
            content: ContentInfo {
                kind: ContentKind::File,
                id: id(number),
                name: ContentName::new(format!("file {number}")).expect("a name"),
                bytes,
                modified: 0,
                media_type: Text::cut("text/plain"),
                number: None,
                title: None,
            },
            holders: List::first_of([]),
        }
    }

    fn at(secs: u64) -> Instant {
        Instant::ZERO.after(Span::from_secs(secs))
    }

    /// The only step there is for a content that has just been wanted.
    fn judged(placed: &mut Placed, record: &RingRecord, free: u64) -> Result<PlacedAttempt, NoRoom> {
        assert!(placed.want(at(0), record.clone()));
        let step = placed.next(at(0), free).expect("due");
        assert_eq!(placed.next(at(0), free), None, "one thing wanted, one done");
        match step {
            PlacedStep::Fetch(attempt) => Ok(attempt),
            PlacedStep::Refuse(refused, why) => {
                assert_eq!(&refused, record);
                Err(why)
            }
        }
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut placed = Placed::new(BOUNDS);
        let attempt = judged(&mut placed, &record(1, 4 * MIB), AMPLE).expect("room");
        assert_eq!(attempt.bytes_max, 10 * MIB, "whatever is listed");
        // It was listed with less than it has.
        placed.measured(at(0), id(1), 1, 7 * MIB);
        let refused = judged(&mut placed, &record(2, 4 * MIB), AMPLE).expect_err("no room");
        assert_eq!(refused, NoRoom::Bytes(4 * MIB, 3 * MIB));
        assert!(refused.to_string().contains("room for 3145728"), "{refused}");
        assert_eq!(
            judged(&mut placed, &record(2, 3 * MIB), AMPLE).map(|attempt| attempt.bytes_max),
            Ok(3 * MIB)
        );
        // A part that was left counts, and its own content may use the room again.
        placed.measured(at(0), id(2), 0, 2 * MIB);
        assert!(judged(&mut placed, &record(3, 2 * MIB), AMPLE).is_err());
        assert!(judged(&mut placed, &record(2, 3 * MIB), AMPLE).is_ok());
        // Many small ones.
        placed.measured(at(0), id(2), 2, 2);
        assert_eq!(judged(&mut placed, &record(3, 1), AMPLE), Err(NoRoom::Files(3)));
        placed.measured(at(0), id(1), 0, 0);
        assert!(judged(&mut placed, &record(3, 1), AMPLE).is_ok());
        let usual = Placed::new(PlacedBounds::USUAL);
        assert_eq!(usual.room_for(id(1), AMPLE), Ok(RING_PLACED_GIB_MAX << 30));
    }

    #[test]
    fn the_disk_is_the_users() {
        let mut placed = Placed::new(BOUNDS);
        assert!(judged(&mut placed, &record(1, 3 * MIB), 6 * MIB).is_ok());
        // Now 3 MiB are here and 3 MiB free: half of what would be free without them is here.
        placed.measured(at(0), id(1), 1, 3 * MIB);
        let refused = judged(&mut placed, &record(2, 1), 3 * MIB);
        assert_eq!(refused, Err(NoRoom::Bytes(1, 0)));
    }

    #[test]
    fn what_waits_is_bounded_and_tried_so_often() {
        let mut placed = Placed::new(BOUNDS);
        let many = u64::try_from(RING_PLACED_WAITING_MAX).expect("small");
        for number in 0..=many {
            let mut record = record(1, 1);
            record.content.name = ContentName::new(format!("file {number}")).expect("a name");
            assert_eq!(placed.want(at(0), record.clone()), number < many);
            assert_eq!(
                placed.want(at(0), record),
                number < many,
                "it waits, or not, as before"
            );
        }
        let mut placed = Placed::new(BOUNDS);
        placed.want(at(0), record(1, 1));
        let mut tries = 0;
        for secs in (0..).step_by(2) {
            let Some(PlacedStep::Fetch(attempt)) = placed.next(at(secs), AMPLE) else {
                panic!("not due after {secs} s");
            };
            tries += 1;
            if !placed.failed(at(secs), attempt) {
                break;
            }
            assert_eq!(placed.next(at(secs), AMPLE), None, "not at once");
        }
        assert_eq!(tries, RING_PLACED_TRIES_MAX);
        assert!(placed.want(at(99), record(1, 1)), "until it is wanted anew");
        assert!(placed.next(at(99), AMPLE).is_some());
    }

    #[test]
    fn what_the_ring_has_no_use_for_is_given_up() {
        let lease = u64::from(LEASE_SECS);
        let mut placed = Placed::new(BOUNDS);
        placed.measured(at(0), id(1), 1, MIB);
        placed.measured(at(0), id(2), 0, MIB);
        placed.measured(at(0), id(3), 0, MIB);
        placed.want(at(0), record(3, MIB));
        assert_eq!(placed.expired(at(lease - 1)), []);
        assert_eq!(
            placed.expired(at(lease)),
            [id(2)],
            "a part, of which nobody speaks any more"
        );
        placed.renewed(at(10), id(1), false);
        placed.renewed(at(20), id(1), false);
        assert_eq!(
            placed.expired(at(lease + 10)),
            [id(1), id(2)],
            "refused ever since"
        );
        placed.renewed(at(30), id(1), true);
        assert_eq!(placed.expired(at(9 * lease)), [id(2)]);
        placed.measured(at(40), id(2), 0, 0);
        assert_eq!(placed.expired(at(9 * lease)), []);
    }
}
