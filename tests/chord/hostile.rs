//! Liars at a ring of real sockets: nothing they say changes who is whose neighbour, and nothing grows beyond its bounds.

use super::liar::{Liar, info, say};
use super::live::until;
use super::process::{PATIENCE, run, text, write_random};
use super::raw::{Raw, frame};
use p2pdi::id::RequestNumber;
use p2pdi::limits::{
    LEASE_SECS, PEER_CONNECTIONS, RING_CLAIMS_PER_HOLDER_MAX, RING_OFFERS_MAX, RING_PAGE_RECORDS_MAX,
};
use p2pdi::name::{ContentName, Host, HostPort, PeerName};
use p2pdi::net::{Clock, Conn, LinkTransport, RingClient, Stop};
use p2pdi::peer::{Peer, PeerSettings, RingWish};
use p2pdi::proto::chord::{RingSettings, Standing};
use p2pdi::ring::{NodeAddress, RingHash, RingSpace};
use p2pdi::storage::State;
use p2pdi::time::Span;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{
    GossipRecord, List, Message, Refusal, RingAsk, RingHops, RingJoin, RingKeyOf, RingLeave, RingMember,
    RingMembers, RingNotify, RingRecord, RingShape, RingStore, RingTable, RingVerdict, RingView,
};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

const REQUEST: RequestNumber = RequestNumber(7);

/// Nodes of one ring, in this process; with lists of two, three are enough for it to be grown.
struct Ring {
    peers: Vec<Arc<Peer>>,
    settings: RingSettings,
    stop: Stop,
}

impl Ring {
    fn start(place: &Path, count: usize, successors: usize) -> Self {
        let space = RingSpace::new(160, RingHash::Sha1).expect("bits");
        let settings = RingSettings {
            successors,
            stabilize: Span::from_millis(200),
            ..RingSettings::usual(space)
        };
        let mut ring = Self {
            peers: Vec::new(),
            settings,
            stop: Stop::new(),
        };
        for number in 0..count {
            ring.add(&place.join(number.to_string()));
        }
        ring.until_whole();
        ring
    }

    fn add(&mut self, state: &Path) {
        let wish = RingWish {
            settings: self.settings,
            contacts: self
                .peers
                .first()
                .map(|first| first.address().into())
                .into_iter()
                .collect(),
            member: true,
        };
        let settings = PeerSettings {
            rs: None,
            transport: LinkTransport::Tcp,
            ring: Some(wish),
            central: false,
            listen: "127.0.0.1:0".parse().expect("an address"),
            advertise: None,
            name: PeerName::new("node").expect("a name"),
            directories: Vec::new(),
            up_limit: None,
            connections_max: PEER_CONNECTIONS,
        };
        let state = State::open(state).expect("a state");
        let peer = Peer::start(settings, state, Clock::start(), &self.stop).expect("started");
        let node = peer.ring().expect("a node");
        node.want(true);
        assert!(node.wait_settled(&self.stop).expect("not refused"));
        self.peers.push(peer);
    }

    fn tables(&self) -> Vec<Option<RingTable>> {
        let nodes = self.peers.iter().filter_map(|peer| peer.ring());
        nodes.map(p2pdi::peer::RingPeer::table).collect()
    }

    /// Waits until everybody lists those that come after it, and knows who comes before it.
    fn until_whole(&self) {
        let mut members: Vec<SocketAddr> = self.peers.iter().map(|peer| peer.address()).collect();
        members.sort_by_key(|address| self.settings.space.id_of((*address).into()));
        let count = members.len();
        until("the ring to come together", PATIENCE, || {
            self.tables()
                .iter()
                .flatten()
                .filter(|table| {
                    let node = SocketAddr::from(table.node.address);
                    let at = members
                        .iter()
                        .position(|member| *member == node)
                        .expect("one of them");
                    let next =
                        (1..count.min(self.settings.successors + 1)).map(|i| members[(at + i) % count]);
                    let told = table.successors.iter().map(|next| SocketAddr::from(next.address));
                    let before = table.predecessor.map(|before| before.address.into());
                    told.eq(next) && (count == 1 || before == Some(members[(at + count - 1) % count]))
                })
                .count()
                == count
        });
    }

