//! One filled-in message of every PDU, and of every value of its choices.
//!
//! The spec's hex examples, the round-trip tests, the benchmarks and the fuzz corpus are made from them, so a
//! PDU without a sample fails `tests/wire.rs`.

use super::*;
use crate::id::{AddressToken, ContentId, Cookie, PeerNumber, PieceIndex, RequestNumber, RfcNumber};
use crate::name::{ContentName, Host, PeerName};
use crate::ring::{NodeAddress, RingHash, RingId};
use std::net::SocketAddr;

fn some<T, E>(value: Result<T, E>) -> T {
    value.unwrap_or_else(|_| unreachable!("the literals below are valid names"))
}

fn content() -> ContentInfo {
    ContentInfo {
        kind: ContentKind::File,
        name: some(ContentName::new("rfc/rfc768.txt")),
        id: ContentId([0x5a; 32]),
        bytes: 5_896,
        modified: 335_836_800,
        media_type: Text::cut("text/plain"),
        number: Some(RfcNumber(768)),
        title: Some(Text::cut("User Datagram Protocol")),
    }
}

/// A small file of this name, whose id is made of the name.
pub fn sample_file(name: &str) -> ContentInfo {
    ContentInfo {
        kind: ContentKind::File,
        name: some(ContentName::new(name)),
        id: ContentId(*blake3::hash(name.as_bytes()).as_bytes()),
        bytes: 10,
        modified: 7,
        media_type: Text::cut("text/plain"),
        number: RfcNumber::of_name(name),
        title: None,
    }
}

fn listings() -> List<Listing, { crate::limits::PAGE_ENTRIES_MAX }> {
    let holder = Holder {
        name: some(PeerName::new("b")),
        host: some(Host::new("192.0.2.2")),
        port: 6_001,
        complete: true,
    };
    List::first_of([Listing {
        content: content(),
        holders_total: 1,
        holders: List::first_of([holder]),
    }])
}

fn counter(what: &str, total: u64) -> Counter {
    Counter {
        what: Text::cut(what),
        total,
        last_minute: 1,
    }
}

/// The samples, in the order of the table.
pub fn samples() -> Vec<Message> {
    let request = RequestNumber(0x0000_0001_0000_0007);
    let cookie = Cookie(*b"0123456789abcdef");
    let content = content();
    let key = content.key();
    let id = content.id;
    let name = some(PeerName::new("a"));
    let host = some(Host::new("192.0.2.1"));
    let peer = PeerInfo {
        number: PeerNumber(3),
        name: name.clone(),
        host: host.clone(),
        port: 6_000,
        os: Text::cut("Linux 6.1"),
        lease_secs: 7_200,
        registrations: 2,
        registered: 1_700_000_000,
    };
    let claim = GossipRecord {
        name: name.clone(),
        host: Some(host.clone()),
        port: 6_000,
        sequence: 0x0000_0001_0000_0e10,
        remaining_secs: 7_100,
        withdrawn: false,
        complete: true,
    };
    let address = PeerAddress {
        host: host.clone(),
        port: 6_000,
    };
    let range = Part::Range(ByteRange {
        offset: 0,
        bytes: u64::MAX,
    });
    vec![
        hello(features::HOLDER),
        Join {
            request,
            nonce: 0x1122_3344_5566_7788,
            cookie: None,
            name: name.clone(),
            host: None,
            port: 6_000,
            os: Text::cut("Linux"),
        }
        .into(),
        Leave { request, cookie }.into(),
        KeepAlive { request, cookie }.into(),
        PQuery {
            request,
            cookie: Some(cookie),
            after: PeerNumber(0),
        }
        .into(),
        Peers {
            request,
            more: false,
            peers: List::first_of([peer.clone()]),
        }
        .into(),
        Register {
            request,
            cookie,
            content: content.clone(),
            complete: true,
        }
        .into(),
        Deregister {
            request,
            cookie,
            key: key.clone(),
        }
        .into(),
        Search {
            request,
            wanted: Wanted::Number(RfcNumber(768)),
            after: None,
        }
        .into(),
        Search {
            request,
            wanted: Wanted::Name(key.name.clone()),
            after: None,
        }
        .into(),
        Found {
            request,
            more: false,
            contents: listings(),
        }
        .into(),
        ListContents {
            request,
            kind: ContentKind::File,
            after: Some(key.clone()),
        }
        .into(),
        Contents {
            request,
            more: true,
            contents: listings(),
        }
        .into(),
        ReportHolder {
            request,
            holder: address.clone(),
        }
        .into(),
        StatusQuery { request }.into(),
        Status {
            request,
            uptime_secs: 86_400,
            peers_known: 40,
            peers_active: 30,
            contents: 60,
            connections: 31,
            store_bytes: Some(1_048_576),
            slowest_us: 900,
            slowest_minute_us: 80,
            served: List::first_of([counter("Search", 1_000)]),
            refused: List::first_of([counter("BadCookie", 2)]),
            dropped: List::new(),
            offline: List::first_of([PeerInfo {
                lease_secs: 0,
                ..peer
            }]),
        }
        .into(),
        IndexQuery { request, after: None }.into(),
        Index {
            request,
            more: false,
            contents: List::first_of([IndexEntry {
                content: content.clone(),
                holders: List::first_of([claim.clone(), GossipRecord { host: None, ..claim }]),
            }]),
        }
        .into(),
        Download {
            request,
            wanted: Wanted::Id(id),
            part: range,
        }
        .into(),
        Download {
            request,
            wanted: Wanted::Id(id),
            part: Part::Pieces(List::first_of([PieceIndex(1)])),
        }
        .into(),
        Content {
            request,
            piece: PieceIndex(0),
            offset: 0,
            payload: Rest(b"Introduction".to_vec()),
        }
        .into(),
        Final {
            request,
            id,
            bytes: content.bytes,
            modified: content.modified,
            date: 1_700_000_000,
            media_type: content.media_type,
            os: Text::cut("Linux 6.1"),
        }
        .into(),
        Ack {
            request,
            cookie: Some(cookie),
            lease_secs: 7_200,
            host: Some(host),
        }
        .into(),
        Error {
            request,
            code: Refusal::NotFound,
            text: Text::cut("no content of this name"),
        }
        .into(),
        Challenge {
            request,
            token: AddressToken(*b"\x01\x23\x45\x67\x89\xab\xcd\xef"),
        }
        .into(),
        ManifestQuery {
            request,
            id,
            first: PieceIndex(0),
        }
        .into(),
        Manifest {
            request,
            bytes: 100_000,
            first: PieceIndex(0),
            values: List::first_of([[1; 32], [2; 32]]),
        }
        .into(),
        HaveMap {
            request,
            id,
            port: 6_000,
            map: Rest(vec![0b1010_0000]),
        }
        .into(),
        HaveUpdate {
            request,
            pieces: List::first_of([PieceIndex(3)]),
            holders: List::first_of([address]),
        }
        .into(),
        Dry {
            request,
            hoped_before_millis: 1_500,
        }
        .into(),
        Credit { request, pieces: 2 }.into(),
        Choice {
            request,
            piece: PieceIndex(3),
            first: true,
        }
        .into(),
        Settled {
            request,
            pieces: List::first_of([PieceIndex(3), PieceIndex(9)]),
        }
        .into(),
        Want {
            request,
            pieces: List::first_of([PieceIndex(9)]),
        }
        .into(),
    ]
    .into_iter()
    .chain(ring_samples(request))
    .collect()
}

