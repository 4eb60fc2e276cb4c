//! The ring node by itself: its bounds, and messages that lie or do not belong.

use super::neighbours::Neighbours;
use super::*;
use crate::id::RequestNumber;
use crate::limits::{
    RING_ANSWER, RING_BUSY_MAX, RING_CONTACTS_MAX, RING_JOIN_WAIT, RING_LOOKUPS_MAX, RING_NEARER_MAX,
    RING_NOTIFIED_MAX, RING_STEPS_MAX, RING_TRIES_MAX, RING_VIEW_MAX,
};
use crate::ring::{NodeAddress, RingHash, RingSpace};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::*;
use std::net::{IpAddr, SocketAddr};

#[path = "chord_tests/lies.rs"]
mod lies;

fn address(host: u8) -> NodeAddress {
    SocketAddr::from(([192, 0, 2, host], 5_000)).into()
}

fn settings() -> RingSettings {
    RingSettings::usual(RingSpace::new(160, RingHash::Blake3).expect("bits"))
}

fn member(host: u8) -> Member {
    Member {
        incarnation: u64::from(host) + 1,
        ..Member::at(settings().space, address(host))
    }
}

/// The hosts from 2 to 200 by their distance after host 1.
fn around() -> Vec<Member> {
    let mut members: Vec<Member> = (2..=200).map(member).collect();
    members.sort_by_key(|other| settings().space.distance(member(1).id, other.id));
    members
}

/// A member of a large ring.
fn node() -> RingNode {
    let around = around();
    let before = *around.last().expect("many");
    let hints: Vec<Member> = around.iter().skip(20).step_by(20).copied().collect();
    RingNode::placed(
        settings(),
        member(1),
        Rng::from_seed(1),
        before,
        &around[..8],
        hints,
    )
}

fn asked(node: &mut RingNode) -> Vec<(NodeAddress, Message)> {
    core::iter::from_fn(|| node.poll_output())
        .filter_map(|output| match output {
            RingOutput::Ask(to, message) => Some((to, message)),
            RingOutput::Event(_) => None,
        })
        .collect()
}

fn events(node: &mut RingNode) -> Vec<RingEvent> {
    core::iter::from_fn(|| node.poll_output())
        .filter_map(|output| match output {
            RingOutput::Event(event) => Some(event),
            RingOutput::Ask(..) => None,
        })
        .collect()
}

fn shape() -> RingShape {
    settings().shape()
}

fn notify(from: Member) -> Message {
    RingNotify {
        request: RequestNumber(9),
        ring: shape(),
        sender: from.wire(),
    }
    .into()
}

/// A view of a young ring, as `by` tells it.
fn view(by: Member, version: u64, members: &[Member]) -> Message {
    RingMembers {
        request: RequestNumber(6),
        ring: shape(),
        sender: by.wire(),
        view: RingView {
            version,
            grown: false,
            members: List::first_of(members.iter().map(|member| member.wire())),
        },
    }
    .into()
}

fn is(answer: &Message, code: Refusal) -> bool {
    matches!(answer, Message::Error(error) if error.code == code)
}

fn place(node: &RingNode) -> (Option<Member>, Vec<Member>, Standing) {
    (node.predecessor(), node.successors().to_vec(), node.standing())
}

#[test]
fn who_speaks_for_another_host_changes_nothing() {
    let mut node = node();
    let before = place(&node);
    let stranger: IpAddr = "198.51.100.1".parse().expect("an address");
    let sender = member(77).wire();
    let (request, ring) = (RequestNumber(1), shape());
    for lie in [
        notify(member(77)),
        RingJoin {
            request,
            ring,
            sender,
        }
        .into(),
        RingLeave {
            request,
            ring,
            sender,
        }
        .into(),
        RingStore {
            request,
            ring,
            sender,
            copy: false,
            records: List::new(),
        }
        .into(),
    ] {
        assert!(
            is(
                &node.handle_request(Instant(1), stranger, &lie),
                Refusal::NotMember
            ),
            "{lie:?}"
        );
    }
    assert_eq!(place(&node), before);
    assert!(!node.is_busy() && asked(&mut node).is_empty());
}

