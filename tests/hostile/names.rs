//! Names and texts that mean harm: to the file system, to the terminal, to whoever reads the JSON.

use super::liar::{Liar, index, info, pour, rs_answer, say};
use super::lies::whole;
use super::process::{Ended, Words, peer, rs, run, serve, until_listed, write_random};
use super::raw::frame;
use p2pdi::id::{RequestNumber, RfcNumber};
use p2pdi::proto::refusal;
use p2pdi::wire::{ContentInfo, Message, Refusal, Text, Wanted};
use std::path::Path;

/// Names of 24 bytes, each an attack on somebody who joins it to a directory or prints it.
const HOSTILE: [&[u8; 24]; 9] = [
    b"../../../tmp/escaped-out",
    b"/tmp/p2pdi-escaped-24chr",
    b"aaaa/../../../../out/xxx",
    b"./aaaaaaaaaaaaaaaaaaaaaa",
    b"aaaaaa\x1b[2J\x1b[31maaaaaaaaa",
    b"aaaaaa\naaaaaaaaaaaaaaaaa",
    b"aaaaaa\x00aaaaaaaaaaaaaaaaa",
    b"aaaaaa//aaaaaaaaaaaaaaaa",
    b"aaaaaa\xe2\x80\xaetxt.exeaaaaaaaa",
];
const PLACEHOLDER: &str = "placeholder-of-24-bytes!";

/// An honest frame with another name in the place of [`PLACEHOLDER`].
fn renamed(message: &Message, name: &[u8; 24]) -> Vec<u8> {
    let mut bytes = frame(message);
    while let Some(at) = bytes
        .windows(24)
        .position(|window| window == PLACEHOLDER.as_bytes())
    {
        bytes[at..at + 24].copy_from_slice(name);
    }
    bytes
}

/// Nothing on either stream that moves a cursor, and JSON where JSON was asked for.
fn assert_clean(ended: &Ended, json: bool) {
    for text in [&ended.stdout, &ended.stderr] {
        let dirty = text
            .chars()
            .find(|c| c.is_control() && *c != '\n' || ('\u{202a}'..='\u{202e}').contains(c));
        assert_eq!(dirty, None, "{text:?}");
    }
    if json {
        ended.json();
    }
}

fn assert_nothing_below(place: &Path, but: &Path) {
    for entry in walkdir::WalkDir::new(place) {
        let entry = entry.expect("an entry");
        assert!(
            !entry.file_type().is_file() || entry.path().starts_with(but),
            "{}",
            entry.path().display()
        );
    }
}

#[test]
fn hostile_names_are_refused_where_they_arrive() {
    let place = tempfile::tempdir().expect("a directory");
    let out = place.path().join("a/b/c/out");
    let out_text = out.to_str().expect("UTF-8");
    for name in HOSTILE {
        let content = info(PLACEHOLDER, b"bytes");
        let liar = Liar::start(move |stream, asked| {
            let here = stream.local_addr().expect("an address");
            match asked {
                Message::IndexQuery(query) => pour(
                    stream,
                    &renamed(
                        &index(query.request, core::slice::from_ref(&content), here.port()),
                        name,
                    ),
                ),
                other => rs_answer(other, core::slice::from_ref(&content), here, "Linux")
                    .is_some_and(|answer| pour(stream, &renamed(&answer, name))),
            }
        });
        let address = liar.address();
        for (args, exit) in [
            (vec!["get", "--all", "--peer", &address, "--out", out_text], 1),
            (vec!["get", "--all", "--rs", &address, "--out", out_text], 3),
            (
                vec![
                    "get", "--all", "--rs", &address, "--mode", "central", "--out", out_text,
                ],
                1,
            ),
            (vec!["index", "--peer", &address], 1),
            (vec!["list", "--rs", &address], 1),
            (vec!["search", "x", "--rs", &address], 1),
        ] {
            for json in [false, true] {
                let args = if json {
                    [&args[..], &["--json"]].concat()
                } else {
                    args.clone()
                };
                let ended = run(&args);
                assert_eq!(ended.code, exit, "{args:?}: {}", ended.stderr);
                assert!(
                    ended.stderr.contains("field name"),
                    "{args:?} names the field: {}",
                    ended.stderr
                );
                assert!(
                    ended.stderr.contains(&address) || args[0] == "get",
                    "{}",
                    ended.stderr
                );
                assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
                assert_clean(&ended, json);
            }
        }
    }
    assert_nothing_below(place.path(), &out);
    assert!(!out.exists() || std::fs::read_dir(&out).expect("listed").next().is_none());
}

