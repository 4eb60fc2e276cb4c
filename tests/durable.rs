//! An RS with a store: what it has acknowledged outlives it.
#![allow(
    clippy::disallowed_types,
    reason = "whole tests use files, clocks and sockets"
)]

#[path = "durable/clocks.rs"]
mod clocks;
#[path = "durable/damage.rs"]
mod damage;
#[path = "durable/datagrams.rs"]
mod datagrams;
#[path = "durable/disk.rs"]
mod disk;
#[path = "durable/kills.rs"]
mod kills;
#[path = "durable/member.rs"]
mod member;
mod process;
#[path = "hostile/raw.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod raw;
#[path = "durable/world.rs"]
mod world;

use member::{Member, listed, peers};
use process::{Running, rs, run, serve};
use std::path::Path;

/// An RS that keeps its records in `data`.
fn keeping(data: &Path, more: &[&str]) -> Running {
    let data = data.to_str().expect("UTF-8");
    rs(&[&["--data", data], more].concat())
}

/// A few rounds in CI, all of them by `make ordeal`.
fn rounds(in_ci: u32, in_full: u32) -> u32 {
    if std::env::var_os("P2PDI_ORDEAL").is_some() {
        in_full
    } else {
        in_ci
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let place = tempfile::tempdir().expect("a directory");
    let mut server = keeping(place.path(), &[]);
    let mut here = Member::join(&server.address, "here", 1);
    let mut gone = Member::join(&server.address, "gone", 2);
    for name in ["a.txt", "b.txt", "c.txt"] {
        here.register(name);
    }
    here.deregister("b.txt");
    gone.register("d.txt");
    gone.leave();
    server.kill();

    let server = keeping(place.path(), &[]);
    assert_eq!(listed(&server.address), ["a.txt", "c.txt"]);
    let there = peers(&server.address);
    assert_eq!(there.len(), 1, "the one that left is not handed out");
    assert_eq!(there[0]["name"], "here");
    assert_eq!(there[0]["registrations_30d"], 1);
    assert!(there[0]["lease_secs"].as_u64().expect("a lease") > 7_100);

    // The cookies still mean the same peers, and a repeated request is not done again.
    here.reconnect(&server.address);
    here.repeat_the_last();
    here.register("e.txt");
    gone.reconnect(&server.address);
    gone.join_again();
    let there = peers(&server.address);
    assert_eq!(there.len(), 2);
    assert_eq!(there[1]["registrations_30d"], 2, "the record was kept");
    assert_eq!(listed(&server.address), ["a.txt", "c.txt", "e.txt"]);
}

#[test]
fn a_store_belongs_to_one_rs() {
    let place = tempfile::tempdir().expect("a directory");
    let _server = keeping(place.path(), &[]);
    let data = place.path().to_str().expect("UTF-8");
    let second = run(&["rs", "--listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("another RS uses"), "{}", second.stderr);
}

#[test]
fn stopped_it_goes_on_where_it_was() {
    let place = tempfile::tempdir().expect("a directory");
    let mut server = keeping(place.path(), &[]);
    let mut member = Member::join(&server.address, "here", 1);
    member.register("a.txt");
    assert!(server.stop().success());
    let address = server.address.clone();
    let data = place.path().to_str().expect("UTF-8");
    let server = serve(&["rs", "--listen", &address, "--data", data]);
    assert_eq!(listed(&server.address), ["a.txt"]);
}
