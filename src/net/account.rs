//! What an RS counts of its own work, for those who run it.
//!
//! Belongs here: counters that all threads of an RS add to. Does not: any decision; nothing reads them but the
//! status. Invariant: counting waits for nobody.

use crate::id::RequestNumber;
use crate::limits::OFFLINE_PEERS_MAX;
use crate::time::{Instant, Span};
use crate::wire::{Counter, Direction, List, Message, PeerInfo, Refusal, Status, TABLE, Text};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! dropped {
    ($($(#[doc = $doc:literal])* $name:ident: $words:literal,)*) => {
        /// Why a connection or a datagram got no further.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Dropped { $($(#[doc = $doc])* $name,)* }
        impl Dropped {
            /// The words of each, in the order of the values.
            const WORDS: &'static [&'static str] = &[$($words,)*];
        }
    };
}
dropped! {
    /// The connection that was idle for longest went, to make room.
    MadeRoom: "connection: idle longest when room was needed",
    /// No connection was idle, and there were as many as may be.
    Crowded: "connection: too many, all busy",
    /// Its address had as many as it may.
    CrowdedAddress: "connection: too many of one address",
    /// All connections together left too much unfinished.
    Memory: "connection: held memory when it was short",
    /// What came on a connection was no PDU.
    Unreadable: "connection: no PDU",
    /// The version did not come in time.
    NoHello: "connection: no version in time",
    /// Nothing was asked for long.
    Idle: "connection: asked nothing for long",
    /// A frame did not come whole in time.
    SlowFrame: "connection: a frame not whole in time",
    /// The answers were not taken in time.
    SlowReader: "connection: answers not taken in time",
    /// A datagram was no request of ours.
    UnreadableDatagram: "datagram: no request",
    /// A datagram did not carry the token of its address.
    NoToken: "datagram: no valid address token",
}

/// What an RS keeps, now.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Peers it knows, active or not.
    pub peers_known: u64,
    /// Peers it hands out.
    pub peers_active: u64,
    /// Contents with a holder.
    pub contents: u64,
    /// Size of the store.
    pub store_bytes: Option<u64>,
    /// Peers it knows and does not hand out.
    pub offline: List<PeerInfo, OFFLINE_PEERS_MAX>,
}

/// How many samples a minute has.
const SAMPLES: usize = 60;
/// Between two samples.
const SAMPLE: Span = Span::from_secs(1);

/// An RS's counters.
#[derive(Debug)]
pub struct Account {
    started: Instant,
    /// By the letter of the request.
    served: [AtomicU64; 128],
    /// By the place in the table of refusals.
    refused: Vec<AtomicU64>,
    /// By the place among the reasons.
    dropped: Vec<AtomicU64>,
    connections: AtomicU64,
    slowest_us: AtomicU64,
    /// The slowest since the last sample.
    slowest_now_us: AtomicU64,
    samples: Mutex<Samples>,
}

/// The last minute.
#[derive(Debug, Default)]
struct Samples {
    taken: Instant,
    kept: VecDeque<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// All counters, in the order of [`Account::counters`].
    totals: Vec<u64>,
    slowest_us: u64,
}

fn zeros(count: usize) -> Vec<AtomicU64> {
    core::iter::repeat_with(AtomicU64::default).take(count).collect()
}