const ESCAPES: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\"\\\n\r\tx";

#[test]
fn texts_are_made_printable_everywhere() {
    let titled = ContentInfo {
        number: Some(RfcNumber(1)),
        title: Some(Text::cut(ESCAPES)),
        media_type: Text::cut(ESCAPES),
        ..info("rfc1.txt", b"bytes")
    };
    let untitled = ContentInfo {
        media_type: Text::cut(ESCAPES),
        ..info("b.txt", b"others")
    };
    let contents = [untitled, titled];
    let liar = Liar::start(move |stream, asked| {
        let here = stream.local_addr().expect("an address");
        match asked {
            Message::IndexQuery(query) => say(stream, &index(query.request, &contents, here.port())),
            Message::Download(download) => {
                say(stream, &refusal(download.request, Refusal::NotServed, ESCAPES))
            }
            other => rs_answer(other, &contents, here, ESCAPES).is_some_and(|answer| say(stream, &answer)),
        }
    });
    let refuser = Liar::start(|stream, asked| {
        say(
            stream,
            &refusal(
                asked.request().unwrap_or(RequestNumber(0)),
                Refusal::LimitReached,
                ESCAPES,
            ),
        )
    });
    let out = tempfile::tempdir().expect("a directory");
    let out = out.path().to_str().expect("UTF-8");
    for address in [liar.address(), refuser.address()] {
        for args in [
            vec!["index", "--peer", &address],
            vec!["list", "--rs", &address],
            vec!["search", "rfc1.txt", "--rs", &address],
            vec!["peers", "--rs", &address],
            vec!["get", "--all", "--rs", &address, "--out", out],
            vec!["get", "rfc1.txt", "--peer", &address, "--out", out],
            vec!["get", "rfc1.txt", "--peer", &address, "--out", out, "--quiet"],
        ] {
            for json in [false, true] {
                let args = if json {
                    [&args[..], &["--json"]].concat()
                } else {
                    args.clone()
                };
                let ended = run(&args);
                assert!(!ended.stderr.contains("panicked"), "{args:?}: {}", ended.stderr);
                assert_clean(&ended, json);
            }
        }
    }
}

#[test]
fn what_a_user_types_is_printed_harmless_and_on_one_line() {
    for args in [
        vec!["x\n\x1b[2J"],
        vec!["list", "x\n\x1b[2J"],
        vec!["list", "--x\n\x1b[2J"],
        vec!["list", "--rs", "x\n\x1b[2J"],
        vec!["search", "x\n\x1b[2J", "--rs", "127.0.0.1:1"],
        vec!["peer", "--dir", "/nowhere\n\x1b[2J"],
        vec!["hash", "/nowhere\n\x1b[2J"],
    ] {
        let ended = run(&args);
        assert!([1, 2].contains(&ended.code), "{args:?}: {}", ended.code);
        assert_eq!(ended.stderr.lines().count(), 1, "{args:?}: {:?}", ended.stderr);
        assert_clean(&ended, false);
    }
}

