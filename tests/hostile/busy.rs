//! A peer that serves as many as it may says so, and whoever is told goes elsewhere.

use super::process::{Words, eventually, peer, rs, run, serve, until_listed, write_random};
use super::raw::{Raw, frame};
use p2pdi::id::RequestNumber;
use p2pdi::wire::{IndexQuery, Message, Refusal, features, hello};

fn index_query() -> Vec<u8> {
    frame(
        &IndexQuery {
            request: RequestNumber(1),
            after: None,
        }
        .into(),
    )
}

/// A connection that the peer serves, proven by an answer.
fn served(address: &str) -> Option<Raw> {
    let mut raw = Raw::connect(address);
    raw.send(&[frame(&hello(features::HOLDER)), index_query()].concat())
        .ok()?;
    raw.receive()?;
    matches!(raw.receive(), Some(Message::Index(_))).then_some(raw)
}

#[test]
fn a_peer_at_its_cap_says_so_and_get_goes_to_the_next_holder() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let document = write_random(&at("a/doc.bin"), 90_000, 1);
    write_random(&at("b/doc.bin"), 90_000, 1);
    let server = rs(&[]);
    let full = peer(&server, "full", &at("a"), &at("state-a"), &["--max-conns", "1"]);
    until_listed(&server, 1);
    let free = peer(&server, "free", &at("b"), &at("state-b"), &[]);
    eventually("both to be holders", || {
        let found = run(&["search", "doc.bin", "--rs", &server.address, "--json"]).json();
        (found.first()?["holders"].as_array()?.len() == 2).then_some(())
    });
    let _place_taken = eventually("the one place", || served(&full.address));

    let mut refused = Raw::greeted(&full.address);
    let Some(Message::Error(error)) = refused.receive() else {
        panic!("no refusal");
    };
    assert_eq!(error.code, Refusal::Busy);
    assert_eq!(error.code.code(), 503);
    assert!(
        error.text.as_str().contains("full serves 1 connections"),
        "names the cap: {}",
        error.text.as_str()
    );
    let index = run(&["index", "--peer", &full.address]);
    assert_eq!(index.code, 4, "{}", index.stderr);
    assert!(
        index.stderr.contains("503") && index.stderr.contains("1 connections"),
        "{}",
        index.stderr
    );

    for round in 0..4 {
        let out = at(&format!("out-{round}"));
        let out_text = out.to_str().expect("UTF-8");
        let got = Words::get("doc.bin", out_text).rs(&server).run();
        assert_eq!(got.code, 0, "{}", got.stderr);
        assert!(std::fs::read(out.join("doc.bin")).expect("read") == document);
        let events = got.json();
        let done = events.last().expect("the last event");
        let from: Vec<String> = done["holders"]
            .as_array()
            .expect("holders")
            .iter()
            .filter(|holder| holder["bytes"] != 0)
            .map(|holder| format!("{}:{}", holder["host"].as_str().expect("a host"), holder["port"]))
            .collect();
        assert_eq!(from, core::slice::from_ref(&free.address));
    }
    let out = at("out-alone");
    let alone = Words::get("doc.bin", &out).from([&*full.address]).run();
    assert_eq!(alone.code, 1, "nobody could be asked: {}", alone.stderr);
    assert!(alone.stderr.contains("503"), "{}", alone.stderr);
}

#[test]
fn refused_clients_take_no_place_and_cannot_stay() {
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 9_000, 1);
    let (dir, state) = (place.path().join("a"), place.path().join("state"));
    let holder = serve(&[
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--max-conns",
        "1",
        "--dir",
        dir.to_str().expect("UTF-8"),
        "--state",
        state.to_str().expect("UTF-8"),
    ]);
    let first = eventually("the one place", || served(&holder.address));
    // As many as are told BUSY at a time, and none of them goes: each says something now and then.
    let mut lingering: Vec<Raw> = (0..16).map(|_| Raw::greeted(&holder.address)).collect();
    drop(first);
    let next = eventually("the place that is free again", || {
        for raw in &mut lingering {
            let _ = raw.send(&index_query());
        }
        served(&holder.address)
    });
    drop(next);
    eventually("the refused to be closed, whatever they say", || {
        for raw in &mut lingering {
            let _ = raw.send(&index_query());
        }
        lingering.iter_mut().all(Raw::is_closed).then_some(())
    });
}
