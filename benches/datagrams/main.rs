//! Searches over UDP against opentracker's announces and a batched echo: the same client, in turns.
//!
//! `cargo bench --bench datagrams`. An echo does nothing but take and send, so the ratio to it says what the RS's own
//! work costs beside the kernel's. `RUNS=` and `SECS=` choose how often and how long, `ONLY=RS,echo` whom to ask.
#![allow(clippy::disallowed_types, reason = "it measures time and opens sockets")]

mod batch;
mod client;
mod tracker;

use batch::{Batch, WINDOW, send};
use client::{Making, QUESTIONS, Questions, Round, ask_all};
use nix::sys::socket::MultiHeaders;
use p2pdi::id::{AddressToken, ContentId, RequestNumber};
use p2pdi::name::{ContentName, HostPort, PeerName};
use p2pdi::net::{Clock, LinkTransport, PoolSettings, RsClient, RsLink, Stop};
use p2pdi::proto::RegistrationSettings;
use p2pdi::rng::Rng;
use p2pdi::rs::{Rs, RsSettings};
use p2pdi::wire::{
    ContentInfo, ContentKind, HEADER_BYTES, Join, Message, Register, Search, Text, Wanted, datagram,
    decode_datagram_answer,
};
use std::net::{SocketAddr, UdpSocket};
use tracker::{Tracker, announces};

/// What the RS knows, and as many torrents of the tracker's.
const CONTENTS: u64 = 10_000;
/// Version and token, which a request has before its number, and its answer has not.
const ENVELOPE_BYTES: usize = 10;
/// The half of a number that tells questions apart.
const LOW_HALF: usize = 4;

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

fn search(number: u32, of: u64) -> Message {
    Search {
        request: RequestNumber(number.into()),
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
        let thread = std::thread::Builder::new().name("echo".to_owned());
        let served = thread.spawn(move || {
            let (mut take, mut give) = (Batch::new(), MultiHeaders::preallocate(WINDOW, None));
            loop {
                take.receive(&socket);
                let come: Vec<&[u8]> = take.datagrams().collect();
                send(&socket, &mut give, &come, &take.from());
            }
        });
        served.expect("a thread");
    }
    address
}

/// Searches, under the token that the RS gives to the socket's address; an echo gives none.
fn searches(socket: &UdpSocket, seed: u64) -> Vec<Vec<u8>> {
    let mut buffer = [0; 1_201];
    let first = datagram(&search(0, 0), AddressToken::default());
    socket.send(&first).expect("sent");
    let answer = socket.recv(&mut buffer);
    let answer = answer.map(|bytes| decode_datagram_answer(&buffer[..bytes]));
    let token = match answer {
        Ok(Ok(Message::Challenge(challenge))) => challenge.token,
        _ => AddressToken::default(),
    };
    let mut rng = Rng::from_seed(seed);
    (0..QUESTIONS)
        .map(|number| datagram(&search(number, rng.below(CONTENTS)), token))
        .collect()
}

fn searches_at_rs(socket: &UdpSocket, seed: u64) -> Questions {
    Questions {
        datagrams: searches(socket, seed),
        number_at: HEADER_BYTES + LOW_HALF,
        // The id of what was found is in it.
        answer_bytes_min: 100,
    }
}

fn searches_at_echo(socket: &UdpSocket, seed: u64) -> Questions {
    Questions {
        datagrams: searches(socket, seed),
        number_at: HEADER_BYTES + ENVELOPE_BYTES + LOW_HALF,
        answer_bytes_min: 1,
    }
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

/// Who is asked, and what came of it.
struct Server {
    name: &'static str,
    address: SocketAddr,
    making: Making,
    rounds: Vec<Round>,
}

/// The middle one.
fn median<T: Copy>(
    rounds: &[Round],
    of: impl Fn(&Round) -> T,
    order: impl Fn(&T, &T) -> core::cmp::Ordering,
) -> T {
    let mut all: Vec<T> = rounds.iter().map(of).collect();
    all.sort_by(order);
    all[all.len() / 2]
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
    let trackers: Vec<_> = [0, 2].into_iter().filter_map(Tracker::start).collect();
    if trackers.is_empty() {
        println!("opentracker is not installed, and left out");
    }
    let trackers = trackers.iter().zip(["tracker", "tracker, 2 threads"]);
    let trackers = trackers.map(|(tracker, name)| (name, tracker.address, announces as Making));
    let ours = [
        ("echo", echo(), searches_at_echo as Making),
        ("RS", rs.address(), searches_at_rs),
    ];
    let only = std::env::var("ONLY").ok();
    let wanted = |name: &str| {
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|one| one == name))
    };
    let servers = ours.into_iter().chain(trackers);
    let mut servers: Vec<Server> = servers
        .filter(|(name, ..)| wanted(name))
        .map(|(name, address, making)| Server {
            name,
            address,
            making,
            rounds: Vec::new(),
        })
        .collect();
    for run in 1..=runs {
        for server in &mut servers {
            let round = ask_all(server.address, secs, server.making);
            let (name, p99) = (server.name, round.p99_us());
            println!("run {run}: {name:18} {:9.0}/s, p99 {p99:6} us", round.per_sec);
            server.rounds.push(round);
        }
    }
    for Server { name, rounds, .. } in &servers {
        let per_sec = median(rounds, |round| round.per_sec, f64::total_cmp);
        let p99 = median(rounds, Round::p99_us, u64::cmp);
        println!("median: {name:18} {per_sec:9.0}/s, p99 {p99:6} us");
    }
    stop.trigger();
    rs.join().expect("nothing to write");
    // The echo's threads end with the process.
}
