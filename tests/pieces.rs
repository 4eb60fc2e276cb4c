//! Contents by pieces, with real processes: many holders, liars, kills, and getters that serve.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

mod process;
mod pieces {
    pub mod liar;
}

use p2pdi::id::{ContentId, PieceIndex, RequestNumber};
use p2pdi::name::HostPort;
use p2pdi::net::{Conn, Incoming, Stop};
use p2pdi::proto::transfer::{Pieces, piece_count};
use p2pdi::time::Span;
use p2pdi::wire::{Credit, HaveMap, Message, Rest, features};
use pieces::liar::{Liar, Lie};
use process::{
    Running, Words, eventually, holder_of_big, peer, pieces_kept, rs, serve, text, until_listed, write_random,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Barrier;

fn get(out: &Path, holders: &[&str]) -> Words {
    Words::get("big", out).from(holders.iter().copied())
}

#[test]
fn many_holders_share_the_work() {
    let place = tempfile::tempdir().expect("a directory");
    let bytes = 3_000_000;
    let limit = &["--up-limit", "1MB"][..];
    let holders: Vec<Running> = ["a", "b", "c"]
        .iter()
        .map(|name| holder_of_big(place.path(), name, bytes, limit))
        .collect();
    let addresses: Vec<&str> = holders.iter().map(|holder| holder.address.as_str()).collect();
    let out = place.path().join("out");
    let got = get(&out, &addresses).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let done = got.json().pop().expect("an event");
    let gave: Vec<u64> = done["holders"]
        .as_array()
        .expect("holders")
        .iter()
        .filter_map(|h| h["bytes"].as_u64())
        .collect();
    assert_eq!(gave.len(), 3, "{done}");
    assert!(
        gave.iter().all(|gave| *gave > 500_000),
        "each about a third: {gave:?}"
    );
    assert!(
        gave.iter().sum::<u64>() < 3_000_000 + 4 * 65_536,
        "hardly any piece twice: {gave:?}"
    );
    let original = std::fs::read(place.path().join("a/big")).expect("read");
    assert!(std::fs::read(out.join("big")).expect("read") == original);
    // What is there already is verified, and nobody is asked.
    let again = get(&out, &addresses).run().json().pop().expect("an event");
    assert_eq!(again["holders"].as_array().map(Vec::len), Some(0), "{again}");
}

#[test]
fn bytes_that_come_too_late_spoil_nothing() {
    let place = tempfile::tempdir().expect("a directory");
    let honest = holder_of_big(place.path(), "a", 1_500_000, &["--up-limit", "300KB"]);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let liar = Liar::start(&content, Lie::LateBytes);
    let out = place.path().join("out");
    let got = get(&out, &[&liar.address, &honest.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
}

#[test]
fn who_serves_no_pieces_spoils_nothing_of_what_has_come() {
    let place = tempfile::tempdir().expect("a directory");
    let honest = holder_of_big(place.path(), "a", 2_000_000, &["--up-limit", "1MB"]);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let liar = Liar::start(&content, Lie::WholeRubbish);
    let out = place.path().join("out");
    let mut getter = get(&out, &[&honest.address]).spawn();
    eventually("some pieces", || (pieces_kept(&out) > 6).then_some(()));
    getter.kill();
    let kept = pieces_kept(&out);
    let got = get(&out, &[&liar.address]).run();
    assert_eq!(got.code, 4, "{}", got.stderr);
    assert!(got.stderr.contains("serves no pieces"), "{}", got.stderr);
    assert_eq!(pieces_kept(&out), kept, "what has come is kept");
    let got = get(&out, &[&honest.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
    let left = std::fs::read_dir(&out).expect("listed").count();
    assert_eq!(left, 1, "nothing else is left in --out");
}

#[test]
fn one_connection_costs_a_holder_few_threads() {
    let place = tempfile::tempdir().expect("a directory");
    let source = holder_of_big(place.path(), "a", 40_000_000, &[]);
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", source.id())).expect("listed");
        tasks.count()
    };
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let id = ContentId(*blake3::hash(&content).as_bytes());
    let before = threads();
    let stop = Stop::new();
    let address = HostPort::parse(&source.address).expect("an address");
    let conn = Conn::connect(&address, features::PIECES, &stop).expect("connected");
    let count = piece_count(content.len() as u64);
    for number in 1..=60 {
        if number == 2 {
            // The first has to fill the socket: then its sender waits for a reader that never comes.
            std::thread::park_timeout(std::time::Duration::from_millis(600));
        }
        // Asks for everything, reads nothing, and asks again.
        let request = RequestNumber(number);
        let map = Rest(Pieces::none(count).to_map());
        conn.send(
            &HaveMap {
                request,
                id,
                port: 0,
                map,
            }
            .into(),
        )
        .expect("sent");
        conn.send(
            &Credit {
                request,
                pieces: 1_000,
            }
            .into(),
        )
        .expect("sent");
    }
    let most = (0..20).map(|_| {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
        threads()
    });
    let most = most.max().unwrap_or(0);
    // Its own, and those of the uplink: two lanes and one for words.
    assert!(most <= before + 4, "{most} threads, {before} before");
}

/// The pieces that a holder chooses for a connection that has nothing and gives so many credits.
fn choices(address: &str, id: ContentId, count: u32, credits: u16, together: &Barrier) -> Vec<PieceIndex> {
    let (stop, request) = (Stop::new(), RequestNumber(1));
    let address = HostPort::parse(address).expect("an address");
    let mut conn = Conn::connect(&address, features::PIECES, &stop).expect("connected");
    let (port, map) = (0, Rest(Pieces::none(count).to_map()));
    together.wait();
    conn.send(
        &HaveMap {
            request,
            id,
            port,
            map,
        }
        .into(),
    )
    .expect("sent");
    let pieces = credits;
    conn.send(&Credit { request, pieces }.into()).expect("sent");
    let mut chosen = Vec::new();
    while chosen.len() < usize::from(credits) {
        match conn.receive(Span::from_secs(20)).expect("the holder goes on") {
            Some(Incoming::Message(Message::Choice(choice))) => chosen.push(choice.piece),
            Some(Incoming::Content(_, bytes)) => conn.read_payload(&mut vec![0; bytes]).expect("read"),
            other => panic!("not an exchange: {other:?}"),
        }
    }
    chosen
}

#[test]
fn connections_that_come_at_once_are_sent_different_pieces() {
    let place = tempfile::tempdir().expect("a directory");
    let source = holder_of_big(place.path(), "a", 8_000_000, &[]);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let id = ContentId(*blake3::hash(&content).as_bytes());
    let count = piece_count(content.len() as u64);
    for round in 0..50 {
        let together = Barrier::new(4);
        let chosen: Vec<PieceIndex> = std::thread::scope(|scope| {
            let take = || scope.spawn(|| choices(&source.address, id, count, 8, &together));
            let getters: Vec<_> = (0..4).map(|_| take()).collect();
            getters
                .into_iter()
                .flat_map(|getter| getter.join().expect("served"))
                .collect()
        });
        let different: BTreeSet<PieceIndex> = chosen.iter().copied().collect();
        assert_eq!(different.len(), chosen.len(), "round {round}: {chosen:?}");
    }
}

#[test]
fn holders_that_say_nothing_are_given_up() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 200_000, 1);
    let liars = [
        Liar::start(&content, Lie::Silence),
        Liar::start(&content, Lie::Silence),
    ];
    let out = place.path().join("out");
    let addresses: Vec<&str> = liars.iter().map(|liar| liar.address.as_str()).collect();
    let got = get(&out, &addresses).run();
    assert_eq!(got.code, 3, "{}", got.stderr);
    for address in addresses {
        assert!(
            got.stderr.contains(address) && got.stderr.contains("sent nothing"),
            "{}",
            got.stderr
        );
    }
}

#[test]
fn a_limit_of_our_own_is_no_fault_of_a_holder() {
    let place = tempfile::tempdir().expect("a directory");
    let source = holder_of_big(place.path(), "a", 400_000, &[]);
    let out = place.path().join("out");
    let got = get(&out, &[&source.address]).and(&["--down-limit", "60KB"]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let done = got.json().pop().expect("an event");
    assert_eq!(
        done["holders"][0]["failures"].as_array().map(Vec::len),
        Some(0),
        "{done}"
    );
}

#[test]
fn a_getter_serves_while_it_gets() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("shared/big"), 3_000_000, 1);
    let server = rs(&[]);
    let _source = peer(
        &server,
        "source",
        &at("shared"),
        &at("state"),
        &["--up-limit", "1MB"],
    );
    until_listed(&server, 1);
    let getter = |name: &str| {
        let (out, state) = (at(name), at(&format!("state-{name}")));
        let words = Words::get("big", &out).rs(&server);
        let words = words.and(&["--name", name, "--state", text(&state)]);
        words
            .and(&["--linger", "forever", "--listen", "127.0.0.1:0"])
            .spawn()
    };
    let getters = ["one", "two"].map(getter);
    let mut from_each_other = 0;
    for (getter, name) in getters.iter().zip(["one", "two"]) {
        let done: Value = loop {
            let event: Value = serde_json::from_str(&getter.line()).expect("JSON");
            if event["event"] == "done" {
                break event;
            }
        };
        let holders = done["holders"].as_array().expect("holders");
        from_each_other += holders
            .iter()
            .skip(1)
            .filter_map(|holder| holder["bytes"].as_u64())
            .sum::<u64>();
        assert!(std::fs::read(at(name).join("big")).expect("read") == content);
    }
    assert!(
        from_each_other > 1_000_000,
        "they took {from_each_other} bytes from each other"
    );
}

#[test]
fn more_holders_than_are_asked_at_once() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(place.path().join("empty")).expect("a directory");
    let (empty, state) = (place.path().join("empty"), place.path().join("state-empty"));
    let nothing = serve(&[
        "peer",
        "--dir",
        text(&empty),
        "--state",
        text(&state),
        "--listen",
        "0.0.0.0:0",
    ]);
    let nothing_port = nothing.address.rsplit(':').next().unwrap_or_default().to_owned();
    let source = holder_of_big(place.path(), "a", 200_000, &[]);
    // The same peer under many addresses refuses under each; the last one is right.
    let many: Vec<String> = (1..=p2pdi::limits::SOURCES_MAX + 5)
        .map(|host| format!("127.0.1.{host}:{nothing_port}"))
        .collect();
    let mut addresses: Vec<&str> = many.iter().map(String::as_str).collect();
    addresses.push(&source.address);
    let out = place.path().join("out");
    let got = get(&out, &addresses).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
}