fn ring_samples(request: RequestNumber) -> Vec<Message> {
    let ring = RingShape {
        id_bits: 10,
        hash: RingHash::Sha1,
        successors: 8,
    };
    let member = |port, incarnation| RingMember {
        address: NodeAddress::from(SocketAddr::from(([127, 0, 0, 1], port))),
        incarnation,
    };
    let (node, next, sender) = (member(5_500, 0x11), member(5_000, 0x22), member(6_000, 0x33));
    let view = RingView {
        version: 2,
        grown: false,
        members: List::first_of([node, next]),
    };
    let content = content();
    let record = RingRecord {
        key: RingKeyOf::Number,
        place: true,
        content: content.clone(),
        holders: List::first_of([GossipRecord {
            name: some(PeerName::new("a")),
            host: None,
            port: 6_000,
            sequence: 0x0000_0001_0000_0e10,
            remaining_secs: 7_200,
            withdrawn: false,
            complete: true,
        }]),
    };
    vec![
        RingAsk { request, ring }.into(),
        RingState {
            request,
            node,
            predecessor: Some(next),
            successors: List::first_of([next]),
            view: Some(view.clone()),
        }
        .into(),
        RingNotify {
            request,
            ring,
            sender,
        }
        .into(),
        RingAck { request, node }.into(),
        RingPing { request, ring }.into(),
        RingStep {
            request,
            ring,
            key: RingId::from_u64(751),
            confirm: true,
        }
        .into(),
        RingHops {
            request,
            node,
            verdict: RingVerdict::After,
            nodes: List::first_of([next]),
        }
        .into(),
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
        RingMembers {
            request,
            ring,
            sender: node,
            view,
        }
        .into(),
        RingLook { request }.into(),
        RingTable {
            request,
            ring,
            node,
            predecessor: Some(next),
            successors: List::first_of([next]),
            fingers: List::first_of([next, node]),
        }
        .into(),
        RingStore {
            request,
            ring,
            sender,
            copy: false,
            records: List::first_of([record.clone()]),
        }
        .into(),
        RingFetch {
            request,
            ring,
            wanted: Wanted::Name(content.name),
            after: None,
        }
        .into(),
        RingRecords {
            request,
            more: false,
            records: List::first_of([record]),
        }
        .into(),
    ]
}
