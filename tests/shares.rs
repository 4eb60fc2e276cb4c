//! What a peer shares, over its whole life: hashed once, again only if it changed, and never waited for.
//!
//! Whole tests with real processes. That a file is not read again is seen from outside: the kernel counts the
//! bytes a process reads.
#![allow(clippy::disallowed_types, reason = "it watches processes by their files")]

mod process;

use p2pdi::limits::{OFFERS_KEPT_MAX, SMALL_BYTES_MAX};
use process::{Running, Words, eventually, peer, rs, run, until_listed, write_random};
use std::path::Path;
use std::time::{Duration, Instant};

const LARGE_BYTES: usize = 48 << 20;
/// Far less than the large file, far more than a start reads of its own.
const START_READS_BYTES_MAX: u64 = 8 << 20;
/// What the project promises of what is new, changed or gone.
const PROMISED: Duration = Duration::from_secs(5);

/// One number of a file in `/proc`.
fn counted(running: &Running, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", running.id())).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let digits = line.expect("counted").trim_start_matches([':', ' ', '\t']);
    let digits = digits.split_whitespace().next().expect("a number");
    digits.parse().expect("a number")
}

fn bytes_read(running: &Running) -> u64 {
    counted(running, "io", "rchar")
}

fn id_of(listed: &[serde_json::Value], name: &str) -> String {
    let named = listed.iter().find(|content| content["name"] == name);
    named.expect("listed")["id"].as_str().expect("an id").to_owned()
}

