//! What a get shows: its events, its account of why it took so long, and the plain rule of parts beside the swarm.
#![allow(clippy::disallowed_types, reason = "whole tests use files")]

mod process;

use p2pdi::id::PieceIndex;
use p2pdi::proto::transfer::{piece_count, piece_span};
use process::{
    Running, Words, eventually, holder_of_big, peer, pieces_kept, pieces_kept_are_right, rs, write_random,
};
use serde_json::Value;
use std::path::Path;

fn get(out: &Path, holders: &[&Running], more: &[&str]) -> Words {
    let addresses = holders.iter().map(|holder| holder.address.as_str());
    Words::get("big", out).from(addresses).and(more)
}

fn done(events: &[Value]) -> &Value {
    let done = events.last().expect("events");
    assert_eq!(done["event"], "done", "{events:?}");
    done
}

fn gave(done: &Value, holder: &Running) -> u64 {
    let port = holder.address.rsplit(':').next().unwrap_or_default();
    let holders = done["holders"].as_array().expect("holders");
    let account = holders
        .iter()
        .find(|account| account["port"].as_u64() == port.parse().ok());
    account.and_then(|account| account["bytes"].as_u64()).unwrap_or(0)
}

fn original(place: &Path) -> Vec<u8> {
    std::fs::read(place.join("a/big")).expect("read")
}

#[test]
fn events_tell_a_fetch_from_its_beginning_to_its_end() {
    let place = tempfile::tempdir().expect("a directory");
    let mut dying = holder_of_big(place.path(), "a", 3_000_000, &["--up-limit", "500KB"]);
    let holder = holder_of_big(place.path(), "b", 3_000_000, &["--up-limit", "500KB"]);
    let out = place.path().join("out");
    let getter = get(&out, &[&dying, &holder], &[]).spawn();
    let next = || -> Value { serde_json::from_str(&getter.line()).expect("JSON") };
    let begin = next();
    assert_eq!(begin["event"], "begin");
    assert_eq!(
        (
            &begin["name"],
            &begin["bytes"],
            &begin["pieces"],
            &begin["holders"]
        ),
        (&"big".into(), &3_000_000.into(), &46.into(), &2.into()),
    );
    let progress = loop {
        let event = next();
        assert_eq!(event["event"], "progress");
        if event["bytes"] != 0 {
            break event;
        }
    };
    assert_eq!(progress["holders"], 2, "{progress}");
    assert_eq!(progress["pieces_of"], 46, "{progress}");
    assert!(
        progress["eta_secs"].as_f64().is_some_and(|eta| eta > 0.0),
        "{progress}"
    );
    dying.kill();
    let failed = loop {
        let event = next();
        assert_ne!(event["event"], "done", "the failure is told as it happens");
        if event["event"] == "failed" {
            break event;
        }
    };
    assert_eq!(failed["holder"], dying.address.as_str(), "{failed}");
    assert!(failed["why"].is_string(), "{failed}");
    let rest: Vec<Value> = getter
        .rest()
        .iter()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(done(&rest)["id"], begin["id"]);
    assert!(done(&rest)["why"].is_null(), "only with --why");
}

#[test]
fn why_names_what_bounded_it() {
    let place = tempfile::tempdir().expect("a directory");
    let slow = holder_of_big(place.path(), "a", 2_000_000, &["--up-limit", "1MB"]);
    let fast = holder_of_big(place.path(), "b", 2_000_000, &[]);
    let out = |name: &str| place.path().join(name);
    let theirs = get(&out("theirs"), &[&slow], &["--why"]).run().json();
    let why = &done(&theirs)["why"];
    assert_eq!(why["verdict"], "their_limit", "{why}");
    let percent = why["causes"]["their_limit"]["percent"].as_u64();
    assert!(percent.is_some_and(|percent| percent > 50), "{why}");
    let account = &why["holders"][0];
    assert!(
        account["waited_secs"].as_f64().is_some_and(|secs| secs > 1.0),
        "{why}"
    );
    assert_eq!(account["bytes"], 2_000_000, "{why}");
    let mine = get(&out("mine"), &[&fast], &["--why", "--down-limit", "1MB"])
        .run()
        .json();
    assert_eq!(done(&mine)["why"]["verdict"], "my_limit", "{mine:?}");
}

#[test]
fn why_is_told_of_a_directory_as_a_whole() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let bytes = [300_000, 200_000, 9_000];
    for (number, bytes) in bytes.iter().enumerate() {
        write_random(&at("course").join(number.to_string()), *bytes, number as u64);
    }
    let server = rs(&[]);
    let holder = peer(
        &server,
        "holder",
        &at("course"),
        &at("state"),
        &["--up-limit", "1MB"],
    );
    let got = eventually("the directory", || {
        let got = Words::get("course", at("out")).and(&["--why"]).rs(&server).run();
        (got.code == 0).then(|| got.json())
    });
    let tree = got.last().expect("an event");
    assert_eq!(tree["kind"], "tree", "{tree}");
    let why = &tree["why"];
    assert_eq!(why["verdict"], "their_limit", "{why}");
    let account = &why["holders"][0];
    assert_eq!(account["bytes"], bytes.iter().sum::<usize>(), "{why}");
    assert!(
        holder.address.ends_with(&format!(":{}", account["port"])),
        "{why}"
    );
}

/// All events that are still to come.
fn events_of(getter: &Running) -> Vec<Value> {
    let lines = getter.rest();
    let event = |line: &String| serde_json::from_str(line).expect("JSON");
    lines.iter().map(event).collect()
}

