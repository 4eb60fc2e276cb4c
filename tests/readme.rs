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

/// Words between backticks that can only be meant as a path in this repository.
fn named_paths(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    let words = prose.flat_map(|prose| prose.split('`').skip(1).step_by(2));
    words.filter(|word| {
        let plain = word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        let is_source = [".rs", ".lua", ".md"].iter().any(|ending| word.ends_with(ending));
        let is_below = ["src/", "tests/", "tools/", "rfcs/", "benches/"]
            .iter()
            .any(|folder| word.starts_with(folder));
        plain && (is_source || is_below)
    })
}

#[test]
fn the_paths_that_documents_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = 0;
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "BENCHMARKS.md",
        "CHANGELOG.md",
    ] {
        let text = std::fs::read_to_string(root.join(document)).expect(document);
        // ARCHITECTURE speaks of the rooms of `src`, and after one of its files, of that one's neighbours.
        let folders: Vec<_> = walkdir::WalkDir::new(root.join("src"))
            .into_iter()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_dir())
            .map(walkdir::DirEntry::into_path)
            .collect();
        for path in named_paths(&text) {
            named += 1;
            let is_there =
                root.join(path).exists() || folders.iter().any(|folder| folder.join(path).exists());
            assert!(is_there, "{document} names {path}, which is not there");
        }
    }
    assert!(named > 30, "only {named} paths were found");
}
