//! The ring with real processes: the report's numbers, files that outlive who put them, and a ring beside an RS.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

#[path = "chord/deaths.rs"]
mod deaths;
#[path = "chord/halves.rs"]
mod halves;
#[path = "chord/hostile.rs"]
mod hostile;
#[path = "hostile/liar.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod liar;
#[path = "chord/live.rs"]
mod live;
#[path = "chord/placed.rs"]
mod placed;
mod process;
#[path = "hostile/raw.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod raw;
#[path = "siege/space.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod space;

use process::{Running, Words, eventually, rs, run, text, write_random};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::Path;

/// Addresses whose ids the report gives: 797, 724 and 993.
const PORTS: [u16; 3] = [5_000, 5_500, 6_000];

fn node(place: &Path, listen: &str, mode: &str, more: &[&str]) -> Running {
    let state = place.join(format!("state-{}", listen.replace(':', "-")));
    let words = [
        "peer",
        "--mode",
        mode,
        "--listen",
        listen,
        "--state",
        text(&state),
    ];
    process::serve(&[&words[..], more].concat())
}

/// A node of the report's ring.
fn report_node(place: &Path, port: u16, mode: &str, more: &[&str]) -> Running {
    let small = ["--id-bits", "10", "--hash", "sha1"];
    node(
        place,
        &format!("127.0.0.1:{port}"),
        mode,
        &[&small[..], more].concat(),
    )
}

fn ask(words: &[&str], at: &Running) -> Vec<Value> {
    let ended = run(&[&["ring"], words, &["--node", &at.address, "--json"]].concat());
    if ended.code == 0 { ended.json() } else { Vec::new() }
}

/// The ids of a node's successors, when there are so many.
fn until_successors(at: &Running, ids: &[u64]) {
    eventually("the ring to come together", || {
        let told = ask(&["neighbours"], at);
        let successors = told.first()?["successors"].as_array()?.clone();
        let found: Vec<u64> = successors.iter().filter_map(|node| node["id"].as_u64()).collect();
        (found == ids).then_some(())
    });
}

/// Where a node's fingers begin and to whom they lead.
fn fingers(at: &Running) -> Vec<(u64, u64)> {
    let lines = ask(&["fingers"], at);
    let finger = |line: &Value| Some((line["start"].as_u64()?, line["successor"]["id"].as_u64()?));
    assert!(lines.iter().all(|line| line["id"] == 724), "{lines:?}");
    lines.iter().filter_map(finger).collect()
}

fn get(place: &Path, what: &str, at: &Running) -> (i32, Option<Vec<u8>>) {
    let out = place.join("out");
    let _ = std::fs::remove_dir_all(&out);
    let ended = Words::get(what, &out).and(&["--ring", &at.address]).run();
    (ended.code, std::fs::read(out.join(what)).ok())
}

/// The name under which a ring's file lies in the state of a node that keeps it.
fn kept(place: &Path, port: u16, what: &str) -> bool {
    let directory = place.join(format!("state-127.0.0.1-{port}/ring"));
    let mut below = directory.read_dir().into_iter().flatten().filter_map(Result::ok);
    below.any(|content| content.path().join(what).is_file())
}