#[test]
fn why_is_told_of_what_did_not_come_too() {
    let place = tempfile::tempdir().expect("a directory");
    let mut dying = holder_of_big(place.path(), "a", 2_000_000, &["--up-limit", "1MB"]);
    let out = place.path().join("out");
    let mut getter = get(&out, &[&dying], &["--why"]).spawn();
    eventually("some pieces", || (pieces_kept(&out) > 4).then_some(()));
    dying.kill();
    let events = events_of(&getter);
    assert_eq!(getter.end().code(), Some(3));
    let told = events.last().expect("an event");
    assert_eq!(
        (&told["event"], &told["name"]),
        (&"why".into(), &"big".into()),
        "{told}"
    );
    let account = &told["why"]["holders"][0];
    assert!(
        account["bytes"].as_u64().is_some_and(|bytes| bytes > 4 * 65_536),
        "{told}"
    );
    let failures = account["failures"].as_array().map_or(0, Vec::len);
    assert!(failures > 0, "{told}");
    assert_eq!(told["why"]["verdict"], "nobody_has_the_rest", "{told}");
}

#[test]
fn parts_take_as_long_as_the_slowest_and_the_swarm_does_not() {
    let place = tempfile::tempdir().expect("a directory");
    let fast = holder_of_big(place.path(), "a", 3_000_000, &["--up-limit", "4MB"]);
    let slow = holder_of_big(place.path(), "b", 3_000_000, &["--up-limit", "500KB"]);
    let content = original(place.path());
    let fetch = |strategy: &str| {
        let out = place.path().join(strategy);
        let got = get(&out, &[&fast, &slow], &["--strategy", strategy]).run();
        assert_eq!(got.code, 0, "{}", got.stderr);
        assert!(std::fs::read(out.join("big")).expect("read") == content);
        done(&got.json()).clone()
    };
    let parts = fetch("parts");
    let border = piece_span(3_000_000, PieceIndex(piece_count(3_000_000) / 2)).start;
    assert_eq!(
        (gave(&parts, &fast), gave(&parts, &slow)),
        (border, 3_000_000 - border),
        "half each, whoever is slow"
    );
    // The slow holder's limit needs three seconds for its half, and nothing can hurry it.
    let secs = |done: &Value| done["secs"].as_f64().expect("seconds");
    assert!(secs(&parts) > 2.7, "{parts}");
    let swarm = fetch("swarm");
    assert!(gave(&swarm, &slow) < 1_000_000, "{swarm}");
    assert!(secs(&swarm) < secs(&parts), "{swarm} {parts}");
}

#[test]
fn the_next_holder_sends_the_rest_of_a_failed_part() {
    let place = tempfile::tempdir().expect("a directory");
    let mut dying = holder_of_big(place.path(), "a", 3_000_000, &["--up-limit", "500KB"]);
    let next = holder_of_big(place.path(), "b", 3_000_000, &["--up-limit", "2MB"]);
    let content = original(place.path());
    let out = place.path().join("out");
    let mut getter = get(&out, &[&dying, &next], &["--strategy", "parts"]).spawn();
    eventually("some pieces", || (pieces_kept(&out) > 4).then_some(()));
    dying.kill();
    let events = events_of(&getter);
    assert!(getter.end().success());
    let done = done(&events);
    assert!(gave(done, &dying) > 0 && gave(done, &next) > 1_500_000, "{done}");
    assert!(std::fs::read(out.join("big")).expect("read") == content);
}

#[test]
fn parts_are_resumed_by_either_rule() {
    let place = tempfile::tempdir().expect("a directory");
    // Whole pieces only, so that those kept tell the bytes kept.
    let bytes = 32 * 65_536;
    let holder = holder_of_big(place.path(), "a", bytes, &["--up-limit", "1MB"]);
    let content = original(place.path());
    let out = place.path().join("out");
    let mut getter = get(&out, &[&holder], &["--strategy", "parts"]).spawn();
    eventually("some pieces", || (pieces_kept(&out) > 6).then_some(()));
    getter.kill();
    let kept = pieces_kept_are_right(&out, &content) * 65_536;
    let mut holder = holder;
    let mut getter = get(&out, &[&holder], &["--strategy", "swarm"]).spawn();
    eventually("more pieces", || {
        (pieces_kept(&out) * 65_536 > kept + 200_000).then_some(())
    });
    getter.kill();
    let kept = pieces_kept_are_right(&out, &content) * 65_536;
    let got = get(&out, &[&holder], &["--strategy", "parts"]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert_eq!(
        gave(done(&got.json()), &holder),
        bytes as u64 - kept,
        "only what was missing"
    );
    assert!(std::fs::read(out.join("big")).expect("read") == content);
    holder.kill();
}

#[test]
fn small_contents_come_by_either_rule() {
    let place = tempfile::tempdir().expect("a directory");
    let holders: Vec<Running> = ["a", "b", "c", "d", "e", "f", "g"]
        .iter()
        .map(|name| holder_of_big(place.path(), name, 61, &[]))
        .collect();
    let out = place.path().join("out");
    let got = get(
        &out,
        &holders.iter().collect::<Vec<_>>(),
        &["--strategy", "parts"],
    )
    .run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == original(place.path()));
    let wrong = get(&out, &[&holders[0]], &["--strategy", "tree"]).run();
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(wrong.stderr.contains("swarm or parts"), "{}", wrong.stderr);
}
