//! Holders that become slow without falling silent.

use super::amount;
use super::process::{PATIENCE, Running, Words, holder_of_big, pieces_kept, rs, until_listed};
use super::relay::Relay;
use p2pdi::limits::HEADWAY;
use p2pdi::proto::transfer::piece_count;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the project promises beyond one and a half times the healthy time.
const GRACE: Duration = Duration::from_secs(25);

/// Waits until so many pieces have come.
fn until_pieces(getter: &mut Running, out: &Path, pieces: u32) {
    let begun = Instant::now();
    while pieces_kept(out) < u64::from(pieces) {
        assert!(getter.ended().is_none(), "it ended before: {}", getter.stderr());
        assert!(begun.elapsed() < PATIENCE, "the download does not go on");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn three_of_four_holders_fall_to_a_byte_a_second() {
    let (rounds, bytes, rate) = amount((1, 8_000_000, "1MB"), (10, 64_000_000, "4MB"));
    let place = tempfile::tempdir().expect("a directory");
    let (relays, _holders): (Vec<Relay>, Vec<Running>) = ["a", "b", "c", "d"]
        .iter()
        .map(|name| Relay::before_holder(place.path(), name, bytes, &["--up-limit", rate]))
        .unzip();
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let count = piece_count(bytes as u64);
    let mut healthy = Duration::ZERO;
    // Once in health, then in sickness.
    for round in 0..=rounds {
        relays.iter().for_each(|relay| relay.drip(false));
        let before: Vec<u64> = relays.iter().map(Relay::passed).collect();
        let out = place.path().join(format!("out{round}"));
        let addresses = relays.iter().map(|relay| relay.address.as_str());
        let begun = Instant::now();
        let mut getter = Words::get("big", &out).from(addresses).and(&["--quiet"]).spawn();
        if round > 0 {
            // Two of them early on, each in the middle of a piece; the third when only last pieces are left.
            until_pieces(&mut getter, &out, count / 4);
            relays[0].drip(true);
            relays[1].drip(true);
            until_pieces(&mut getter, &out, count - 2);
            relays[2].drip(true);
        }
        let status = getter.end();
        let took = begun.elapsed();
        assert!(status.success(), "{}", getter.stderr());
        assert!(std::fs::read(out.join("big")).expect("read") == content);
        std::fs::remove_dir_all(&out).expect("removed");
        let gave: Vec<u64> = relays
            .iter()
            .zip(before)
            .map(|(relay, before)| relay.passed() - before)
            .collect();
        if round == 0 {
            println!("healthy: {took:.2?}; they gave {gave:?}");
            healthy = took;
            continue;
        }
        println!("round {round}: healthy {healthy:.2?}, with three slow ones {took:.2?}; they gave {gave:?}");
        let most = healthy.mul_f64(1.5) + GRACE;
        assert!(took <= most, "round {round}: {took:.2?}, at most {most:.2?}");
    }
}

#[test]
fn a_lone_holder_that_drips_is_not_the_only_one_for_ever() {
    if amount(true, false) {
        println!("skipped: it takes longer than what it waits for, {HEADWAY:?}");
        return;
    }
    let bytes = 8_000_000;
    let place = tempfile::tempdir().expect("a directory");
    let server = rs(&[]);
    let at_rs = ["--rs", &server.address, "--up-limit", "2MB"];
    let (relay, _holder) = Relay::before_holder(place.path(), "a", bytes, &at_rs);
    until_listed(&server, 1);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let out = place.path().join("out");
    let mut getter = Words::get("big", &out).rs(&server).spawn();
    until_pieces(&mut getter, &out, piece_count(bytes as u64) / 4);
    relay.drip(true);
    // Nobody tells the getter that there is another one.
    let _other = holder_of_big(place.path(), "b", bytes, &at_rs);
    let begun = Instant::now();
    let events = getter.rest();
    assert!(getter.end().success(), "{}", getter.stderr());
    let took = begun.elapsed();
    println!("after {took:.2?}");
    assert!(took < 2 * HEADWAY.to_std(), "{took:?}");
    // Where it falls silent in the middle of a frame it is given up before.
    let said = events.iter().any(|event| event.contains("\"slow_secs\":3"));
    assert!(said || took < HEADWAY.to_std(), "nothing was said of it");
    assert!(std::fs::read(out.join("big")).expect("read") == content);
}
