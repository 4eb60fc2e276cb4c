//! `p2pdi status` and the signals of a daemon, with a real RS.
#![allow(
    clippy::disallowed_types,
    reason = "whole tests use files, clocks and sockets"
)]

mod process;

use process::{Running, eventually, rs, run};
use serde_json::Value;

fn status(server: &Running, transport: &str) -> Value {
    let words = [
        "status",
        "--rs",
        &server.address,
        "--json",
        "--transport",
        transport,
    ];
    let ended = run(&words);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    ended.json().remove(0)
}

fn load_for_a_second(server: &Running, more: &[&str]) {
    let words = ["load", "--rs", &server.address, "--secs", "1"];
    let loaded = run(&[&words[..], more].concat());
    assert_eq!(loaded.code, 0, "{}", loaded.stderr);
}

#[test]
fn an_rs_tells_what_it_served_and_refused() {
    let data = tempfile::tempdir().expect("a directory");
    let server = rs(&["--data", data.path().to_str().expect("UTF-8")]);
    let load = ["--rate", "40", "--connections", "3", "--contents", "6", "--keep"];
    load_for_a_second(&server, &load);
    let missing = run(&["search", "nobody-has-it", "--rs", &server.address]);
    assert_eq!(missing.code, 3);
    for transport in ["tcp", "udp"] {
        let told = status(&server, transport);
        assert_eq!(told["peers_active"], 3, "{told}");
        assert_eq!(told["contents"], 6, "{told}");
        assert_eq!(told["served"]["Join"]["total"], 3, "{told}");
        assert_eq!(told["served"]["Register"]["total"], 6, "{told}");
        assert_eq!(told["served"]["Search"]["total"], 41, "{told}");
        assert_eq!(told["served"]["Search"]["last_minute"], 41, "{told}");
        assert_eq!(told["refused"]["NotFound"]["total"], 1, "{told}");
        assert!(
            told["store_bytes"].as_u64().is_some_and(|bytes| bytes > 0),
            "{told}"
        );
        assert!(
            told["slowest_us"].as_u64().is_some_and(|micros| micros > 0),
            "{told}"
        );
    }
    // The first datagram had no token yet.
    let told = status(&server, "tcp");
    assert_eq!(
        told["dropped"]["datagram: no valid address token"]["total"], 1,
        "{told}"
    );
    let text = run(&["status", "--rs", &server.address]).stdout;
    assert!(text.contains("3 peers active of 3 known, 6 contents"), "{text}");
    assert!(text.contains("SERVED") && text.contains("NotFound"), "{text}");
}

#[test]
fn who_is_offline_is_named_also_after_a_restart() {
    let data = tempfile::tempdir().expect("a directory");
    let data = data.path().to_str().expect("UTF-8");
    let mut server = rs(&["--data", data]);
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| {
        let words = [
            "peer",
            "--rs",
            &server.address,
            "--name",
            name,
            "--listen",
            "127.0.0.1:0",
        ];
        let state = dir.path().join(name);
        process::serve(&[&words[..], &["--state", state.to_str().expect("UTF-8")]].concat())
    };
    let (mut gone, _here) = (at("gone"), at("here"));
    eventually("both to join", || {
        (process::active_peers(&server).len() == 2).then_some(())
    });
    assert!(gone.stop().success());
    let seen = |server: &Running| {
        for transport in ["tcp", "udp"] {
            let told = status(server, transport);
            assert_eq!(
                (&told["peers_known"], &told["peers_offline"]),
                (&2.into(), &1.into())
            );
            assert_eq!(told["offline"][0]["name"], "gone", "{told}");
            assert_eq!(told["offline"][0]["active"], false, "{told}");
            assert_eq!(told["offline"][0]["registrations_30d"], 1, "{told}");
            assert!(told["offline"][1].is_null(), "{told}");
        }
        let text = run(&["status", "--rs", &server.address]).stdout;
        assert!(text.contains("OFFLINE"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("gone ")), "{text}");
        assert!(!text.contains("here"), "{text}");
    };
    seen(&server);
    server.kill();
    seen(&rs(&["--data", data]));
}

#[test]
fn a_hangup_is_answered_in_the_log_and_a_term_ends_cleanly() {
    let mut server = rs(&[]);
    load_for_a_second(&server, &["--rate", "1", "--connections", "1"]);
    server.signal("-HUP");
    let mut log = String::new();
    eventually("its account in the log", || {
        log.push_str(&server.stderr());
        log.contains("0 peers active of 1 known").then_some(())
    });
    assert!(log.contains(" joined as 127.0.0.1:9 from 127.0.0.1"), "{log}");
    assert!(log.contains("a peer at 127.0.0.1 left"), "{log}");
    assert_eq!(run(&["peers", "--rs", &server.address]).code, 0, "it goes on");
    assert!(server.stop().success());
}
