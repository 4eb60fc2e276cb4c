//! Many small files, and directories, with real processes.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

mod process;
mod pieces {
    pub mod liar;
}

use p2pdi::limits::{SMALL_BYTES_MAX, SMALL_GROUP_FILES};
use pieces::liar::{Liar, Lie};
use process::{
    Running, Words, eventually, holder_of_big, peer, program, rs, run, text, until_hashed, until_listed,
    write_random,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

/// Files of all small sizes, an empty one and one content under two names among them.
fn write_files(dir: &Path, files: usize) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for number in 0..files {
        let name = format!("d{}/f{number:04}", number % 7);
        let most = usize::try_from(SMALL_BYTES_MAX).expect("small");
        let bytes = if number == 5 { most } else { number * 37 % 9_000 };
        // The third and the fourth are the same.
        let seed = if number == 4 { 3 } else { number as u64 };
        let bytes = if number == 4 { 3 * 37 } else { bytes };
        all.insert(name.clone(), write_random(&dir.join(name), bytes, seed));
    }
    all
}

fn holder(place: &Path, name: &str, dir: &Path, more: &[&str]) -> Running {
    Words::peer(name, dir, &place.join(format!("state-{name}")))
        .and(more)
        .serve()
}

/// Waits until a peer has hashed so many contents, its tree included.
fn until_all_hashed(peer: &Running, contents: usize) {
    eventually("the files to be hashed", || {
        let index = run(&["index", "--peer", &peer.address, "--json"]).json();
        (index.len() == contents).then_some(())
    });
}

fn get_all(out: &Path, holders: &[&Running]) -> Words {
    let all = Words::get("--all", out);
    all.from(holders.iter().map(|holder| holder.address.as_str()))
}

fn same(out: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, content) in files {
        assert!(std::fs::read(out.join(name)).expect(name) == *content, "{name}");
    }
    let left = walkdir::WalkDir::new(out).into_iter().filter_map(Result::ok);
    let left = left.filter(|entry| entry.file_type().is_file()).count();
    assert_eq!(left, files.len(), "nothing else is left in --out");
}

/// The bytes that came from each holder, by port, over all events.
fn gave(events: &[Value]) -> BTreeMap<u64, u64> {
    let mut gave = BTreeMap::new();
    for event in events.iter().filter(|event| event["event"] == "done") {
        for holder in event["holders"].as_array().into_iter().flatten() {
            let (port, bytes) = (holder["port"].as_u64(), holder["bytes"].as_u64());
            *gave.entry(port.expect("a port")).or_default() += bytes.expect("bytes");
        }
    }
    gave
}

/// Other bytes of the same length and date, as a disk would spoil them.
fn spoil(path: &Path, bytes: &[u8]) {
    let date = path
        .metadata()
        .and_then(|metadata| metadata.modified())
        .expect("a date");
    std::fs::write(path, bytes).expect("written");
    let file = std::fs::File::options().write(true).open(path).expect("opened");
    file.set_modified(date).expect("dated");
}

