//! Rows for tests: random ones, and a slow account of what a store should give back.

use super::store::Store;
use crate::id::{ContentId, Cookie, PeerNumber, RequestNumber};
use crate::name::{ContentName, Host, PeerName};
use crate::proto::{Activity, Change, HolderRow, LeaseRow, PeerRow};
use crate::rng::Rng;
use crate::wire::{Ack, ContentInfo, ContentKey, ContentKind, List, Message, Rest, Text, encode_frame};

pub(super) fn peer(name: &str) -> PeerRow {
    PeerRow {
        name: PeerName::new(name).expect("a name"),
        host: Host::new("192.0.2.1").expect("a host"),
        port: 6_000,
        os: Text::cut("Linux"),
        cookie: Cookie([7; 16]),
        nonce: 1,
        first_host: Host::new("192.0.2.2").expect("a host"),
        first_nonce: 2,
        registrations: List::first_of([1, -2, i64::MAX]),
    }
}

pub(super) fn lease(ends: u64) -> LeaseRow {
    let ack = Ack {
        request: RequestNumber(ends),
        cookie: None,
        lease_secs: 7,
        host: None,
    };
    let mut frame = Vec::new();
    encode_frame(&Message::Ack(ack), &mut frame);
    LeaseRow {
        activity: Activity::Hidden,
        ends,
        ends_wall: -1,
        last_request: Some(RequestNumber(ends)),
        last_answer: Rest(frame),
    }
}

pub(super) fn holder(name: &str, id: u8) -> HolderRow {
    HolderRow {
        content: ContentInfo {
            kind: ContentKind::File,
            name: ContentName::new(name).expect("a name"),
            id: ContentId([id; 32]),
            bytes: 10,
            modified: -7,
            media_type: Text::cut("text/plain"),
            number: None,
            title: Some(Text::cut("A title")),
        },
        complete: id.is_multiple_of(2),
        order: u64::from(id),
    }
}

pub(super) fn key(name: &str, id: u8) -> ContentKey {
    holder(name, id).content.key()
}

/// All that a store gives.
pub(super) fn rows(store: &mut dyn Store) -> Vec<Change> {
    let mut rows = Vec::new();
    store.load(&mut |row| rows.push(row)).expect("loaded");
    rows
}

/// A few changes, as an RS makes them: a peer never without its lease.
pub(super) fn any_changes(rng: &mut Rng) -> Vec<Change> {
    let mut changes = Vec::new();
    for _ in 0..=rng.below(6) {
        let number =
            PeerNumber([1, 2, 255, 256, u64::from(u32::MAX)][usize::try_from(rng.below(5)).expect("few")]);
        let name = ["a", "a/b", "ab", "b"][usize::try_from(rng.below(4)).expect("few")];
        let id = u8::try_from(rng.below(3)).expect("few");
        match rng.below(8) {
            0 => changes.push(Change::Numbered(PeerNumber(rng.below(1_000)))),
            1 | 2 => {
                changes.push(Change::Peer(number, peer(name.trim_end_matches("/b"))));
                changes.push(Change::Lease(number, lease(rng.below(1_000))));
            }
            3 => changes.push(Change::PeerGone(number)),
            4 | 5 => changes.push(Change::Holder(number, holder(name, id))),
            6 => changes.push(Change::HolderGone(number, key(name, id))),
            _ => changes.push(Change::HoldersGone(number)),
        }
    }
    changes
}

/// What a store should give after these changes, found slowly: each row is the last one that was not taken back.
pub(super) fn expected(changes: &[Change]) -> Vec<Change> {
    let lasts = |wanted: &dyn Fn(&Change) -> bool, ended: &dyn Fn(&Change) -> bool| {
        let last = changes.iter().rposition(wanted)?;
        let gone = changes[last..].iter().any(ended);
        (!gone).then(|| changes[last].clone())
    };
    let mut rows: Vec<Change> = lasts(&|change| matches!(change, Change::Numbered(_)), &|_| false)
        .into_iter()
        .collect();
    let mut numbers = std::collections::BTreeSet::new();
    let mut holders = std::collections::BTreeSet::new();
    for change in changes {
        match change {
            Change::Peer(number, _) => drop(numbers.insert(*number)),
            Change::Holder(number, row) => drop(holders.insert((*number, row.content.key()))),
            _ => {}
        }
    }
    for number in numbers {
        let gone = |change: &Change| *change == Change::PeerGone(number);
        rows.extend(lasts(
            &|change| matches!(change, Change::Peer(of, _) if *of == number),
            &gone,
        ));
        rows.extend(lasts(
            &|change| matches!(change, Change::Lease(of, _) if *of == number),
            &gone,
        ));
    }
    for (number, key) in holders {
        rows.extend(lasts(
            &|change| matches!(change, Change::Holder(of, row) if *of == number && row.content.key() == key),
            &|change| match change {
                Change::HolderGone(of, gone) => *of == number && *gone == key,
                Change::HoldersGone(of) => *of == number,
                _ => false,
            },
        ));
    }
    rows
}