    fn shape(&self) -> RingShape {
        self.settings.shape()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.stop.trigger();
        self.peers.iter().for_each(|peer| peer.join());
    }
}

fn connect(peer: &Peer) -> Conn {
    Conn::connect(&peer.address().into(), 0, &Stop::new()).expect("connected")
}

/// The answer to a request, or why it was refused.
fn ask(conn: &mut Conn, message: &Message) -> Result<Message, (Refusal, String)> {
    match conn.call(message).expect("an answer") {
        Message::Error(error) => Err((error.code, error.text.as_str().to_owned())),
        answer => Ok(answer),
    }
}

fn call(peer: &Peer, message: &Message) -> Result<Message, (Refusal, String)> {
    ask(&mut connect(peer), message)
}

fn refusal(answer: Result<Message, (Refusal, String)>) -> Refusal {
    answer.expect_err("a refusal").0
}

fn member(ip: [u8; 4], port: u16) -> RingMember {
    RingMember {
        address: SocketAddr::from((ip, port)).into(),
        incarnation: 4_711,
    }
}

/// Every request by which a sender may want something.
fn wishes(ring: RingShape, sender: RingMember, view: &RingView) -> Vec<Message> {
    let request = REQUEST;
    vec![
        RingNotify {
            request,
            ring,
            sender,
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
            sender,
            view: view.clone(),
        }
        .into(),
    ]
}

fn claim(host: Option<Host>, port: u16) -> GossipRecord {
    GossipRecord {
        name: PeerName::new("liar").expect("a name"),
        host,
        port,
        sequence: 1,
        remaining_secs: LEASE_SECS,
        withdrawn: false,
        complete: true,
    }
}

fn record(name: &str, claim: GossipRecord) -> RingRecord {
    RingRecord {
        key: RingKeyOf::Name,
        place: false,
        content: info(name, b"x"),
        holders: List::first_of([claim]),
    }
}

