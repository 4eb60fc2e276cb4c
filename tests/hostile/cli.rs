//! Everything that can be wrong with a command line or with the machine: one line that names the thing and the
//! fix, the exit code that scripts rely on, and never a panic.

use super::process::{eventually, peer, program, rs, run, until_listed, write_random};
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

/// Runs a command that must fail with `exit` and one line that says all of `says`.
fn fails(exit: i32, args: &[&str], says: &[&str]) {
    let ended = run(args);
    assert_eq!(ended.code, exit, "{args:?}: {}", ended.stderr);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{args:?}: {}", ended.stderr);
    assert!(lines[0].starts_with("p2pdi: "), "{args:?}: {}", lines[0]);
    for what in says {
        assert!(lines[0].contains(what), "{args:?}: no {what:?} in: {}", lines[0]);
    }
    for bug in ["panicked", "RUST_BACKTRACE", "src/", "Os {", "Error("] {
        assert!(!lines[0].contains(bug), "{args:?}: {}", lines[0]);
    }
    assert_eq!(ended.stdout, "", "{args:?}: a failure is no result");
}

#[test]
fn wrong_command_lines_are_named_with_the_fix() {
    let rs = ["--rs", "127.0.0.1:9"];
    let with_rs = |args: &[&'static str]| [args, &rs[..]].concat();
    fails(2, &["serach", "x"], &["`serach`", "did you mean `search`?"]);
    fails(2, &["frobnicate"], &["`frobnicate`", "p2pdi help"]);
    fails(
        2,
        &["rs", "--listne", "x"],
        &["--listne", "did you mean --listen?"],
    );
    fails(2, &["rs", "--listen"], &["--listen", "HOST:PORT"]);
    for address in [
        "x",
        ":1",
        "h:",
        "h:99999",
        "h:-1",
        "::1:80",
        "a b:1",
        "http://h:1",
        "[::1]",
        "h:1x",
    ] {
        fails(2, &["list", "--rs", address], &["--rs", "HOST:PORT", address]);
        fails(2, &["index", "--peer", address], &["--peer", "HOST:PORT"]);
        fails(2, &["rs", "--listen", address], &["--listen", "HOST:PORT"]);
        fails(
            2,
            &["peer", "--advertise", address],
            &["--advertise", "HOST:PORT"],
        );
    }
    for rate in [
        "fast",
        "-1mbit",
        "0mbit",
        "mbit",
        "1e99mbit",
        "NaN",
        "inf",
        "1 2MB",
        "99999999999999999999GB",
    ] {
        fails(
            2,
            &["peer", &format!("--up-limit={rate}")],
            &["--up-limit", rate, "20mbit"],
        );
        fails(
            2,
            &with_rs(&["get", "x"])
                .iter()
                .copied()
                .chain([&*format!("--down-limit={rate}")])
                .collect::<Vec<_>>(),
            &["--down-limit", rate],
        );
    }
    for workers in ["0", "257", "-1", "many", "1.5", "99999999999999999999"] {
        fails(
            2,
            &["rs", &format!("--workers={workers}")],
            &["--workers", workers, "from 1 to 256"],
        );
    }
    for lease in ["0", "31536001", "x"] {
        fails(
            2,
            &["rs", &format!("--lease={lease}")],
            &["--lease", lease, "from 1 to 31536000"],
        );
    }
    for connections in ["0", "16385"] {
        fails(
            2,
            &["peer", "--max-conns", connections],
            &["--max-conns", connections, "from 1 to 16384"],
        );
    }
    fails(
        2,
        &["rs", "--policy", "best"],
        &["--policy", "best", "least-used or most-recent or rotate"],
    );
    fails(
        2,
        &["peer", "--mode", "magic"],
        &["--mode", "magic", "central or gossip"],
    );
    fails(
        2,
        &with_rs(&["get", "x", "--transport", "pigeon"]),
        &["--transport", "pigeon", "tcp or udp"],
    );
    fails(
        2,
        &with_rs(&["get", "x", "--linger", "soon"]),
        &["--linger", "soon", "seconds or forever"],
    );
    for name in ["a/b", "..", "", &"n".repeat(256)] {
        fails(2, &["peer", &format!("--name={name}")], &["--name", "255 bytes"]);
    }
    fails(2, &["get"], &["get what?"]);
    fails(2, &["get", "x"], &["from where?", "--rs HOST:PORT"]);
    fails(2, &with_rs(&["get", "--all", "x"]), &["--all"]);
    for what in ["../x", "/etc/passwd", "a//b", "", &"n/".repeat(600)] {
        fails(
            2,
            &[&["get", what][..], &rs[..]].concat(),
            &["not a name, an id or a number"],
        );
    }
    fails(2, &["list"], &["which RS?", "--rs HOST:PORT"]);
    fails(2, &["index"], &["--peer HOST:PORT"]);
    fails(2, &["hash"], &["give files or directories"]);
    fails(2, &with_rs(&["search"]), &["give a name"]);
    fails(2, &with_rs(&["search", "a", "b"]), &["one thing at a time"]);
    fails(2, &["list", "--rs", "h:1", "--rs", "h:2"], &["--rs", "2 times"]);
    fails(2, &["list", "--json=yes", "--rs", "h:1"], &["--json", "no value"]);
    fails(
        2,
        &["peer", "--dir", "/nowhere/at/all"],
        &["--dir /nowhere/at/all", "no such directory"],
    );
    fails(
        2,
        &["peer", "--dir", "/etc/passwd"],
        &["--dir /etc/passwd", "not a directory"],
    );
    fails(1, &["hash", "/nowhere/at/all"], &["/nowhere/at/all"]);
}

#[test]
fn words_that_are_no_text_are_refused() {
    use std::os::unix::ffi::OsStrExt as _;
    let output = program()
        .arg(std::ffi::OsStr::from_bytes(b"a\xff\x1bb"))
        .output()
        .expect("p2pdi runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .expect("UTF-8")
            .contains("not UTF-8")
    );
}

#[test]
fn the_environments_faults_are_named() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name).to_str().expect("UTF-8").to_owned();
    write_random(&place.path().join("a/doc.bin"), 3_000_000, 1);
    let server = rs(&[]);
    let holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 1);

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = run(&["rs", "--listen", &address]);
    assert!(
        ended.code == 1 && ended.stderr.contains(&address) && ended.stderr.contains("in use"),
        "{}",
        ended.stderr
    );
    let state = at("state-b");
    let ended = run(&["peer", "--listen", &address, "--state", &state]);
    assert!(
        ended.code == 1 && ended.stderr.contains(&address) && ended.stderr.contains("in use"),
        "{}",
        ended.stderr
    );
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let ended = run(&["rs", "--listen", &address]);
    assert!(
        ended.code == 1 && ended.stderr.contains(&address) && ended.stderr.contains("in use"),
        "{}",
        ended.stderr
    );
    fails(1, &["rs", "--listen", "192.0.2.1:0"], &["192.0.2.1:0"]);

    let nobody = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").to_string()
    };
    for args in [["list", "--rs"], ["peers", "--rs"], ["index", "--peer"]] {
        fails(1, &[&args[..], &[&nobody]].concat(), &[&nobody, "refused"]);
    }
    fails(
        1,
        &["get", "x", "--rs", &nobody, "--out", &at("out")],
        &["nobody could be asked", "refused"],
    );
    fails(
        1,
        &["list", "--rs", "no-such-host.invalid:1"],
        &["no-such-host.invalid:1"],
    );
    fails(
        3,
        &["search", "nothing", "--rs", &server.address],
        &["nothing", &server.address],
    );
    fails(
        3,
        &["get", "nothing", "--rs", &server.address, "--out", &at("out")],
        &["nothing"],
    );

    let state = at("state");
    fails(
        1,
        &["peer", "--listen", "127.0.0.1:0", "--state", &state],
        &[&state, "another p2pdi", "--state"],
    );
    std::fs::create_dir(at("state-c")).expect("a directory");
    std::fs::write(at("state-c/peer.json"), b"{not json").expect("written");
    let state = at("state-c");
    fails(
        1,
        &["peer", "--listen", "127.0.0.1:0", "--state", &state],
        &[&state, "peer.json"],
    );

    std::fs::write(at("file"), b"x").expect("written");
    for (out, why) in [
        (at("file"), "--out"),
        (at("file/below"), "--out"),
        ("/proc/nothing/here".to_owned(), "No such file"),
    ] {
        fails(
            1,
            &["get", "doc.bin", "--peer", &holder.address, "--out", &out],
            &[&out, why],
        );
    }
    let ring = ["get", "x", "--peer", &holder.address, "--mode", "chord"];
    fails(2, &ring, &["--ring"]);
    std::fs::create_dir_all(at("taken/doc.bin")).expect("a directory");
    fails(
        1,
        &["get", "doc.bin", "--peer", &holder.address, "--out", &at("taken")],
        &["doc.bin"],
    );
    let closed = at("closed");
    std::fs::create_dir(&closed).expect("a directory");
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).expect("closed");
    if std::fs::write(at("closed/probe"), b"x").is_err() {
        fails(
            1,
            &["get", "doc.bin", "--peer", &holder.address, "--out", &closed],
            &[&closed],
        );
    } else {
        println!("skipped: an unwritable --out, for this user may write everywhere");
    }
}

