//! How far a peer's first hashing is: a line redrawn on a terminal, a log line now and then elsewhere, and in the
//! end how many files are shared. Nothing of it where hashing is over within a second.

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use p2pdi::net::Stop;
use p2pdi::peer::Peer;
use p2pdi::storage::HashProgress;
use p2pdi::wire::ContentKind;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Hashing that is over by then is not worth a word.
const SILENT: Duration = Duration::from_secs(1);
/// Between two looks at how far it is.
const REDRAW: Duration = Duration::from_millis(200);
/// Between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// A bar that is not there yet.
pub(super) fn bar() -> ProgressBar {
    let bar = ProgressBar::hidden();
    let style = "hashing {msg} {bar:28} {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec:>12} {eta:>4}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

/// Shows the first hashing until it is over.
pub(super) fn show(peer: &Peer, bar: &ProgressBar, stop: &Stop) {
    let started = Instant::now();
    let mut logged: Option<Instant> = None;
    let is_terminal = std::io::stderr().is_terminal();
    while !peer.has_settled() {
        if stop.wait_until(Instant::now() + REDRAW) {
            bar.finish_and_clear();
            return;
        }
        let Some(progress) = peer.shares().progress() else {
            bar.finish_and_clear();
            continue;
        };
        if started.elapsed() < SILENT {
            continue;
        }
        if is_terminal {
            draw(bar, progress);
        } else if logged.is_none_or(|logged| logged.elapsed() >= LOG_INTERVAL) {
            logged = Some(Instant::now());
            log::info!(
                "hashing: {} of {} files, {} of {}",
                progress.files_done,
                progress.files,
                HumanBytes(progress.bytes_done),
                HumanBytes(progress.bytes)
            );
        }
    }
    bar.finish_and_clear();
    if peer.shares().first_directory().is_none() {
        return;
    }
    let shared = peer.shares().all();
    let files = shared
        .iter()
        .filter(|info| info.kind == ContentKind::File)
        .count();
    log::info!("sharing {files} {}", if files == 1 { "file" } else { "files" });
}

fn draw(bar: &ProgressBar, progress: HashProgress) {
    if bar.is_hidden() {
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    if bar.is_finished() {
        bar.reset();
    }
    bar.set_length(progress.bytes);
    bar.set_position(progress.bytes_done);
    bar.set_message(format!("{} of {} files", progress.files_done, progress.files));
}
