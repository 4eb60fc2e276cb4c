//! What dies in the middle: the RS, a holder, all holders, a peer that comes back.
#![allow(clippy::disallowed_types, reason = "whole tests use files")]

mod process;

use process::{
    Running, Words, active_peers, eventually, menu_peer, peer, rs, run, serve, text, until_hashed,
    until_listed, write_random,
};
use serde_json::Value;

/// Slow enough that something can die in the middle, fast enough not to wait for.
const SLOW: &[&str] = &["--up-limit", "1MB"];

fn port_of(address: &str) -> String {
    address.rsplit(':').next().unwrap_or_default().to_owned()
}

/// Waits until a get has received something.
fn until_under_way(get: &Running) {
    loop {
        let event: Value = serde_json::from_str(&get.line()).expect("JSON");
        if event["event"] == "progress" {
            return;
        }
        assert_ne!(event["event"], "done", "too fast to die in the middle");
    }
}

fn last_event(get: &Running) -> Value {
    serde_json::from_str(get.rest().last().expect("an event")).expect("JSON")
}

#[test]
fn a_download_outlives_the_rs() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("shared/big"), 2_000_000, 1);
    let mut server = rs(&[]);
    let _holder = peer(&server, "holder", &at("shared"), &at("state"), SLOW);
    until_listed(&server, 1);
    let mut get = Words::get("big", at("out")).rs(&server).spawn();
    until_under_way(&get);
    server.kill();
    assert_eq!(last_event(&get)["event"], "done");
    assert!(get.end().success());
    assert_eq!(std::fs::read(at("out/big")).expect("read"), content);
}

#[test]
fn a_holder_without_room_is_tried_again() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let contents = [("small", 50_000), ("large", 500_000)]
        .map(|(name, bytes)| (name, write_random(&at("shared").join(name), bytes, 1)));
    let server = rs(&[]);
    let holder = peer(
        &server,
        "holder",
        &at("shared"),
        &at("state"),
        &["--max-conns", "1"],
    );
    until_listed(&server, contents.len());
    for (name, content) in contents {
        let taken = std::net::TcpStream::connect(&holder.address).expect("its only place");
        let mut get = Words::get(name, at("out")).rs(&server).spawn();
        let failed = loop {
            let event: Value = serde_json::from_str(&get.line()).expect("JSON");
            assert_ne!(event["event"], "done", "there was no room");
            if event["event"] == "failed" {
                break event;
            }
        };
        let why = failed["why"].as_str().unwrap_or_default();
        assert!(why.contains("503"), "{failed}");
        drop(taken);
        let done = last_event(&get);
        assert_eq!(done["event"], "done", "{done}");
        assert!(get.end().success());
        assert!(std::fs::read(at("out").join(name)).expect("read") == content);
    }
}

#[test]
fn the_only_peer_that_was_named_is_asked_again_if_it_has_no_room() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("shared/small"), 50_000, 1);
    let server = rs(&[]);
    let only_one = ["--max-conns", "1"];
    let holder = peer(&server, "holder", &at("shared"), &at("state"), &only_one);
    until_listed(&server, 1);
    let taken = std::net::TcpStream::connect(&holder.address).expect("its only place");
    let mut get = Words::get("small", at("out"))
        .from([holder.address.as_str()])
        .spawn();
    let said = get.stderr_line();
    assert!(said.contains(&holder.address) && said.contains("503"), "{said}");
    drop(taken);
    assert_eq!(last_event(&get)["event"], "done");
    assert!(get.end().success());
    assert!(std::fs::read(at("out/small")).expect("read") == content);
}

#[test]
fn a_holder_that_comes_back_is_tried_again() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("shared/big"), 3_000_000, 1);
    let holder = |listen: &str| {
        let (dir, state) = (at("shared"), at("state"));
        let words = [
            "peer",
            "--dir",
            text(&dir),
            "--state",
            text(&state),
            "--listen",
            listen,
        ];
        serve(&[&words, SLOW].concat())
    };
    let (again, mut holder) = (&holder, holder("127.0.0.1:0"));
    until_hashed(&holder, "big");
    let address = holder.address.clone();
    let mut get = Words::get("big", at("out")).from([&*address]).spawn();
    until_under_way(&get);
    holder.kill();
    let _again = again(&address);
    let done = last_event(&get);
    assert_eq!(done["event"], "done", "{}", get.stderr());
    assert!(get.end().success());
    assert_eq!(std::fs::read(at("out/big")).expect("read"), content);
    assert_eq!(
        done["holders"][0]["failures"].as_array().map(Vec::len),
        Some(1),
        "{done}"
    );
}

/// Each of many contents has its holders asked for once more; an RS that hangs costs its time once, and not for each.
#[test]
fn an_rs_that_hangs_holds_up_no_list_of_files() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    for number in 0..20 {
        write_random(&at(&format!("shared/f{number}")), 20_000, number);
    }
    let server = rs(&[]);
    let mut holder = peer(
        &server,
        "holder",
        &at("shared"),
        &at("state"),
        &["--up-limit", "40KB"],
    );
    until_listed(&server, 20);
    let mut get = Words::get("--all", at("out")).rs(&server).spawn();
    while serde_json::from_str::<Value>(&get.line()).expect("JSON")["event"] != "done" {}
    server.signal("-STOP");
    holder.kill();
    assert_eq!(get.end().code(), Some(3), "{}", get.stderr());
    server.signal("-CONT");
}

