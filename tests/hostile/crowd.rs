//! Crowds of connections: silent ones, greedy ones, and more of them than there are descriptors.

use super::process::{Running, peer, rs, run, serve_command, until_listed, write_random};
use super::raw::{Raw, frame, resident_kib, threads};
use p2pdi::id::{PeerNumber, RequestNumber};
use p2pdi::limits::FRAME_BYTES_MAX;
use p2pdi::net::{PoolSettings, Stop, connections_within};
use p2pdi::proto::{Policy, RegistrationSettings};
use p2pdi::rs::{Rs, RsSettings};
use p2pdi::time::Span;
use p2pdi::wire::{Message, PQuery};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// A search among the crowd: generous for a busy machine, and far below a wait for anybody's deadline.
const AT_ONCE: Duration = Duration::from_secs(4);

/// Silent connections. Many systems give a process 1,024 descriptors until it asks for more.
fn silent(address: &str, count: usize) -> Vec<TcpStream> {
    connections_within(count, 1, 0);
    (0..count)
        .map(|_| TcpStream::connect(address).expect("connected"))
        .collect()
}

fn search_takes(server: &Running) -> Duration {
    let begun = Instant::now();
    let found = run(&["search", "doc.bin", "--rs", &server.address]);
    assert_eq!(found.code, 0, "{}", found.stderr);
    begun.elapsed()
}

fn pquery(request: u64) -> Vec<u8> {
    frame(
        &PQuery {
            request: RequestNumber(request),
            cookie: None,
            after: PeerNumber(0),
        }
        .into(),
    )
}

#[test]
fn a_thousand_silent_connections_cost_the_rs_little() {
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 9_000, 1);
    let server = rs(&["--workers", "8"]);
    let _holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 1);
    let (before, threads_before) = (resident_kib(server.id()), threads(server.id()));
    let silent = silent(&server.address, 1_000);
    let took = search_takes(&server);
    println!("a search among {} silent connections: {took:?}", silent.len());
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(threads(server.id()), threads_before);
    let after = resident_kib(server.id());
    println!("memory: {before} KiB before, {after} KiB with them");
    assert!(after <= before + 16 * 1024, "from {before} to {after} KiB");
}

/// Opens 500 connections, each announcing the longest frame and sending hardly any of it.
fn announce(address: &str, letter: u8, bytes: usize) -> Vec<Raw> {
    let length = u32::try_from(bytes).expect("a length").to_be_bytes();
    connections_within(500, 1, 0);
    (0..500)
        .map(|_| {
            let mut raw = Raw::greeted(address);
            raw.send(&[&[letter], &length[..], &[0; 40]].concat())
                .expect("sent");
            raw
        })
        .collect()
}

#[test]
fn announced_frames_cost_nothing_before_they_come() {
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 9_000, 1);
    let server = rs(&["--workers", "8"]);
    let more = ["--max-conns", "600"];
    let holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &more,
    );
    until_listed(&server, 1);
    for (victim, letter, bytes) in [
        (&server, b'P', FRAME_BYTES_MAX),
        (&holder, b'I', FRAME_BYTES_MAX),
        (&holder, b'C', 262_164),
    ] {
        let before = resident_kib(victim.id());
        let greedy = announce(&victim.address, letter, bytes);
        assert!(search_takes(&server) < AT_ONCE);
        let after = resident_kib(victim.id());
        println!(
            "{} announced: {before} KiB before, {after} KiB with them",
            greedy.len()
        );
        assert!(after <= before + 64 * 1024, "from {before} to {after} KiB");
    }
}

/// A command that may open so many files, hard limit and all.
fn with_descriptors(max: u32, args: &[&str]) -> Running {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("ulimit -n {max} && exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_p2pdi"),
        ])
        .args(args);
    serve_command(command)
}

