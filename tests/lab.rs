//! The lab from outside: real processes, and none of them left, however it ends.
#![allow(
    clippy::disallowed_types,
    reason = "a test of real processes waits in real time"
)]

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How many processes run with this temporary directory: the lab itself and all that it starts.
fn processes_in(scratch: &Path) -> usize {
    let wanted = format!("TMPDIR={}\0", scratch.display()).into_bytes();
    let processes = std::fs::read_dir("/proc").expect("a Linux /proc").flatten();
    let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
    environments
        .filter(|environment| environment.windows(wanted.len()).any(|part| part == wanted))
        .count()
}

/// The lab, its RS and its six peers.
const PROCESSES: usize = 8;

fn lab(scratch: &Path, out: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2pdi"));
    command
        .arg("lab")
        .args(args)
        .arg("--out")
        .arg(out)
        .env("TMPDIR", scratch)
        .current_dir(scratch);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn assert_nothing_left(scratch: &Path) {
    assert_eq!(processes_in(scratch), 0, "processes left");
    assert_eq!(
        std::fs::read_dir(scratch).expect("the scratch directory").count(),
        0,
        "files left"
    );
}

#[test]
fn six_peers_share_sixty_documents_and_leave_nothing_but_the_results() {
    let (scratch, out) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    let args = ["task2", "--order", "best", "--up-limit", "400mbit", "--json"];
    let output = lab(scratch.path(), out.path(), &args).output().expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (summary["task"].as_str(), summary["order"].as_str()),
        (Some("task2"), Some("best"))
    );
    assert_eq!(summary["verified"], 300);
    assert!(
        summary["ratio"].as_f64().expect("a ratio") >= 1.0,
        "faster than its uplinks: {summary}"
    );
    let rows = std::fs::read_to_string(out.path().join("task2-best.csv")).expect("the CSV");
    assert_eq!(rows.lines().count(), 301);
    assert!(out.path().join("curves.svg").exists());
    assert_nothing_left(scratch.path());
}

#[test]
fn a_signal_in_the_middle_leaves_nothing() {
    let (scratch, out) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    let mut child = lab(scratch.path(), out.path(), &["task1", "--up-limit", "1mbit"])
        .spawn()
        .expect("it starts");
    let began = Instant::now();
    while processes_in(scratch.path()) < PROCESSES {
        assert!(
            child.try_wait().expect("its state").is_none(),
            "it ended before its peers ran"
        );
        assert!(began.elapsed() < Duration::from_secs(60), "its peers never ran");
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it is there");
    assert_eq!(child.wait().expect("its end").code(), Some(75));
    assert_nothing_left(scratch.path());
    assert_eq!(std::fs::read_dir(out.path()).expect("the folder").count(), 0);
}

#[test]
fn too_few_documents_are_a_usage_error_in_one_line() {
    let (scratch, out) = (
        tempfile::tempdir().expect("a directory"),
        tempfile::tempdir().expect("a directory"),
    );
    let docs = tempfile::tempdir().expect("a directory");
    let args = [
        "task1",
        "--up-limit",
        "1mbit",
        "--docs",
        docs.path().to_str().expect("UTF-8"),
    ];
    let output = lab(scratch.path(), out.path(), &args).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("0 regular files") && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert_nothing_left(scratch.path());
}