fn plain(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

/// Waits until the remembered hashes are as many bytes as this.
fn until_remembered(state: &Path, bytes: u64) {
    eventually("the hashes to be remembered", || {
        let length = state.join("hashes").metadata().map_or(0, |file| file.len());
        (length >= bytes).then_some(())
    });
}

#[test]
fn so_many_contents_stay_mapped_and_no_more() {
    let place = tempfile::tempdir().expect("a directory");
    let shared = place.path().join("shared");
    let count = OFFERS_KEPT_MAX + 4;
    let bytes = usize::try_from(2 * SMALL_BYTES_MAX).expect("small");
    for number in 0..count {
        write_random(&shared.join(format!("f{number}")), bytes, number as u64);
    }
    let server = rs(&[]);
    let holder = peer(&server, "holder", &shared, &place.path().join("state"), &[]);
    until_listed(&server, count);
    let got = Words::get("--all", place.path().join("out")).rs(&server).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    eventually("what is not kept to be let go", || {
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", holder.id())).expect("it runs");
        let mapped = maps.lines().filter(|line| line.contains("/shared/f")).count();
        (mapped == OFFERS_KEPT_MAX).then_some(())
    });
}

#[test]
fn a_restart_reads_only_what_changed() {
    let place = tempfile::tempdir().expect("a directory");
    let (shared, state) = (place.path().join("shared"), place.path().join("state"));
    let large = write_random(&shared.join("large.bin"), LARGE_BYTES, 1);
    let small = write_random(&shared.join("small.bin"), 1_000, 2);
    write_random(&shared.join("changing.bin"), 2_000, 3);
    let server = rs(&[]);
    let start = || peer(&server, "holder", &shared, &state, &[]);

    let mut first = start();
    let listed = until_listed(&server, 3);
    assert_eq!(id_of(&listed, "large.bin"), plain(&large));
    assert!(
        bytes_read(&first) >= LARGE_BYTES as u64,
        "the first start reads all"
    );
    until_remembered(&state, 32 * 768 + 2 * 32);
    // As a power cut ends it, but for the machine.
    first.kill();

    let changed = write_random(&shared.join("changing.bin"), 2_000, 4);
    let mut second = start();
    eventually("the changed file to be listed", || {
        let listed = run(&["list", "--rs", &server.address, "--json"]).json();
        let ids: Vec<&str> = listed
            .iter()
            .filter_map(|content| content["id"].as_str())
            .collect();
        let all = [&large, &small, &changed];
        all.iter()
            .all(|content| ids.contains(&plain(content).as_str()))
            .then_some(())
    });
    let read = bytes_read(&second);
    assert!(read < START_READS_BYTES_MAX, "{read} bytes were read");
    assert!(second.stop().success());

    // Damage costs time and nothing else.
    let path = state.join("hashes");
    let mut remembered = std::fs::read(&path).expect("read");
    remembered[20] ^= 1;
    std::fs::write(&path, &remembered).expect("written");
    let third = start();
    let listed = until_listed(&server, 3);
    assert_eq!(id_of(&listed, "large.bin"), plain(&large));
    assert_eq!(id_of(&listed, "small.bin"), plain(&small));
    assert!(bytes_read(&third) >= LARGE_BYTES as u64, "read again");
}

#[test]
fn everything_goes_on_while_a_huge_file_is_hashed() {
    let place = tempfile::tempdir().expect("a directory");
    let (shared, state) = (place.path().join("shared"), place.path().join("state"));
    write_random(&shared.join("before.bin"), 10_000, 1);
    write_random(&shared.join("changing.bin"), 10_000, 2);
    // It would take minutes.
    let huge = std::fs::File::create(shared.join("huge.bin")).expect("created");
    huge.set_len(1 << 40).expect("a sparse file");
    drop(huge);
    let server = rs(&[]);
    let mut holder = peer(&server, "holder", &shared, &state, &[]);
    until_listed(&server, 2);

    let new = write_random(&shared.join("new.bin"), 10_000, 3);
    let began = Instant::now();
    let listed = until_listed(&server, 3);
    assert!(
        began.elapsed() < PROMISED,
        "registered after {:?}",
        began.elapsed()
    );
    assert_eq!(id_of(&listed, "new.bin"), plain(&new));

    std::fs::remove_file(shared.join("before.bin")).expect("removed");
    let began = Instant::now();
    let listed = until_listed(&server, 2);
    assert!(
        began.elapsed() < PROMISED,
        "withdrawn after {:?}",
        began.elapsed()
    );
    assert!(listed.iter().all(|content| content["name"] != "before.bin"));

    let changed = write_random(&shared.join("changing.bin"), 10_000, 4);
    let began = Instant::now();
    eventually("the change to be registered", || {
        let listed = run(&["list", "--rs", &server.address, "--json"]).json();
        let is_new = |content: &serde_json::Value| content["id"] == plain(&changed).as_str();
        (listed.len() == 2 && listed.iter().any(is_new)).then_some(())
    });
    assert!(
        began.elapsed() < PROMISED,
        "registered after {:?}",
        began.elapsed()
    );

    // What is listed is served, and a directory has no tree before all of it is hashed.
    let out = place.path().join("out");
    let got = run(&[
        "get",
        "new.bin",
        "--rs",
        &server.address,
        "--out",
        out.to_str().expect("UTF-8"),
    ]);
    assert_eq!(got.code, 0, "{}", got.stderr);
    let trees = run(&["list", "--trees", "--rs", &server.address, "--json"]);
    assert!(
        trees.json().iter().all(|tree| tree["kind"] != "tree"),
        "{}",
        trees.stdout
    );
    let said = eventually("a word about it", || {
        Some(holder.stderr()).filter(|said| said.contains("hashing: "))
    });
    assert!(!said.contains("sharing"), "{said}");

    let peak_kib = counted(&holder, "status", "VmHWM");
    assert!(peak_kib < 100 * 1024, "{peak_kib} KiB of memory");
    std::fs::remove_file(shared.join("huge.bin")).expect("removed");
    eventually("the tree, now that all is hashed", || {
        let trees = run(&["list", "--trees", "--rs", &server.address, "--json"]);
        trees
            .json()
            .iter()
            .any(|tree| tree["kind"] == "tree")
            .then_some(())
    });
    eventually("the end of the hashing to be told", || {
        holder.stderr().contains("sharing 2 files").then_some(())
    });

    let huge = std::fs::File::create(shared.join("huge.bin")).expect("created");
    huge.set_len(1 << 40).expect("a sparse file");
    let read = bytes_read(&holder);
    eventually("the huge file to be hashed", || {
        (bytes_read(&holder) > read + (64 << 20)).then_some(())
    });
    let began = Instant::now();
    assert!(holder.stop().success());
    assert!(began.elapsed() < PROMISED, "stopped after {:?}", began.elapsed());
    assert_eq!(holder.rest(), Vec::<String>::new(), "nothing new on stdout");
}

#[test]
fn hash_prints_in_order_and_stops_at_what_cannot_be_read() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name).to_str().expect("UTF-8").to_owned();
    let large = write_random(&place.path().join("dir/a-large.bin"), 20 << 20, 1);
    let small = write_random(&place.path().join("dir/b-small.bin"), 3, 2);
    let hashed = run(&["hash", &at("dir"), &at("dir/b-small.bin"), &at("dir/b-small.bin")]);
    assert_eq!(hashed.code, 0, "{}", hashed.stderr);
    let lines: Vec<&str> = hashed.stdout.lines().collect();
    assert_eq!(lines.len(), 5, "{}", hashed.stdout);
    assert_eq!(lines[0], format!("{}  {}", plain(&large), at("dir/a-large.bin")));
    assert_eq!(lines[1], format!("{}  {}", plain(&small), at("dir/b-small.bin")));
    assert!(lines[2].ends_with("/dir/"));
    assert_eq!([lines[3], lines[4]], [lines[1]; 2]);
    let hashed = run(&[
        "hash",
        &at("dir/b-small.bin"),
        &at("missing"),
        &at("dir/a-large.bin"),
    ]);
    assert_eq!(hashed.code, 1);
    assert_eq!(hashed.stdout.lines().collect::<Vec<_>>(), [lines[1]]);
    assert!(hashed.stderr.contains("missing"), "{}", hashed.stderr);
}
