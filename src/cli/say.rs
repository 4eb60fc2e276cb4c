//! The two streams: results on stdout, everything else on stderr. A reader that has gone away is no error.

use std::io::Write as _;

/// A result: a line on stdout, flushed, for somebody may be waiting for it.
pub(super) fn result(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Anything else: a line on stderr.
pub(super) fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A question: stderr, without a line's end.
pub(super) fn prompt(text: &str) {
    let mut err = std::io::stderr();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

/// Logs go to stderr, a line an event; `RUST_LOG` overrules `level`.
pub(super) fn start_log(level: &str) {
    let env = env_logger::Env::default().default_filter_or(level);
    let _ = env_logger::Builder::from_env(env).format_target(false).try_init();
}