#[test]
fn small_files_come_in_numbers() {
    let place = tempfile::tempdir().expect("a directory");
    let (dir, out) = (place.path().join("dir"), place.path().join("out"));
    let count = 2 * SMALL_GROUP_FILES + 50;
    let files = write_files(&dir, count);
    let holder = holder(place.path(), "a", &dir, &[]);
    until_all_hashed(&holder, count + 1);
    let words = get_all(&out, &[&holder]);
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    same(&out, &files);
    let begin = got.json().remove(0);
    assert_eq!(
        (&begin["event"], &begin["files"], &begin["id"]),
        (&"begin".into(), &count.into(), &Value::Null),
        "no one content: {begin}"
    );
    let all = |events: &[Value]| events.iter().filter(|event| event["event"] == "done").count();
    assert_eq!(all(&got.json()), count, "an event each");
    // What is here and right is kept; what is wrong, or gone, comes.
    spoil(&out.join("d2/f0002"), &[7; 74]);
    std::fs::remove_file(out.join("d3/f0003")).expect("removed");
    let again = words.run();
    assert_eq!((again.code, all(&again.json())), (0, count), "{}", again.stderr);
    same(&out, &files);
    assert_eq!(gave(&again.json()).values().sum::<u64>(), (2 + 3) * 37);
    // What somebody has written since stays, and the rest comes.
    std::fs::write(out.join("d1/f0001"), b"somebody's own work").expect("written");
    std::fs::remove_file(out.join("d3/f0003")).expect("removed");
    let again = words.run();
    assert_eq!(
        (again.code, all(&again.json())),
        (1, count - 1),
        "{}",
        again.stderr
    );
    assert!(
        again
            .stderr
            .contains("d1/f0001: another file of this name is in the way"),
        "{}",
        again.stderr
    );
    assert_eq!(
        std::fs::read(out.join("d1/f0001")).expect("read"),
        b"somebody's own work"
    );
    assert!(out.join("d3/f0003").exists());
}

#[test]
fn what_is_asked_for_twice_comes_once_and_of_one_name_one_content() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let first = write_random(&at("one/doc"), 3_000, 1);
    let second = write_random(&at("two/doc"), 4_000, 2);
    let holders = ["one", "two"].map(|name| holder(place.path(), name, &at(name), &[]));
    holders.iter().for_each(|holder| until_all_hashed(holder, 2));
    let [name, other] =
        [&first, &second].map(|content| format!("doc@{}", &blake3::hash(content).to_hex()[..12]));
    let ask = |out: &str, more: &[&str]| {
        let words = Words::get(&name, at(out)).and(more);
        let addresses = holders.iter().map(|holder| &*holder.address);
        words.from(addresses).run()
    };
    let done = |events: &[Value]| events.iter().filter(|event| event["event"] == "done").count();
    for _ in 0..2 {
        let got = ask("out", &[&name]);
        assert_eq!((got.code, done(&got.json())), (0, 1), "{}", got.stderr);
    }
    let got = ask("out", &[&other]);
    assert_eq!((got.code, done(&got.json())), (4, 1), "{}", got.stderr);
    assert!(got.stderr.contains(&other), "{}", got.stderr);
    assert!(std::fs::read(at("out/doc")).expect("read") == first);
}

/// Empty files, say: they come once, and each is an open file until it has its name.
#[test]
fn one_content_under_very_many_names() {
    let place = tempfile::tempdir().expect("a directory");
    let (dir, out) = (place.path().join("dir"), place.path().join("out"));
    let files: BTreeMap<String, Vec<u8>> = (0..700)
        .map(|number| (format!("f{number}"), b"the same".to_vec()))
        .collect();
    files.iter().for_each(|(name, content)| {
        let path = dir.join(name);
        std::fs::create_dir_all(&dir).expect("a directory");
        std::fs::write(path, content).expect("written");
    });
    let holder = holder(place.path(), "a", &dir, &[]);
    until_all_hashed(&holder, 701);
    let script = "ulimit -n 400 && exec \"$0\" \"$@\"";
    let get = get_all(&out, &[&holder]).command();
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", script])
        .arg(get.get_program())
        .args(get.get_args());
    let got = limited.output().expect("a shell");
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    same(&out, &files);
}

#[test]
fn what_cannot_have_its_name_does_not_keep_the_others() {
    let place = tempfile::tempdir().expect("a directory");
    let (dir, out) = (place.path().join("dir"), place.path().join("out"));
    let files = write_files(&dir, 40);
    let holder = holder(place.path(), "a", &dir, &[]);
    until_all_hashed(&holder, 41);
    let elsewhere = place.path().join("elsewhere");
    std::fs::create_dir_all(out.join("d1/f0001")).expect("a directory");
    std::fs::create_dir(&elsewhere).expect("a directory");
    symlink(&elsewhere, out.join("d2")).expect("a link");
    let got = get_all(&out, &[&holder]).run();
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(
        got.stderr.contains("d1/f0001: a directory is in the way"),
        "{}",
        got.stderr
    );
    assert_eq!(
        elsewhere.read_dir().expect("listed").count(),
        0,
        "no link is followed"
    );
    for (name, content) in files
        .iter()
        .filter(|(name, _)| *name != "d1/f0001" && !name.starts_with("d2/"))
    {
        assert!(std::fs::read(out.join(name)).expect(name) == *content, "{name}");
    }
}

