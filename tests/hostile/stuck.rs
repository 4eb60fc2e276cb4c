//! Those who stop in the middle, or never read: dropped in bounded time, and nobody else waits for them.

use super::liar::Liar;
use super::process::{Words, eventually, peer, rs, run, until_listed, write_random};
use super::raw::{Raw, frame, own_kib, resident_kib, threads};
use p2pdi::id::RequestNumber;
use p2pdi::limits::{ANSWER_TIMEOUT, FRAME_DEADLINE, HELLO_DEADLINE};
use p2pdi::name::ContentName;
use p2pdi::time::Span;
use p2pdi::wire::{ByteRange, Download, ListContents, Message, Part, Wanted, features, hello};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// What a sweep, a busy machine and a connection add to a deadline.
const SLACK: Duration = Duration::from_secs(5);
/// Between two bytes of one who trickles.
const TRICKLE: Duration = Duration::from_secs(2);

/// Sends `first`, then a byte now and then if `trickles`; how long it is borne.
fn borne(address: &str, greet: bool, first: &[u8], trickles: bool) -> Duration {
    let mut raw = if greet {
        Raw::greeted(address)
    } else {
        Raw::connect(address)
    };
    let begun = Instant::now();
    raw.send(first).expect("sent");
    while !raw.is_closed() {
        assert!(begun.elapsed() < Duration::from_secs(60), "borne without end");
        std::thread::park_timeout(if trickles {
            TRICKLE
        } else {
            Duration::from_millis(200)
        });
        if trickles {
            let _ = raw.send(&[0]);
        }
    }
    begun.elapsed()
}

/// What it is, where, after a greeting, what is sent, whether more trickles, and the bound.
type Case<'c> = (&'c str, &'c str, bool, &'c [u8], bool, Span);

#[test]
fn the_silent_in_the_middle_are_dropped() {
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 9_000, 1);
    let server = rs(&[]);
    let holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 1);
    let long = [b"P".as_slice(), &131_072_u32.to_be_bytes()].concat();
    let listing = [b"I".as_slice(), &1_000_u32.to_be_bytes()].concat();
    let content = [b"C".as_slice(), &200_000_u32.to_be_bytes()].concat();
    let cases: [Case<'_>; 10] = [
        (
            "no greeting at the RS",
            &server.address,
            false,
            b"",
            false,
            HELLO_DEADLINE,
        ),
        (
            "half a header at the RS",
            &server.address,
            true,
            b"S\0",
            false,
            FRAME_DEADLINE,
        ),
        (
            "half a greeting at the RS",
            &server.address,
            false,
            b"V\0\0",
            true,
            HELLO_DEADLINE,
        ),
        (
            "half a frame at the RS",
            &server.address,
            true,
            &long,
            false,
            FRAME_DEADLINE,
        ),
        (
            "a byte now and then at the RS",
            &server.address,
            true,
            &long,
            true,
            FRAME_DEADLINE,
        ),
        (
            "no greeting at a peer",
            &holder.address,
            false,
            b"",
            false,
            HELLO_DEADLINE,
        ),
        (
            "half a greeting at a peer",
            &holder.address,
            false,
            b"V",
            true,
            FRAME_DEADLINE,
        ),
        (
            "half a header at a peer",
            &holder.address,
            true,
            b"D\0",
            false,
            FRAME_DEADLINE,
        ),
        (
            "half a frame at a peer",
            &holder.address,
            true,
            &listing,
            true,
            FRAME_DEADLINE,
        ),
        (
            "half a Content at a peer",
            &holder.address,
            true,
            &content,
            true,
            FRAME_DEADLINE,
        ),
    ];
    std::thread::scope(|scope| {
        for (what, address, greet, first, trickles, bound) in cases {
            scope.spawn(move || {
                let took = borne(address, greet, first, trickles);
                assert!(took < bound.to_std() + SLACK, "{what}: borne for {took:?}");
            });
        }
        // The other way round: servers that say nothing.
        scope.spawn(|| {
            let mute = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = mute.local_addr().expect("an address").to_string();
            let begun = Instant::now();
            let asked = run(&["list", "--rs", &address]);
            assert_eq!(
                (asked.code, asked.stderr.contains(&address)),
                (1, true),
                "{}",
                asked.stderr
            );
            assert!(
                begun.elapsed() < HELLO_DEADLINE.to_std() + SLACK,
                "{:?}",
                begun.elapsed()
            );
        });
        scope.spawn(|| {
            let silent = Liar::start(|_, _| true);
            let begun = Instant::now();
            let asked = run(&["list", "--rs", &silent.address()]);
            assert_eq!(
                (asked.code, asked.stderr.contains("no answer in time")),
                (1, true),
                "{}",
                asked.stderr
            );
            assert!(
                begun.elapsed() < ANSWER_TIMEOUT.to_std() + SLACK,
                "{:?}",
                begun.elapsed()
            );
        });
        // Meanwhile the honest are served.
        let asked = run(&["search", "doc.bin", "--rs", &server.address]);
        assert_eq!(asked.code, 0, "{}", asked.stderr);
        let asked = run(&["index", "--peer", &holder.address]);
        assert_eq!(asked.code, 0, "{}", asked.stderr);
    });
}

