//! A getter's own disk fails: it is full, or cannot write, or cannot sync.

use super::fault::Fault;
use super::process::{
    Ended, JOURNAL_HEAD_BYTES, JOURNAL_RECORD_BYTES, Running, Words, holder_of_big, pieces_kept,
    pieces_kept_are_right, program, text,
};
use p2pdi::id::piece_bytes;
use p2pdi::proto::transfer::piece_count;
use std::path::Path;
use std::process::Command;

const BYTES: usize = 3_000_000;
/// Where a disk begins to fail, in one test: at the last pieces, so that others have come by then.
const WRITTEN_MAX: u64 = 2_900_000;

/// A holder that sends slowly enough not to have sent everything before a fault is met, and what it has.
fn holder(place: &Path) -> (Running, Vec<u8>) {
    let holder = holder_of_big(place, "a", BYTES, &["--up-limit", "4MB"]);
    let content = std::fs::read(place.join("a/big")).expect("read");
    (holder, content)
}

/// What a get was sent.
fn came(got: &Ended) -> u64 {
    let done = got.json().pop().expect("an event");
    let holders = done["holders"].as_array().expect("holders");
    holders.iter().filter_map(|holder| holder["bytes"].as_u64()).sum()
}

/// After a failure that kept so many pieces, the same command brings the rest and no more.
fn goes_on(words: &Words, out: &Path, kept: u64, content: &[u8]) {
    let got = words.run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
    assert_eq!(out.read_dir().expect("listed").count(), 1, "nothing else is left");
    let size = piece_bytes(content.len() as u64);
    let (came, most) = (
        came(&got),
        (content.len() as u64).saturating_sub(kept * size) + 2 * size,
    );
    assert!(came <= most, "{came} bytes came, with {kept} pieces here");
    println!("{kept} pieces were kept, {came} bytes came to the rest");
}

#[test]
fn a_full_disk_stops_it_until_there_is_room() {
    let place = tempfile::tempdir().expect("a directory");
    let (holder, _) = holder(place.path());
    // The mount is seen in this namespace only and ends with it. Twice it is full, and then there is room.
    let script = r#"
        mount -t tmpfs -o size=1m p2pdi-test "$2" || exit 77
        get() {
            "$1" get big --out "$2" --peer "$3" --json >"$5" 2>&1
            echo "exit $?: $(tail -n 1 "$5")"
        }
        get "$@"
        echo "kept $(cat "$2"/.*.journal.* | wc -c)"
        test ! -e "$2/big" || echo "it appeared"
        get "$@"
        echo "kept $(cat "$2"/.*.journal.* | wc -c)"
        mount -o remount,size=16m "$2"
        get "$@"
        cmp "$2/big" "$4" && echo "the same"
    "#;
    let out = place.path().join("out");
    std::fs::create_dir(&out).expect("a directory");
    let (original, log) = (place.path().join("a/big"), place.path().join("log"));
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script, "full"])
        .arg(program().get_program())
        .args([text(&out), &holder.address, text(&original), text(&log)])
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) => output,
        _ => {
            println!("skipped: a full disk, for mounting one takes a namespace of our own");
            return;
        }
    };
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    let lines: Vec<&str> = said.lines().collect();
    let [full, kept, still_full, still_kept, room, same] = lines[..] else {
        panic!("{said}{stderr}")
    };
    for full in [full, still_full] {
        let clear =
            full.starts_with("exit 1: p2pdi: ") && full.contains("/big") && full.contains("No space left");
        assert!(clear, "{said}");
    }
    let pieces = |kept: &str| {
        let bytes: u64 = kept.trim_start_matches("kept ").parse().expect("a number");
        bytes.saturating_sub(JOURNAL_HEAD_BYTES) / JOURNAL_RECORD_BYTES
    };
    assert!(pieces(kept) >= 8, "what came before it was full is kept: {said}");
    assert!(pieces(still_kept) >= pieces(kept), "{said}");
    let done = room.strip_prefix("exit 0: ").expect("it goes on");
    let done: serde_json::Value = serde_json::from_str(done).expect("JSON");
    let (came, size) = (
        done["holders"][0]["bytes"].as_u64().expect("bytes"),
        piece_bytes(BYTES as u64),
    );
    let most = BYTES as u64 - pieces(still_kept) * size + 2 * size;
    assert!(came <= most && same == "the same", "{said}");
    println!(
        "{} pieces were kept, {came} bytes came to the rest",
        pieces(still_kept)
    );
}

#[test]
fn a_failed_sync_leaves_nothing_to_be_trusted() {
    let place = tempfile::tempdir().expect("a directory");
    let (holder, content) = holder(place.path());
    let out = place.path().join("out");
    let words = Words::get("big", &out).from([&*holder.address]);
    let got = Fault::Sync.run(&words);
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(
        got.stderr.contains("/big") && got.stderr.contains("Input/output error"),
        "{}",
        got.stderr
    );
    assert!(!out.join("big").exists());
    // What the disk has of it nobody knows: a later look would only see the cache.
    assert_eq!(pieces_kept(&out), 0);
    goes_on(&words, &out, 0, &content);
}

#[test]
fn a_failed_write_never_counts_a_piece() {
    let place = tempfile::tempdir().expect("a directory");
    let (holder, content) = holder(place.path());
    let out = place.path().join("out");
    let words = Words::get("big", &out).from([&*holder.address]);
    let got = Fault::WriteFrom(WRITTEN_MAX).run(&words);
    assert_eq!(got.code, 1, "{}", got.stderr);
    assert!(
        got.stderr.contains("/big") && got.stderr.contains("Input/output error"),
        "{}",
        got.stderr
    );
    assert!(!out.join("big").exists());
    let kept = pieces_kept_are_right(&out, &content);
    assert!(
        kept <= WRITTEN_MAX / piece_bytes(BYTES as u64),
        "{kept} pieces cannot have been written"
    );
    goes_on(&words, &out, kept, &content);
}

#[test]
fn who_dies_while_it_takes_over_a_journal_keeps_it() {
    let place = tempfile::tempdir().expect("a directory");
    let (holder, content) = holder(place.path());
    let out = place.path().join("out");
    let words = Words::get("big", &out).from([&*holder.address]);
    let mut getter = words.spawn();
    super::process::eventually("some pieces", || (pieces_kept(&out) >= 12).then_some(()));
    getter.kill();
    let kept = pieces_kept(&out);
    // Written anew at the start of the next run, it would be written so: head and records in one go.
    let got = Fault::DiesWriting(JOURNAL_HEAD_BYTES + JOURNAL_RECORD_BYTES * kept).run(&words);
    println!("the run that was to die ended with {}", got.code);
    assert!(
        pieces_kept(&out) >= kept || out.join("big").exists(),
        "of {kept} pieces {} are left",
        pieces_kept(&out)
    );
    if got.code != 0 {
        goes_on(&words, &out, kept, &content);
    }
}

#[test]
fn who_dies_before_it_has_tidied_up_does_so_later() {
    let place = tempfile::tempdir().expect("a directory");
    let (holder, content) = holder(place.path());
    let out = place.path().join("out");
    let words = Words::get("big", &out).from([&*holder.address]);
    let got = Fault::DiesRemoving.run(&words);
    assert_eq!(got.code, -1, "nothing was to be removed: {}", got.stderr);
    goes_on(&words, &out, piece_count(BYTES as u64).into(), &content);
}