/// What a young and a grown ring are told, and no node believes.
fn lie_to(ring: &Ring) {
    let before = ring.tables();
    // Other shapes: every request there is.
    let asked = samples()
        .into_iter()
        .filter(|sample| matches!(sample.row().letter, b'Y' | b'Z'));
    let mut refused = 0;
    for sample in asked {
        if let Err((code, text)) = call(&ring.peers[0], &sample) {
            let is_shape =
                code == Refusal::OtherRing && text.contains("160 bits") && text.contains("10 bits");
            assert!(is_shape || code == Refusal::NotServed, "{code:?}: {text}");
            refused += usize::from(is_shape);
        }
    }
    assert_eq!(refused, 9, "all but the questions without a shape");
    // Others' hosts: nobody speaks for them.
    let shape = ring.shape();
    let elsewhere = member([192, 0, 2, 1], 5_000);
    let nobody = member([127, 0, 0, 1], 1);
    let view = |first| RingView {
        version: 1_000_000,
        grown: true,
        members: List::first_of([first, elsewhere]),
    };
    for peer in &ring.peers {
        for wish in wishes(shape, elsewhere, &view(elsewhere)) {
            assert_eq!(refusal(call(peer, &wish)), Refusal::NotMember, "{wish:?}");
        }
        let mut store = RingStore {
            request: REQUEST,
            ring: shape,
            sender: elsewhere,
            copy: false,
            records: List::first_of([record("x", claim(None, 5_000))]),
        };
        assert_eq!(refusal(call(peer, &store.clone().into())), Refusal::NotMember);
        // Nor does one of this host for another holder.
        store.sender = nobody;
        store.records = List::first_of([record("x", claim(Host::new("192.0.2.1").ok(), 1))]);
        assert_eq!(refusal(call(peer, &store.into())), Refusal::BadCookie);
    }
    // This host's, where nobody listens, and where others are that know nothing of it. (In a young ring whoever is on a
    // member's host can make that member join again, by a join or a leave in its name; and a newcomer, who is listed until
    // it is found not to be there, is believed as the members it is among.)
    for peer in &ring.peers {
        let is_grown = peer.ring().expect("a node").driver().standing() == Standing::In;
        let others = ring.peers.iter().filter(|_| is_grown);
        let ghosts = others.map(|other| RingMember {
            address: other.address().into(),
            incarnation: 1,
        });
        for sender in ghosts.chain([nobody]) {
            let wishes = wishes(shape, sender, &view(sender)).into_iter();
            for wish in wishes.filter(|wish| is_grown || !matches!(wish, Message::RingJoin(_))) {
                drop(call(peer, &wish));
            }
        }
        let real = before.iter().flatten().map(|table| table.node);
        for sender in real.filter(|node| is_grown && node.address != NodeAddress::from(peer.address())) {
            let leave = RingLeave {
                request: REQUEST,
                ring: shape,
                sender,
            };
            drop(call(peer, &leave.into()));
        }
    }
    // Frames that are none of these, and lists that are longer than they may be.
    let ask = frame(
        &RingAsk {
            request: REQUEST,
            ring: shape,
        }
        .into(),
    );
    let mut long = frame(&wishes(shape, nobody, &view(nobody))[3]);
    // The number of members, after the version and a flag.
    let at = long.len() - 2 * 26 - 2;
    long[at..at + 2].copy_from_slice(&40_u16.to_be_bytes());
    for bytes in [&ask[..ask.len() - 1], &[&ask[..], &[0]].concat(), &long] {
        let mut raw = Raw::greeted(&ring.peers[0].address().to_string());
        let mut bytes = bytes.to_vec();
        let length = u32::try_from(bytes.len() - 5).expect("short");
        bytes[1..5].copy_from_slice(&length.to_be_bytes());
        raw.send(&bytes).expect("sent");
        let said = raw.rest();
        assert!(
            matches!(&said[..], [Message::Error(error)] if error.code == Refusal::BadFrame),
            "{said:?}"
        );
    }
    ring.until_whole();
    let nodes = |tables: &[Option<RingTable>]| -> Vec<_> {
        tables
            .iter()
            .flatten()
            .map(|table| (table.node, table.predecessor))
            .collect()
    };
    assert_eq!(nodes(&before), nodes(&ring.tables()), "nobody had to join again");
    assert!(ring.peers.iter().all(|peer| {
        let node = peer.ring().expect("a node");
        node.driver().records_kept() == (0, 0)
    }));
}

#[test]
fn a_young_ring_believes_no_liar() {
    let place = tempfile::tempdir().expect("a directory");
    lie_to(&Ring::start(place.path(), 3, 8));
}

#[test]
fn a_grown_ring_believes_no_liar() {
    let place = tempfile::tempdir().expect("a directory");
    let ring = Ring::start(place.path(), 5, 2);
    let standing = |peer: &Arc<Peer>| peer.ring().expect("a node").driver().standing();
    assert!(ring.peers.iter().all(|peer| standing(peer) == Standing::In));
    lie_to(&ring);
}

#[test]
fn a_flood_of_joins_lets_nobody_in_who_is_not_there() {
    for successors in [8, 2] {
        let place = tempfile::tempdir().expect("a directory");
        let mut ring = Ring::start(place.path(), 4, successors);
        let (shape, address) = (ring.shape(), ring.peers[0].address());
        std::thread::scope(|scope| {
            for flood in 0..4_u16 {
                scope.spawn(move || {
                    let mut conn = Conn::connect(&address.into(), 0, &Stop::new()).expect("connected");
                    for number in 0..500 {
                        // Ports at which nobody listens.
                        let sender = member([127, 0, 0, 1], 1 + flood * 200 + number % 200);
                        let join = RingJoin {
                            request: RequestNumber(u64::from(number)),
                            ring: shape,
                            sender,
                        };
                        drop(conn.call(&join.into()));
                    }
                });
            }
        });
        // Who is there is let in.
        ring.add(&place.path().join("newcomer"));
        ring.until_whole();
    }
}

