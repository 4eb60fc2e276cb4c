//! An RS without a file descriptor to spare.

use super::process::{Running, eventually, rs, run, serve_command};
use super::raw::{Raw, frame};
use super::{amount, fresh_join_us, status};
use p2pdi::id::{PeerNumber, RequestNumber};
use p2pdi::net::connections_within;
use p2pdi::wire::PQuery;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::process::Command;
use std::time::{Duration, Instant};

/// Of a core, what an RS may take while it is full.
const SHARE_MAX: f64 = 0.2;

/// The processor's time a process has taken.
fn cpu(id: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a living process");
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .map(|field| fields[*field].parse::<u64>().expect("ticks"))
        .sum();
    Duration::from_millis(ticks * 10)
}

fn question() -> Vec<u8> {
    let request = PQuery {
        request: RequestNumber(1),
        cookie: None,
        after: PeerNumber(0),
    };
    frame(&request.into())
}

/// The share of a core the RS takes while clients that were closed come again a second later, each.
fn share_while_full(server: &Running, clients: &mut [Raw], secs: u64) -> f64 {
    let before = cpu(server.id());
    let begun = Instant::now();
    let mut due = vec![Duration::ZERO; clients.len()];
    while begun.elapsed() < Duration::from_secs(secs) {
        for (raw, due) in clients.iter_mut().zip(&mut due) {
            if begun.elapsed() < *due {
                continue;
            }
            *due = begun.elapsed() + Duration::from_secs(1);
            if raw.is_closed() {
                *raw = Raw::connect(&server.address);
                let _ = raw.send(&question());
            }
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    (cpu(server.id()) - before).as_secs_f64() / begun.elapsed().as_secs_f64()
}

#[test]
fn a_full_rs_is_calm_and_then_normal() {
    let (limit, count, secs) = amount((128, 300, 2), (256, 1_000, 10));
    assert_eq!(connections_within(count, 1, 0), count, "raise ulimit -n");
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {limit} && exec \"$0\" rs --listen 127.0.0.1:0");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_p2pdi")]);
    let server = serve_command(command);
    let mut clients: Vec<Raw> = (0..count).map(|_| Raw::connect(&server.address)).collect();
    let share = share_while_full(&server, &mut clients, secs);
    println!(
        "{count} clients of an RS with {limit} descriptors: {:.1} % of a core",
        share * 100.0
    );
    assert!(share <= SHARE_MAX, "{share}");
    drop(clients);
    let begun = Instant::now();
    let joined = fresh_join_us(&server);
    println!("then a fresh join took {joined} us");
    assert!(joined < 1_000_000 && begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn an_rs_that_cannot_accept_makes_room_by_itself() {
    let server = rs(&[]);
    let mut idle: Vec<Raw> = (0..100).map(|_| Raw::greeted(&server.address)).collect();
    // From one moment to the next there are none left: the kernel holds what comes, the RS cannot take it.
    let pid = Pid::from_raw(i32::try_from(server.id()).expect("a pid"));
    let few = Rlimit {
        current: Some(80),
        maximum: Some(80),
    };
    prlimit(pid, Resource::Nofile, few).expect("limited");
    let before = cpu(server.id());
    let begun = Instant::now();
    assert_eq!(
        run(&["peers", "--rs", &server.address]).code,
        0,
        "served though it was full"
    );
    println!("served after {:?}", begun.elapsed());
    let waiting: Vec<Raw> = (0..200).map(|_| Raw::connect(&server.address)).collect();
    eventually("a moment to pass", || {
        (begun.elapsed() > Duration::from_secs(2)).then_some(())
    });
    let share = (cpu(server.id()) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("{:.1} % of a core with {} waiting", share * 100.0, waiting.len());
    assert!(share <= SHARE_MAX, "{share}");
    assert!(idle.iter_mut().any(Raw::is_closed), "who was idle made room");
    drop((idle, waiting));
    let told = status(&server);
    assert!(
        told["connections"].as_u64().is_some_and(|open| open < 80),
        "{told}"
    );
    let log = server.stderr();
    assert_eq!(
        log.matches("accepting a connection").count(),
        1,
        "one line a minute: {log}"
    );
}
