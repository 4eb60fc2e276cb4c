//! Contents by pieces, with real processes: many holders, liars, kills, and getters that serve.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

mod process;
mod pieces {
    pub mod liar;
}

use pieces::liar::{Liar, Lie};
use process::{
    Running, Words, eventually, holder_of_big, peer, pieces_kept, rs, serve, text, until_listed, write_random,
};
use serde_json::Value;
use std::path::Path;

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
fn what_a_whole_holder_sends_never_touches_journalled_pieces() {
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
    assert_eq!(got.code, 3, "{}", got.stderr);
    assert_eq!(pieces_kept(&out), kept, "what has come is kept");
    let got = get(&out, &[&honest.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
    let left = std::fs::read_dir(&out).expect("listed").count();
    assert_eq!(left, 1, "nothing else is left in --out");
}

#[test]
fn one_connection_costs_a_holder_two_threads_at_most() {
    let place = tempfile::tempdir().expect("a directory");
    let source = holder_of_big(place.path(), "a", 40_000_000, &[]);
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", source.id())).expect("listed");
        tasks.count()
    };
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let id = p2pdi::id::ContentId(*blake3::hash(&content).as_bytes());
    let before = threads();
    let stop = p2pdi::net::Stop::new();
    let address = p2pdi::name::HostPort::parse(&source.address).expect("an address");
    let conn = p2pdi::net::Conn::connect(&address, p2pdi::wire::features::PIECES, &stop).expect("connected");
    let count = p2pdi::proto::transfer::piece_count(content.len() as u64);
    for number in 1..=60 {
        if number == 2 {
            // The first has to fill the socket: then its sender waits for a reader that never comes.
            std::thread::park_timeout(std::time::Duration::from_millis(600));
        }
        // Asks for everything, reads nothing, and asks again.
        let request = p2pdi::id::RequestNumber(number);
        let map = p2pdi::wire::Rest(p2pdi::proto::transfer::Pieces::none(count).to_map());
        conn.send(
            &p2pdi::wire::HaveMap {
                request,
                id,
                port: 0,
                map,
            }
            .into(),
        )
        .expect("sent");
        conn.send(
            &p2pdi::wire::Credit {
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
    assert!(most <= before + 2, "{most} threads, {before} before");
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