#[test]
fn one_publisher_fills_no_node() {
    let place = tempfile::tempdir().expect("a directory");
    let ring = Ring::start(place.path(), 1, 8);
    let mut conn = connect(&ring.peers[0]);
    let pages = RING_CLAIMS_PER_HOLDER_MAX / RING_PAGE_RECORDS_MAX + 1;
    let mut refused = 0;
    for page in 0..pages {
        let names = (0..RING_PAGE_RECORDS_MAX).map(|number| format!("{page}-{number}"));
        let records = names.map(|name| record(&name, claim(None, 1)));
        let store = RingStore {
            request: RequestNumber(page as u64),
            ring: ring.shape(),
            sender: member([127, 0, 0, 1], 1),
            copy: false,
            records: List::first_of(records),
        };
        if let Err((code, text)) = ask(&mut conn, &store.into()) {
            assert_eq!(code, Refusal::LimitReached);
            assert!(text.contains(&RING_CLAIMS_PER_HOLDER_MAX.to_string()), "{text}");
            refused += 1;
        }
    }
    assert_eq!(refused, 1, "the last page");
    let kept = ring.peers[0].ring().expect("a node").driver().records_kept();
    assert_eq!(kept, (RING_CLAIMS_PER_HOLDER_MAX, RING_CLAIMS_PER_HOLDER_MAX));
}

#[test]
fn an_owner_that_is_none_is_not_asked_for_ever() {
    let shape = RingSettings::usual(RingSpace::new(160, RingHash::Sha1).expect("bits")).shape();
    let offers = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let (address, counted) = (Arc::new(std::sync::OnceLock::new()), Arc::clone(&offers));
    let own = Arc::clone(&address);
    let liar = Liar::start(move |stream, asked| {
        let request = asked.request().unwrap_or_default();
        let node = RingMember {
            address: *own.get().expect("an address"),
            incarnation: 1,
        };
        let answer: Message = match asked {
            Message::RingLook(_) => RingTable {
                request,
                ring: shape,
                node,
                predecessor: None,
                successors: List::first_of([]),
                fingers: List::first_of([]),
            }
            .into(),
            Message::RingStep(_) => RingHops {
                request,
                node,
                verdict: RingVerdict::Mine,
                nodes: List::first_of([]),
            }
            .into(),
            Message::RingStore(_) => {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                p2pdi::proto::refusal(request, Refusal::NotOwner, "another node owns this key")
            }
            _ => p2pdi::proto::refusal(request, Refusal::NotServed, "no"),
        };
        say(stream, &answer)
    });
    address.set(liar.address.into()).expect("once");
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("in"), 100, 1);
    let put = run(&[
        "ring",
        "put",
        text(&place.path().join("in")),
        "--node",
        &liar.address(),
    ]);
    assert_eq!(put.code, 4, "{}", put.stderr);
    assert!(
        put.stderr.contains("another node owns this key"),
        "{}",
        put.stderr
    );
    assert_eq!(offers.load(std::sync::atomic::Ordering::Relaxed), RING_OFFERS_MAX);
    // Whoever asks for a record of it learns that there is none.
    let stop = Stop::new();
    let node = HostPort::parse(&liar.address()).expect("an address");
    let client = RingClient::by_way_of(&node, Clock::start(), &stop).expect("a node");
    let name = ContentName::new("in").expect("a name");
    assert_eq!(
        client
            .records(&p2pdi::wire::Wanted::Name(name))
            .map(|records| records.len()),
        Ok(0)
    );
    stop.trigger();
}
