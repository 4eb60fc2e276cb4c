//! A peer's side of its registration, against a scripted RS and against the real one.

use super::*;
use crate::proto::{Asker, Registration, RegistrationSettings, refusal};
use crate::time::{Now, WallTime};
use crate::wire::samples::sample_file as content;
use crate::wire::{ContentKind, ListContents};

fn identity(cookie: Option<Cookie>) -> Identity {
    Identity {
        name: PeerName::new("a").expect("a name"),
        host: None,
        port: 6_000,
        os: "Linux".to_owned(),
        cookie,
        incarnation: Incarnation(1),
    }
}

/// A peer and an RS with a perfect line between them, which the test may cut.
struct Stage {
    peer: Membership,
    rs: Registration,
    now: Now,
    events: Vec<MembershipEvent>,
}

impl Stage {
    fn new() -> Self {
        Self {
            peer: Membership::new(identity(None), Rng::from_seed(1)),
            rs: fresh_rs(2),
            now: Now {
                at: Instant(1_000_000),
                wall: WallTime(1_700_000_000),
            },
            events: Vec::new(),
        }
    }

    fn asker() -> Asker {
        Asker::over_tcp([192, 0, 2, 10].into(), [192, 0, 2, 1].into())
    }

    /// The next request and the RS's answer to it, which has yet to reach the peer.
    fn step(&mut self) -> Option<(Message, Message)> {
        let request = self.peer.poll_request(self.now.at)?;
        let answer = self.rs.handle_request(self.now, &Self::asker(), &request);
        Some((request, answer))
    }

    /// Asks and answers until there is nothing to ask now. Says what was asked.
    fn settle(&mut self) -> String {
        let mut asked = String::new();
        while let Some((request, answer)) = self.step() {
            asked.push(char::from(request.row().letter));
            self.peer.handle_answer(self.now.at, &answer);
            assert!(asked.len() < 100, "a loop without an end: {asked}");
        }
        while let Some(event) = self.peer.poll_event() {
            self.events.push(event);
        }
        asked
    }

    fn wait(&mut self, span: Span) {
        self.now.at = self.now.at.after(span);
    }

