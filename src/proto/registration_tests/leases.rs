//! Leases, leaving and coming back, and the registrations of the last 30 days.

use super::*;

const LEASE: u64 = LEASE_SECS as u64;
const DAY: u64 = 86_400;

#[test]
fn a_lease_ends_at_zero_though_no_timer_ran() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.register(a, "x");
    stage.wait(LEASE - 1);
    assert_eq!(stage.seen()[0].lease_secs, 1);
    stage.wait(1);
    assert_eq!(stage.seen_names(), [""; 0], "an empty list is an answer");
    assert_eq!(refusal_code(stage.search("x")), Refusal::NotFound);
    assert_eq!(refusal_code(stage.register(a, "y")), Refusal::BadCookie);
    stage.rs.handle_timeout(stage.now);
    assert_eq!(stage.rs.counts(stage.now), (1, 0, 0), "the record is kept");
}

#[test]
fn keep_alive_join_and_pquery_with_the_cookie_renew() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    for renewal in 0..3 {
        stage.wait(LEASE - 10);
        match renewal {
            0 => drop(pdu!(Ack, stage.keep_alive(a))),
            1 => drop(pdu!(Ack, stage.rejoin("a", a))),
            _ => drop(pdu!(Peers, stage.pquery(Some(a.cookie)))),
        }
        assert_eq!(stage.seen()[0].lease_secs, LEASE_SECS, "renewal {renewal}");
    }
}

#[test]
fn nothing_else_renews() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.wait(100);
    let ack = pdu!(Ack, stage.register(a, "x"));
    assert_eq!(ack.lease_secs, LEASE_SECS - 100);
    stage.deregister(a, "x");
    stage.search("x");
    stage.report(10);
    stage.pquery(None);
    assert_eq!(stage.seen()[0].lease_secs, LEASE_SECS - 100);
}

#[test]
fn a_lease_that_is_over_is_renewed_by_join_alone() {
    for timer in [false, true] {
        let mut stage = Stage::new();
        let a = stage.join("a", 10);
        stage.wait(LEASE);
        if timer {
            stage.rs.handle_timeout(stage.now);
        }
        assert_eq!(refusal_code(stage.keep_alive(a)), Refusal::BadCookie);
        pdu!(Peers, stage.pquery(Some(a.cookie)));
        assert_eq!(stage.seen_names(), [""; 0], "timer {timer}");
        pdu!(Ack, stage.rejoin("a", a));
        assert_eq!(stage.seen_names(), ["a"]);
        assert_eq!(
            stage.seen()[0].registrations,
            2,
            "it registered anew, timer {timer}"
        );
    }
}

#[test]
fn leave_keeps_the_record_and_join_revives_it() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    stage.register(a, "x");
    let before = stage.seen()[0].clone();
    pdu!(Ack, stage.leave(a));
    assert_eq!(stage.seen_names(), ["b"]);
    assert_eq!(refusal_code(stage.search("x")), Refusal::NotFound);
    assert_eq!(refusal_code(stage.keep_alive(a)), Refusal::BadCookie);
    stage.wait(50);
    let ack = pdu!(Ack, stage.rejoin("a2", a));
    assert_eq!(ack.cookie, Some(a.cookie));
    assert_eq!(ack.host, Some(host(10)));
    let after = stage.seen()[0].clone();
    assert_eq!(after.number, before.number);
    assert_eq!((before.registrations, after.registrations), (1, 2));
    assert_eq!(after.registered, before.registered + 50);
    assert_eq!(after.name, peer_name("a2"), "under the name it has now");
    assert_eq!(
        refusal_code(stage.search("x")),
        Refusal::NotFound,
        "what it holds it registers again"
    );
    pdu!(Ack, stage.leave(b));
}

#[test]
fn pquery_leaves_the_asker_out() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let peers = pdu!(Peers, stage.pquery(Some(a.cookie)));
    assert!(peers.peers.is_empty() && !peers.more);
    stage.join("b", 11);
    let peers = pdu!(Peers, stage.pquery(Some(a.cookie)));
    let names: Vec<&str> = peers.peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["b"]);
    let info = &peers.peers[0];
    assert_eq!(
        (info.host.clone(), info.port, info.os.as_str()),
        (host(11), 6_000, "Linux")
    );
}

