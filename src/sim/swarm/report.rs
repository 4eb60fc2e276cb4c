//! What a run was like.

use super::setup::Setup;
use crate::time::Instant;

/// One peer's part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerReport {
    /// When it came.
    pub joined: Instant,
    /// When it had everything.
    pub done: Option<Instant>,
    /// When it concluded that nobody has what it lacks.
    pub gave_up: Option<Instant>,
    /// It went before the end, or when it was done.
    pub left: bool,
    /// Bytes of content it sent.
    pub sent_bytes: u64,
    /// Bytes of content that reached it, needed or not.
    pub received_bytes: u64,
    /// Pieces it gained.
    pub pieces: u32,
    /// Choices it refused, because another was to send the piece.
    pub refused: u32,
    /// Holders it gave up for wrong bytes.
    pub exposed: u32,
}

/// A whole run. The source is the first peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Everybody, the source first.
    pub peers: Vec<PeerReport>,
    /// True if everybody who was to stay has everything.
    pub everybody: bool,
    /// A hash of every event with its time.
    pub trace: u64,
    /// How many events there were.
    pub steps: u64,
    /// When the last one was done.
    pub secs: f64,
    /// What no swarm can beat.
    pub bound_secs: f64,
    /// What the source sent, in contents.
    pub source_contents: f64,
    /// Bytes received and not needed, as a part of those needed.
    pub waste: f64,
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a run fit into 53 bits")]
fn part(of: u64, whole: u64) -> f64 {
    of as f64 / whole.max(1) as f64
}

impl Report {
    pub(super) fn new(
        setup: &Setup,
        peers: Vec<PeerReport>,
        everybody: bool,
        trace: u64,
        steps: u64,
    ) -> Self {
        let last = peers.iter().filter_map(|peer| peer.done).max();
        let needed: u64 = peers.iter().map(|peer| u64::from(peer.pieces)).sum::<u64>() * setup.piece_bytes;
        let received: u64 = peers.iter().map(|peer| peer.received_bytes).sum();
        let source = peers.first().map_or(0, |source| source.sent_bytes);
        Self {
            everybody,
            trace,
            steps,
            secs: last.map_or(0.0, |last| last.since(Instant::ZERO).as_secs_f64()),
            bound_secs: setup.bound_secs(),
            source_contents: part(source, setup.content_bytes()),
            waste: part(received.saturating_sub(needed), needed),
            peers,
        }
    }

    /// How much longer than the bound it took.
    pub fn ratio(&self) -> f64 {
        self.secs / self.bound_secs
    }

    /// How long the peers chosen by `which` took, from when they came, in rising order.
    pub fn took_secs(&self, which: impl Fn(usize) -> bool) -> Vec<f64> {
        let peers = self.peers.iter().enumerate().skip(1);
        let mut took: Vec<f64> = peers
            .filter(|(number, _)| which(*number))
            .filter_map(|(_, peer)| Some(peer.done?.since(peer.joined).as_secs_f64()))
            .collect();
        took.sort_by(f64::total_cmp);
        took
    }

    /// What the peer that sent least sent, as a part of what the one sent that sent most; the source apart.
    pub fn evenness(&self) -> f64 {
        let sent = || self.peers.iter().skip(1).map(|peer| peer.sent_bytes);
        part(sent().min().unwrap_or(0), sent().max().unwrap_or(0))
    }
}