    /// What is registered at the RS.
    fn listed(&mut self) -> Vec<String> {
        let list = ListContents {
            request: RequestNumber(1),
            kind: ContentKind::File,
            after: None,
        };
        match self.rs.handle_request(self.now, &Self::asker(), &list.into()) {
            Message::Contents(page) => {
                let names = page
                    .contents
                    .iter()
                    .map(|listing| listing.content.name.as_str().to_owned());
                names.collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// A peer that is in and shares `x`.
    fn settled() -> Self {
        let mut stage = Self::new();
        stage.peer.want(true);
        stage.peer.share(content("x"), true);
        assert_eq!(stage.settle(), "JR");
        stage
    }
}

fn fresh_rs(seed: u64) -> Registration {
    Registration::new(RegistrationSettings::default(), Rng::from_seed(seed))
}

fn refuse(request: &Message, code: Refusal) -> Message {
    refusal(request.request().unwrap_or_default(), code, "no")
}

#[test]
fn it_joins_registers_keeps_alive_and_leaves() {
    let mut stage = Stage::new();
    assert_eq!(stage.settle(), "", "nobody wants anything");
    assert_eq!(stage.peer.deadline(), None);
    stage.peer.share(content("x"), true);
    stage.peer.share(content("y"), false);
    stage.peer.want(true);
    assert!(!stage.peer.is_settled());
    assert_eq!(stage.settle(), "JRR");
    assert!(stage.peer.is_settled() && stage.peer.is_in());
    assert!(matches!(
        stage.events[..],
        [MembershipEvent::Joined {
            lease_secs: 7_200,
            ..
        }]
    ));
    assert_eq!(stage.peer.deadline(), Some(stage.now.at.after(KEEP_ALIVE)));
    stage.wait(Span(KEEP_ALIVE.0 - 1));
    assert_eq!(stage.settle(), "");
    stage.wait(Span(1));
    assert_eq!(stage.settle(), "K");
    stage.peer.unshare(&content("x").key());
    assert_eq!(stage.settle(), "T");
    assert_eq!(stage.listed(), ["y"]);
    stage.peer.want(false);
    assert_eq!(stage.settle(), "L");
    assert_eq!(stage.events.last(), Some(&MembershipEvent::Left));
    assert_eq!(stage.rs.counts(stage.now), (1, 0, 0));
    assert!(stage.peer.is_settled());
    stage.peer.want(true);
    assert_eq!(stage.settle(), "JR");
    assert_eq!(
        stage.rs.counts(stage.now),
        (1, 1, 1),
        "the same record, by its cookie"
    );
}

#[test]
fn one_request_is_open_at_a_time_and_numbers_grow() {
    let mut stage = Stage::new();
    stage.peer.want(true);
    stage.peer.share(content("x"), true);
    let mut last = RequestNumber::first_of(Incarnation(1));
    while let Some((request, answer)) = stage.step() {
        assert_eq!(stage.peer.poll_request(stage.now.at), None);
        assert_eq!(stage.peer.deadline(), None);
        let number = request.request().expect("a number");
        assert!(number > last);
        last = number;
        // Answers to something else are passed over.
        let other = refusal(RequestNumber(number.0 - 1), Refusal::BadCookie, "late");
        stage.peer.handle_answer(stage.now.at, &other);
        assert_eq!(stage.peer.poll_request(stage.now.at), None);
        stage.peer.handle_answer(stage.now.at, &answer);
    }
    assert!(stage.peer.is_settled());
}

#[test]
fn only_differences_are_told() {
    let mut stage = Stage::settled();
    stage.peer.share(content("x"), true);
    stage.peer.unshare(&content("never").key());
    assert_eq!(stage.settle(), "");
    stage.peer.share(content("x"), false);
    assert_eq!(stage.settle(), "R", "complete or not is a difference");
    stage.peer.share(content("y"), true);
    stage.peer.unshare(&content("y").key());
    assert_eq!(stage.settle(), "", "nobody saw it");
}

#[test]
fn an_rs_that_forgot_us_is_joined_anew_and_told_everything() {
    let mut stage = Stage::settled();
    let before = stage.peer.cookie();
    stage.rs = fresh_rs(3);
    stage.wait(KEEP_ALIVE);
    // KeepAlive: BadCookie. Join with the cookie: BadCookie. Join without, then everything.
    assert_eq!(stage.settle(), "KJJR");
    assert_ne!(stage.peer.cookie(), before);
    assert_eq!(stage.listed(), ["x"]);
}

#[test]
fn an_rs_that_says_elsewhere_that_it_forgot_us_is_joined_at_once() {
    let mut stage = Stage::settled();
    stage.rs = fresh_rs(3);
    assert_eq!(stage.settle(), "", "nobody has asked it anything");
    stage.peer.doubt();
    assert_eq!(stage.settle(), "KJJR");
    assert_eq!(stage.listed(), ["x"]);
}

#[test]
fn a_lease_that_ran_out_is_revived() {
    let mut stage = Stage::settled();
    let before = stage.peer.cookie();
    stage.wait(Span::from_secs(8_000));
    assert_eq!(stage.settle(), "KJR");
    assert_eq!(stage.peer.cookie(), before);
    assert_eq!(
        (stage.listed(), stage.rs.counts(stage.now).0),
        (vec!["x".to_owned()], 1)
    );
}

#[test]
fn a_refused_content_is_not_asked_again() {
    let mut stage = Stage::settled();
    stage.peer.share(content("y"), true);
    let (request, _) = stage.step().expect("a Register");
    stage
        .peer
        .handle_answer(stage.now.at, &refuse(&request, Refusal::NameTaken));
    stage.peer.share(content("y"), true);
    assert_eq!(stage.settle(), "");
    assert!(matches!(
        &stage.events[..],
        [.., MembershipEvent::Refused { key: Some(key), code: Refusal::NameTaken, .. }] if key.name.as_str() == "y"
    ));
    // Taken back and shared again, it is asked again.
    stage.peer.unshare(&content("y").key());
    assert_eq!(stage.settle(), "");
    stage.peer.share(content("y"), true);
    assert_eq!(stage.settle(), "R");
}

#[test]
fn a_refused_join_waits_for_the_wish_to_be_spoken_again() {
    let mut stage = Stage::new();
    stage.peer.want(true);
    let (request, _) = stage.step().expect("a Join");
    stage
        .peer
        .handle_answer(stage.now.at, &refuse(&request, Refusal::LimitReached));
    assert_eq!((stage.settle().as_str(), stage.peer.deadline()), ("", None));
    assert!(stage.peer.is_settled(), "as far as it may be");
    assert!(matches!(
        stage.events[..],
        [MembershipEvent::Refused { key: None, .. }]
    ));
    stage.peer.want(true);
    assert_eq!(stage.settle(), "J");
}

#[test]
fn failures_are_tried_again_after_a_while() {
    let mut stage = Stage::new();
    stage.peer.want(true);
    stage.peer.share(content("x"), true);
    for _ in 0..3 {
        let request = stage.peer.poll_request(stage.now.at).expect("due");
        assert!(matches!(request, Message::Join(_)));
        stage.peer.handle_failure(stage.now.at);
        assert_eq!(stage.peer.poll_request(stage.now.at), None);
        assert_eq!(stage.peer.deadline(), Some(stage.now.at.after(REJOIN_WAIT)));
        stage.wait(REJOIN_WAIT);
    }
    assert_eq!(stage.settle(), "JR");
    stage.peer.share(content("y"), true);
    let (request, _) = stage.step().expect("due");
    stage
        .peer
        .handle_answer(stage.now.at, &refuse(&request, Refusal::Busy));
    assert_eq!(stage.settle(), "", "a busy RS is given time");
    stage.wait(REJOIN_WAIT);
    assert_eq!(stage.settle(), "R");
}

#[test]
fn an_rs_that_refuses_every_cookie_is_not_flooded() {
    for code in [Refusal::BadCookie, Refusal::StaleNumber] {
        let mut stage = Stage::new();
        stage.peer.want(true);
        let mut asked = 0;
        while let Some((request, _)) = stage.step() {
            stage.peer.handle_answer(stage.now.at, &refuse(&request, code));
            asked += 1;
            assert!(asked < 5, "{code:?}");
        }
        assert!(stage.peer.deadline() > Some(stage.now.at));
    }
}

#[test]
fn a_first_join_whose_answer_was_lost_makes_one_peer() {
    let mut stage = Stage::new();
    stage.peer.want(true);
    stage.step();
    stage.peer.handle_failure(stage.now.at);
    stage.wait(REJOIN_WAIT);
    assert_eq!(stage.settle(), "J");
    assert_eq!(stage.rs.counts(stage.now).0, 1);
}

/// The RS did what was asked, and the peer does not know it.
#[test]
fn lost_answers_leave_nothing_behind() {
    let mut stage = Stage::settled();
    stage.peer.share(content("y"), true);
    stage.step().expect("a Register");
    stage.peer.handle_failure(stage.now.at);
    stage.peer.unshare(&content("y").key());
    stage.wait(REJOIN_WAIT);
    assert_eq!(stage.settle(), "T", "it may be registered");
    assert_eq!(stage.listed(), ["x"]);

    stage.peer.unshare(&content("x").key());
    stage.step().expect("a Deregister");
    stage.peer.handle_failure(stage.now.at);
    stage.peer.share(content("x"), true);
    stage.wait(REJOIN_WAIT);
    assert_eq!(stage.settle(), "R", "it may be gone");
    assert_eq!(stage.listed(), ["x"]);
}

#[test]
fn a_leave_that_is_not_answered_is_a_leave() {
    let mut stage = Stage::settled();
    stage.peer.want(false);
    stage.peer.poll_request(stage.now.at).expect("a Leave");
    stage.peer.handle_failure(stage.now.at);
    assert_eq!(stage.settle(), "");
    assert_eq!(stage.events.last(), Some(&MembershipEvent::Left));
    assert!(stage.peer.is_settled());
}

#[test]
fn a_short_lease_is_renewed_in_time() {
    let mut stage = Stage::new();
    let lease = Span::from_secs(30);
    let settings = RegistrationSettings {
        lease,
        ..RegistrationSettings::default()
    };
    stage.rs = Registration::new(settings, Rng::from_seed(2));
    stage.peer.want(true);
    stage.settle();
    assert_eq!(stage.peer.deadline(), Some(stage.now.at.after(Span(lease.0 / 3))));
}

#[test]
fn a_number_used_by_another_means_a_new_cookie() {
    let mut stage = Stage::settled();
    let cookie = stage.peer.cookie().expect("a cookie");
    // A copy of our state directory runs elsewhere, and has started more often.
    let copy = Identity {
        incarnation: Incarnation(7),
        ..identity(Some(cookie))
    };
    let mut copy = Membership::new(copy, Rng::from_seed(9));
    copy.want(true);
    let request = copy.poll_request(stage.now.at).expect("a Join");
    stage.rs.handle_request(stage.now, &Stage::asker(), &request);
    stage.wait(KEEP_ALIVE);
    assert_eq!(stage.settle(), "KJR");
    assert_ne!(stage.peer.cookie(), Some(cookie));
}
