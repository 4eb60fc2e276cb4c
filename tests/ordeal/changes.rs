//! Shared files that are truncated, overwritten, replaced or deleted while they are being fetched.

use super::amount;
use super::process::{
    Running, Words, eventually, holder_of_big, peer, pieces_kept, pieces_kept_are_right, rs, run, text,
    until_listed, write_random,
};
use p2pdi::id::ContentId;
use p2pdi::name::HostPort;
use p2pdi::net::{Clock, LinkTransport, RsClient, RsLink, Stop};
use p2pdi::wire::Wanted;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

const GETTERS: usize = 8;
const BYTES: usize = 500_000;
/// What the project promises: a changed share is gone from the RS within 5 s.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The ways a file comes to harm.
fn harm(path: &Path, round: usize) {
    let open = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open(path)
            .expect("opened")
    };
    match round % 6 {
        0 => open().set_len(0).expect("truncated"),
        1 => open().set_len(BYTES as u64 / 2 + 1).expect("truncated"),
        2 => {
            let mut file = open();
            file.seek(SeekFrom::Start(BYTES as u64 / 2)).expect("sought");
            file.write_all(&[0x55; 5_000]).expect("overwritten");
        }
        3 => {
            let other = path.with_extension("new");
            std::fs::write(&other, vec![7; BYTES]).expect("written");
            std::fs::rename(&other, path).expect("replaced");
        }
        4 => std::fs::remove_file(path).expect("deleted"),
        _ => {
            std::fs::remove_file(path).expect("deleted");
            let made = std::process::Command::new("mkfifo")
                .arg(path)
                .status()
                .expect("mkfifo runs");
            assert!(made.success());
        }
    }
}

#[test]
fn files_that_change_while_eight_peers_fetch_them() {
    let rounds = amount(4, 200);
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let name = |round: usize| format!("doc-{round}.bin");
    let write = |round: usize| write_random(&at("shared").join(name(round)), BYTES, round as u64);
    let ids: Vec<ContentId> = (0..rounds)
        .map(|round| ContentId(*blake3::hash(&write(round)).as_bytes()))
        .collect();
    write_random(&at("shared/kept.bin"), 50_000, 99_999);
    let server = rs(&[]);
    let limit = ["--up-limit", "4MB"];
    let mut holder = peer(&server, "holder", &at("shared"), &at("state"), &limit);
    until_listed(&server, rounds + 1);
    let address = HostPort::parse(&server.address).expect("an address");
    let stop = Stop::new();
    let client = RsClient::new(RsLink::new(
        address,
        LinkTransport::Tcp,
        Clock::start(),
        stop.clone(),
    ));
    let (mut whole, mut failed, mut kept, mut slowest) = (0, 0, 0, Duration::ZERO);
    for (round, id) in ids.iter().enumerate() {
        let path = at("shared").join(name(round));
        let content = std::fs::read(&path).expect("read");
        let out = |number: usize| at(&format!("out-{round}-{number}"));
        let get = |number| {
            let state = at(&format!("state-{number}"));
            let words = Words::get(&name(round), out(number)).and(&["--quiet", "--state", text(&state)]);
            words.rs(&server).spawn()
        };
        let mut getters: Vec<Running> = (0..GETTERS).map(get).collect();
        eventually("the getters to be in the middle", || {
            let begun = (0..GETTERS).filter(|number| pieces_kept(&out(*number)) > 0);
            (begun.count() >= GETTERS / 2).then_some(())
        });
        harm(&path, round);
        let harmed = Instant::now();
        let wanted = Wanted::Id(*id);
        // A getter that has part of it, or all, may go on holding it; the one whose file it was may not.
        eventually("the share to be withdrawn", || {
            let found = client.search(&wanted).expect("the RS answers");
            let holders = found.iter().flat_map(|listing| listing.holders.iter());
            let mut ports = holders.map(|holder| holder.port.to_string());
            ports
                .all(|port| !holder.address.ends_with(&format!(":{port}")))
                .then_some(())
        });
        slowest = slowest.max(harmed.elapsed());
        assert!(
            harmed.elapsed() < GONE_WITHIN,
            "round {round}: withdrawn after {:?}",
            harmed.elapsed()
        );
        for (number, getter) in getters.iter_mut().enumerate() {
            let code = getter.end().code();
            let got = out(number).join(name(round));
            match code {
                Some(0) => {
                    whole += 1;
                    assert!(
                        std::fs::read(&got).expect("read") == content,
                        "round {round}: wrong bytes"
                    );
                }
                Some(3..=5) => {
                    failed += 1;
                    assert!(!got.exists(), "round {round}: {}", getter.stderr());
                    kept += pieces_kept_are_right(&out(number), &content);
                }
                other => panic!("round {round}: {other:?}: {}", getter.stderr()),
            }
            let _ = std::fs::remove_dir_all(out(number));
        }
    }
    println!(
        "{rounds} files changed under {GETTERS} getters each: {whole} were whole in time, {failed} failed with \
         {kept} right pieces; \
         withdrawn after {slowest:.2?} at most"
    );
    assert!(failed > 0, "nothing was harmed in time");

    let got = Words::get("kept.bin", at("out-kept")).rs(&server).run();
    assert_eq!(got.code, 0, "the holder lives: {}", got.stderr);
    assert!(holder.stop().success(), "and ends when it is told to");
    stop.trigger();
}

/// What was offered piece by piece as it came is a share like any other when it is whole.
#[test]
fn what_was_fetched_and_changes_is_withdrawn_from_those_who_were_taking_it() {
    let bytes = 1_500_000;
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let source = holder_of_big(place.path(), "a", bytes, &["--up-limit", "800KB"]);
    let content = std::fs::read(at("a/big")).expect("read");
    let serving = ["--listen", "127.0.0.1:0", "--linger", "forever", "--quiet"];
    let relay = Words::of(&["get", "big"])
        .and(&[
            "--out",
            text(&at("relay")),
            "--up-limit",
            "100KB",
            "--state",
            text(&at("state-r")),
        ])
        .and(&serving)
        .from([&*source.address])
        .serve();
    eventually("a part of it at the relay", || {
        (pieces_kept(&at("relay")) > 2).then_some(())
    });
    // Its exchange is open before the relay has everything.
    let mut getter = Words::get("big", at("out")).from([&*relay.address]).spawn();
    eventually("a piece of the relay", || {
        (pieces_kept(&at("out")) > 0).then_some(())
    });
    assert!(!at("relay/big").exists(), "the relay was too quick for this test");
    eventually("all of it at the relay", || {
        let listed = run(&["index", "--peer", &relay.address, "--json"]).json();
        let whole = listed
            .iter()
            .flat_map(|content| content["holders"].as_array().cloned().unwrap_or_default());
        whole
            .into_iter()
            .any(|holder| holder["complete"] == true)
            .then_some(())
    });
    let spoilt: Vec<u8> = content.iter().map(|byte| !byte).collect();
    std::fs::write(at("relay/big"), &spoilt).expect("overwritten");
    assert_eq!(getter.end().code(), Some(3), "{}", getter.stderr());
    assert!(
        !getter.stderr().contains("wrong bytes"),
        "an honest holder is blamed: {}",
        getter.stderr()
    );
    pieces_kept_are_right(&at("out"), &content);
}