impl Account {
    /// Nothing counted yet.
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            served: core::array::from_fn(|_| AtomicU64::default()),
            refused: zeros(Refusal::TABLE.len()),
            dropped: zeros(Dropped::WORDS.len()),
            connections: AtomicU64::default(),
            slowest_us: AtomicU64::default(),
            slowest_now_us: AtomicU64::default(),
            samples: Mutex::default(),
        }
    }

    /// A request was decided on.
    pub fn note_answer(&self, request: &Message, answer: &Message) {
        if let Some(count) = self.served.get(usize::from(request.row().letter)) {
            count.fetch_add(1, Relaxed);
        }
        if let Message::Error(error) = answer {
            self.note_refusal(error.code);
        }
    }

    /// From the coming of requests to the leaving of the last of their answers it took so long, the store included.
    pub fn note_wait(&self, took: Span) {
        // Loads first: hardly any wait is the longest, and a load shares what a write would take away.
        for slowest in [&self.slowest_us, &self.slowest_now_us] {
            if took.0 > slowest.load(Relaxed) {
                slowest.fetch_max(took.0, Relaxed);
            }
        }
    }

    fn note_refusal(&self, code: Refusal) {
        let place = Refusal::TABLE
            .iter()
            .position(|(number, ..)| *number == code.code());
        if let Some(count) = place.and_then(|place| self.refused.get(place)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// A connection or a datagram got no further.
    pub fn note_dropped(&self, why: Dropped) {
        self.dropped[why as usize].fetch_add(1, Relaxed);
    }

    /// A connection was opened.
    pub fn note_opened(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    /// A connection was closed.
    pub fn note_closed(&self) {
        self.connections.fetch_sub(1, Relaxed);
    }

    /// Every counter, always in the same order.
    fn counters(&self) -> impl Iterator<Item = &AtomicU64> {
        self.served.iter().chain(&self.refused).chain(&self.dropped)
    }

    /// Takes the samples that the last minute is told by; call it about once a second.
    pub fn take_sample(&self, now: Instant) {
        let mut samples = self.samples.lock();
        if !samples.kept.is_empty() && now.since(samples.taken) < SAMPLE {
            return;
        }
        samples.taken = now;
        if samples.kept.len() >= SAMPLES {
            samples.kept.pop_front();
        }
        samples.kept.push_back(Sample {
            totals: self.counters().map(|count| count.load(Relaxed)).collect(),
            slowest_us: self.slowest_now_us.swap(0, Relaxed),
        });
    }

    /// The answer to a [`crate::wire::StatusQuery`].
    pub fn tell(&self, now: Instant, request: RequestNumber, kept: Kept) -> Status {
        let samples = self.samples.lock();
        let before = samples.kept.front().map(|sample| sample.totals.as_slice());
        let mut counters = self.counters().enumerate().map(|(place, count)| {
            let total = count.load(Relaxed);
            let before = before.and_then(|totals| totals.get(place)).copied();
            (total, total - before.unwrap_or(0).min(total))
        });
        let mut take = |names: &mut dyn Iterator<Item = &'static str>| {
            let mut told = List::new();
            for what in names {
                let (total, last_minute) = counters.next().unwrap_or_default();
                if total > 0 {
                    told.push(Counter {
                        what: Text::cut(what),
                        total,
                        last_minute,
                    });
                }
            }
            told
        };
        let served = take(&mut (0..self.served.len()).map(request_name));
        let refused = take(&mut Refusal::TABLE.iter().map(|(_, name, _)| *name));
        let dropped = take(&mut Dropped::WORDS.iter().copied());
        let sampled = samples.kept.iter().map(|sample| sample.slowest_us).max();
        Status {
            request,
            uptime_secs: now.since(self.started).as_secs(),
            peers_known: kept.peers_known,
            peers_active: kept.peers_active,
            contents: kept.contents,
            connections: self.connections.load(Relaxed),
            store_bytes: kept.store_bytes,
            slowest_us: self.slowest_us.load(Relaxed),
            slowest_minute_us: sampled.unwrap_or(0).max(self.slowest_now_us.load(Relaxed)),
            served,
            refused,
            dropped,
            offline: kept.offline,
        }
    }
}

/// The name of the requests of a letter; those that are none for an RS are counted all the same.
fn request_name(letter: usize) -> &'static str {
    let asks = |row: &&crate::wire::PduRow| {
        usize::from(row.letter) == letter && row.direction == Direction::PeerToRs
    };
    TABLE.iter().find(asks).map_or("not for an RS", |row| row.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::refusal;
    use crate::wire::StatusQuery;

    fn told(account: &Account, secs: u64) -> Status {
        let now = Instant::ZERO.after(Span::from_secs(secs));
        account.tell(now, RequestNumber(1), Kept::default())
    }

    fn of(counters: &[Counter]) -> Vec<(&str, u64, u64)> {
        counters
            .iter()
            .map(|counter| (counter.what.as_str(), counter.total, counter.last_minute))
            .collect()
    }

    #[test]
    fn what_is_counted_is_told_and_a_minute_ends() {
        let account = Account::new(Instant::ZERO);
        let request = StatusQuery {
            request: RequestNumber(1),
        }
        .into();
        let no = refusal(RequestNumber(1), Refusal::BadCookie, "no");
        account.take_sample(Instant::ZERO);
        account.note_answer(&request, &no);
        account.note_wait(Span(70));
        account.note_dropped(Dropped::NoToken);
        account.note_opened();
        let status = told(&account, 1);
        assert_eq!(of(&status.served), [("StatusQuery", 1, 1)]);
        assert_eq!(of(&status.refused), [("BadCookie", 1, 1)]);
        assert_eq!(of(&status.dropped), [("datagram: no valid address token", 1, 1)]);
        assert_eq!((status.uptime_secs, status.connections), (1, 1));
        assert_eq!((status.slowest_us, status.slowest_minute_us), (70, 70));
        for secs in 1..=SAMPLES as u64 + 1 {
            account.take_sample(Instant::ZERO.after(Span::from_secs(secs)));
        }
        let status = told(&account, 61);
        assert_eq!(of(&status.served), [("StatusQuery", 1, 0)]);
        assert_eq!((status.slowest_us, status.slowest_minute_us), (70, 0));
    }

    #[test]
    fn every_name_fits() {
        let names = Refusal::TABLE.iter().map(|(_, name, _)| *name);
        for name in names.chain(Dropped::WORDS.iter().copied()) {
            assert_eq!(
                Text::<{ crate::limits::COUNTER_NAME_BYTES_MAX }>::cut(name).as_str(),
                name
            );
        }
        assert_eq!(Dropped::WORDS.len(), Dropped::NoToken as usize + 1);
    }
}
