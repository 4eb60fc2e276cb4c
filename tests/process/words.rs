//! Command lines of tests, put together word by word.

use super::{Ended, Running, eventually, program, run, serve, spawn, write_random};
use p2pdi::id::PieceIndex;
use p2pdi::proto::transfer::piece_span;
use std::path::{Path, PathBuf};
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
    pub fn get(what: &str, out: impl AsRef<Path>) -> Self {
        Self(Vec::new()).and(&["get", what, "--out", text(out.as_ref()), "--json"])
    }

    /// These words.
    pub fn of(words: &[&str]) -> Self {
        Self(Vec::new()).and(words)
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

/// What the journal beside an unfinished file begins with, and what it has for each verified piece.
pub const JOURNAL_HEAD_BYTES: u64 = 72;
pub const JOURNAL_RECORD_BYTES: u64 = 12;

/// What an unfinished get has left in `out`: its verified pieces, by the length of their journal.
pub fn pieces_kept(out: &Path) -> u64 {
    let bytes =
        left_of_get(out, ".journal.").map(|file| file.metadata().map_or(0, |metadata| metadata.len()));
    bytes.map_or(0, |bytes| {
        bytes.saturating_sub(JOURNAL_HEAD_BYTES) / JOURNAL_RECORD_BYTES
    })
}

/// The same, after every one of them has been compared with the content.
pub fn pieces_kept_are_right(out: &Path, content: &[u8]) -> u64 {
    let read = |name| left_of_get(out, name).map_or_else(Vec::new, |file| std::fs::read(file).expect("read"));
    let (journal, part) = (read(".journal."), read(".p2pdi-part"));
    let records = journal
        .get(usize::try_from(JOURNAL_HEAD_BYTES).expect("small")..)
        .unwrap_or_default();
    let records = records.chunks_exact(usize::try_from(JOURNAL_RECORD_BYTES).expect("small"));
    let kept = records.len() as u64;
    for record in records {
        let piece = u32::from_be_bytes([record[0], record[1], record[2], record[3]]);
        let span = piece_span(content.len() as u64, PieceIndex(piece));
        let span = usize::try_from(span.start).expect("small")..usize::try_from(span.end).expect("small");
        assert!(
            part.get(span.clone()) == content.get(span),
            "piece {piece} counts and is wrong"
        );
    }
    kept
}

/// A hidden file of an unfinished get: its journal, or the file itself.
fn left_of_get(out: &Path, name: &str) -> Option<PathBuf> {
    let files = out.read_dir().into_iter().flatten().filter_map(Result::ok);
    let mut files = files.filter(|file| {
        let found = file.file_name().to_string_lossy().into_owned();
        found.contains(name) && found.contains(".journal.") == name.contains(".journal.")
    });
    files.next().map(|file| file.path())
}