fn report(mode: &str) {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let mut first = report_node(place, 5_000, mode, &[]);
    let contact = ["--ring", "127.0.0.1:5000"];
    let second = report_node(place, 5_500, mode, &contact);
    until_successors(&second, &[797]);
    let starts = [725, 726, 728, 732, 740, 756, 788, 852, 980, 212];
    let to = |ids: [u64; 10]| -> Vec<(u64, u64)> { starts.into_iter().zip(ids).collect() };
    assert_eq!(
        fingers(&second),
        to([797, 797, 797, 797, 797, 797, 797, 724, 724, 724]),
        "the report's table"
    );
    let own = write_random(&place.join("shared/own"), 3_000, 7);
    let shared = place.join("shared");
    let shares = [&contact[..], &["--dir", text(&shared)]].concat();
    let mut third = report_node(place, 6_000, mode, &shares);
    until_successors(&second, &[797, 993]);
    until_successors(&first, &[993, 724]);
    until_successors(&third, &[724, 797]);
    assert_eq!(
        fingers(&second),
        to([797, 797, 797, 797, 797, 797, 797, 993, 993, 724]),
        "the third changes it"
    );
    // Without fingers one walks: from 993 by 724 to 797.
    let found = ask(&["lookup", "in"], &third);
    assert_eq!(
        (&found[0]["key"], &found[0]["owner"]["id"]),
        (&json!(751), &json!(797))
    );
    let hops = if mode == "naive" { 2 } else { 1 };
    assert_eq!(found[0]["hops"], hops, "{found:?}");
    // What a node shares is found by the ring.
    eventually("the share to be published", || {
        (get(place, "own", &second) == (0, Some(own.clone()))).then_some(())
    });
    // Put by one, got by another; with its owner and its replica.
    let content = write_random(&place.join("in"), 300_000, 5);
    let put = ask(&["put", text(&place.join("in"))], &second);
    let keepers: Vec<&Value> = put[0]["keepers"]
        .as_array()
        .expect("keepers")
        .iter()
        .map(|k| &k["id"])
        .collect();
    assert_eq!(keepers[..2], [&json!(797), &json!(993)], "{put:?}");
    assert!(kept(place, 5_000, "in") && kept(place, 6_000, "in"));
    assert_eq!(get(place, "in", &third), (0, Some(content.clone())));
    // It survives 797, which leaves or dies.
    if mode == "chord" {
        assert!(first.stop().success());
    } else {
        first.kill();
    }
    until_successors(&second, &[993]);
    assert_eq!(get(place, "in", &second), (0, Some(content.clone())));
    assert_eq!(ask(&["lookup", "in"], &second)[0]["owner"]["id"], 993);
    // A node takes back what it shares when it leaves.
    assert!(third.stop().success());
    assert_eq!(get(place, "in", &second), (0, Some(content)));
    eventually("the share to be withdrawn", || {
        (get(place, "own", &second).0 == 3).then_some(())
    });
}

#[test]
fn three_nodes_do_what_the_report_says() {
    for port in PORTS {
        if let Err(error) = TcpListener::bind(("127.0.0.1", port)) {
            println!("skipped: the report's ids need port {port}: {error}");
            return;
        }
    }
    report("chord");
    report("naive");
}

#[test]
fn a_node_of_another_ring_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let first = node(place.path(), "127.0.0.1:0", "chord", &["--id-bits", "10"]);
    eventually("the ring to begin", || ask(&["neighbours"], &first).pop());
    let other = place.path().join("other");
    let words = [
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--state",
        text(&other),
        "--ring",
        &first.address,
    ];
    let ended = run(&[&words[..], &["--hash", "blake3"]].concat());
    assert_eq!(ended.code, 4, "{}", ended.stderr);
    assert!(ended.stderr.contains("10 bits of SHA-1"), "{}", ended.stderr);
}

#[test]
fn gets_go_on_by_the_ring_when_the_rs_dies() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let content = write_random(&place.join("shared/song"), 200_000, 1);
    let mut server = rs(&[]);
    let shared = place.join("shared");
    let both = ["--rs", &server.address, "--dir", text(&shared)];
    let holder = node(place, "127.0.0.1:0", "chord", &both);
    process::until_listed(&server, 1);
    eventually("the share to be published", || {
        (get(place, "song", &holder).0 == 0).then_some(())
    });
    server.kill();
    let out = place.join("by-ring");
    let words = Words::get("song", &out)
        .rs(&server)
        .and(&["--ring", &holder.address]);
    let ended = words.run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_eq!(std::fs::read(out.join("song")).expect("fetched"), content);
}

