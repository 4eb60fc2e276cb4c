//! How far a fetch is: a bar on a terminal, events for scripts, or nothing.

use super::say;
use indicatif::{ProgressBar, ProgressStyle};
use p2pdi::fetch::Watcher;
use p2pdi::name::HostPort;
use p2pdi::wire::ContentInfo;
use serde_json::json;
use std::time::{Duration, Instant};

/// How a fetch is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Showing {
    /// A bar, if stderr is a terminal.
    Bar,
    /// A JSON event a line on stdout.
    Events,
    /// Only failures, on stderr.
    Quiet,
}

/// Between two progress events.
const EVENT_INTERVAL: Duration = Duration::from_millis(500);

/// Shows one content's fetch.
pub(super) struct Progress {
    showing: Showing,
    name: String,
    bytes: u64,
    bar: ProgressBar,
    told: Instant,
}

impl Progress {
    /// Begins to show.
    pub(super) fn new(showing: Showing, content: &ContentInfo) -> Self {
        let bar = if showing == Showing::Bar {
            ProgressBar::new(content.bytes)
        } else {
            ProgressBar::hidden()
        };
        let style = "{msg:30!} {bar:28} {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec:>12} {eta:>4}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        bar.set_message(content.name.to_string());
        Self {
            showing,
            name: content.name.to_string(),
            bytes: content.bytes,
            bar,
            told: Instant::now(),
        }
    }

    /// Takes the bar away: what is printed next stands alone.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Watcher for Progress {
    fn advanced(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        if self.showing == Showing::Events && self.told.elapsed() >= EVENT_INTERVAL {
            self.told = Instant::now();
            let event = json!({ "event": "progress", "name": self.name, "bytes": bytes, "of": self.bytes });
            say::result(&event.to_string());
        }
    }

    fn failed(&mut self, holder: &HostPort, why: &str) {
        match self.showing {
            Showing::Events => {
                let event = json!({
                    "event": "holder_failed",
                    "name": self.name,
                    "host": holder.host.as_str(),
                    "port": holder.port,
                    "error": why,
                });
                say::result(&event.to_string());
            }
            _ => self
                .bar
                .suspend(|| say::note(&format!("{}: {holder} {why}; trying the next holder", self.name))),
        }
    }
}