#[test]
fn nobody_becomes_predecessor_who_does_not_answer() {
    let mut node = node();
    let before = place(&node);
    // It would be nearer than the one before, if it were there.
    let old = before.0.expect("one before").id;
    let near = (1..=u16::MAX)
        .map(|port| Member::at(settings().space, SocketAddr::from(([192, 0, 2, 9], port)).into()))
        .find(|other| crate::ring::between(old, other.id, node.me().id))
        .expect("a port that lies there");
    node.handle_request(Instant(1), near.address.ip(), &notify(near));
    let pings = asked(&mut node);
    assert_eq!(pings.len(), 1);
    node.handle_failure(Instant(2), pings[0].1.request().expect("a number"));
    assert_eq!(place(&node), before);
    assert!(!node.is_busy());
}

#[test]
fn answers_that_were_not_asked_for_are_passed_over() {
    let mut node = node();
    let before = place(&node);
    let state = |request, of: Member| -> Message {
        RingState {
            request,
            node: of.wire(),
            predecessor: None,
            successors: List::new(),
            view: None,
        }
        .into()
    };
    for number in 0..20 {
        node.handle_answer(Instant(1), address(9), &state(RequestNumber(number), member(9)));
    }
    assert_eq!(place(&node), before);
    node.command(Instant(1), RingCommand::Lookup(around()[50].id, None));
    let (to, message) = asked(&mut node).remove(0);
    let request = message.request().expect("a number");
    let other = if to == address(9) { address(8) } else { address(9) };
    node.handle_answer(Instant(2), other, &state(request, member(9)));
    assert!(asked(&mut node).is_empty(), "of another node");
}

#[test]
fn lists_out_of_order_are_cut_where_they_turn() {
    let around = around();
    let mut near = Neighbours::new(member(1));
    near.adopt(8, around[0], [around[3], around[2], around[4]]);
    assert_eq!(near.successors(), [around[0], around[3]]);
    near.adopt(8, around[0], [around[1], member(1), around[2]]);
    assert_eq!(near.successors(), [around[0], around[1]]);
    near.adopt(3, around[0], around[1..].iter().copied());
    assert_eq!(near.successors().len(), 3);
}

#[test]
fn a_silent_node_is_asked_so_often_and_then_gone() {
    let mut node = node();
    let key = around()[0].id;
    node.command(Instant(0), RingCommand::Lookup(key, None));
    let first = asked(&mut node).remove(0).0;
    let mut tries = 1;
    let mut now = Instant(0);
    loop {
        let next = node.deadline().expect("a question is open");
        assert_eq!(next.since(now), RING_ANSWER);
        now = next;
        node.handle_timeout(now);
        let (to, _) = asked(&mut node).remove(0);
        if to != first {
            break;
        }
        tries += 1;
    }
    assert_eq!(tries, RING_TRIES_MAX);
}

#[test]
fn a_busy_owner_is_asked_later_and_later_and_the_lookup_fails() {
    let mut node = node();
    node.command(Instant(0), RingCommand::Lookup(around()[0].id, None));
    let (mut now, mut times) = (Instant(0), 0);
    while let Some((to, message)) = asked(&mut node).pop() {
        times += 1;
        let busy = crate::proto::refusal(message.request().expect("a number"), Refusal::RingBusy, "busy");
        node.handle_answer(now, to, &busy);
        let Some(next) = node.deadline() else {
            break;
        };
        now = next;
        node.handle_timeout(now);
    }
    assert_eq!(times, RING_BUSY_MAX + 1);
}

#[test]
fn lookups_that_are_led_astray_end() {
    let mut node = node();
    let key = around()[190].id;
    node.command(Instant(0), RingCommand::Lookup(key, None));
    let mut steps = 0;
    while let Some((to, message)) = asked(&mut node).pop() {
        steps += 1;
        // Everybody names somebody a little nearer, made up.
        let from = Member::at(settings().space, to);
        let nodes = (0..2_000_u16).map(|port| {
            let port = port
                .wrapping_mul(7)
                .wrapping_add(u16::try_from(steps).expect("few"));
            let address = SocketAddr::from(([198, 51, 100, 1], port)).into();
            Member::at(settings().space, address)
        });
        let nearer = nodes.filter(|other| crate::ring::between(from.id, other.id, key));
        let least = nearer.min_by_key(|other| settings().space.distance(from.id, other.id));
        let hops = RingHops {
            request: message.request().expect("a number"),
            node: RingMember {
                address: to,
                incarnation: 5,
            },
            verdict: RingVerdict::Nearer,
            nodes: List::first_of(least.map(Member::wire)),
        };
        let known = (2..=200).map(member).find(|other| other.address == to);
        let node_of = known.map_or(hops.node, Member::wire);
        node.handle_answer(
            Instant(1),
            to,
            &RingHops {
                node: node_of,
                ..hops
            }
            .into(),
        );
        if steps > RING_STEPS_MAX {
            break;
        }
    }
    assert_eq!(steps, RING_STEPS_MAX);
}

