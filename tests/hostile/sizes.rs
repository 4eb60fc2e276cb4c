//! Sizes that are listed and not true: the id proves what is right, and nobody who sends that is to blame.

use super::liar::{Liar, info, rs_answer, say};
use super::process::{Running, Words, eventually, run, serve, write_random};
use p2pdi::limits::SMALL_BYTES_MAX;
use p2pdi::wire::{ContentInfo, ContentKind, Text};
use std::net::SocketAddr;
use std::path::Path;

/// Lengths of contents, on both sides of what comes whole.
const TRUE: [usize; 4] = [0, 10, 100_000, 200_000];
/// What is listed instead: too small, too large, more than a disk holds, and more than can be counted.
const LISTED: [u64; 6] = [0, 9, 20_000, 300_000, 1 << 43, u64::MAX];

fn holder(place: &Path, dir: &Path, contents: usize) -> Running {
    let holder = serve(&[
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        dir.to_str().expect("UTF-8"),
        "--state",
        place.join("state").to_str().expect("UTF-8"),
    ]);
    eventually("the contents to be shared", || {
        let listed = run(&["index", "--peer", &holder.address, "--json"]).json();
        (listed.len() == contents).then_some(())
    });
    holder
}

/// An RS that says this of contents, all of which one peer holds.
fn rs_that_lists(said: Vec<ContentInfo>, holder: &Running) -> Liar {
    let at: SocketAddr = holder.address.parse().expect("an address");
    Liar::start(move |stream, asked| match rs_answer(asked, &said, at, "x") {
        Some(answer) => say(stream, &answer),
        None => false,
    })
}

#[test]
fn whatever_size_is_listed_the_right_bytes_come() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let contents = TRUE.map(|bytes| write_random(&at(&format!("dir/f{bytes}")), bytes, bytes as u64));
    let holder = holder(place.path(), &at("dir"), TRUE.len() + 1);
    for listed in LISTED {
        let said = TRUE.iter().zip(&contents).map(|(bytes, content)| ContentInfo {
            bytes: listed,
            ..info(&format!("f{bytes}"), content)
        });
        let rs = rs_that_lists(said.collect(), &holder);
        let out = at(&format!("out-{listed}"));
        let got = Words::get("--all", &out).and(&["--rs", &rs.address()]).run();
        assert_eq!(got.code, 0, "listed {listed}: {}", got.stderr);
        for (bytes, content) in TRUE.iter().zip(&contents) {
            let name = format!("f{bytes}");
            assert!(
                std::fs::read(out.join(&name)).expect("read") == *content,
                "{name}, listed {listed}"
            );
            let events = got.json();
            let done = events
                .iter()
                .find(|event| event["event"] == "done" && event["name"] == *name);
            assert_eq!(
                done.map(|done| done["bytes"].as_u64()),
                Some(Some(*bytes as u64)),
                "listed {listed}"
            );
        }
        assert_eq!(std::fs::read_dir(&out).expect("listed").count(), TRUE.len());
    }
}

/// Files of a directory.
const MANY: usize = 500;

#[test]
fn whatever_size_a_tree_is_listed_with_it_comes() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("dir/a"), 5_000, 1);
    // Enough names that the tree is longer than what comes whole of anything else.
    let long = "n".repeat(240);
    (0..MANY).for_each(|number| drop(write_random(&at(&format!("dir/{long}{number}")), 0, 0)));
    let holder = holder(place.path(), &at("dir"), MANY + 2);
    let listed = run(&["index", "--peer", &holder.address, "--json"]).json();
    let tree = listed
        .iter()
        .find(|content| content["kind"] == "tree")
        .expect("a tree");
    assert!(tree["bytes"].as_u64() > Some(SMALL_BYTES_MAX), "{tree}");
    let id = tree["id"]
        .as_str()
        .and_then(p2pdi::id::ContentId::parse)
        .expect("an id");
    for listed in [0, 70_000, u64::MAX] {
        let said = ContentInfo {
            kind: ContentKind::Tree,
            id,
            bytes: listed,
            media_type: Text::cut("application/x-p2pdi-tree"),
            ..info("dir", b"")
        };
        let rs = rs_that_lists(vec![said], &holder);
        let out = at(&format!("out-{listed}"));
        let got = Words::get("dir", &out).and(&["--rs", &rs.address()]).run();
        assert_eq!(got.code, 0, "listed {listed}: {}", got.stderr);
        assert!(std::fs::read(out.join("dir/a")).expect("read") == content);
        assert_eq!(
            std::fs::read_dir(out.join("dir")).expect("listed").count(),
            MANY + 1
        );
    }
}
