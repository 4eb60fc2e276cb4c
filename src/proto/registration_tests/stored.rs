//! An RS that was restarted: by its process's end, or with its machine.

use super::*;
use crate::proto::{Change, Restoring, key_bytes};
use crate::wire::ListContents;
use std::collections::BTreeMap;

/// Rows by peer, then by what they are of.
#[derive(Clone, Default)]
struct Kept(BTreeMap<(u64, Vec<u8>), Change>);

impl Kept {
    fn commit(&mut self, change: Change) {
        match &change {
            Change::Numbered(_) => drop(self.0.insert((0, vec![0]), change)),
            Change::Peer(number, _) => drop(self.0.insert((number.0, vec![0]), change)),
            Change::Lease(number, _) => drop(self.0.insert((number.0, vec![1]), change)),
            Change::Holder(number, row) => {
                let key = [&[2][..], &key_bytes(&row.content.key())].concat();
                self.0.insert((number.0, key), change);
            }
            Change::PeerGone(number) => self.0.retain(|(of, key), _| *of != number.0 || key[0] == 2),
            Change::HolderGone(number, key) => {
                self.0.remove(&(number.0, [&[2][..], &key_bytes(key)].concat()));
            }
            Change::HoldersGone(number) => self.0.retain(|(of, key), _| *of != number.0 || key[0] != 2),
        }
    }

    fn rows(&self) -> impl Iterator<Item = Change> {
        self.0.values().cloned()
    }
}

/// An RS that keeps its records.
fn keeping(store: &mut Kept) -> Stage {
    let mut stage = Stage::new();
    let settings = RegistrationSettings::default();
    stage.rs = Restoring::new(settings, Rng::from_seed(1), stage.now, true).finish();
    keep(&mut stage, store);
    stage
}

/// Writes what has changed.
fn keep(stage: &mut Stage, store: &mut Kept) {
    let now = stage.now;
    while let Some(change) = stage.rs.poll_change(now) {
        store.commit(change);
    }
}

/// The same RS after a restart.
fn restart(stage: &mut Stage, store: &mut Kept, same_boot: bool) {
    let settings = RegistrationSettings::default();
    let mut restoring = Restoring::new(settings, Rng::from_seed(9), stage.now, same_boot);
    store.rows().for_each(|row| restoring.take(row));
    stage.rs = restoring.finish();
    keep(stage, store);
}

#[test]
fn a_restart_changes_nothing_that_anybody_sees() {
    let mut store = Kept::default();
    let mut stage = keeping(&mut store);
    let (a, b, gone) = (stage.join("a", 10), stage.join("b", 11), stage.join("gone", 12));
    for member in [a, b] {
        for name in ["rfc7.txt", "x", "y"] {
            stage.register(member, name);
        }
    }
    let part = stage.register_message(a, content("part"), false);
    stage.tell(part);
    stage.deregister(b, "y");
    stage.register(gone, "z");
    let left = stage.leave(gone);
    stage.wait(3_600);
    stage.keep_alive(b);
    keep(&mut stage, &mut store);
    let list = |stage: &mut Stage| {
        let request = RequestNumber(0);
        let list = ListContents {
            request,
            kind: ContentKind::File,
            after: None,
        };
        pdu!(Contents, stage.tell(list)).contents.into_vec()
    };
    let before = (list(&mut stage), stage.seen(), stage.rs.counts(stage.now));
    restart(&mut stage, &mut store, true);
    assert_eq!(
        (list(&mut stage), stage.seen(), stage.rs.counts(stage.now)),
        before
    );

    // Repeated, the last change is answered as it was; the next number goes on.
    let again = stage.tell(Leave {
        request: left.request().expect("a number"),
        cookie: gone.cookie,
    });
    assert_eq!(again, left);
    pdu!(Ack, stage.rejoin("gone", gone));
    assert_eq!(stage.seen().len(), 3);
    assert_eq!(stage.seen()[2].registrations, 2, "the record was kept");
    // Numbers are never used again, also when the last one is forgotten.
    let fourth = stage.join("fourth", 13);
    stage.register(fourth, "w");
    assert_eq!(stage.seen()[3].number, PeerNumber(4));
}

