//! Reports, silence and probes: how the RS notices a holder that died.

use super::*;
use crate::limits::{PROBE_INTERVAL_MIN, PROBES_WAITING_MAX, SILENCE_BEFORE_PROBE};

fn probe(stage: &mut Stage) -> Probe {
    stage.rs.poll_probe().expect("a probe")
}

#[test]
fn a_dead_holder_is_probed_hidden_and_comes_back_by_its_word() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.join("b", 11);
    stage.register(a, "x");
    pdu!(Ack, stage.report(10));
    let asked = probe(&mut stage);
    assert_eq!(asked.address.to_string(), "192.0.2.10:6000");
    assert_eq!(stage.rs.poll_probe(), None, "one report, one probe");
    assert_eq!(stage.holders("x"), ["a"], "a report alone hides nobody");
    stage.rs.handle_probe(&asked, false);
    assert_eq!(stage.seen_names(), ["b"]);
    let (code, text) = refused(stage.search("x"));
    assert_eq!(code, Refusal::NotFound);
    assert!(text.contains("none of its holders is active"), "{text}");
    // A stranger's question does not bring it back, its own word does.
    stage.wait(30);
    stage.report(10);
    assert_eq!(stage.rs.poll_probe(), None, "the hidden are not probed");
    assert_eq!(stage.seen_names(), ["b"]);
    pdu!(Ack, stage.keep_alive(a));
    assert_eq!(stage.seen_names(), ["a", "b"]);
    assert_eq!(stage.holders("x"), ["a"], "what it registered was kept");
}

#[test]
fn any_new_word_of_its_own_shows_it_again() {
    for word in 0..4 {
        let mut stage = Stage::new();
        let a = stage.join("a", 10);
        stage.register(a, "x");
        stage.report(10);
        let asked = probe(&mut stage);
        stage.rs.handle_probe(&asked, false);
        stage.wait(100);
        match word {
            0 => drop(pdu!(Ack, stage.register(a, "y"))),
            1 => drop(pdu!(Ack, stage.deregister(a, "x"))),
            2 => drop(pdu!(Peers, stage.pquery(Some(a.cookie)))),
            _ => drop(pdu!(Ack, stage.rejoin("a", a))),
        }
        assert_eq!(stage.seen_names(), ["a"], "word {word}");
        let lease = stage.seen()[0].lease_secs;
        let renewed = word >= 2;
        assert_eq!(
            lease,
            if renewed { LEASE_SECS } else { LEASE_SECS - 100 },
            "word {word}"
        );
    }
}

#[test]
fn a_probe_that_was_answered_changes_nothing() {
    let mut stage = Stage::new();
    stage.join("a", 10);
    stage.report(10);
    let asked = probe(&mut stage);
    let before = stage.state();
    stage.rs.handle_probe(&asked, true);
    assert_eq!(stage.state(), before);
}

#[test]
fn a_result_older_than_the_peers_last_word_is_ignored() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.report(10);
    let slow = probe(&mut stage);
    stage.wait(1);
    stage.keep_alive(a);
    stage.rs.handle_probe(&slow, false);
    assert_eq!(stage.seen_names(), ["a"]);
    // Also when another probe has been asked for since.
    stage.wait(1);
    stage.report(10);
    let second = probe(&mut stage);
    stage.rs.handle_probe(&slow, false);
    assert_eq!(stage.seen_names(), ["a"]);
    stage.rs.handle_probe(&second, false);
    assert_eq!(stage.seen_names(), [""; 0]);
}

#[test]
fn a_result_for_an_address_that_is_no_longer_the_peers_is_ignored() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.report(10);
    let asked = probe(&mut stage);
    stage.rejoin("a", Member { ip: 12, ..a });
    stage.report(12);
    stage.rs.handle_probe(&asked, false);
    assert_eq!(stage.seen_names(), ["a"]);
}

