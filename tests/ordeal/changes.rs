//! Shared files that are truncated, overwritten, replaced or deleted while they are being fetched.

use super::process::{eventually, peer, rs, run, spawn, until_listed, write_random};
use p2pdi::id::ContentId;
use p2pdi::name::HostPort;
use p2pdi::net::{Clock, LinkTransport, RsClient, RsLink, Stop};
use p2pdi::wire::Wanted;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;
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

/// Bytes of unfinished files in a directory.
fn under_way(out: &Path) -> u64 {
    let files = out.read_dir().into_iter().flatten().filter_map(Result::ok);
    files
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[test]
fn files_that_change_while_they_are_fetched() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let name = |round: usize| format!("doc-{round}.bin");
    let contents: Vec<Vec<u8>> = (0..ROUNDS)
        .map(|round| write_random(&at("shared").join(name(round)), BYTES, round as u64))
        .collect();
    write_random(&at("shared/kept.bin"), 50_000, 99);
    let server = rs(&[]);
    let limit = ["--up-limit", "3MB"];
    let mut holder = peer(&server, "holder", &at("shared"), &at("state"), &limit);
    until_listed(&server, ROUNDS + 1);
    let address = HostPort::parse(&server.address).expect("an address");
    let stop = Stop::new();
    let client = RsClient::new(RsLink::new(
        address,
        LinkTransport::Tcp,
        Clock::start(),
        stop.clone(),
    ));

    // Two getters a file, all at once: the limited uplink keeps them all in the middle for seconds.
    let mut getters = Vec::new();
    for round in 0..ROUNDS {
        for number in 0..2 {
            let out: PathBuf = at(&format!("out-{round}-{number}"));
            let what = name(round);
            let args = [
                "get",
                &what,
                "--rs",
                &server.address,
                "--out",
                out.to_str().expect("UTF-8"),
                "--json",
                "--quiet",
            ];
            getters.push((round, out.clone(), spawn(&args)));
        }
    }
    for (round, content) in contents.iter().enumerate() {
        eventually("the getters to have begun", || {
            getters
                .iter()
                .filter(|(of, _, _)| *of == round)
                .all(|(_, out, _)| under_way(out) > 0)
                .then_some(())
        });
        harm(&at("shared").join(name(round)), round);
        let harmed = Instant::now();
        let wanted = Wanted::Id(ContentId(*blake3::hash(content).as_bytes()));
        eventually("the share to be withdrawn", || {
            client
                .search(&wanted)
                .expect("the RS answers")
                .is_empty()
                .then_some(())
        });
        assert!(
            harmed.elapsed() < GONE_WITHIN,
            "round {round}: withdrawn after {:?}",
            harmed.elapsed()
        );
    }
    let (mut whole, mut failed) = (0, 0);
    for (round, out, getter) in &mut getters {
        let code = getter.end().code();
        let got = out.join(name(*round));
        match code {
            Some(0) => {
                whole += 1;
                assert!(
                    std::fs::read(&got).expect("read") == contents[*round],
                    "round {round}: wrong bytes"
                );
            }
            Some(3..=5) => {
                failed += 1;
                assert!(!got.exists(), "round {round}: {}", getter.stderr());
            }
            other => panic!("round {round}: {other:?}: {}", getter.stderr()),
        }
    }
    println!("{whole} were whole in time, {failed} failed");
    assert!(failed > 0, "nothing was harmed in time");

    let out = at("out-kept");
    let got = run(&[
        "get",
        "kept.bin",
        "--rs",
        &server.address,
        "--out",
        out.to_str().expect("UTF-8"),
    ]);
    assert_eq!(got.code, 0, "the holder lives: {}", got.stderr);
    assert!(holder.stop().success(), "and ends when it is told to");
    stop.trigger();
}
