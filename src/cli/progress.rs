//! How far a fetch is: a bar on a terminal, events for scripts, or nothing.

use super::say;
use indicatif::{ProgressBar, ProgressStyle};
use p2pdi::fetch::{Standing, Watcher};
use p2pdi::name::HostPort;
use p2pdi::proto::transfer::piece_count;
use p2pdi::time::Span;
use p2pdi::wire::ContentInfo;
use serde_json::json;
use std::collections::BTreeSet;
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
    begun: Instant,
    told: Instant,
    /// What was here at first: it has no rate.
    found: Option<u64>,
    /// It was said that it hardly gets on.
    told_slow: bool,
    /// Who failed, and how: said once.
    failures: BTreeSet<(HostPort, String)>,
}

/// Letters of a name on the bar, as [`BAR`] says.
const NAME_LETTERS: usize = 14;

/// Fits into 80 columns, whatever the numbers are; the bar takes what they leave.
const BAR: &str =
    "{msg:14!} {wide_bar} {decimal_bytes:>9}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta:>3} {prefix}";

impl Progress {
    /// Begins to show a content that so many holders are known of.
    pub(super) fn new(showing: Showing, content: &ContentInfo, holders: usize) -> Self {
        let event = json!({
            "event": "begin",
            "name": content.name.as_str(),
            "id": content.id.to_string(),
            "bytes": content.bytes,
            "pieces": piece_count(content.bytes),
            "holders": holders,
        });
        let name = content.name.as_str();
        Self::begin(showing, name, content.name.file_name(), content.bytes, &event)
    }

    /// Begins to show several contents as one.
    pub(super) fn of_several(showing: Showing, files: usize, bytes: u64, holders: usize) -> Self {
        let name = format!("{files} small files");
        let event = json!({
            "event": "begin",
            "name": name,
            "files": files,
            "bytes": bytes,
            "holders": holders,
        });
        Self::begin(showing, &name, &name, bytes, &event)
    }

    fn begin(showing: Showing, name: &str, label: &str, bytes: u64, event: &serde_json::Value) -> Self {
        let bar = if showing == Showing::Bar {
            ProgressBar::new(bytes)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style.progress_chars("━╾─"));
        }
        bar.set_message(short(label));
        if showing == Showing::Events {
            say::result(&event.to_string());
        }
        Self {
            showing,
            name: name.to_owned(),
            bytes,
            bar,
            begun: Instant::now(),
            told: Instant::now(),
            found: None,
            told_slow: false,
            failures: BTreeSet::new(),
        }
    }

    /// Takes the bar away: what is printed next stands alone.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Says once, above the bar, that it hardly gets on; until it does again.
    fn tell_slow(&mut self, slow: Option<Span>) {
        let told = core::mem::replace(&mut self.told_slow, slow.is_some());
        if let Some(slow) = slow.filter(|_| !told) {
            let (name, secs) = (&self.name, slow.as_secs());
            let text = format!("{name}: no piece for {secs} s; looking for other holders, and going on");
            self.bar.suspend(|| say::note(&text));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "rates are shown, and rounded")]
    fn event(&self, standing: &Standing, found: u64) -> serde_json::Value {
        let secs = self.begun.elapsed().as_secs_f64();
        let rate = standing.bytes.saturating_sub(found) as f64 / secs.max(1e-6);
        let left = self.bytes.saturating_sub(standing.bytes) as f64;
        json!({
            "event": "progress",
            "name": self.name,
            "bytes": standing.bytes,
            "of": self.bytes,
            "pieces": standing.pieces,
            "pieces_of": standing.pieces_all,
            "holders": standing.holders,
            "secs": secs,
            "bytes_per_sec": rate.round(),
            "slow_secs": standing.slow.map(Span::as_secs),
            "eta_secs": (rate > 0.0).then(|| left / rate),
        })
    }
}

/// A name as the bar has room for: its beginning, and its end, where numbers and suffixes are.
fn short(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= NAME_LETTERS {
        return name.to_owned();
    }
    let (begin, end) = (
        &letters[..NAME_LETTERS / 2],
        &letters[letters.len() - NAME_LETTERS / 2 + 1..],
    );
    begin.iter().chain(['…'].iter()).chain(end).collect()
}

impl Watcher for Progress {
    fn advanced(&mut self, standing: &Standing) {
        if standing.pieces_all == 0 && standing.bytes == 0 {
            return;
        }
        let first = self.found.is_none();
        let found = *self.found.get_or_insert(standing.bytes);
        match self.showing {
            Showing::Quiet => {}
            // That it is slow now, or no longer, is told at once.
            Showing::Events
                if self.told.elapsed() < EVENT_INTERVAL && self.told_slow == standing.slow.is_some() => {}
            Showing::Events => {
                self.told = Instant::now();
                self.told_slow = standing.slow.is_some();
                say::result(&self.event(standing, found).to_string());
            }
            Showing::Bar => {
                self.bar.set_position(standing.bytes);
                if first {
                    self.bar.reset_eta();
                }
                let (pieces, all, holders) = (standing.pieces, standing.pieces_all, standing.holders);
                self.bar
                    .set_prefix(format!("{pieces}/{all} pieces from {holders}"));
                self.tell_slow(standing.slow);
            }
        }
    }

    fn failed(&mut self, holder: &HostPort, why: &str) {
        // One that has no room says so at every try.
        if !self.failures.insert((holder.clone(), why.to_owned())) {
            return;
        }
        match self.showing {
            Showing::Events => {
                let event = json!({
                    "event": "failed",
                    "name": self.name,
                    "holder": holder.to_string(),
                    "host": holder.host.as_str(),
                    "port": holder.port,
                    "why": why,
                });
                say::result(&event.to_string());
            }
            _ => self
                .bar
                .suspend(|| say::note(&format!("{}: {holder} {why}", self.name))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_both_ends() {
        assert_eq!(short("disk.img"), "disk.img");
        assert_eq!(short("fourteen.bytes"), "fourteen.bytes");
        assert_eq!(short("lecture-recording-07.mkv"), "lecture…07.mkv");
        assert!(BAR.contains(&format!("{{msg:{NAME_LETTERS}!}}")));
    }
}
