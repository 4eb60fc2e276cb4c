//! Command lines of tests, put together word by word.

use super::{Ended, Running, eventually, program, run, serve, spawn, write_random};
use std::path::Path;
use std::process::Command;

/// A path that is text, as all paths of tests are.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A command and its words.
#[derive(Clone, Debug)]
pub struct Words(Vec<String>);

impl Words {
    /// `get WHAT --out OUT --json`.
    pub fn get(what: &str, out: &Path) -> Self {
        Self(Vec::new()).and(&["get", what, "--out", text(out), "--json"])
    }

    /// A peer of this name on a free port, sharing `dir`.
    pub fn peer(name: &str, dir: &Path, state: &Path) -> Self {
        let fixed = ["peer", "--name", name, "--listen", "127.0.0.1:0"];
        Self(Vec::new())
            .and(&fixed)
            .and(&["--dir", text(dir), "--state", text(state)])
    }

    /// These too.
    pub fn and(mut self, more: &[&str]) -> Self {
        self.0.extend(more.iter().map(|word| (*word).to_owned()));
        self
    }

    /// At this RS.
    pub fn rs(self, rs: &Running) -> Self {
        self.and(&["--rs", &rs.address])
    }

    /// From these peers.
    pub fn from<'a>(self, peers: impl IntoIterator<Item = &'a str>) -> Self {
        peers
            .into_iter()
            .fold(self, |words, peer| words.and(&["--peer", peer]))
    }

    fn words(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ended {
        run(&self.words())
    }

    /// Starts it.
    pub fn spawn(&self) -> Running {
        spawn(&self.words())
    }

    /// Starts it and waits until it serves.
    pub fn serve(&self) -> Running {
        serve(&self.words())
    }

    /// As a command that is still to be started.
    pub fn command(&self) -> Command {
        let mut command = program();
        command.args(&self.0);
        command
    }
}

/// A peer without an RS that holds `big`, so many bytes of one seed, and has hashed it.
pub fn holder_of_big(place: &Path, name: &str, bytes: usize, more: &[&str]) -> Running {
    let dir = place.join(name);
    write_random(&dir.join("big"), bytes, 1);
    let words = Words::peer(name, &dir, &place.join(format!("state-{name}")));
    let running = words.and(more).serve();
    until_hashed(&running, "big");
    running
}

/// Waits until a peer lists a content of this name.
pub fn until_hashed(peer: &Running, name: &str) {
    eventually("the file to be hashed", || {
        let index = run(&["index", "--peer", &peer.address, "--json"]).json();
        index.iter().any(|content| content["name"] == name).then_some(())
    });
}

/// What an unfinished get has left in `out`: verified pieces, by the length of their journal.
pub fn pieces_kept(out: &Path) -> u64 {
    // The head, and a record for every piece.
    const HEAD: u64 = 72;
    const RECORD: u64 = 12;
    let files = out.read_dir().into_iter().flatten().filter_map(Result::ok);
    let journals = files.filter(|file| file.file_name().to_string_lossy().contains("journal"));
    let bytes = journals
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len());
    bytes.map(|bytes| bytes.saturating_sub(HEAD) / RECORD).sum()
}
