//! Searches over UDP against a batched echo: the same datagrams, the same client, in turns.
//!
//! `cargo bench --bench datagrams`. An echo does nothing but take and send, so the ratio says what the RS's own work
//! costs beside the kernel's. `RUNS=` and `SECS=` choose how often and how long; `TRACKER=HOST:PORT` asks a BitTorrent
//! tracker as well, in announces.
#![allow(clippy::disallowed_types, reason = "it measures time and opens sockets")]

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use p2pdi::id::{AddressToken, ContentId, RequestNumber};
use p2pdi::name::{ContentName, HostPort, PeerName};
use p2pdi::net::{Clock, LinkTransport, PoolSettings, RsClient, RsLink, Stop};
use p2pdi::proto::RegistrationSettings;
use p2pdi::rng::Rng;
use p2pdi::rs::{Rs, RsSettings};
use p2pdi::wire::{
    ContentInfo, ContentKind, Join, Message, Register, Search, Text, Wanted, datagram, decode_datagram_answer,
};
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

const CONTENTS: u64 = 10_000;
/// Datagrams of a client under way, and in one system call.
const WINDOW: usize = 64;
const CLIENTS: usize = 2;

fn number_of(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|given| given.parse().ok()).unwrap_or(default)
}

fn content(number: u64) -> ContentInfo {
    let name = format!("documents/report-{number:06}.txt");
    ContentInfo {
        kind: ContentKind::File,
        id: ContentId(*blake3::hash(name.as_bytes()).as_bytes()),
        name: ContentName::new(name).expect("a name"),
        bytes: 20_000,
        modified: 0,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    }
}

fn search(number: u64, of: u64) -> Message {
    Search {
        request: RequestNumber(number),
        wanted: Wanted::Name(content(of).name),
        after: None,
    }
    .into()
}

/// Threads that send back whatever comes, in batches.
fn echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("an address");
    for _ in 0..2 {
        let socket = socket.try_clone().expect("a descriptor");
        std::thread::spawn(move || {
            let (mut take, mut give) = (headers(), headers());
            let mut buffers = vec![[0_u8; 1_201]; WINDOW];
            loop {
                let come = receive(&socket, &mut take, &mut buffers);
                let to: Vec<Option<SockaddrStorage>> = come.iter().map(|(_, from)| *from).collect();
                let answers: Vec<&[u8]> = buffers
                    .iter()
                    .zip(&come)
                    .map(|(buffer, (bytes, _))| &buffer[..*bytes])
                    .collect();
                send(&socket, &mut give, &answers, &to);
            }
        });
    }
    address
}

fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(WINDOW, None)
}

fn receive(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    buffers: &mut [[u8; 1_201]],
) -> Vec<(usize, Option<SockaddrStorage>)> {
    let mut slices: Vec<_> = buffers
        .iter_mut()
        .map(|buffer| [IoSliceMut::new(buffer)])
        .collect();
    let flags = MsgFlags::MSG_WAITFORONE;
    recvmmsg(socket.as_raw_fd(), headers, slices.iter_mut(), flags, None)
        .map(|come| come.map(|one| (one.bytes, one.address)).collect())
        .unwrap_or_default()
}

fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    datagrams: &[&[u8]],
    to: &[Option<SockaddrStorage>],
) {
    let slices: Vec<_> = datagrams.iter().map(|bytes| [IoSlice::new(bytes)]).collect();
    let sent = sendmmsg(
        socket.as_raw_fd(),
        headers,
        slices.iter(),
        to,
        [],
        MsgFlags::empty(),
    );
    sent.expect("sent");
}

/// What an RS is asked: searches, under the token of the socket's address.
fn searches(socket: &UdpSocket, seed: u64) -> Vec<Vec<u8>> {
    let mut buffer = [0; 1_201];
    socket
        .send(&datagram(&search(0, 0), AddressToken::default()))
        .expect("sent");
    let token = match socket
        .recv(&mut buffer)
        .map(|bytes| decode_datagram_answer(&buffer[..bytes]))
    {
        Ok(Ok(Message::Challenge(challenge))) => challenge.token,
        _ => AddressToken::default(),
    };
    let mut rng = Rng::from_seed(seed);
    (0..4_096)
        .map(|number| datagram(&search(number, rng.below(CONTENTS)), token))
        .collect()
}

