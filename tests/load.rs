//! `p2pdi load` with a real RS: that it counts right, says what it did, and leaves nothing behind.
#![allow(
    clippy::disallowed_types,
    reason = "whole tests use files, clocks and sockets"
)]

mod process;

use p2pdi::limits::{
    LOAD_CONNECTIONS_MAX, LOAD_CONTENTS_MAX, LOAD_RATE_MAX, LOAD_SECS_MAX, LOAD_THREADS_MAX, LOAD_WINDOW_MAX,
};
use process::{active_peers, rs, run};
use serde_json::Value;

fn load(rs: &str, more: &[&str]) -> Value {
    let words = ["load", "--rs", rs, "--secs", "1", "--json"];
    let ended = run(&[&words[..], more].concat());
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.json().remove(0)
}

#[test]
fn every_kind_is_answered_over_both_transports_and_taken_back() {
    let server = rs(&[]);
    let mix = "join,keepalive,register,search,list,peers";
    for transport in ["tcp", "udp"] {
        let more = ["--transport", transport, "--mix", mix, "--threads", "2"];
        let more = [
            &more[..],
            &["--connections", "7", "--window", "3", "--contents", "50"],
        ]
        .concat();
        let report = load(&server.address, &more);
        assert_eq!(report["transport"], transport);
        assert_eq!(report["loop"], "closed");
        let kinds = report["kinds"].as_object().expect("kinds");
        assert_eq!(kinds.len(), 6, "{report}");
        let answers = |latencies: &Value| latencies["answers"].as_u64().expect("a count");
        let sum: u64 = kinds.values().map(answers).sum();
        assert_eq!(answers(&report["all"]), sum);
        assert!(sum > 100, "{report}");
        for loss in ["unanswered", "unsent", "closed"] {
            assert_eq!(report[loss], 0, "{report}");
        }
        let refused: Vec<&String> = report["refused"].as_object().expect("refusals").keys().collect();
        assert!(refused.is_empty(), "{report}");
    }
    assert!(active_peers(&server).is_empty(), "all have left");
}

#[test]
fn a_rate_is_kept_and_what_is_kept_stays() {
    let server = rs(&[]);
    let more = ["--rate", "200", "--connections", "4", "--keep", "--contents", "4"];
    let report = load(&server.address, &more);
    assert_eq!(report["loop"], "open");
    assert_eq!(report["all"]["answers"], 200, "{report}");
    assert_eq!(active_peers(&server).len(), 4);
    let listed = run(&["list", "--rs", &server.address, "--json"]).json();
    assert_eq!(listed.len(), 4);
    // A person is told the same.
    let told = run(&["load", "--rs", &server.address, "--secs", "1", "--rate", "50"]);
    assert!(
        told.stdout.starts_with("open loop: 50 requests a second"),
        "{}",
        told.stdout
    );
}

#[test]
fn numbers_of_a_load_are_bounded_and_the_bound_is_named() {
    for (flag, max) in [
        ("--threads", LOAD_THREADS_MAX),
        ("--connections", LOAD_CONNECTIONS_MAX),
        ("--window", LOAD_WINDOW_MAX),
        ("--secs", LOAD_SECS_MAX),
        ("--rate", LOAD_RATE_MAX),
        ("--contents", LOAD_CONTENTS_MAX),
    ] {
        let refused = run(&["load", "--rs", "127.0.0.1:1", flag, &(max + 1).to_string()]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let says = format!("from 1 to {max}");
        assert!(refused.stderr.contains(&says), "{}", refused.stderr);
    }
    let refused = run(&["load", "--rs", "127.0.0.1:1", "--mix", "serch"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("of join, keepalive"),
        "{}",
        refused.stderr
    );
    let nobody = run(&["load", "--rs", "127.0.0.1:1"]);
    assert_eq!(nobody.code, 1, "{}", nobody.stderr);
}