#[test]
fn holders_share_the_list_and_one_may_die() {
    let place = tempfile::tempdir().expect("a directory");
    let (dir, out) = (place.path().join("dir"), place.path().join("out"));
    let files = write_files(&dir, 400);
    let limit = &["--up-limit", "800KB"][..];
    let mut holders = ["a", "b"].map(|name| holder(place.path(), name, &dir, limit));
    holders.iter().for_each(|holder| until_all_hashed(holder, 401));
    let got = get_all(&out, &[&holders[0], &holders[1]]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let each = gave(&got.json());
    assert!(
        each.len() == 2 && each.values().all(|bytes| *bytes > 300_000),
        "{each:?}"
    );
    same(&out, &files);
    let out = place.path().join("out2");
    let getter = get_all(&out, &[&holders[0], &holders[1]]).spawn();
    while serde_json::from_str::<Value>(&getter.line()).expect("JSON")["event"] != "done" {}
    holders[0].kill();
    let mut getter = getter;
    assert!(getter.end().success(), "{}", getter.last_words());
    same(&out, &files);
}

#[test]
fn who_is_killed_goes_on() {
    let place = tempfile::tempdir().expect("a directory");
    let (dir, out) = (place.path().join("dir"), place.path().join("out"));
    let files = write_files(&dir, 300);
    let holder = holder(place.path(), "a", &dir, &["--up-limit", "1MB"]);
    until_all_hashed(&holder, 301);
    let words = get_all(&out, &[&holder]);
    let mut getter = words.spawn();
    while serde_json::from_str::<Value>(&getter.line()).expect("JSON")["event"] != "done" {}
    getter.kill();
    for (name, content) in &files {
        if let Ok(found) = std::fs::read(out.join(name)) {
            assert!(found == *content, "{name} has its name and is wrong");
        }
    }
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let hidden = walkdir::WalkDir::new(&out).into_iter().filter_map(Result::ok);
    let hidden = hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "nothing else is left in --out");
    same(&out, &files);
}

#[test]
fn who_drips_is_helped_and_who_lies_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let honest = holder_of_big(place.path(), "a", 60_000, &[]);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    for (lie, why) in [(Lie::Drip, None), (Lie::WrongBytes, Some("another id"))] {
        let liar = Liar::start(&content, lie);
        let out = place.path().join(format!("out-{lie:?}"));
        let got = Words::get("big", &out)
            .from([&*liar.address, &*honest.address])
            .run();
        assert_eq!(got.code, 0, "{}", got.stderr);
        assert!(std::fs::read(out.join("big")).expect("read") == content);
        let done = got.json().pop().expect("an event");
        if let Some(why) = why {
            assert!(done.to_string().contains(why), "{done}");
        }
    }
}

fn mode(path: &Path) -> u32 {
    path.metadata().expect("metadata").permissions().mode() & 0o111
}