/// What a BitTorrent tracker is asked (BEP 15): announces, under the connection id that it gives.
fn announces(socket: &UdpSocket, seed: u64) -> Vec<Vec<u8>> {
    let mut connect = 0x0417_2710_1980_u64.to_be_bytes().to_vec();
    connect.extend_from_slice(&[0; 8]);
    socket.send(&connect).expect("sent");
    let mut answer = [0; 16];
    assert_eq!(socket.recv(&mut answer).expect("a connection id"), 16);
    let mut rng = Rng::from_seed(seed);
    let announce = |number: u32| {
        let mut bytes = answer[8..].to_vec();
        bytes.extend_from_slice(&1_u32.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        let hash = blake3::hash(&rng.below(CONTENTS).to_be_bytes());
        bytes.extend_from_slice(&hash.as_bytes()[..20]);
        bytes.extend_from_slice(b"-P20000-000000000000");
        bytes.extend_from_slice(&[0; 24]);
        // No event, the address it comes from, no key, one other peer, a port.
        for field in [0_u32, 0, 0, 1] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&6_000_u16.to_be_bytes());
        bytes
    };
    (0..4_096).map(announce).collect()
}

/// Keeps a window of datagrams under way; how many came back in a second.
fn ask(server: SocketAddr, secs: u64, seed: u64, questions: Questions) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("connected");
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .expect("a timeout");
    let questions = questions(&socket, seed);
    let mut questions = questions.iter().map(Vec::as_slice).cycle();
    let (mut take, mut give) = (headers(), headers());
    let mut buffers = vec![[0_u8; 1_201]; WINDOW];
    let nowhere = [None; WINDOW];
    let begun = Instant::now();
    let (mut answers, mut under_way) = (0_u64, 0);
    while begun.elapsed() < Duration::from_secs(secs) {
        let next: Vec<&[u8]> = questions.by_ref().take(WINDOW - under_way).collect();
        send(&socket, &mut give, &next, &nowhere[..next.len()]);
        let come = receive(&socket, &mut take, &mut buffers).len();
        answers += come as u64;
        // Nothing for a while: they are lost.
        under_way = if come == 0 { 0 } else { WINDOW - come };
    }
    answers as f64 / begun.elapsed().as_secs_f64()
}

/// What to ask, for a client's socket and seed.
type Questions = fn(&UdpSocket, u64) -> Vec<Vec<u8>>;

fn ask_all(server: SocketAddr, secs: u64, questions: Questions) -> f64 {
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS as u64)
            .map(|seed| scope.spawn(move || ask(server, secs, seed, questions)))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .sum()
    })
}

fn fill(rs: SocketAddr, stop: &Stop) {
    let link = RsLink::new(
        HostPort::from(rs),
        LinkTransport::Tcp,
        Clock::start(),
        stop.clone(),
    );
    let client = RsClient::new(link);
    let join = Join {
        request: RequestNumber(1),
        nonce: 1,
        cookie: None,
        name: PeerName::new("holder").expect("a name"),
        host: None,
        port: 6_000,
        os: Text::cut("Linux"),
    };
    let Ok(Message::Ack(ack)) = client.call(&join.into()) else {
        panic!("not joined");
    };
    let cookie = ack.cookie.expect("a cookie");
    for number in 0..CONTENTS {
        let register = Register {
            request: RequestNumber(2 + number),
            cookie,
            content: content(number),
            complete: true,
        };
        let answer = client.call(&register.into());
        assert!(matches!(answer, Ok(Message::Ack(_))), "{answer:?}");
    }
}

fn main() {
    let (runs, secs) = (number_of("RUNS", 5), number_of("SECS", 2));
    let stop = Stop::new();
    let settings = RsSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        pool: PoolSettings::of_workers(2),
        registration: RegistrationSettings::default(),
        data: None,
    };
    let rs = Rs::start(settings, &stop).expect("an RS");
    fill(rs.address(), &stop);
    let tracker = std::env::var("TRACKER").ok();
    let mut servers = vec![
        ("echo", echo(), searches as Questions, Vec::new()),
        ("RS", rs.address(), searches as Questions, Vec::new()),
    ];
    if let Some(tracker) = tracker {
        let address = tracker.parse().expect("HOST:PORT");
        servers.push(("tracker", address, announces as Questions, Vec::new()));
    }
    for run in 1..=runs {
        for (name, address, questions, rates) in &mut servers {
            rates.push(ask_all(*address, secs, *questions));
            println!("run {run}: {name:8} {:9.0}/s", rates[rates.len() - 1]);
        }
    }
    for (name, _, _, rates) in &mut servers {
        rates.sort_by(f64::total_cmp);
        println!("median: {name:8} {:9.0}/s", rates[rates.len() / 2]);
    }
    stop.trigger();
    rs.join().expect("nothing to write");
    // The echo's threads end with the process.
}
