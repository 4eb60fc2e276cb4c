//! Messages that lie, though they come from the host that they name; and how much may be had of a node by them.

use super::*;
use crate::id::ContentId;
use crate::limits::{RING_GIVERS_MAX, RING_HINTS_MAX};
use crate::name::{ContentName, HostPort, PeerName};

const REQUEST: RequestNumber = RequestNumber(6);

fn tell(node: &mut RingNode, now: u64, from: Member, message: &Message) -> Message {
    node.handle_request(Instant(now), from.address.ip(), message)
}

/// The leader of a young ring of so many, the others being host 2 and so on.
fn young(members: u8) -> RingNode {
    let mut node = RingNode::new(settings(), address(1), Rng::from_seed(1));
    node.command(Instant(0), RingCommand::Found);
    let all: Vec<Member> = [node.me()].into_iter().chain((2..=members).map(member)).collect();
    let me = node.me();
    tell(&mut node, 1, me, &view(me, 2, &all));
    assert_eq!(node.successors().len(), usize::from(members) - 1);
    asked(&mut node);
    node
}

fn refuse(message: &Message, code: Refusal) -> Message {
    crate::proto::refusal(message.request().expect("a number"), code, "no")
}

#[test]
fn who_is_said_to_have_left_is_looked_at_first() {
    let mut node = young(3);
    let leave = RingLeave {
        request: REQUEST,
        ring: shape(),
        sender: member(2).wire(),
    };
    let again = RingJoin {
        request: REQUEST,
        ring: shape(),
        sender: RingMember {
            incarnation: 99,
            ..member(2).wire()
        },
    };
    for lie in [leave.clone().into(), again.into(), leave.into()] {
        tell(&mut node, 2, member(2), &lie);
        assert_eq!(node.successors().len(), 2, "{lie:?}");
    }
    let looks = asked(&mut node);
    assert!(
        matches!(looks[..], [(to, Message::RingAsk(_))] if to == address(2)),
        "asked once: {looks:?}"
    );
    // It has left indeed.
    node.handle_answer(Instant(3), address(2), &refuse(&looks[0].1, Refusal::NotMember));
    let told = asked(&mut node);
    assert!(
        matches!(&told[..], [(to, Message::RingMembers(next))] if *to == address(3) && next.view.members.len() == 2),
        "{told:?}"
    );
}

#[test]
fn versions_end_without_a_panic() {
    let mut node = young(3);
    let (me, two, three) = (node.me(), member(2), member(3));
    tell(&mut node, 2, two, &view(two, u64::MAX, &[two, me, three]));
    asked(&mut node);
    // The leader goes, and this one follows it.
    node.handle_timeout(Instant(60_000_000));
    for (to, question) in asked(&mut node) {
        node.handle_answer(Instant(60_000_001), to, &refuse(&question, Refusal::NotMember));
    }
    assert!(matches!(node.standing(), Standing::Young | Standing::Joining));
}

#[test]
fn a_newcomer_is_not_taken_in_by_who_is_not_in_the_ring() {
    let mut node = RingNode::new(settings(), address(1), Rng::from_seed(1));
    node.command(Instant(0), RingCommand::Join(vec![address(2)]));
    let told = view(member(3), 2, &[member(2), node.me()]);
    assert!(is(&tell(&mut node, 1, member(3), &told), Refusal::NotMember));
    assert_eq!(node.standing(), Standing::Joining);
}

#[test]
fn who_is_busy_is_not_asked_again_at_once_by_who_takes_the_lead() {
    let mut node = young(4);
    let (me, two) = (node.me(), member(2));
    tell(&mut node, 2, two, &view(two, 3, &[two, me, member(3), member(4)]));
    let leave = RingLeave {
        request: REQUEST,
        ring: shape(),
        sender: two.wire(),
    };
    asked(&mut node);
    tell(&mut node, 3, two, &leave.into());
    let (_, look) = asked(&mut node).remove(0);
    node.handle_answer(Instant(4), two.address, &refuse(&look, Refusal::NotMember));
    let questions = asked(&mut node);
    assert_eq!(questions.len(), 2, "{questions:?}");
    for (to, question) in questions {
        node.handle_answer(Instant(5), to, &refuse(&question, Refusal::RingBusy));
    }
    assert_eq!(asked(&mut node), []);
    assert!(node.is_busy());
}

fn record(holder: Member) -> RingRecord {
    RingRecord {
        key: RingKeyOf::Name,
        place: false,
        content: ContentInfo {
            kind: ContentKind::File,
            id: ContentId([7; 32]),
            name: ContentName::new("a").expect("a name"),
            bytes: 1,
            modified: 0,
            media_type: Text::cut("text/plain"),
            number: None,
            title: None,
        },
        holders: List::first_of([GossipRecord {
            name: PeerName::new("p").expect("a name"),
            host: Some(HostPort::from(SocketAddr::from(holder.address)).host),
            port: holder.address.port,
            sequence: 1,
            remaining_secs: 100,
            withdrawn: false,
            complete: true,
        }]),
    }
}

