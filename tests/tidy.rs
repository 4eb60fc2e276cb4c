//! The house keeps its own rules: floors, file sizes, words, and where `unsafe` may stand.
//!
//! Each finding names the file, the line and what to do instead.
#![allow(clippy::disallowed_types, reason = "it reads the source")]

use std::path::{Path, PathBuf};

/// The rooms of each floor, from the ground up. A room may use what lies below it. On the ground floor the
/// values are one room; on the others neighbours do not know each other.
const FLOORS: &[&[&[&str]]] = &[
    &[&["id", "limits", "name", "rate", "ring", "rng", "time"]],
    &[&["wire"]],
    &[&["proto"]],
    &[&["storage"]],
    &[&["net"], &["sim"]],
    &[&["rs"], &["peer"], &["fetch"], &["locate"], &["load"]],
    &[&["cli", "main"]],
];

/// The files that may hold `unsafe`, each with its reason at its head.
const UNSAFE: &[&str] = &["src/net/unacked.rs", "src/storage/mapped.rs"];

const LINES_MAX: usize = 500;

/// Words that say nothing about a room, or that something is not finished.
const BANNED: &[(&str, &str)] = &[
    ("TODO", "do it, or write an issue"),
    ("FIXME", "fix it, or write an issue"),
    ("XXX", "say what is wrong"),
    ("todo!(", "nothing is left for later"),
    ("unimplemented!(", "nothing is left for later"),
    ("thread::sleep", "wait for the event, or for net::Stop"),
];

const BANNED_FILES: &[&str] = &["utils", "util", "common", "manager", "helpers", "helper", "misc"];

fn sources(below: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = walkdir::WalkDir::new(root.join(below))
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok);
    let rust = files.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "rs"));
    rust.map(|entry| {
        entry
            .path()
            .strip_prefix(root)
            .expect("below the root")
            .to_owned()
    })
    .collect()
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("readable")
}

/// The room a file of `src` belongs to: its folder there, or its own name.
fn room(file: &Path) -> Option<String> {
    let below = file.strip_prefix("src").ok()?;
    let first = below.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_owned())
}

fn place(room: &str) -> Option<(usize, usize)> {
    let floors = FLOORS.iter().enumerate();
    floors
        .flat_map(|(floor, rooms)| {
            rooms
                .iter()
                .enumerate()
                .map(move |(door, names)| (floor, door, names))
        })
        .find(|(_, _, names)| names.contains(&room))
        .map(|(floor, door, _)| (floor, door))
}

/// The rooms a line of code names, by `crate::` or, in the binary, by the library's name.
fn used(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    let mut rooms = Vec::new();
    for prefix in ["crate::", "p2pdi::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            rooms.push(rest[..end].to_owned());
        }
    }
    rooms
}

fn check(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn floors_use_only_what_lies_below() {
    let mut findings = Vec::new();
    for file in sources("src") {
        let Some(room) = room(&file).filter(|room| room != "lib") else {
            continue;
        };
        let Some((floor, door)) = place(&room) else {
            findings.push(format!(
                "{}: on no floor; give it one in tests/tidy.rs",
                file.display()
            ));
            continue;
        };
        for (number, line) in read(&file).lines().enumerate() {
            for other in used(line) {
                let Some((other_floor, other_door)) = place(&other) else {
                    continue;
                };
                let above = other_floor > floor;
                let neighbour = other_floor == floor && other_door != door;
                if above || neighbour {
                    let which = if above { "a higher floor" } else { "a neighbour" };
                    findings.push(format!(
                        "{}:{}: {room} uses {other}, {which}",
                        file.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    check(&findings);
}

#[test]
fn files_hold_one_idea() {
    let mut findings = Vec::new();
    for file in ["src", "tests", "benches", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
    {
        let lines = read(&file).lines().count();
        if lines > LINES_MAX {
            findings.push(format!("{}: {lines} lines; that is two ideas", file.display()));
        }
        let name = file
            .file_stem()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if BANNED_FILES.contains(&name) {
            findings.push(format!("{}: name the file by what is in it", file.display()));
        }
    }
    check(&findings);
}

#[test]
fn words_say_something() {
    let mut findings = Vec::new();
    for file in ["src", "tests", "benches", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
    {
        if file.ends_with("tidy.rs") {
            continue;
        }
        for (number, line) in read(&file).lines().enumerate() {
            for (word, instead) in BANNED {
                if line.contains(word) {
                    findings.push(format!("{}:{}: {word}: {instead}", file.display(), number + 1));
                }
            }
        }
    }
    check(&findings);
}

#[test]
fn unsafe_stands_in_its_own_files() {
    let mut findings = Vec::new();
    for file in sources("src") {
        let allowed = UNSAFE.contains(&file.to_str().unwrap_or_default());
        let holds = ["unsafe {", "unsafe fn", "unsafe impl"]
            .iter()
            .any(|word| read(&file).contains(word));
        if holds != allowed {
            findings.push(format!(
                "{}: unsafe is for {UNSAFE:?} only; keep that list true",
                file.display()
            ));
        }
    }
    check(&findings);
}

#[test]
fn every_file_says_what_belongs_there() {
    let mut findings = Vec::new();
    for file in ["src", "tests", "benches", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
    {
        let text = read(&file);
        if !text.starts_with("//!") && !text.starts_with("#![doc") {
            findings.push(format!(
                "{}: begin with //! and what belongs there",
                file.display()
            ));
        }
    }
    check(&findings);
}

#[test]
fn every_bound_has_its_reason() {
    let text = read(Path::new("src/limits.rs"));
    let lines: Vec<&str> = text.lines().collect();
    let mut findings = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if line.starts_with("pub const") && !lines[number.saturating_sub(1)].starts_with("///") {
            findings.push(format!("src/limits.rs:{}: say why this value", number + 1));
        }
    }
    check(&findings);
}

#[test]
fn what_is_fuzzed_has_the_dependencies_of_the_program() {
    let manifest = read(Path::new("Cargo.toml"));
    let section = manifest.split("\n[dependencies]\n").nth(1).expect("dependencies");
    let section = section.split("\n[").next().expect("their end");
    let names = section.lines().filter_map(|line| line.split(['=', '.']).next());
    let locked = read(Path::new("fuzz/Cargo.lock"));
    let missing: Vec<String> = names
        .map(str::trim)
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .filter(|name| !locked.contains(&format!("name = \"{name}\"\n")))
        .map(|name| format!("fuzz/Cargo.lock: no {name}; `cargo metadata --manifest-path fuzz/Cargo.toml`"))
        .collect();
    check(&missing);
}
