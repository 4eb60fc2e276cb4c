//! Signals in the middle of the work: what has come is kept, and what was registered is withdrawn.

use super::process::{
    Words, active_peers, eventually, peer, pieces_kept, rs, run, spawn, until_listed, write_random,
};

#[test]
fn an_interrupted_get_goes_on_where_it_stopped() {
    let place = tempfile::tempdir().expect("a directory");
    let document = write_random(&place.path().join("a/doc.bin"), 4_000_000, 1);
    let server = rs(&[]);
    let limit = ["--up-limit", "1MB"];
    let mut holder = peer(
        &server,
        "holder",
        &place.path().join("a"),
        &place.path().join("state"),
        &limit,
    );
    until_listed(&server, 1);
    for signal in ["-INT", "-TERM"] {
        let out = place.path().join(format!("out{signal}"));
        let words = Words::get("doc.bin", &out).rs(&server);
        let part = || Some(pieces_kept(&out) * 65_536).filter(|bytes| *bytes > 0);
        let mut getter = words.spawn();
        eventually("the middle of the get", part);
        getter.signal(signal);
        assert_eq!(getter.end().code(), Some(75), "{signal}");
        let said = eventually("its last words", || {
            Some(getter.stderr()).filter(|said| !said.is_empty())
        });
        assert!(
            said.contains("interrupted") && said.contains("same command"),
            "{signal}: {said}"
        );
        let kept = part().expect("what has come");
        assert!(
            !out.join("doc.bin").exists() && kept < 4_000_000,
            "{signal}: {kept}"
        );

        let again = words.run();
        assert_eq!(again.code, 0, "{signal}: {}", again.stderr);
        let got = std::fs::read(out.join("doc.bin")).expect("read");
        assert!(got == document);
        let done = again.json().pop().expect("the last event");
        let sent = done["holders"][0]["bytes"].as_u64().expect("bytes");
        assert!(
            (4_000_000 - kept..4_000_000 - kept + 65_536).contains(&sent),
            "{signal}: only the rest was fetched: {sent} after {kept}"
        );
        assert_eq!(
            out.read_dir().expect("listed").count(),
            1,
            "{signal}: nothing else is left"
        );
    }
    assert_eq!(active_peers(&server), ["holder"]);
    assert!(holder.stop().success());
    assert_eq!(active_peers(&server), Vec::<String>::new());
    let listed = run(&["search", "doc.bin", "--rs", &server.address]);
    assert_eq!(listed.code, 3, "{}", listed.stderr);
}

#[test]
fn an_interrupt_while_nobody_answers_is_heard() {
    let silent = super::liar::Liar::start(|_, _| true);
    let mut asking = spawn(&["get", "x", "--rs", &silent.address()]);
    eventually("the get to wait", || {
        let status = std::fs::read_to_string(format!("/proc/{}/net/tcp", asking.id())).unwrap_or_default();
        let port = format!(":{:04X} 01", silent.address.port());
        status.lines().any(|line| line.contains(&port)).then_some(())
    });
    let begun = std::time::Instant::now();
    asking.signal("-INT");
    assert_eq!(asking.end().code(), Some(75));
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_peer_ends_in_time_though_its_rs_is_mute() {
    let place = tempfile::tempdir().expect("a directory");
    let (asked, heard) = crossbeam_channel::unbounded();
    let mute = super::liar::Liar::start(move |_, _| asked.send(()).is_ok());
    let (dir, state) = (place.path().join("a"), place.path().join("state"));
    std::fs::create_dir(&dir).expect("a directory");
    let (dir, state) = (dir.to_str().expect("UTF-8"), state.to_str().expect("UTF-8"));
    let rs = mute.address();
    let mut peer = super::process::serve(&[
        "peer",
        "--rs",
        &rs,
        "--dir",
        dir,
        "--state",
        state,
        "--listen",
        "127.0.0.1:0",
    ]);
    heard
        .recv_timeout(super::process::PATIENCE)
        .expect("the peer asks its RS");
    let begun = std::time::Instant::now();
    assert!(peer.stop().success());
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}
