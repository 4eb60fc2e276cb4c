//! Sieges: an RS under crowds, floods and forgeries, and what the others notice of it.
//!
//! A little of each belongs to `make test`; with `P2PDI_ORDEAL` all of it runs, in the very same code. Each prints what
//! it has measured: see it with `-- --nocapture --test-threads 1`.
#![allow(
    clippy::disallowed_types,
    reason = "whole tests use files, clocks and sockets"
)]

#[path = "siege/crowds.rs"]
mod crowds;
#[path = "siege/descriptors.rs"]
mod descriptors;
#[path = "siege/forged.rs"]
mod forged;
#[path = "siege/memory.rs"]
mod memory;
mod process;
#[path = "hostile/raw.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod raw;
#[path = "siege/space.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod space;

use process::{Running, run};
use serde_json::Value;

/// How much of a siege: a little in CI, all of it with `P2PDI_ORDEAL`.
fn amount<T>(in_ci: T, in_full: T) -> T {
    if std::env::var_os("P2PDI_ORDEAL").is_some() {
        in_full
    } else {
        in_ci
    }
}

/// The RS's own account.
fn status(server: &Running) -> Value {
    let asked = run(&["status", "--rs", &server.address, "--json"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    asked.json().remove(0)
}

/// How often something was counted.
fn total(status: &Value, kind: &str, what: &str) -> u64 {
    status[kind][what]["total"].as_u64().unwrap_or(0)
}

/// A load, and what it measured.
fn load(server: &Running, more: &[&str]) -> Value {
    let words = ["load", "--rs", &server.address, "--json"];
    let loaded = run(&[&words[..], more].concat());
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
    loaded.json().remove(0)
}

/// A fresh peer joins and leaves: how long the join took, in microseconds.
fn fresh_join_us(server: &Running) -> u64 {
    let more = [
        "--mix",
        "join",
        "--connections",
        "1",
        "--secs",
        "1",
        "--rate",
        "1",
    ];
    let joined = load(server, &more);
    assert_eq!(joined["kinds"]["join"]["answers"], 1, "{joined}");
    joined["kinds"]["join"]["max_us"].as_u64().expect("a latency")
}
