//! Cookies that are not right, and requests that come twice, late, or out of order.

use super::*;

#[test]
fn wrong_cookies_change_nothing() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.register(a, "x");
    let before = stage.state();
    let mut near = a.cookie;
    near.0[15] ^= 1;
    for cookie in [Cookie([0; 16]), Cookie([0xff; 16]), near] {
        let wrong = Member { ip: 10, cookie };
        assert_eq!(refusal_code(stage.leave(wrong)), Refusal::BadCookie);
        assert_eq!(refusal_code(stage.keep_alive(wrong)), Refusal::BadCookie);
        assert_eq!(refusal_code(stage.register(wrong, "y")), Refusal::BadCookie);
        assert_eq!(refusal_code(stage.deregister(wrong, "x")), Refusal::BadCookie);
        assert_eq!(refusal_code(stage.rejoin("z", wrong)), Refusal::BadCookie);
        assert_eq!(refusal_code(stage.pquery(Some(cookie))), Refusal::BadCookie);
    }
    assert_eq!(stage.state(), before);
}

#[test]
fn a_cookie_is_good_for_its_own_peer_only() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    stage.register(a, "x");
    let record = |stage: &mut Stage| (stage.seen()[0].clone(), stage.holders("x"));
    let before = record(&mut stage);
    stage.deregister(b, "x");
    stage.leave(b);
    assert_eq!(record(&mut stage), before);
}

#[test]
fn questions_without_a_cookie_change_nothing() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.register(a, "x");
    let before = stage.state();
    stage.wait(10);
    stage.pquery(None);
    let request = stage.number();
    stage.tell(ListContents {
        request,
        kind: ContentKind::File,
        after: None,
    });
    assert_eq!(refusal_code(stage.search("y")), Refusal::NotFound);
    assert_eq!(stage.state(), before);
}

#[test]
fn what_is_no_request_is_refused() {
    let mut stage = Stage::new();
    let before = stage.state();
    for message in crate::wire::samples::samples() {
        let request = message.request().unwrap_or_default();
        let served = message.row().direction == crate::wire::Direction::PeerToRs;
        let answer = stage.tell(message);
        assert_eq!(answer.request(), Some(request));
        if !served {
            assert_eq!(refusal_code(answer), Refusal::NotServed);
        }
    }
    assert_ne!(stage.state(), before, "the samples join a peer");
}

#[test]
fn a_repeated_number_gets_the_stored_answer_and_no_second_effect() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let cookie = a.cookie;
    let register = stage.register_message(a, content("x"), true);
    let changes: Vec<Message> = vec![
        register.into(),
        KeepAlive {
            request: stage.number(),
            cookie,
        }
        .into(),
        Deregister {
            request: stage.number(),
            cookie,
            key: content("x").key(),
        }
        .into(),
        stage.join_message("a", 77, Some(cookie)).into(),
        Leave {
            request: stage.number(),
            cookie,
        }
        .into(),
        stage.join_message("a", 78, Some(cookie)).into(),
    ];
    let mut told: Vec<Message> = Vec::new();
    for change in changes {
        let first = frame(&stage.ask(&tcp(10), change.clone()));
        let after = stage.state();
        stage.wait(5);
        let again = stage.ask(&tcp(10), change.clone());
        assert_eq!(frame(&again), first, "{change:?}");
        assert_eq!(stage.state(), after, "{change:?}");
        // Copies of all the requests before are stale, and change as little.
        for old in &told {
            let answer = stage.ask(&tcp(10), old.clone());
            assert_eq!(
                refusal_code(answer),
                Refusal::StaleNumber,
                "{old:?} after {change:?}"
            );
        }
        assert_eq!(stage.state(), after, "{change:?}");
        told.push(change);
    }
}

#[test]
fn a_refused_change_is_refused_again() {
    let mut stage = Stage::new();
    let a = stage.join("same", 10);
    let b = stage.join("same", 11);
    stage.register(a, "x");
    let late = stage.register_message(b, content("x"), true);
    assert_eq!(refusal_code(stage.tell(late.clone())), Refusal::NameTaken);
    stage.leave(a);
    assert_eq!(
        refusal_code(stage.tell(late)),
        Refusal::NameTaken,
        "a copy of the question gets a copy of the answer"
    );
    pdu!(Ack, stage.register(b, "x"));
}

#[test]
fn a_first_join_repeated_makes_one_peer() {
    let mut stage = Stage::new();
    let join = stage.join_message("a", 77, None);
    let first = pdu!(Ack, stage.ask(&tcp(10), join.clone()));
    stage.wait(1);
    let copy = pdu!(Ack, stage.ask(&tcp(10), join.clone()));
    assert_eq!(copy, first, "a copy of the question gets a copy of the answer");
    // The peer saw neither answer and asks anew, with the nonce it drew.
    let retry = stage.join_message("a", 77, None);
    let again = pdu!(Ack, stage.ask(&tcp(10), retry));
    assert_eq!((again.cookie, again.lease_secs), (first.cookie, LEASE_SECS));
    let peers = stage.seen();
    assert_eq!((peers.len(), peers[0].registrations), (1, 1));
    // Another machine's peer may draw the same nonce.
    let other = stage.ask(&tcp(11), join);
    assert_ne!(pdu!(Ack, other).cookie, first.cookie);
    assert_eq!(stage.seen().len(), 2);
}

#[test]
fn a_join_with_cookie_repeated_counts_once() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let join = stage.join_message("a", 99, Some(a.cookie));
    stage.ask(&tcp(10), join);
    let retry = stage.join_message("a", 99, Some(a.cookie));
    stage.ask(&tcp(10), retry);
    assert_eq!(stage.seen()[0].registrations, 2, "the first, and the second once");
}

#[test]
fn a_join_is_one_join_though_a_lease_ended_before_its_answer_came() {
    let mut stage = Stage::new();
    let join = stage.join_message("a", 77, None);
    stage.ask(&tcp(10), join);
    stage.live(u64::from(LEASE_SECS));
    assert_eq!(stage.seen_names(), [""; 0]);
    let retry = stage.join_message("a", 77, None);
    let ack = pdu!(Ack, stage.ask(&tcp(10), retry));
    assert_eq!(ack.lease_secs, LEASE_SECS);
    assert_eq!(stage.seen()[0].registrations, 1);
}

/// A datagram may be late by minutes: what it asks for is over.
#[test]
fn a_late_copy_of_the_first_join_neither_revives_nor_forgets() {
    let mut stage = Stage::new();
    let join = stage.join_message("a", 77, None);
    let ack = pdu!(Ack, stage.ask(&tcp(10), join.clone()));
    let a = Member {
        ip: 10,
        cookie: ack.cookie.expect("a cookie"),
    };
    let register = stage.register_message(a, content("x"), true);
    stage.tell(register.clone());
    pdu!(Ack, stage.deregister(a, "x"));
    let before = stage.state();
    stage.wait(60);
    stage.ask(&tcp(10), join.clone());
    assert_eq!(stage.state(), before, "an old Join renews nothing");
    stage.tell(register);
    assert_eq!(stage.state(), before, "and does not make old requests new");
    stage.leave(a);
    let before = stage.state();
    stage.ask(&tcp(10), join.clone());
    assert_eq!(stage.state(), before, "who left is not brought back");
    stage.rejoin("a", a);
    let before = stage.state();
    stage.ask(&tcp(10), join);
    assert_eq!(stage.state(), before, "who came back is not doubled");
}
