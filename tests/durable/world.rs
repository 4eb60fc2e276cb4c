//! A world for one program: its syncs fail and its wall clock jumps when a test wants it.

use super::process::{Running, program, serve_command, spawn_command, text};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the program finds out what is to happen; as usual at first.
pub(crate) struct World {
    library: &'static Path,
    wishes: tempfile::NamedTempFile,
}

/// The library that is preloaded, made once.
fn library() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return None;
        }
        let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = here.join(format!("world-{}.so", std::process::id()));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/durable/shim.rs");
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let done = Command::new(compiler)
            .args([
                "--edition",
                "2024",
                "--crate-type",
                "cdylib",
                "--crate-name",
                "world",
            ])
            .args([&source, Path::new("-o"), &library])
            .output();
        done.is_ok_and(|done| done.status.success()).then_some(library)
    });
    made.as_deref()
}

impl World {
    /// None, and why on stdout, where a program's functions cannot be stood in for.
    pub(crate) fn new() -> Option<Self> {
        let Some(library) = library() else {
            println!("no compiler here, or no GNU/Linux: not tried");
            return None;
        };
        let wishes = tempfile::NamedTempFile::new().expect("a file");
        Some(Self { library, wishes })
    }

    fn wish(&self, words: &str) {
        std::fs::write(self.wishes.path(), words).expect("written");
    }

    pub(crate) fn as_usual(&self) {
        self.wish("");
    }

    pub(crate) fn no_sync(&self) {
        self.wish("no-sync");
    }

    pub(crate) fn clock_ahead(&self, secs: i64) {
        self.wish(&format!("ahead {secs}"));
    }

    fn rs(&self, data: &Path, more: &[&str]) -> Command {
        let mut command = program();
        command
            .args(["rs", "--listen", "127.0.0.1:0", "--data", text(data)])
            .args(more)
            .env("LD_PRELOAD", self.library)
            .env("P2PDI_TEST_WORLD", self.wishes.path());
        command
    }

    /// An RS in this world, serving.
    pub(crate) fn keeping(&self, data: &Path, more: &[&str]) -> Running {
        serve_command(self.rs(data, more))
    }

    /// The same, which may not come so far.
    pub(crate) fn trying(&self, data: &Path) -> Running {
        spawn_command(self.rs(data, &[]))
    }
}