/// A file system of this size, gone when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(bytes: usize) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "p2pdi-test"])
            .arg(place.path());
        let mounted = mount
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(place))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_named_and_what_came_is_kept() {
    let Some(small) = Small::mount(1_000_000) else {
        println!("skipped: a full disk, for mounting one takes root");
        return;
    };
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 3_000_000, 1);
    let server = rs(&[]);
    let _holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 1);
    let out = small.0.path().to_str().expect("UTF-8");
    fails(
        1,
        &["get", "doc.bin", "--rs", &server.address, "--out", out],
        &["doc.bin", "No space left"],
    );
    assert!(!small.0.path().join("doc.bin").exists());
    let state = small.0.path().join("state");
    let ended = run(&[
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--state",
        state.to_str().expect("UTF-8"),
    ]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("--state") && ended.stderr.contains("No space left"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let place = tempfile::tempdir().expect("a directory");
    for number in 0..200 {
        write_random(
            &place.path().join(format!("a/{number}-{}", "n".repeat(200))),
            10,
            number,
        );
    }
    let server = rs(&[]);
    let holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &[],
    );
    until_listed(&server, 200);
    let out = place.path().join("out");
    let out = out.to_str().expect("UTF-8");
    for args in [
        vec!["list", "--rs", &server.address],
        vec!["list", "--rs", &server.address, "--json"],
        vec!["index", "--peer", &holder.address, "--json"],
        vec!["get", "--all", "--rs", &server.address, "--out", out],
        vec!["help"],
    ] {
        let mut child = program()
            .args(&args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("p2pdi starts");
        let mut lines = BufReader::with_capacity(64, child.stdout.take().expect("stdout"));
        lines.read_line(&mut String::new()).expect("a line");
        drop(lines);
        let ended = child.wait_with_output().expect("ended");
        let stderr = String::from_utf8(ended.stderr).expect("UTF-8");
        assert!(
            ended.status.success() && !stderr.contains("panicked"),
            "{args:?}: {:?} {stderr}",
            ended.status
        );
    }
    let closed = Command::new("sh")
        .args([
            "-c",
            "\"$0\" list --rs \"$1\" >&- 2>&-",
            env!("CARGO_BIN_EXE_p2pdi"),
            &server.address,
        ])
        .status()
        .expect("sh runs");
    assert_eq!(closed.code(), Some(0), "both streams closed from the start");
}

#[test]
fn a_peer_waits_for_an_rs_that_is_not_there_yet() {
    let place = tempfile::tempdir().expect("a directory");
    write_random(&place.path().join("a/doc.bin"), 9_000, 1);
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("an address").to_string()
    };
    let (dir, state) = (place.path().join("a"), place.path().join("state"));
    let (dir, state) = (dir.to_str().expect("UTF-8"), state.to_str().expect("UTF-8"));
    let early = super::process::serve(&[
        "peer",
        "--rs",
        &port,
        "--dir",
        dir,
        "--state",
        state,
        "--listen",
        "127.0.0.1:0",
    ]);
    let said = eventually("the peer to say so", || {
        Some(early.stderr()).filter(|said| !said.is_empty())
    });
    assert!(said.contains(&port), "{said}");
    let server = super::process::serve(&["rs", "--listen", &port]);
    until_listed(&server, 1);
}
