//! Holders that lie, among honest ones: they are named, and nobody else is.

use super::amount;
use super::liar::{Liar, Lie};
use super::process::{Running, Words, holder_of_big};
use p2pdi::rng::Rng;
use std::collections::BTreeSet;

fn port_of(address: &str) -> u64 {
    let port = address.rsplit(':').next().and_then(|port| port.parse().ok());
    port.expect("a port")
}

#[test]
fn exactly_the_liars_are_named() {
    let rounds = amount(10, 100);
    let place = tempfile::tempdir().expect("a directory");
    let bytes = 1_000_000;
    let honest: Vec<Running> = ["a", "b"]
        .iter()
        .map(|name| holder_of_big(place.path(), name, bytes, &["--up-limit", "1500KB"]))
        .collect();
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let mut rng = Rng::from_seed(2);
    for round in 0..rounds {
        let lies = [Lie::WrongBytes, Lie::WrongSize, Lie::WrongOffset, Lie::Nothing];
        let liars = lies.map(|lie| Liar::start(&content, lie));
        let liars_at = liars.iter().map(|liar| liar.address.as_str());
        let honest_at = honest.iter().map(|holder| holder.address.as_str());
        let mut addresses: Vec<&str> = liars_at.clone().chain(honest_at).collect();
        // Whoever comes first is asked for the manifest: everybody's turn comes.
        for place in (1..addresses.len()).rev() {
            let other = usize::try_from(rng.below(place as u64 + 1)).expect("small");
            addresses.swap(place, other);
        }
        let out = place.path().join(format!("out{round}"));
        let got = Words::get("big", &out).from(addresses).run();
        assert_eq!(got.code, 0, "round {round}: {}", got.stderr);
        assert!(
            std::fs::read(out.join("big")).expect("read") == content,
            "round {round}"
        );
        let done = got.json().pop().expect("an event");
        let accounts = done["holders"].as_array().expect("holders");
        let failed = accounts.iter().filter(|account| {
            let failures = account["failures"].as_array();
            failures.is_some_and(|failures| !failures.is_empty())
        });
        let blamed: BTreeSet<u64> = failed.filter_map(|account| account["port"].as_u64()).collect();
        let lied: BTreeSet<u64> = liars_at.map(port_of).collect();
        assert_eq!(blamed, lied, "round {round}: {done}");
    }
    println!("{rounds} of {rounds} downloads right, with four liars of six holders named in each");
}