fn download(name: &str) -> Vec<u8> {
    let range = ByteRange {
        offset: 0,
        bytes: u64::MAX,
    };
    frame(
        &Download {
            request: RequestNumber(1),
            wanted: Wanted::Name(ContentName::new(name).expect("a name")),
            part: Part::Range(range),
        }
        .into(),
    )
}

#[test]
fn who_never_reads_costs_a_peer_one_thread() {
    let place = tempfile::tempdir().expect("a directory");
    let document = write_random(&place.path().join("a/doc.bin"), 64_000_000, 1);
    let server = rs(&[]);
    let mut holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 1);
    let (before, threads_before) = (own_kib(holder.id()), threads(holder.id()));
    let stuck: Vec<Raw> = (0..20)
        .map(|_| {
            let mut raw = Raw::greeted(&holder.address);
            raw.send(&download("doc.bin")).expect("sent");
            assert!(matches!(raw.receive(), Some(Message::Content(_))), "it begins");
            raw
        })
        .collect();
    let out = place.path().join("out");
    let got = Words::get("doc.bin", &out).rs(&server).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("doc.bin")).expect("read") == document);
    let most = threads_before + stuck.len() as u64 + 2;
    // The lanes that served the honest one end when they have been idle for a while.
    eventually("a thread each", || (threads(holder.id()) <= most).then_some(()));
    let after = own_kib(holder.id());
    println!(
        "memory: {before} KiB before, {after} KiB with {} who never read",
        stuck.len()
    );
    assert!(after < before + 16 * 1024, "from {before} to {after} KiB");
    let begun = Instant::now();
    assert!(holder.stop().success());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "nor do they keep it from ending"
    );
}

#[test]
fn who_asks_and_never_reads_costs_the_rs_a_bounded_buffer() {
    let place = tempfile::tempdir().expect("a directory");
    for number in 0..300 {
        write_random(
            &place.path().join(format!("a/{number}-{}.txt", "n".repeat(150))),
            10,
            number,
        );
    }
    let server = rs(&[]);
    let _holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 300);
    let before = resident_kib(server.id());
    let list = frame(
        &ListContents {
            request: RequestNumber(1),
            kind: p2pdi::wire::ContentKind::File,
            after: None,
        }
        .into(),
    );
    let question = [frame(&hello(features::HOLDER)), list.repeat(200)].concat();
    let mut stuck: Vec<Raw> = (0..20)
        .map(|_| {
            let mut raw = Raw::connect(&server.address);
            raw.send(&question).expect("sent");
            raw
        })
        .collect();
    let found = run(&["search", "nothing", "--rs", &server.address]);
    assert_eq!(found.code, 3, "{}", found.stderr);
    let after = resident_kib(server.id());
    println!(
        "memory: {before} KiB before, {after} KiB with {} who never read",
        stuck.len()
    );
    assert!(
        after < before + 20 * 1_024,
        "from {before} to {after} KiB: more than a MiB each"
    );
    // They were not forgotten: who reads at last gets every answer, and its end, which came while nothing of it
    // could be read.
    stuck.iter().for_each(Raw::end);
    let found = run(&["search", "nothing", "--rs", &server.address]);
    assert_eq!(found.code, 3, "{}", found.stderr);
    for raw in &mut stuck {
        assert_eq!(raw.rest().len(), 201);
    }
}