#[test]
fn the_menu_speaks_of_the_ring() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let first = node(place, "127.0.0.1:0", "chord", &["--id-bits", "12"]);
    let menu = ["--menu", "--json", "--id-bits", "12", "--ring", &first.address];
    let shared = place.join("shared");
    let content = write_random(&place.join("put/song"), 1_000, 3);
    std::fs::create_dir(&shared).expect("a directory");
    let state = place.join("state-menu");
    let words = [
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        text(&shared),
        "--state",
        text(&state),
    ];
    let mut peer = process::serve(&[&words[..], &menu].concat());
    assert_eq!(peer.choose(&["15"])["event"], "failed");
    assert_eq!(peer.choose(&["11"])["event"], "joined");
    assert_eq!(peer.choose(&["15"])["fingers"].as_array().map(Vec::len), Some(12));
    assert_eq!(
        peer.choose(&["16"])["successors"].as_array().map(Vec::len),
        Some(1)
    );
    let put = peer.choose(&["13", text(&place.join("put/song"))]);
    assert_eq!(put["keepers"].as_array().map(Vec::len), Some(2), "{put}");
    assert_eq!(get(place, "song", &first), (0, Some(content.clone())));
    let done = peer.choose(&["14", "song"]);
    assert_eq!(
        (&done["event"], &done["name"]),
        (&json!("done"), &json!("song")),
        "{done}"
    );
    assert_eq!(std::fs::read(shared.join("song")).expect("downloaded"), content);
    assert_eq!(peer.choose(&["12"])["event"], "left");
    assert_eq!(
        get(place, "song", &first),
        (0, Some(content)),
        "the other keeps it"
    );
}

#[test]
fn a_getter_that_serves_is_a_holder_in_the_ring() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let content = write_random(&place.join("shared/song"), 200_000, 1);
    let shared = place.join("shared");
    let first = node(place, "127.0.0.1:0", "chord", &["--dir", text(&shared)]);
    eventually("the ring to begin", || ask(&["neighbours"], &first).pop());
    let stop = p2pdi::net::Stop::new();
    let asker = live::client(&first, &stop);
    let wanted = p2pdi::wire::Wanted::Name(p2pdi::name::ContentName::new("song").expect("a name"));
    let holders = || -> Vec<String> {
        let records = asker.records(&wanted).unwrap_or_default();
        let holders = records.iter().flat_map(p2pdi::locate::holders_of);
        holders.map(|holder| holder.to_string()).collect()
    };
    eventually("the share to be published", || {
        (holders() == [first.address.clone()]).then_some(())
    });
    let out = place.join("kept");
    let words =
        Words::get("song", &out).and(&["--ring", &first.address, "--state", text(&place.join("state"))]);
    let mut getter = words
        .clone()
        .and(&["--linger", "forever", "--listen", "127.0.0.1:0"])
        .spawn();
    let listening = getter.stderr_line();
    let address = listening
        .strip_prefix("listening on ")
        .expect("listening")
        .to_owned();
    eventually("the getter to be a holder", || {
        holders().contains(&address).then_some(())
    });
    std::fs::remove_file(shared.join("song")).expect("removed");
    eventually("the first to be none", || {
        (holders() == [address.clone()]).then_some(())
    });
    assert!(
        get(place, "song", &first) == (0, Some(content)),
        "got from the getter"
    );
    getter.signal("-TERM");
    getter.end();
    assert_eq!(holders(), Vec::<String>::new(), "it took its word back");
    stop.trigger();
    let all = run(&["get", "--all", "--ring", &first.address]);
    assert_eq!(all.code, 2);
    assert!(all.stderr.contains("no list of them"), "{}", all.stderr);
}

#[test]
fn a_node_answers_until_it_has_left() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let content = write_random(&place.join("shared/song"), 1_000, 1);
    let shared = place.join("shared");
    let mut leaver = node(place, "127.0.0.1:0", "chord", &["--dir", text(&shared)]);
    eventually("the ring to begin", || ask(&["neighbours"], &leaver).pop());
    let other = node(
        &place.join("other"),
        "127.0.0.1:0",
        "chord",
        &["--ring", &leaver.address],
    );
    eventually("the ring to come together", || {
        let (_, list) = live::neighbours(&leaver)?;
        (list.len() == 1).then_some(())
    });
    eventually("the share to be published", || {
        (get(place, "song", &other).0 == 0).then_some(())
    });
    // The other takes nothing over for now, so leaving takes until it counts as dead.
    other.signal("-STOP");
    leaver.signal("-TERM");
    let told = std::time::Instant::now();
    let out = place.join("late");
    while told.elapsed() < std::time::Duration::from_secs(1) {
        let got = Words::get("song", &out).from([leaver.address.as_str()]).run();
        assert_eq!(got.code, 0, "{}", got.stderr);
        assert_eq!(std::fs::read(out.join("song")).expect("fetched"), content);
        std::fs::remove_dir_all(&out).expect("removed");
    }
    other.signal("-CONT");
    assert!(leaver.end().success());
}
