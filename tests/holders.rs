//! The PDU application and P2P-CI, with real processes: names, policies, registration by itself, and what
//! ADD, LOOKUP, LIST and GET tell of a content.
#![allow(clippy::disallowed_types, reason = "whole tests use files")]

mod process;

use process::{Running, Words, eventually, menu_peer, peer, rs, run, until_listed, write_random};
use serde_json::Value;
use std::path::Path;

fn found(rs: &Running, what: &str) -> Vec<Value> {
    let asked = run(&["search", what, "--rs", &rs.address, "--json"]);
    if asked.code == 3 { Vec::new() } else { asked.json() }
}

fn first_holder(rs: &Running, what: &str) -> String {
    found(rs, what)[0]["holders"][0]["name"]
        .as_str()
        .expect("a holder")
        .to_owned()
}

fn until_holders(rs: &Running, what: &str, count: usize) {
    eventually("holders", || {
        let found = found(rs, what);
        let total = found
            .first()
            .and_then(|content| content["holders"].as_array().map(Vec::len))
            .unwrap_or(0);
        (total == count).then_some(())
    });
}

#[test]
fn the_same_peer_name_may_not_register_the_same_content_name() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    write_random(&at("one/song"), 1_000, 1);
    write_random(&at("two/song"), 2_000, 2);
    write_random(&at("three/other"), 3_000, 3);
    let server = rs(&[]);
    let mut first = menu_peer(&server, "bob", &at("one"), &at("s1"), &[]);
    assert_eq!(first.choose(&["1"])["event"], "registered");
    let mut second = menu_peer(&server, "bob", &at("two"), &at("s2"), &[]);
    let refused = second.choose(&["1"]);
    assert_eq!(
        (&refused["event"], &refused["exit"]),
        (&"failed".into(), &4.into()),
        "{refused}"
    );
    assert!(
        refused["error"]
            .as_str()
            .is_some_and(|text| text.contains("choose another peer name")),
        "{refused}"
    );
    assert_eq!(found(&server, "song")[0]["bytes"], 1_000, "the first one stays");
    // Another content under the same peer name is no conflict, nor is the same content under another name.
    let mut third = menu_peer(&server, "bob", &at("three"), &at("s3"), &[]);
    assert_eq!(third.choose(&["1"])["event"], "registered");
    let mut fourth = menu_peer(&server, "eve", &at("two"), &at("s4"), &[]);
    assert_eq!(fourth.choose(&["1"])["event"], "registered");
}

fn three_holders(server: &Running, place: &Path) -> Vec<Running> {
    ["p", "q", "r"]
        .into_iter()
        .enumerate()
        .map(|(before, name)| {
            write_random(&place.join(name).join("song"), 5_000, 1);
            let running = peer(
                server,
                name,
                &place.join(name),
                &place.join(format!("state-{name}")),
                &[],
            );
            until_holders(server, "song", before + 1);
            running
        })
        .collect()
}

#[test]
fn the_policy_says_who_is_named_first() {
    for policy in ["most-recent", "rotate", "least-used"] {
        let place = tempfile::tempdir().expect("a directory");
        let server = rs(&["--policy", policy]);
        let _holders = three_holders(&server, place.path());
        let named: Vec<String> = (0..12).map(|_| first_holder(&server, "song")).collect();
        let times = |name: &str| named.iter().filter(|named| *named == name).count();
        let counts = ["p", "q", "r"].map(times);
        match policy {
            "most-recent" => assert_eq!(counts, [0, 0, 12]),
            // The searches while they registered count too, and put one of them ahead by one at most.
            "least-used" => assert!(counts.iter().all(|count| (3..=5).contains(count)), "{named:?}"),
            _ => assert_eq!(counts, [4, 4, 4], "{named:?}"),
        }
    }
}