#[test]
fn a_directory_comes_as_it_is() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let dir = at("bücher");
    let mut files = write_files(&dir, 30);
    let large = "ein/großes/Büch.bin".to_owned();
    files.insert(large.clone(), write_random(&dir.join(&large), 400_000, 99));
    std::fs::create_dir_all(dir.join("leer/ganz")).expect("a directory");
    let outside = write_random(&at("secret"), 100, 7);
    symlink(at("secret"), dir.join("link")).expect("a link");
    for name in ["d1/f0001", &large] {
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.join(name), executable).expect("set");
    }
    let source = holder(place.path(), "a", &dir, &[]);
    until_all_hashed(&source, 32);
    let words = Words::get("bücher", at("out")).from([&*source.address]);
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    let out = at("out/bücher");
    same(&out, &files);
    assert!(out.join("leer/ganz").is_dir());
    assert!(!out.join("link").exists() && !outside.is_empty());
    assert!(mode(&out.join("d1/f0001")) & 0o100 != 0 && mode(&out.join(&large)) & 0o100 != 0);
    assert_eq!(mode(&out.join("d2/f0002")), 0);
    let last = got.json().pop().expect("an event");
    assert_eq!(
        (&last["kind"], &last["files"]),
        (&Value::from("tree"), &Value::from(31)),
        "{last}"
    );
    // Modes are mended, what is gone comes again, and by the id as well.
    std::fs::set_permissions(out.join("d1/f0001"), std::fs::Permissions::from_mode(0o644)).expect("set");
    std::fs::set_permissions(out.join(&large), std::fs::Permissions::from_mode(0o644)).expect("set");
    std::fs::remove_file(out.join("d2/f0002")).expect("removed");
    let id = last["id"].as_str().expect("an id").to_owned();
    let again = Words::get(&id, at("out")).from([&*source.address]).run();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(mode(&out.join("d1/f0001")) & 0o100 != 0 && mode(&out.join(&large)) & 0o100 != 0);
    same(&out, &files);
    assert_eq!(gave(&again.json()).values().sum::<u64>(), 2 * 37);
    // Who has it passes it on, as a directory.
    let state = at("state-getter");
    let linger = [
        "--linger",
        "forever",
        "--listen",
        "127.0.0.1:0",
        "--state",
        text(&state),
    ];
    let getter = words.and(&linger).spawn();
    let listening = getter.stderr_line();
    let address = listening
        .strip_prefix("listening on ")
        .expect("listening")
        .to_owned();
    eventually("the directory to be shared", || {
        let got = Words::get(&id, at("third")).from([&*address]).run();
        (got.code == 0).then_some(())
    });
    same(&at("third/bücher"), &files);
}

#[test]
fn gets_at_once_on_one_host_feed_each_other() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name);
    let content = write_random(&at("shared/big"), 4_000_000, 1);
    let server = rs(&[]);
    let limit = &["--up-limit", "1MB"];
    let _source = peer(&server, "source", &at("shared"), &at("state"), limit);
    until_listed(&server, 1);
    // Neither says anything of a state or of lingering, and both have the same home.
    let mut from_each_other = 0;
    let getters = ["one", "two"].map(|out| {
        let mut command = program();
        command.env("XDG_STATE_HOME", at("home"));
        command.args([
            "get",
            "big",
            "--json",
            "--rs",
            &server.address,
            "--out",
            text(&at(out)),
        ]);
        process::spawn_command(command)
    });
    for (getter, out) in getters.iter().zip(["one", "two"]) {
        let events: Vec<Value> = getter
            .rest()
            .iter()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let done = events.last().expect("an event");
        assert_eq!(done["event"], "done", "{done}");
        let holders = done["holders"].as_array().expect("holders").iter().skip(1);
        from_each_other += holders.filter_map(|holder| holder["bytes"].as_u64()).sum::<u64>();
        assert!(std::fs::read(at(out).join("big")).expect("read") == content);
    }
    assert!(
        from_each_other > 1_000_000,
        "they took {from_each_other} bytes from each other"
    );
    let held = process::active_peers(&server);
    assert_eq!(held, ["source"], "who has got it leaves");
}

#[test]
fn a_state_that_is_given_and_busy_is_an_error() {
    let place = tempfile::tempdir().expect("a directory");
    let holder = holder_of_big(place.path(), "a", 1_000, &[]);
    until_hashed(&holder, "big");
    let state = place.path().join("state-a");
    let words = Words::get("big", place.path().join("out")).from([&*holder.address]);
    let got = words.and(&["--state", text(&state)]).run();
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(
        got.stderr.contains("another p2pdi uses this state directory"),
        "{}",
        got.stderr
    );
}