#[test]
fn leases_count_on_over_a_restart() {
    let mut store = Kept::default();
    let mut stage = keeping(&mut store);
    let a = stage.join("a", 10);
    stage.register(a, "x");
    stage.wait(3_000);
    let b = stage.join("b", 11);
    keep(&mut stage, &mut store);
    // Down for half an hour; the wall clock means nothing.
    for error in [0, -86_400, 86_400, 315_360_000] {
        let mut stage = stage_of(&stage);
        stage.wait(1_800);
        stage.now.wall.0 += error;
        restart(&mut stage, &mut store.clone(), true);
        let lives: Vec<u32> = stage.seen().iter().map(|peer| peer.lease_secs).collect();
        assert_eq!(
            lives,
            [7_200 - 4_800, 7_200 - 1_800],
            "wall clock wrong by {error}"
        );
    }
    // Down until one lease is over: its peer is inactive, what it held is gone, from the store as well.
    stage.wait(4_200);
    restart(&mut stage, &mut store, true);
    assert_eq!(stage.seen_names(), ["b"]);
    assert_eq!(refusal_code(stage.search("x")), Refusal::NotFound);
    assert!(!store.rows().any(|row| matches!(row, Change::Holder(..))));
    assert_eq!(refusal_code(stage.keep_alive(a)), Refusal::BadCookie);
    pdu!(Ack, stage.rejoin("a", a));
    pdu!(Ack, stage.keep_alive(b));
    assert_eq!(stage.seen_names(), ["a", "b"]);
}

fn stage_of(stage: &Stage) -> Stage {
    Stage {
        rs: stage.rs.clone(),
        now: stage.now,
        request: stage.request,
    }
}

#[test]
fn over_a_reboot_the_wall_clock_says_what_is_left() {
    let mut store = Kept::default();
    let mut stage = keeping(&mut store);
    stage.join("a", 10);
    keep(&mut stage, &mut store);
    for (down_secs, left) in [
        (0, 7_199),
        (1_000, 6_199),
        (7_198, 1),
        (-86_400, 7_200),
        (-315_360_000, 7_200),
    ] {
        let mut again = stage_of(&stage);
        // A new boot: its monotonic clock begins anew.
        again.now.at = Instant(3_000_000);
        again.now.wall.0 += down_secs;
        restart(&mut again, &mut store.clone(), false);
        assert_eq!(again.seen()[0].lease_secs, left, "down for {down_secs} s");
    }
    for down_secs in [7_199, 86_400, 315_360_000] {
        let mut again = stage_of(&stage);
        again.now.at = Instant(3_000_000);
        again.now.wall.0 += down_secs;
        restart(&mut again, &mut store.clone(), false);
        assert!(again.seen().is_empty(), "down for {down_secs} s");
        assert_eq!(again.rs.counts(again.now).0, 1, "and remembered");
    }
}

#[test]
fn the_hidden_stay_hidden_over_a_restart() {
    let mut store = Kept::default();
    let mut stage = keeping(&mut store);
    let a = stage.join("a", 10);
    stage.register(a, "x");
    stage.report(10);
    let probe = stage.rs.poll_probe().expect("a probe");
    stage.rs.handle_probe(&probe, false);
    keep(&mut stage, &mut store);
    restart(&mut stage, &mut store, true);
    assert!(stage.seen().is_empty());
    let offline = stage.rs.offline(stage.now);
    assert_eq!(
        (offline.len(), offline[0].name.as_str()),
        (1, "a"),
        "and are named"
    );
    assert_eq!(stage.rs.counts(stage.now), (1, 0, 1));
    stage.keep_alive(a);
    assert_eq!(stage.holders("x"), ["a"]);
}

#[test]
fn a_forgotten_peer_is_forgotten_for_good() {
    let mut store = Kept::default();
    let mut stage = keeping(&mut store);
    stage.rs.registry = stage.rs.registry.clone().with_room_for(1);
    let a = stage.join("a", 10);
    stage.leave(a);
    stage.join("b", 11);
    keep(&mut stage, &mut store);
    restart(&mut stage, &mut store, true);
    assert_eq!(stage.rs.counts(stage.now).0, 1);
    assert_eq!(refusal_code(stage.rejoin("a", a)), Refusal::BadCookie);
}
