//! The README's tour, typed as it stands there, and its two commands.
#![allow(clippy::disallowed_types, reason = "it reads the README and runs a shell")]

use std::path::Path;
use std::process::Command;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("readable")
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn the_tour_runs_as_written() {
    let text = readme();
    let begin = text.find("```sh tour\n").expect("a tour") + "```sh tour\n".len();
    let tour = &text[begin..begin + text[begin..].find("```").expect("its end")];
    let tour = tour.replace("65423", &free_port().to_string());
    let place = tempfile::tempdir().expect("a directory");
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("rfcs");
    std::os::unix::fs::symlink(specs, place.path().join("rfcs")).expect("a link");
    let program = Path::new(env!("CARGO_BIN_EXE_p2pdi"));
    let path = format!(
        "{}:{}",
        program.parent().expect("a folder").display(),
        std::env::var("PATH").expect("PATH")
    );
    let ran = Command::new("bash")
        .args(["-ec", &tour])
        .current_dir(place.path())
        .env("PATH", path)
        .env("XDG_STATE_HOME", place.path().join("state"))
        .output()
        .expect("bash runs");
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    for expected in [
        "listening on 127.0.0.1:",
        "archive",
        "0001-wire.txt",
        "verified",
        "copies/0001-wire.txt",
    ] {
        assert!(out.contains(expected), "{expected} is missing:\n{out}\n{err}");
    }
}

#[test]
fn what_the_readme_names_is_there() {
    let text = readme();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let links = text
        .match_indices("](")
        .map(|(at, _)| &text[at + 2..at + text[at..].find(')').expect("closed")]);
    for target in links.filter(|target| !target.starts_with("http")) {
        assert!(root.join(target).exists(), "{target}");
    }
    let makefile = std::fs::read_to_string(root.join("Makefile")).expect("readable");
    for target in text.lines().filter_map(|line| line.strip_prefix("make ")) {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
    }
}