#[test]
fn a_node_remembers_names_and_looks_up_only_so_much() {
    let mut node = node();
    for host in 2..=200 {
        let other = member(host);
        node.handle_request(Instant(1), other.address.ip(), &notify(other));
    }
    assert!(node.contacts.len() <= RING_CONTACTS_MAX);
    assert!(node.notified.len() <= RING_NOTIFIED_MAX);
    let far = member(210);
    let refused = node.handle_request(Instant(1), far.address.ip(), &notify(far));
    assert!(is(&refused, Refusal::RingBusy), "{refused:?}");

    for _ in 0..=RING_LOOKUPS_MAX {
        node.command(Instant(1), RingCommand::Lookup(around()[50].id, None));
    }
    let too_many = |event: &RingEvent| matches!(event, RingEvent::Failed(_, LookupFault::TooMany));
    assert_eq!(
        events(&mut node).iter().filter(|event| too_many(event)).count(),
        1
    );

    let step = RingStep {
        request: RequestNumber(1),
        ring: shape(),
        key: around()[180].id,
        confirm: false,
    };
    let answer = node.handle_request(Instant(1), address(7).ip(), &step.into());
    let Message::RingHops(hops) = answer else {
        panic!("{answer:?}");
    };
    assert!(hops.nodes.len() <= RING_NEARER_MAX, "{}", hops.nodes.len());
}

#[test]
fn a_newcomer_that_is_not_taken_in_asks_again() {
    let mut node = RingNode::new(settings(), address(1), Rng::from_seed(1));
    node.command(Instant(0), RingCommand::Join(vec![address(2)]));
    let (to, message) = asked(&mut node).remove(0);
    let ack = RingAck {
        request: message.request().expect("a number"),
        node: member(2).wire(),
    };
    node.handle_answer(Instant(0), to, &ack.into());
    assert_eq!(node.deadline(), Some(Instant(0).after(RING_JOIN_WAIT)));
    // Somebody has found that it is no member; what its leader sent before does not count any more.
    let ask = RingAsk {
        request: RequestNumber(5),
        ring: shape(),
    };
    assert!(is(
        &node.handle_request(Instant(1), address(3).ip(), &ask.into()),
        Refusal::NotMember
    ));
    let members = |node: &RingNode| RingMembers {
        request: RequestNumber(6),
        ring: shape(),
        sender: member(2).wire(),
        view: RingView {
            version: 2,
            grown: false,
            members: List::first_of([member(2).wire(), node.me().wire()]),
        },
    };
    let told = members(&node);
    assert!(is(
        &node.handle_request(Instant(1), address(2).ip(), &told.into()),
        Refusal::NotMember
    ));
    node.handle_timeout(Instant(0).after(RING_JOIN_WAIT));
    assert!(matches!(asked(&mut node)[..], [(to, Message::RingJoin(_))] if to == address(2)));
    let told = members(&node);
    node.handle_request(Instant(2), address(2).ip(), &told.into());
    assert_eq!(node.standing(), Standing::Young);
}

#[test]
fn views_come_from_members_and_grow() {
    let mut node = RingNode::new(settings(), address(1), Rng::from_seed(1));
    node.command(Instant(0), RingCommand::Found);
    let me = node.me();
    let before = place(&node);
    let lie = view(member(2), 9, &[member(2), me]);
    assert!(is(
        &node.handle_request(Instant(1), address(2).ip(), &lie),
        Refusal::NotMember
    ));
    let old = view(me, 0, &[member(2), me]);
    node.handle_request(Instant(1), address(1).ip(), &old);
    assert_eq!(place(&node), before);
    let many: Vec<Member> = (0..=u8::try_from(RING_VIEW_MAX).expect("few"))
        .map(member)
        .collect();
    let Message::RingMembers(most) = view(me, 2, &many) else {
        panic!("it is one");
    };
    assert_eq!(most.view.members.len(), RING_VIEW_MAX);
}

#[test]
fn leaving_ends_though_nobody_takes_the_records() {
    let mut node = node();
    node.command(Instant(0), RingCommand::Leave);
    assert_eq!(node.standing(), Standing::Out, "it kept nothing");
    assert_eq!(
        node.deadline().map(|at| at.since(Instant(0))),
        Some(RING_ANSWER),
        "only words are under way"
    );
}