#[test]
fn a_download_moves_on_when_its_holder_dies() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("one/big"), 2_000_000, 1);
    write_random(&at("two/big"), 2_000_000, 1);
    let server = rs(&["--policy", "most-recent"]);
    let _second = peer(&server, "second", &at("two"), &at("s2"), SLOW);
    until_listed(&server, 1);
    let mut first = peer(&server, "first", &at("one"), &at("s1"), SLOW);
    eventually("both holders", || {
        let found = run(&["search", "big", "--rs", &server.address, "--json"]).json();
        (found[0]["holders"].as_array().map(Vec::len) == Some(2)).then_some(())
    });
    let mut get = Words::get("big", at("out")).rs(&server).spawn();
    until_under_way(&get);
    first.kill();
    let done = last_event(&get);
    assert!(get.end().success());
    assert_eq!(std::fs::read(at("out/big")).expect("read"), content);
    let holders = done["holders"].as_array().expect("holders");
    assert_eq!(holders.len(), 2, "{done}");
    let failures: Vec<usize> = holders
        .iter()
        .filter_map(|holder| holder["failures"].as_array().map(Vec::len))
        .collect();
    assert_eq!(failures.iter().sum::<usize>(), 1, "{done}");
    let failed = holders
        .iter()
        .find(|holder| holder["failures"].as_array().is_some_and(|f| !f.is_empty()));
    assert_eq!(
        failed.map(|holder| holder["port"].to_string()),
        Some(port_of(&first.address)),
        "{done}"
    );
    let sent: u64 = holders.iter().filter_map(|holder| holder["bytes"].as_u64()).sum();
    assert!(
        (2_000_000..2_000_000 + 4 * 65_536).contains(&sent),
        "no more than the pieces under way came twice: {done}"
    );
}

#[test]
fn when_nobody_is_left_it_says_who_was_tried() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    write_random(&at("shared/big"), 2_000_000, 1);
    let server = rs(&[]);
    let mut holder = peer(&server, "holder", &at("shared"), &at("state"), SLOW);
    until_listed(&server, 1);
    let mut get = Words::get("big", at("out")).rs(&server).spawn();
    until_under_way(&get);
    holder.kill();
    assert_eq!(get.end().code(), Some(3));
    let said = eventually("its last words", || {
        Some(get.stderr()).filter(|said| said.contains("no holder"))
    });
    assert!(
        said.contains(&holder.address) && said.contains("no holder is left"),
        "{said}"
    );
    assert!(!at("out/big").exists());
}

#[test]
fn the_dead_are_hidden_and_come_back_as_themselves() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    write_random(&at("shared/big"), 100_000, 1);
    let server = rs(&[]);
    let mut holder = menu_peer(&server, "holder", &at("shared"), &at("state"), &[]);
    assert_eq!(holder.choose(&["1"])["event"], "registered");
    assert_eq!(active_peers(&server), ["holder"]);
    holder.kill();
    let got = Words::get("big", at("out")).rs(&server).run();
    assert_eq!(got.code, 3, "{}", got.stderr);
    let begun = std::time::Instant::now();
    eventually("the dead peer to be hidden", || {
        active_peers(&server).is_empty().then_some(())
    });
    assert!(begun.elapsed().as_secs() < 30);
    assert_eq!(run(&["search", "big", "--rs", &server.address]).code, 3);

    let mut again = menu_peer(&server, "holder", &at("shared"), &at("state"), &[]);
    assert_eq!(again.choose(&["1"])["event"], "registered");
    let peers = run(&["peers", "--rs", &server.address, "--json"]).json();
    assert_eq!(peers.len(), 1, "one record, not two");
    assert_eq!(
        peers[0]["registrations_30d"], 2,
        "the same record, registered again"
    );
    assert_eq!(Words::get("big", at("out")).rs(&server).run().code, 0);
}

#[test]
fn an_interrupted_get_goes_on_where_it_stopped() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("shared/big"), 2_000_000, 1);
    let more = ["--up-limit", "1MB"];
    let holder = Words::peer("holder", &at("shared"), &at("state"))
        .and(&more)
        .serve();
    until_hashed(&holder, "big");
    let out = at("out");
    let words = Words::get("big", &out).from([&*holder.address]);
    let mut get = words.spawn();
    until_under_way(&get);
    get.signal("-INT");
    assert_eq!(get.end().code(), Some(75));
    assert!(!at("out/big").exists());
    let mut get = words.spawn();
    let done = last_event(&get);
    assert!(get.end().success());
    assert!(
        done["holders"][0]["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes < 2_000_000),
        "{done}"
    );
    assert_eq!(std::fs::read(at("out/big")).expect("read"), content);
    assert_eq!(
        std::fs::read_dir(at("out")).expect("listed").count(),
        1,
        "nothing else is left in --out"
    );
}

#[test]
fn gossip_finds_a_third_peer_without_the_rs_knowing_any_content() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("c/rfc7.txt"), 50_000, 1);
    std::fs::create_dir(at("b")).expect("a directory");
    let server = rs(&[]);
    let gossip = &["--mode", "gossip"][..];
    let mut c = menu_peer(&server, "C", &at("c"), &at("sc"), gossip);
    let mut b = menu_peer(&server, "B", &at("b"), &at("sb"), gossip);
    assert_eq!(c.choose(&["1"])["event"], "registered");
    assert_eq!(b.choose(&["1"])["event"], "registered");
    assert_eq!(b.choose(&["4"])["contents"], 1, "B has merged C's index");
    assert_eq!(
        run(&["list", "--rs", &server.address, "--json"]).stdout,
        "[]\n",
        "the RS knows peers only"
    );
    // Asking B alone leads to C.
    let got = Words::get("rfc7.txt", at("out")).from([&*b.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let done = got.json().pop().expect("an event");
    assert_eq!(
        done["holders"][0]["port"].to_string(),
        port_of(&c.address),
        "{done}"
    );
    assert_eq!(std::fs::read(at("out/rfc7.txt")).expect("read"), content);
}
