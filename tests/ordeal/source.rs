//! A source that changes between two runs of a get, and a content that is here already.

use super::process::{
    Words, eventually, holder_of_big, peer, pieces_kept, rs, run, until_hashed, until_listed, write_random,
};
use std::time::Instant;

const BYTES: usize = 3_000_000;

#[test]
fn a_changed_source_is_another_content() {
    let place = tempfile::tempdir().expect("a directory");
    let source = holder_of_big(place.path(), "a", BYTES, &["--up-limit", "3MB"]);
    let old = std::fs::read(place.path().join("a/big")).expect("read");
    let (old_id, out) = (blake3::hash(&old).to_hex(), place.path().join("out"));
    let words = Words::get("big", &out).from([&*source.address]);
    let mut getter = words.spawn();
    eventually("some pieces", || (pieces_kept(&out) >= 10).then_some(()));
    getter.kill();
    // The same name and length, other bytes from the middle on: only there a mixture would show.
    let mut new = old.clone();
    new[BYTES / 2..].reverse();
    std::fs::write(place.path().join("a/big"), &new).expect("written");
    let new_id = blake3::hash(&new).to_hex();
    eventually("the new content to be hashed", || {
        let index = run(&["index", "--peer", &source.address, "--json"]).json();
        index.iter().any(|content| content["id"] == *new_id).then_some(())
    });
    // Who asks for the old one is told that nobody has it.
    let by_id = Words::get(&old_id, &out).from([&*source.address]).run();
    assert_eq!(by_id.code, 3, "{}", by_id.stderr);
    assert!(!out.join("big").exists());
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == new, "a mixture");
    let done = got.json().pop().expect("an event");
    let came = done["holders"][0]["bytes"].as_u64();
    assert!(
        came >= Some(BYTES as u64),
        "nothing of the old one was counted: {done}"
    );
    // Were the old one to come back, what is left of it would still be right.
    std::fs::write(place.path().join("a/old"), &old).expect("written");
    until_hashed(&source, "old");
    let again = place.path().join("out");
    let got = Words::get(&old_id, &again).from([&*source.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(again.join("old")).expect("read") == old);
    assert!(std::fs::read(again.join("big")).expect("read") == new);
}

#[test]
fn one_name_with_two_contents_is_never_mixed() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let contents = [1, 2].map(|seed| write_random(&at(&format!("{seed}/big")), BYTES, seed));
    let holders = [1, 2].map(|seed| {
        let words = Words::peer(
            &format!("p{seed}"),
            &at(&seed.to_string()),
            &at(&format!("state-{seed}")),
        );
        let holder = words.serve();
        until_hashed(&holder, "big");
        holder
    });
    let addresses = || holders.iter().map(|holder| holder.address.as_str());
    let got = Words::get("big", at("out")).from(addresses()).run();
    assert_eq!(
        got.code, 4,
        "two contents of one name are not guessed: {}",
        got.stderr
    );
    for (number, content) in contents.iter().enumerate() {
        let id = blake3::hash(content).to_hex();
        let out = at(&format!("out{number}"));
        let got = Words::get(&format!("big@{}", &id[..12]), &out)
            .from(addresses())
            .run();
        assert_eq!(got.code, 0, "{}", got.stderr);
        assert!(std::fs::read(out.join("big")).expect("read") == *content);
    }
}

#[test]
fn a_file_of_the_users_is_never_replaced() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let source = holder_of_big(place.path(), "a", BYTES, &[]);
    let (out, own) = (at("out"), b"somebody's own work".as_slice());
    std::fs::create_dir(&out).expect("a directory");
    std::fs::write(out.join("big"), own).expect("written");
    let words = Words::get("big", &out).from([&*source.address]);
    let got = words.run();
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(
        got.stderr
            .contains("big: another file of this name is in the way"),
        "{}",
        got.stderr
    );
    assert_eq!(std::fs::read(out.join("big")).expect("read"), own);
    assert_eq!(
        out.read_dir().expect("listed").count(),
        1,
        "nothing was fetched for it"
    );
    // What was fetched gives way to a later version, as long as it is what was fetched.
    std::fs::remove_file(out.join("big")).expect("removed");
    assert_eq!(words.run().code, 0);
    let later = write_random(&at("a/big"), BYTES, 2);
    let id = blake3::hash(&later).to_hex();
    eventually("the later version to be hashed", || {
        let index = run(&["index", "--peer", &source.address, "--json"]).json();
        index.iter().any(|content| content["id"] == *id).then_some(())
    });
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == later);
}

#[test]
fn what_is_here_is_verified_and_not_fetched() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let bytes = 20_000_000;
    let content = write_random(&at("shared/big"), bytes, 1);
    let server = rs(&[]);
    let start = || {
        peer(
            &server,
            "holder",
            &at("shared"),
            &at("state"),
            &["--up-limit", "40MB"],
        )
    };
    let mut holder = start();
    until_listed(&server, 1);
    let (out, id) = (at("out"), blake3::hash(&content).to_hex());
    let words = Words::get(&id, &out).rs(&server);
    let begun = Instant::now();
    assert_eq!(words.run().code, 0);
    let fetching = begun.elapsed();
    let begun = Instant::now();
    let again = words.run();
    let looking = begun.elapsed();
    println!("fetched in {fetching:.2?}, verified in {looking:.2?}");
    let done = again.json().pop().expect("an event");
    assert_eq!(
        done["holders"].as_array().map(Vec::len),
        Some(0),
        "nobody is asked: {done}"
    );
    // Whole and verified, it needs no holder that lives.
    holder.kill();
    assert_eq!(words.run().code, 0);
    // One bit, the same length, an old date: it is not what was asked for, and is not taken for it.
    let mut spoilt = content.clone();
    spoilt[bytes / 3] ^= 1;
    let date = out
        .join("big")
        .metadata()
        .expect("metadata")
        .modified()
        .expect("a date");
    std::fs::write(out.join("big"), &spoilt).expect("written");
    let file = std::fs::File::options()
        .write(true)
        .open(out.join("big"))
        .expect("open");
    file.set_modified(date).expect("dated");
    let got = words.run();
    assert_eq!(got.code, 3, "{}", got.stderr);
    let _holder = start();
    until_listed(&server, 1);
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
}