#[test]
fn all_peers_at_a_reported_address_are_probed_and_nobody_else() {
    let mut stage = Stage::new();
    stage.join("a", 10);
    let second = stage.join_message("a-again", 999, None);
    stage.ask(&tcp(10), second);
    stage.join("b", 11);
    let before = stage.state();
    pdu!(Ack, stage.report(99));
    assert_eq!(stage.state(), before, "a report of nobody");
    stage.report(10);
    let (first, second) = (probe(&mut stage), probe(&mut stage));
    assert_eq!(first.address, second.address);
    assert_eq!(stage.rs.poll_probe(), None);
}

#[test]
fn probes_are_no_weapon() {
    let mut stage = Stage::new();
    stage.join("a", 10);
    for _ in 0..100 {
        stage.report(10);
    }
    probe(&mut stage);
    assert_eq!(stage.rs.poll_probe(), None);
    stage.now.at = stage.now.at.after(PROBE_INTERVAL_MIN);
    stage.report(10);
    probe(&mut stage);
}

#[test]
fn probes_waiting_are_bounded() {
    let mut stage = Stage::new();
    for nonce in 0..=PROBES_WAITING_MAX as u64 {
        let join = stage.join_message("a", nonce, None);
        stage.ask(&tcp(10), join);
    }
    stage.report(10);
    let mut probes = 0;
    while stage.rs.poll_probe().is_some() {
        probes += 1;
    }
    assert_eq!(probes, PROBES_WAITING_MAX);
    // The one that found no room is probed when it is reported again.
    stage.report(10);
    probe(&mut stage);
}

#[test]
fn silence_leads_to_a_probe_and_speech_puts_it_off() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let silence = SILENCE_BEFORE_PROBE.as_secs();
    stage.live(silence - 1);
    stage.keep_alive(a);
    stage.live(silence - 1);
    assert_eq!(stage.rs.poll_probe(), None);
    stage.live(1);
    let asked = probe(&mut stage);
    stage.rs.handle_probe(&asked, true);
    stage.live(silence);
    let asked = probe(&mut stage);
    stage.rs.handle_probe(&asked, false);
    assert_eq!(stage.seen_names(), [""; 0]);
    // The hidden keep their lease to its end, and no longer.
    stage.live(u64::from(LEASE_SECS));
    assert_eq!(stage.rs.deadline(), None, "nothing is left to wait for");
    assert_eq!(refusal_code(stage.keep_alive(a)), Refusal::BadCookie);
}

#[test]
fn who_is_offline_is_named_in_the_order_of_what_an_operator_wants_to_know() {
    let mut stage = Stage::new();
    let left = stage.join("left", 10);
    stage.join("silent", 11);
    let hidden = stage.join("hidden", 12);
    stage.leave(left);
    stage.wait(u64::from(LEASE_SECS) - 100);
    pdu!(Ack, stage.keep_alive(hidden));
    // Those that silence has caused say nothing about it any more.
    while stage.rs.poll_probe().is_some() {}
    stage.report(12);
    let asked = probe(&mut stage);
    stage.rs.handle_probe(&asked, false);
    stage.wait(100);
    let told = |stage: &mut Stage| {
        let offline = stage.rs.offline(stage.now).into_vec();
        let each = offline.into_iter();
        each.map(|peer| (peer.name.to_string(), peer.lease_secs))
            .collect::<Vec<_>>()
    };
    let of = |name: &str, lease_secs| (name.to_owned(), lease_secs);
    let all = [of("hidden", LEASE_SECS - 100), of("silent", 0), of("left", 0)];
    assert_eq!(told(&mut stage), all);
    assert_eq!(stage.rs.counts(stage.now), (3, 0, 0));
    pdu!(Ack, stage.keep_alive(hidden));
    assert_eq!(told(&mut stage), all[1..]);
    assert_eq!(stage.rs.counts(stage.now), (3, 1, 0));
    pdu!(Ack, stage.rejoin("left", left));
    assert_eq!(told(&mut stage), all[1..2]);
    assert_eq!(stage.rs.counts(stage.now), (3, 2, 0));
}