#[test]
fn links_inside_out_are_not_followed_out() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let text = |name: &str| at(name).to_str().expect("UTF-8").to_owned();
    let inner = write_random(&at("shared/sub/x.txt"), 5_000, 1);
    write_random(&at("shared/deep/er/y.txt"), 5_000, 2);
    let plain = write_random(&at("shared/z.txt"), 5_000, 3);
    std::fs::create_dir_all(at("elsewhere")).expect("a directory");
    std::fs::write(at("elsewhere/victim"), b"mine").expect("written");
    std::fs::create_dir_all(at("out/deep")).expect("a directory");
    std::os::unix::fs::symlink(at("elsewhere"), at("out/sub")).expect("a link");
    std::os::unix::fs::symlink("../../elsewhere", at("out/deep/er")).expect("a link");
    std::os::unix::fs::symlink(at("elsewhere/victim"), at("out/z.txt")).expect("a link");
    // As a small file is called until it has its name.
    let mut hasher = blake3::Hasher::new();
    hasher.update(blake3::hash(&plain).as_bytes()).update(b"z.txt");
    let part = format!(".{}.p2pdi-part", &hasher.finalize().to_hex()[..32]);
    std::os::unix::fs::symlink(at("elsewhere/victim"), at("out").join(&part)).expect("a link");

    let holder = serve(&[
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        &text("shared"),
        "--state",
        &text("state"),
    ]);
    super::process::eventually("three contents", || {
        let listed = run(&["index", "--peer", &holder.address, "--json"]).json();
        (listed.iter().filter(|content| content["kind"] == "file").count() == 3).then_some(())
    });
    let got = run(&["get", "--all", "--peer", &holder.address, "--out", &text("out")]);
    assert_eq!(got.code, 1, "{}", got.stderr);
    for name in ["sub/x.txt", "deep/er/y.txt", "z.txt"] {
        assert!(got.stderr.contains(name), "{name} is named: {}", got.stderr);
    }
    let elsewhere: Vec<_> = std::fs::read_dir(at("elsewhere")).expect("listed").collect();
    assert_eq!(elsewhere.len(), 1, "nothing was put there");
    assert_eq!(std::fs::read(at("elsewhere/victim")).expect("read"), b"mine");

    // Without the planted unfinished file, a final name that is a link is neither followed nor replaced.
    std::fs::remove_file(at("out").join(&part)).expect("removed");
    std::fs::remove_file(at("out/sub")).expect("removed");
    std::fs::remove_file(at("out/deep/er")).expect("removed");
    let again = || run(&["get", "--all", "--peer", &holder.address, "--out", &text("out")]);
    let got = again();
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(got.stderr.contains("z.txt: another file"), "{}", got.stderr);
    assert_eq!(std::fs::read(at("elsewhere/victim")).expect("read"), b"mine");
    std::fs::remove_file(at("out/z.txt")).expect("removed");
    let got = again();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert_eq!(std::fs::read(at("elsewhere/victim")).expect("read"), b"mine");
    assert_eq!(std::fs::read(at("out/z.txt")).expect("read"), plain);
    assert_eq!(std::fs::read(at("out/sub/x.txt")).expect("read"), inner);
}

/// What is being written has a hidden name until it is whole; who shares another content under that name would have
/// it renamed to the name of the first.
#[test]
fn nothing_takes_the_name_of_what_is_not_finished() {
    let place = tempfile::tempdir().expect("a directory");
    let (right, wrong) = (b"what was asked for".to_vec(), b"something else".to_vec());
    let mut hasher = blake3::Hasher::new();
    hasher.update(blake3::hash(&right).as_bytes()).update(b"z.txt");
    let part = format!(".{}.p2pdi-part", &hasher.finalize().to_hex()[..32]);
    let contents = [info(&part, &wrong), info("z.txt", &right)];
    let bytes = [wrong, right.clone()];
    let liar = Liar::start(move |stream, asked| match asked {
        Message::IndexQuery(query) => {
            let port = stream.local_addr().map_or(0, |address| address.port());
            say(stream, &index(query.request, &contents, port))
        }
        Message::Download(download) => {
            let asked_for = |info: &ContentInfo| download.wanted == Wanted::Id(info.id);
            let place = contents.iter().position(asked_for).expect("one of the two");
            whole(stream, download.request, &bytes[place], contents[place].id)
        }
        _ => false,
    });
    let out = place.path().join("out");
    let got = Words::get("--all", &out).from([&*liar.address()]).run();
    assert_eq!(
        std::fs::read(out.join("z.txt")).expect("read"),
        right,
        "{}",
        got.stdout
    );
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(got.stderr.contains(&part), "{}", got.stderr);
    assert_eq!(std::fs::read_dir(&out).expect("listed").count(), 1);
}

#[test]
fn links_and_what_is_no_file_are_not_shared() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    write_random(&at("shared/doc.bin"), 5_000, 1);
    write_random(&at("secret/key"), 5_000, 2);
    std::os::unix::fs::symlink(at("secret/key"), at("shared/key")).expect("a link");
    std::os::unix::fs::symlink(at("secret"), at("shared/all")).expect("a link");
    let _socket = std::os::unix::net::UnixListener::bind(at("shared/socket")).expect("a socket");
    let fifo = std::process::Command::new("mkfifo")
        .arg(at("shared/fifo"))
        .status()
        .expect("mkfifo runs");
    assert!(fifo.success());
    let server = rs(&[]);
    let _holder = peer(&server, "holder", &at("shared"), &at("state"), &[]);
    let listed = until_listed(&server, 1);
    assert_eq!(listed[0]["name"], "doc.bin");
    let hashed = run(&["hash", at("shared/fifo").to_str().expect("UTF-8")]);
    assert_eq!(hashed.code, 1, "a pipe has no end to hash: {}", hashed.stderr);
}
