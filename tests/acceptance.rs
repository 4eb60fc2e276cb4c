//! The acceptance scenario of P2P-DI, with real processes: over TCP, over UDP, and over a UDP that loses,
//! repeats and reorders.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

mod process;
mod proxy;

use process::{active_peers, menu_peer, rs, run, write_random};

/// A has nothing, B has two documents. Both register; a PQuery of A shows B; A downloads one from B; B leaves;
/// a PQuery of A says that nobody is active.
fn scenario(transport: &[&str], through: impl Fn(&str) -> String) {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let document = write_random(&at("b/rfc1.txt"), 21_088, 1);
    write_random(&at("b/rfc2.txt"), 70_001, 2);
    std::fs::create_dir(at("a")).expect("a directory");
    let mut server = rs(&[]);
    let direct = server.address.clone();
    server.address = through(&direct);
    let mut a = menu_peer(&server, "A", &at("a"), &at("state-a"), transport);
    let mut b = menu_peer(&server, "B", &at("b"), &at("state-b"), transport);

    assert_eq!(a.choose(&["1"])["event"], "registered");
    let nobody = a.choose(&["3"]);
    assert_eq!(nobody["peers"].as_array().map(Vec::len), Some(0), "{nobody}");
    let registered = b.choose(&["1"]);
    assert_eq!(
        (&registered["event"], &registered["contents"]),
        (&"registered".into(), &2.into())
    );
    let peers = a.choose(&["3"]);
    assert_eq!(peers["peers"].as_array().map(Vec::len), Some(1), "{peers}");
    assert_eq!(peers["peers"][0]["name"], "B");
    assert_eq!(
        peers["peers"][0]["registrations_30d"], 1,
        "registered once, however often the request arrived"
    );

    assert_eq!(a.choose(&["4"])["contents"], 2);
    let done = a.choose(&["8", "rfc1.txt", &b.address.clone()]);
    assert_eq!(
        (&done["event"], &done["bytes"]),
        (&"done".into(), &21_088.into()),
        "{done}"
    );
    assert_eq!(std::fs::read(at("a/rfc1.txt")).expect("downloaded"), document);

    server.address = direct;
    let holders = process::eventually("A to be a holder", || {
        let found = run(&["search", "rfc1.txt", "--rs", &server.address, "--json"]).json();
        found[0]["holders"]
            .as_array()
            .filter(|holders| holders.len() == 2)
            .cloned()
    });
    assert!(
        holders.iter().any(|holder| holder["name"] == "A"),
        "A registered what it downloaded: {holders:?}"
    );

    assert_eq!(b.choose(&["2"])["event"], "left");
    let nobody = a.choose(&["3"]);
    assert_eq!(nobody["peers"].as_array().map(Vec::len), Some(0), "{nobody}");
    assert_eq!(b.choose(&["1"])["event"], "registered");
    let again = a.choose(&["3"]);
    assert_eq!(
        again["peers"][0]["registrations_30d"], 2,
        "the cookie revived the same record"
    );
    for peer in [&mut a, &mut b] {
        assert_eq!(peer.choose(&["0"])["event"], "quit");
        assert!(peer.end().success());
    }
    assert_eq!(active_peers(&server), Vec::<String>::new());
    assert!(server.stop().success());
}

#[test]
fn over_tcp() {
    scenario(&[], str::to_owned);
}

#[test]
fn over_udp() {
    scenario(&["--transport", "udp"], str::to_owned);
}

#[test]
fn over_a_bad_udp() {
    let proxy = std::cell::RefCell::new(None);
    scenario(&["--transport", "udp"], |direct| {
        let bad = proxy::BadNetwork::before(direct, 7);
        let address = bad.address.clone();
        *proxy.borrow_mut() = Some(bad);
        address
    });
    let proxy = proxy.into_inner().expect("a proxy");
    let (dropped, repeated, swapped) = proxy.faults();
    assert!(
        dropped > 0 && repeated > 0 && swapped > 0,
        "{dropped} {repeated} {swapped}"
    );
}
