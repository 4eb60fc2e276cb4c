//! The two streams: results on stdout, everything else on stderr. A reader that has gone away is no error.

use env_logger::Target;
use indicatif::ProgressBar;
use log::Level;
use std::io::{self, Write as _};

/// A result: a line on stdout, flushed, for somebody may be waiting for it.
pub(super) fn result(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Anything else: a line on stderr.
pub(super) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Why all ends: a line on stderr, an error in the journal.
pub(super) fn failure(line: &str) {
    if stderr_is_the_journal() {
        note(&format!("<{}>{line}", priority(Level::Error)));
    } else {
        note(line);
    }
}

/// A question: stderr, without a line's end.
pub(super) fn prompt(text: &str) {
    let mut err = io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

/// Logs go to stderr, a line an event; `RUST_LOG` overrules `level`.
pub(super) fn start_log(level: &str) {
    let _ = log_builder(level).try_init();
}

/// The same beside a bar, which steps aside for each line.
pub(super) fn start_log_beside(bar: &ProgressBar, level: &str) {
    let out = Box::new(BesideBar(bar.clone()));
    let _ = log_builder(level).target(Target::Pipe(out)).try_init();
}

fn log_builder(level: &str) -> env_logger::Builder {
    let env = env_logger::Env::default().default_filter_or(level);
    let mut builder = env_logger::Builder::from_env(env);
    builder.format_target(false);
    if stderr_is_the_journal() {
        // It has the time of each line, and takes its level from the number before it.
        builder.format(|out, record| writeln!(out, "<{}>{}", priority(record.level()), record.args()));
    }
    builder
}

/// True under systemd, which says by device and inode what it gave as stderr.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| stream == format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// The number of a level in the system's log.
const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

struct BesideBar(ProgressBar);

impl io::Write for BesideBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
