//! A ring of real processes as the test itself sees it: asked by the library, in its own threads.

use super::process::{PATIENCE, Running};
use p2pdi::id::RequestNumber;
use p2pdi::limits::RING_SUCCESSORS;
use p2pdi::name::HostPort;
use p2pdi::net::{Clock, Conn, RingClient, Stop, look_at_node};
use p2pdi::proto::chord::{Member, RingSettings};
use p2pdi::ring::{RingHash, RingId, RingSpace, between_or_end};
use p2pdi::wire::{Message, RingFetch, RingRecord, Wanted};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A circle of the usual size.
pub(super) fn space() -> RingSpace {
    RingSpace::new(160, RingHash::Sha1).expect("bits")
}

pub(super) fn host_port(node: &Running) -> HostPort {
    HostPort::parse(&node.address).expect("an address")
}

fn member(node: &Running) -> Member {
    let address: SocketAddr = node.address.parse().expect("an address");
    Member::at(space(), address.into())
}

/// The members that these processes are, in their order on the circle.
pub(super) fn in_order<'n>(nodes: impl IntoIterator<Item = &'n Running>) -> Vec<Member> {
    let mut members: Vec<Member> = nodes.into_iter().map(member).collect();
    members.sort_by_key(|member| member.id);
    members
}

/// The members that are to keep what belongs to a key, the owner first.
pub(super) fn keepers(members: &[Member], key: RingId, count: usize) -> Vec<Member> {
    let owner = (0..members.len()).find(|i| {
        let before = members[(i + members.len() - 1) % members.len()];
        between_or_end(before.id, key, members[*i].id)
    });
    let after = members.iter().cycle().skip(owner.expect("an owner"));
    after.take(count.min(members.len())).copied().collect()
}

/// What a node says comes before and after it.
pub(super) fn neighbours(node: &Running) -> Option<(Option<SocketAddr>, Vec<SocketAddr>)> {
    let table = look_at_node(&host_port(node), &Stop::new()).ok()?;
    let before = table.predecessor.map(|before| before.address.into());
    Some((
        before,
        table.successors.iter().map(|next| next.address.into()).collect(),
    ))
}

/// True if every node knows who of these members comes before it, and lists so many of those that come after it, in order.
pub(super) fn is_ring(nodes: &[Running], members: &[Member], successors: usize) -> bool {
    let count = members.len();
    nodes.iter().all(|node| {
        let at = members
            .iter()
            .position(|other| other.address.to_string() == node.address);
        let at = at.expect("one of them");
        let next = (1..count.min(successors + 1)).map(|i| members[(at + i) % count]);
        let next: Vec<SocketAddr> = next.map(|next| next.address.into()).collect();
        let before = (count > 1).then(|| members[(at + count - 1) % count].address.into());
        neighbours(node).is_some_and(|(told, list)| told == before && list.starts_with(&next))
    })
}

/// Waits for something that may take longer than what tests usually wait for; how long it took.
pub(super) fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < patience, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    begun.elapsed()
}

/// Waits until the nodes are one ring; with whole lists, which take longer, if that is asked for.
pub(super) fn until_ring(nodes: &[Running], whole: bool) {
    let members = in_order(nodes);
    let listed = if whole { usize::from(RING_SUCCESSORS) } else { 1 };
    // A list grows by one in a period.
    until("the ring to come together", PATIENCE * 4, || {
        is_ring(nodes, &members, listed)
    });
}

pub(super) fn client(node: &Running, stop: &Stop) -> RingClient {
    RingClient::by_way_of(&host_port(node), Clock::start(), stop).expect("a node of a ring")
}

/// What a node itself keeps of a content.
pub(super) fn kept_at(node: SocketAddr, wanted: &Wanted) -> Vec<RingRecord> {
    let mut conn = Conn::connect(&node.into(), 0, &Stop::new()).expect("connected");
    let fetch = RingFetch {
        request: RequestNumber(1),
        ring: RingSettings::usual(space()).shape(),
        wanted: wanted.clone(),
        after: None,
    };
    match conn.call(&fetch.into()).expect("an answer") {
        Message::RingRecords(page) => page.records.into_vec(),
        other => panic!("{other:?}"),
    }
}
