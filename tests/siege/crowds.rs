//! Connections that say nothing, or a byte now and then.

use super::process::{eventually, rs};
use super::raw::{Raw, frame};
use super::{amount, fresh_join_us, load, status, total};
use p2pdi::net::connections_within;
use p2pdi::wire::{features, hello};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A join that does not wait for any deadline: generous in CI, what is promised in full.
fn at_once_us() -> u64 {
    amount(4_000_000, 1_000_000)
}

fn p99_us(server: &super::Running) -> u64 {
    let more = [
        "--rate",
        "2000",
        "--secs",
        amount("1", "5"),
        "--connections",
        "16",
    ];
    let report = load(server, &more);
    assert_eq!(
        (&report["unanswered"], &report["unsent"]),
        (&0.into(), &0.into()),
        "{report}"
    );
    report["all"]["p99_us"].as_u64().expect("a latency")
}

/// The middle one.
fn median(mut of: Vec<u64>) -> u64 {
    of.sort_unstable();
    of[of.len() / 2]
}

#[test]
fn the_silent_cost_the_others_little() {
    let count = amount(1_000, 10_000);
    assert_eq!(connections_within(count, 1, 0), count, "raise ulimit -n");
    let server = rs(&["--workers", "8"]);
    let open = || status(&server)["connections"].as_u64().expect("a count");
    let (mut alone, mut crowded) = (Vec::new(), Vec::new());
    // In turns, for what else the machine does changes from second to second.
    for _ in 0..amount(1, 5) {
        alone.push(p99_us(&server));
        // Greeted, for whoever is not is gone in seconds.
        let silent: Vec<Raw> = (0..count).map(|_| Raw::greeted(&server.address)).collect();
        crowded.push(p99_us(&server));
        assert!(open() >= count as u64, "{} of {count} are open", open());
        drop(silent);
        eventually("the end of the silent", || (open() < 10).then_some(()));
    }
    println!("p99 of a search: {alone:?} us alone, {crowded:?} us beside {count} silent connections");
    let (alone, crowded) = (median(alone), median(crowded));
    println!("medians: {alone} us and {crowded} us");
    assert!(crowded <= amount(400_000, alone * 2), "{crowded} us");
}

#[test]
fn who_drips_keeps_nobody_waiting() {
    let (count, secs) = amount((200, 3), (2_000, 30));
    assert_eq!(connections_within(count, 1, 0), count, "raise ulimit -n");
    let server = rs(&["--workers", "8"]);
    // Half of them drip their greeting, the others a long frame.
    let greeting = frame(&hello(features::HOLDER));
    let long = [&greeting[..], b"P", &131_072_u32.to_be_bytes()].concat();
    let mut drips: Vec<Raw> = (0..count).map(|_| Raw::connect(&server.address)).collect();
    let mut slowest = 0;
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_secs(secs) {
        for (number, raw) in drips.iter_mut().enumerate() {
            // Those that were dropped come again, as an attacker would.
            let byte = if number % 2 == 0 {
                greeting.get(sent).copied().unwrap_or(0)
            } else {
                0
            };
            let first = number % 2 == 1 && sent == 0;
            let done = if first { raw.send(&long) } else { raw.send(&[byte]) };
            if done.is_err() {
                *raw = Raw::connect(&server.address);
            }
        }
        sent += 1;
        slowest = slowest.max(fresh_join_us(&server));
        // A byte every five seconds each, and a look in between.
        let next = begun + Duration::from_secs(5) * u32::try_from(sent).expect("few");
        while Instant::now() < next && begun.elapsed() < Duration::from_secs(secs) {
            slowest = slowest.max(fresh_join_us(&server));
        }
    }
    let told = status(&server);
    println!(
        "the slowest fresh join beside {count} that drip: {slowest} us; {}",
        told["dropped"]
    );
    assert!(slowest <= at_once_us(), "{slowest} us");
    if secs > 20 {
        let dropped = total(&told, "dropped", "connection: no version in time")
            + total(&told, "dropped", "connection: a frame not whole in time");
        assert!(dropped >= count as u64, "{told}");
    }
}

#[test]
fn ten_thousand_sockets_join_at_once() {
    let count = amount(1_000, 10_000);
    assert_eq!(connections_within(count, 1, 0), count, "raise ulimit -n");
    let server = rs(&["--workers", "8"]);
    let number = count.to_string();
    let more = [
        "--mix",
        "join",
        "--connections",
        &number,
        "--rate",
        &number,
        "--secs",
        "1",
    ];
    let report = load(&server, &more);
    println!(
        "{count} joins from as many sockets in a second: {}",
        report["all"]
    );
    assert_eq!(report["all"]["answers"], count as u64, "{report}");
    assert_eq!(report["unanswered"], 0, "{report}");
    assert!(
        report["refused"]
            .as_object()
            .is_some_and(serde_json::Map::is_empty),
        "{report}"
    );
    let _ = TcpStream::connect(&server.address).expect("it still accepts");
}
