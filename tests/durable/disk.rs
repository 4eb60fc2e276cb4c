//! An RS whose disk is full, or does not sync.

use super::member::{Member, listed};
use super::process::{Running, eventually, serve_command, spawn_command, text};
use super::world::World;
use p2pdi::wire::Message;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// It has ended for its store's sake, and said so once.
fn failed(server: &mut Running, why: &str) {
    assert_eq!(server.end().code(), Some(1));
    let said = server.last_words();
    let lines = said.lines().filter(|line| line.contains(why));
    let naming = lines.filter(|line| line.contains("registry.redb"));
    assert_eq!(naming.count(), 1, "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn what_does_not_reach_the_disk_is_not_acknowledged() {
    let Some(world) = World::new() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let mut server = world.keeping(place.path(), &[]);
    let mut member = Member::join(&server.address, "here", 1);
    member.register("a.txt");
    world.no_sync();
    let lost = member.register_message("b.txt");
    assert_eq!(member.ask(lost), None, "answered, and not on disk");
    failed(&mut server, "Input/output error");
    // It does not begin on such a disk either.
    failed(&mut world.trying(place.path()), "Input/output error");
    world.as_usual();
    let server = world.keeping(place.path(), &[]);
    assert!(listed(&server.address).contains(&"a.txt".to_owned()));
    member.reconnect(&server.address);
    member.ask_the_open_again();
    assert_eq!(listed(&server.address), ["a.txt", "b.txt"]);
}

/// A disk of few bytes in a namespace of its own, which ends with it.
struct SmallDisk(Child);

impl SmallDisk {
    /// None, and why on stdout, where it cannot be mounted.
    fn new(at: &Path) -> Option<Self> {
        let script = r#"mount -t tmpfs -o size=4m p2pdi-test "$1" && echo ready && exec cat"#;
        let mut child = Command::new("unshare")
            .args([
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                script,
                "small",
                text(at),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let told = child.stdout.take().expect("stdout");
        let _ = BufReader::new(told).read_line(&mut line);
        let disk = Self(child);
        if line != "ready\n" {
            println!("no disk can be mounted here (it needs user namespaces): not tried");
            return None;
        }
        Some(disk)
    }

    /// A command that sees the disk.
    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.0.id().to_string();
        command.args([
            "--target",
            &target,
            "--user",
            "--mount",
            "--preserve-credentials",
            "--",
        ]);
        command
    }

    fn rs(&self, data: &Path) -> Command {
        let mut command = self.command();
        command.arg(env!("CARGO_BIN_EXE_p2pdi")).args([
            "rs",
            "--listen",
            "127.0.0.1:0",
            "--data",
            text(data),
        ]);
        command
    }

    fn shell(&self, script: &str, at: &Path) {
        let mut command = self.command();
        command.args(["sh", "-c", script, "shell", text(at)]);
        command.stderr(Stdio::null()).status().expect("a shell");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_full_disk_ends_it_and_room_brings_it_back() {
    let place = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::new(place.path()) else {
        return;
    };
    let data = place.path().join("data");
    let mut server = serve_command(disk.rs(&data));
    let mut member = Member::join(&server.address, "here", 1);
    member.register("0.txt");
    disk.shell(r#"cat /dev/zero > "$1/filler""#, place.path());
    let mut kept = vec!["0.txt".to_owned()];
    // Pages that are free in the file are used before it grows.
    for number in 1..20_000 {
        let name = format!("{number}.txt");
        let register = member.register_message(&name);
        match member.ask(register) {
            Some(Message::Ack(_)) => kept.push(name),
            Some(other) => panic!("{other:?}"),
            None => break,
        }
    }
    failed(&mut server, "No space left on device");
    println!("{} were kept before it was full", kept.len());
    // On the full disk it says the same, or serves what is there.
    let mut again = spawn_command(disk.rs(&data));
    if again.says().is_none() {
        failed(&mut again, "No space left on device");
    }
    drop(again);
    disk.shell(r#"rm "$1/filler""#, place.path());
    let server = serve_command(disk.rs(&data));
    let there = listed(&server.address);
    let lost: Vec<&String> = kept.iter().filter(|name| !there.contains(name)).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    member.reconnect(&server.address);
    member.ask_the_open_again();
    eventually("one more", || {
        (listed(&server.address).len() == kept.len() + 1).then_some(())
    });
}