fn store(by: Member, copy: bool, records: &[RingRecord]) -> Message {
    RingStore {
        request: REQUEST,
        ring: shape(),
        sender: by.wire(),
        copy,
        records: List::first_of(records.iter().cloned()),
    }
    .into()
}

#[test]
fn copies_of_strangers_wait_until_they_are_found_to_be_members() {
    let mut node = node();
    let stranger = Member {
        incarnation: 5,
        ..Member::at(settings().space, SocketAddr::from(([198, 51, 100, 7], 1)).into())
    };
    let copy = store(stranger, true, &[record(member(9))]);
    for _ in 0..3 {
        assert!(is(&tell(&mut node, 1, stranger, &copy), Refusal::RingBusy));
    }
    let pings = asked(&mut node);
    assert!(
        matches!(pings[..], [(to, Message::RingPing(_))] if to == stranger.address),
        "{pings:?}"
    );
    node.handle_answer(
        Instant(2),
        stranger.address,
        &refuse(&pings[0].1, Refusal::NotMember),
    );
    assert!(is(&tell(&mut node, 3, stranger, &copy), Refusal::RingBusy));
    assert_eq!(node.records_kept(), (0, 0));
    let (_, ping) = asked(&mut node).remove(0);
    let ack = RingAck {
        request: ping.request().expect("a number"),
        node: stranger.wire(),
    };
    node.handle_answer(Instant(4), stranger.address, &ack.into());
    assert!(matches!(tell(&mut node, 5, stranger, &copy), Message::RingAck(_)));
    assert_eq!(node.records_kept(), (1, 1));
}

#[test]
fn strangers_make_a_node_ask_and_remember_only_so_much() {
    let mut node = node();
    let of_port = |port: u16| Member {
        incarnation: 5,
        ..Member::at(
            settings().space,
            SocketAddr::from(([198, 51, 100, 7], port)).into(),
        )
    };
    for port in 1..=500 {
        tell(&mut node, 1, of_port(port), &store(of_port(port), true, &[]));
    }
    assert_eq!(asked(&mut node).len(), RING_NOTIFIED_MAX);
    for port in 1..=200 {
        node.vouch_replied(of_port(port), &asks::Reply::Answer(&notify(member(2))));
    }
    assert_eq!(node.givers.len(), RING_GIVERS_MAX);
}

#[test]
fn of_what_a_publisher_says_for_others_nothing_is_kept() {
    let mut node = young(2);
    let by = member(2);
    let lie = store(by, false, &[record(by), record(member(9))]);
    assert!(is(&tell(&mut node, 1, by, &lie), Refusal::BadCookie));
    assert_eq!(node.records_kept(), (0, 0));
}

#[test]
fn a_host_that_has_its_nodes_already_gets_no_further_place() {
    let mut node = node();
    node.settings.ids_per_host = 1;
    let before = place(&node);
    let old = before.0.expect("one before").id;
    let host = node.successors()[3].address;
    let near = (1..=u16::MAX)
        .map(|port| Member::at(settings().space, NodeAddress { port, ..host }))
        .find(|other| crate::ring::between(old, other.id, node.me().id))
        .expect("a port that lies there");
    tell(&mut node, 1, near, &notify(near));
    let (_, ping) = asked(&mut node).remove(0);
    let ack = RingAck {
        request: ping.request().expect("a number"),
        node: near.wire(),
    };
    node.handle_answer(Instant(2), near.address, &ack.into());
    assert_eq!(place(&node), before);
    assert!(!node.is_busy());
}

#[test]
fn a_lookup_keeps_only_so_many_in_mind() {
    let mut node = node();
    let key = around()[190].id;
    node.command(Instant(0), RingCommand::Lookup(key, None));
    for turn in 0..20_u16 {
        let Some((to, question)) = asked(&mut node).pop() else {
            break;
        };
        let from = (2..=200)
            .map(member)
            .find(|other| other.address == to)
            .unwrap_or_else(|| Member::at(settings().space, to));
        let made_up = (0..60_000_u16).map(|port| {
            let address = SocketAddr::from(([198, 51, 100, 1], port.wrapping_mul(21).wrapping_add(turn)));
            Member::at(settings().space, address.into())
        });
        let nearer = made_up.filter(|other| crate::ring::between(from.id, other.id, key));
        let mut named: Vec<Member> = nearer.take(32).collect();
        named.sort_by_key(|other| core::cmp::Reverse(settings().space.distance(other.id, key)));
        named.reverse();
        let hops = RingHops {
            request: question.request().expect("a number"),
            node: from.wire(),
            verdict: RingVerdict::Nearer,
            nodes: List::first_of(named.into_iter().rev().map(Member::wire)),
        };
        node.handle_answer(Instant(1), to, &hops.into());
        for lookup in node.lookups.values() {
            assert!(lookup.hints_kept() <= RING_HINTS_MAX);
        }
    }
}