#[test]
fn registrations_are_counted_over_thirty_days() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.wait(DAY);
    stage.rejoin("a", a);
    assert_eq!(stage.seen()[0].registrations, 2);
    // A peer that only keeps alive for 29 days: its first stamp becomes 30 days old and drops out.
    let pass = |stage: &mut Stage, secs: u64| {
        for _ in 0..secs / 3_600 {
            stage.wait(3_600);
            pdu!(Ack, stage.keep_alive(a));
        }
        stage.seen()[0].registrations
    };
    assert_eq!(pass(&mut stage, 29 * DAY - 3_600), 2);
    assert_eq!(pass(&mut stage, 3_600), 1, "30 days old to the second");
    assert_eq!(pass(&mut stage, DAY), 0);
    assert_eq!(
        stage.seen()[0].registered,
        WALL.0 + i64::try_from(DAY).expect("a day"),
        "when it registered last is not forgotten"
    );
}

#[test]
fn a_wall_clock_set_back_forgets_no_registration_and_ends_no_lease() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.now.wall.0 -= 400 * 86_400;
    stage.rejoin("a", a);
    let peer = stage.seen()[0].clone();
    assert_eq!((peer.registrations, peer.lease_secs), (2, LEASE_SECS));
    assert_eq!(peer.registered, stage.now.wall.0, "as the clock said");
    // Set forward far: leases go by the other clock.
    stage.now.wall.0 += 4_000 * 86_400;
    assert_eq!(stage.seen()[0].registrations, 0);
    assert_eq!(stage.seen()[0].lease_secs, LEASE_SECS);
}

#[test]
fn an_operator_may_choose_another_lease() {
    let settings = RegistrationSettings {
        lease: Span::from_secs(30),
        ..RegistrationSettings::default()
    };
    let mut stage = Stage::new();
    stage.rs = Registration::new(settings, Rng::from_seed(1));
    let a = stage.join("a", 10);
    assert_eq!(pdu!(Ack, stage.keep_alive(a)).lease_secs, 30);
    stage.wait(30);
    assert_eq!(stage.seen_names(), [""; 0]);
}

#[test]
fn stamps_from_the_future_are_pulled_back_when_the_clock_is_trusted() {
    use crate::limits::{WALL_CLOCK_JUMP, WALL_CLOCK_TRUSTED_AFTER};
    let trusted = WALL_CLOCK_TRUSTED_AFTER.as_secs();
    let mut stage = Stage::new();
    let right = stage.join("right", 10);
    stage.wait(trusted);
    stage.keep_alive(right);
    // Ten years ahead for an hour: somebody joins, and nothing is forgotten.
    stage.now.wall.0 += 3_650 * 86_400;
    let wrong = stage.join("wrong", 11);
    assert_eq!(told(&mut stage, wrong), (1, stage.now.wall.0));
    assert_eq!(told(&mut stage, right).0, 0, "as it is told for the moment");
    stage.wait(3_600);
    stage.now.wall.0 -= 3_650 * 86_400;
    let set = stage.now.wall.0;
    assert_eq!(told(&mut stage, wrong), (1, set), "never later than now");
    assert_eq!(told(&mut stage, right), (1, WALL.0));
    // Drift is not setting.
    stage.wait(trusted - 1);
    stage.now.wall.0 += i64::try_from(WALL_CLOCK_JUMP.as_secs()).expect("small");
    told(&mut stage, wrong);
    stage.wait(1);
    assert_eq!(told(&mut stage, wrong), (1, set), "when the clock was set right");
    stage.wait(30 * DAY);
    assert_eq!(told(&mut stage, wrong), (0, set), "and it ends like any other");
}

#[test]
fn a_clock_that_begins_in_the_past_harms_no_stamp() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let (wall, back) = (stage.now.wall.0, stage.now.wall.0);
    for _ in 0..3 {
        // It is set right before the day is over.
        stage.now.wall.0 -= back;
        stage.wait(80_000);
        assert_eq!(told(&mut stage, a).0, 1);
        stage.now.wall.0 += back;
        assert_eq!(told(&mut stage, a), (1, wall));
    }
}

/// Registrations of 30 days and the last one, as they are told of a peer. It joins by what it joined with, so that it is there.
fn told(stage: &mut Stage, member: Member) -> (u32, i64) {
    let nonce = u64::from(member.ip);
    let again = stage.join_message("told", nonce, Some(member.cookie));
    pdu!(Ack, stage.ask(&tcp(member.ip), again));
    let request = stage.number();
    let answer = stage.tell(PQuery {
        request,
        cookie: None,
        after: PeerNumber(0),
    });
    let peers = pdu!(Peers, answer).peers.into_vec();
    let ip = member.ip;
    let peer = peers
        .into_iter()
        .find(|peer| peer.host == host(ip))
        .expect("listed");
    (peer.registrations, peer.registered)
}