#[test]
fn changes_in_a_shared_directory_are_registered_by_themselves() {
    let place = tempfile::tempdir().expect("a directory");
    let shared = place.path().join("shared");
    write_random(&shared.join("old"), 1_000, 1);
    let server = rs(&[]);
    let mut holder = peer(&server, "holder", &shared, &place.path().join("state"), &[]);
    until_listed(&server, 1);
    let within_5_s = |what: &str, names: &[&str]| {
        let begun = std::time::Instant::now();
        eventually(what, || {
            let listed = run(&["list", "--rs", &server.address, "--json"]).json();
            let now: Vec<&str> = listed
                .iter()
                .filter_map(|content| content["name"].as_str())
                .collect();
            (now == names).then_some(())
        });
        assert!(begun.elapsed().as_secs() < 5, "{what} took {:?}", begun.elapsed());
    };
    write_random(&shared.join("deep/new"), 2_000, 2);
    within_5_s("the new file", &["deep/new", "old"]);
    std::fs::remove_file(shared.join("old")).expect("removed");
    within_5_s("the deletion", &["deep/new"]);
    let before = found(&server, "deep/new")[0]["id"].clone();
    write_random(&shared.join("deep/new"), 2_000, 3);
    let begun = std::time::Instant::now();
    eventually("the change", || {
        let ids: Vec<Value> = found(&server, "deep/new")
            .iter()
            .map(|content| content["id"].clone())
            .collect();
        (ids.len() == 1 && ids[0] != before).then_some(())
    });
    assert!(
        begun.elapsed().as_secs() < 5,
        "the change took {:?}",
        begun.elapsed()
    );
    assert!(holder.stop().success());
    assert_eq!(
        run(&["list", "--rs", &server.address, "--json"]).stdout,
        "[]\n",
        "a peer that goes takes its records"
    );
}

#[test]
fn register_search_list_and_get_tell_date_size_and_type() {
    let place = tempfile::tempdir().expect("a directory");
    let text = "\nNetwork Working Group   J. Postel\nRequest for Comments: 768   ISI\n\n      User Datagram Protocol\n\nText\n";
    let shared = place.path().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    std::fs::write(shared.join("rfc768.txt"), text).expect("written");
    std::fs::write(shared.join("notes.pdf"), "no RFC").expect("written");
    let server = rs(&[]);
    let holder = peer(&server, "holder", &shared, &place.path().join("state"), &[]);
    let listed = until_listed(&server, 2);
    let document = listed
        .iter()
        .find(|content| content["name"] == "rfc768.txt")
        .expect("listed");
    assert_eq!(
        (&document["number"], &document["title"]),
        (&768.into(), &"User Datagram Protocol".into())
    );
    assert_eq!(
        (&document["bytes"], &document["type"]),
        (&text.len().into(), &"text/plain".into())
    );
    assert!(
        document["modified"]
            .as_str()
            .is_some_and(|date| date.ends_with('Z'))
    );
    let other = listed
        .iter()
        .find(|content| content["name"] == "notes.pdf")
        .expect("listed");
    assert_eq!(
        (&other["number"], &other["type"]),
        (&Value::Null, &"application/pdf".into())
    );
    assert_eq!(
        found(&server, "768"),
        found(&server, "rfc768.txt"),
        "LOOKUP by number and by name"
    );
    assert_eq!(
        found(&server, document["id"].as_str().expect("an id")).len(),
        1,
        "and by id"
    );

    // GET from a chosen peer; afterwards the downloader is a holder without being asked.
    let out = place.path().join("out");
    let (out_text, state) = (out.to_str().expect("UTF-8"), place.path().join("getter"));
    let getter = Words::get("rfc768.txt", out_text)
        .rs(&server)
        .and(&[
            "--linger",
            "forever",
            "--listen",
            "127.0.0.1:0",
            "--name",
            "getter",
            "--state",
            state.to_str().expect("UTF-8"),
        ])
        .spawn();
    let begin: Value = serde_json::from_str(&getter.line()).expect("JSON");
    assert_eq!(begin["event"], "begin", "{begin}");
    let done: Value = serde_json::from_str(&getter.line()).expect("JSON");
    assert_eq!(
        (&done["event"], &done["bytes"]),
        (&"done".into(), &text.len().into()),
        "{done}"
    );
    assert_eq!(
        std::fs::read_to_string(out.join("rfc768.txt")).expect("read"),
        text
    );
    until_holders(&server, "rfc768.txt", 2);
    drop(holder);
    // A third peer gets it from the one that downloaded it.
    let out = place.path().join("out2");
    let got = Words::get("768", &out).rs(&server).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let index = run(&["index", "--peer", &getter_address(&server), "--json"]).json();
    assert_eq!(index[0]["holders"][0]["name"], "getter");
    assert!(
        index[0]["holders"][0]["remaining_secs"]
            .as_u64()
            .is_some_and(|secs| secs > 7_000)
    );
}

fn getter_address(server: &Running) -> String {
    let peers = run(&["peers", "--rs", &server.address, "--json"]).json();
    let getter = peers
        .iter()
        .find(|peer| peer["name"] == "getter")
        .expect("active");
    format!("{}:{}", getter["host"].as_str().expect("a host"), getter["port"])
}
