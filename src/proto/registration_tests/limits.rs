//! The bounds of an RS, each hit.

use super::*;
use crate::limits::{OFFLINE_PEERS_MAX, REGISTRATIONS_KEPT_MAX};

fn crowded(peers_max: usize) -> Stage {
    let mut stage = Stage::new();
    let settings = RegistrationSettings::default();
    stage.rs.registry = Registry::new(settings.lease, Rng::from_seed(1)).with_room_for(peers_max);
    stage
}

#[test]
fn the_longest_inactive_makes_room() {
    let mut stage = crowded(3);
    let members = [stage.join("a", 10), stage.join("b", 11), stage.join("c", 12)];
    let join = stage.join_message("d", 13, None);
    let (code, text) = refused(stage.ask(&tcp(13), join));
    assert_eq!(code, Refusal::LimitReached);
    assert!(text.contains("as many peers as it may"), "{text}");
    // b leaves before a: it is forgotten first.
    stage.leave(members[1]);
    stage.wait(1);
    stage.leave(members[0]);
    stage.join("d", 13);
    assert_eq!(stage.seen_names(), ["c", "d"]);
    assert_eq!(refusal_code(stage.rejoin("b", members[1])), Refusal::BadCookie);
    pdu!(Ack, stage.rejoin("a", members[0]));
    assert_eq!(stage.rs.counts(stage.now), (3, 3, 0));
    // A revived one is not forgotten for what it was.
    let join = stage.join_message("e", 14, None);
    assert_eq!(refusal_code(stage.ask(&tcp(14), join)), Refusal::LimitReached);
}

#[test]
fn a_lease_that_is_over_makes_room_though_no_timer_ran() {
    let mut stage = crowded(1);
    let a = stage.join("a", 10);
    stage.register(a, "x");
    stage.wait(u64::from(LEASE_SECS));
    stage.join("b", 11);
    assert_eq!(
        stage.rs.counts(stage.now),
        (1, 1, 0),
        "and its contents go with it"
    );
}

#[test]
fn numbers_of_peers_are_never_used_again() {
    let mut stage = crowded(1);
    let mut last = PeerNumber(0);
    for ip in 10..15 {
        let member = stage.join("a", ip);
        let number = stage.seen()[0].number;
        assert!(number > last);
        last = number;
        stage.leave(member);
    }
}

#[test]
fn a_peer_registers_so_many_contents_and_no_more() {
    let mut stage = Stage::new();
    stage.rs.catalog = Catalog::new(Policy::LeastUsed).with_records_per_peer(2);
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    pdu!(Ack, stage.register(a, "x"));
    pdu!(Ack, stage.register(a, "y"));
    let (code, text) = refused(stage.register(a, "z"));
    assert_eq!(code, Refusal::LimitReached);
    assert!(text.contains("share fewer files"), "{text}");
    pdu!(Ack, stage.register(a, "x"));
    pdu!(Ack, stage.register(b, "z"));
    stage.deregister(a, "x");
    pdu!(Ack, stage.register(a, "z"));
}

#[test]
fn all_peers_register_so_many_contents_and_no_more() {
    let mut stage = Stage::new();
    stage.rs.catalog = Catalog::new(Policy::LeastUsed).with_records(3);
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    pdu!(Ack, stage.register(a, "x"));
    pdu!(Ack, stage.register(a, "y"));
    pdu!(Ack, stage.register(b, "x"));
    let (code, text) = refused(stage.register(b, "y"));
    assert_eq!(code, Refusal::LimitReached);
    assert!(text.contains("this RS keeps"), "{text}");
    pdu!(Ack, stage.register(b, "x"));
    stage.deregister(a, "x");
    stage.deregister(a, "x");
    pdu!(Ack, stage.register(b, "y"));
    assert_eq!(refusal_code(stage.register(a, "x")), Refusal::LimitReached);
    stage.leave(b);
    pdu!(Ack, stage.register(a, "x"));
    pdu!(Ack, stage.register(a, "z"));
}

#[test]
fn registrations_are_counted_up_to_a_bound() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    for _ in 0..REGISTRATIONS_KEPT_MAX + 5 {
        pdu!(Ack, stage.rejoin("a", a));
    }
    let shown = stage.seen()[0].registrations;
    assert_eq!(usize::try_from(shown), Ok(REGISTRATIONS_KEPT_MAX));
}

#[test]
fn what_has_gone_leaves_nothing_in_memory() {
    let mut stage = crowded(1);
    let mut sizes = Vec::new();
    for round in 0..20 {
        let member = stage.join("a", 10 + round);
        stage.register(member, "x");
        stage.leave(member);
        sizes.push(stage.state().len());
    }
    let (least, most) = (sizes.iter().min(), sizes.iter().max());
    assert!(
        most.zip(least).is_some_and(|(most, least)| most - least < 200),
        "{sizes:?}"
    );
}

#[test]
fn so_many_of_the_offline_are_named_and_all_are_counted() {
    let mut stage = Stage::new();
    for number in 0..=OFFLINE_PEERS_MAX {
        for (name, nonce) in [("gone", 0), ("here", 1_000)] {
            let join = stage.join_message(&format!("{name}-{number}"), nonce + number as u64, None);
            let ack = pdu!(Ack, stage.ask(&tcp(10), join));
            let cookie = ack.cookie.expect("a cookie");
            if name == "gone" {
                stage.leave(Member { ip: 10, cookie });
            }
        }
        stage.wait(1);
    }
    let known = 2 * (OFFLINE_PEERS_MAX + 1);
    assert_eq!(stage.rs.counts(stage.now), (known, known / 2, 0));
    let named = stage.rs.offline(stage.now);
    assert_eq!(named.len(), OFFLINE_PEERS_MAX);
    assert_eq!(
        named[0].name.as_str(),
        format!("gone-{OFFLINE_PEERS_MAX}"),
        "the latest first"
    );
    assert_eq!(named[OFFLINE_PEERS_MAX - 1].name.as_str(), "gone-1");
}