#[test]
fn an_rs_out_of_descriptors_lets_the_idle_go() {
    let server = with_descriptors(128, &["rs", "--listen", "127.0.0.1:0"]);
    let silent = silent(&server.address, 400);
    let begun = Instant::now();
    let asked = run(&["peers", "--rs", &server.address]);
    assert_eq!(
        asked.code,
        0,
        "{} silent connections keep everybody out: {}",
        silent.len(),
        asked.stderr
    );
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

#[test]
fn a_soft_limit_of_descriptors_is_no_limit() {
    let mut command = Command::new("sh");
    let script = "ulimit -S -n 256 && exec \"$0\" rs --listen 127.0.0.1:0";
    command.args(["-c", script, env!("CARGO_BIN_EXE_p2pdi")]);
    let server = serve_command(command);
    connections_within(600, 1, 0);
    let mut kept: Vec<Raw> = (0..600).map(|_| Raw::greeted(&server.address)).collect();
    for raw in &mut kept {
        raw.send(&pquery(1)).expect("sent");
        assert!(
            matches!(raw.receive(), Some(Message::Peers(_))),
            "every one of them is still served"
        );
    }
}

#[test]
fn a_peer_out_of_descriptors_says_busy() {
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 9_000, 1);
    let (dir, state) = (place.path().join("a"), place.path().join("state"));
    let (dir, state) = (dir.to_str().expect("UTF-8"), state.to_str().expect("UTF-8"));
    let args = ["peer", "--listen", "127.0.0.1:0", "--dir", dir, "--state", state];
    let holder = with_descriptors(64, &args);
    let _silent = silent(&holder.address, 12);
    let asked = run(&["index", "--peer", &holder.address]);
    assert_eq!(asked.code, 4, "refused, with the reason: {}", asked.stderr);
    assert!(asked.stderr.contains("503"), "{}", asked.stderr);
}

#[test]
fn at_the_cap_the_longest_idle_goes() {
    let stop = Stop::new();
    let settings = RsSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        pool: PoolSettings {
            connections_max: 4,
            ..PoolSettings::of_workers(1)
        },
        registration: RegistrationSettings {
            lease: Span::from_secs(60),
            policy: Policy::LeastUsed,
        },
        data: None,
    };
    let rs = Rs::start(settings, &stop).expect("an RS");
    let address = rs.address().to_string();
    let mut open: Vec<Raw> = (0..4).map(|_| Raw::greeted(&address)).collect();
    let ask = |raw: &mut Raw| {
        raw.send(&pquery(1)).expect("sent");
        matches!(raw.receive(), Some(Message::Peers(_)))
    };
    // The first asks once more: now the second is the longest idle.
    assert!(ask(&mut open[0]));
    let mut fifth = Raw::greeted(&address);
    assert!(ask(&mut fifth));
    assert!(open[1].rest().is_empty(), "closed");
    for kept in [0, 2, 3] {
        assert!(ask(&mut open[kept]), "{kept} is still served");
    }
    // With nobody idle, the next is told.
    let length = 100_u32.to_be_bytes();
    // A request and the start of the next in one go: with the answer it is sure that both were read.
    let begin = [&pquery(2)[..], b"P", &length[..], &[0]].concat();
    for busy in [0, 2, 3] {
        open[busy].send(&begin).expect("sent");
        assert!(matches!(open[busy].receive(), Some(Message::Peers(_))));
    }
    fifth.send(&begin).expect("sent");
    assert!(matches!(fifth.receive(), Some(Message::Peers(_))));
    let told = super::process::eventually("to be told", || {
        let mut sixth = Raw::connect(&address);
        sixth.end();
        sixth.rest().into_iter().next()
    });
    let Message::Error(error) = told else {
        panic!("{told:?}")
    };
    assert_eq!(error.code.code(), 503);
    assert!(
        error.text.as_str().contains("try again later"),
        "{}",
        error.text.as_str()
    );
    drop(open);
    stop.trigger();
    rs.join().expect("nothing to write");
}
