//! What was measured: how many of each kind, how long each took, and what went wrong.

use super::mix::Kind;
use crate::limits::LOAD_LATENCY_MAX;
use crate::time::Span;
use crate::wire::Refusal;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// The latencies of one kind of request, from the moment it was meant to be sent to its answer.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // Three digits from a microsecond to the longest wait: no latency is off by more than a thousandth.
        let bounds = Histogram::new_with_bounds(1, LOAD_LATENCY_MAX.0, 3);
        Self(bounds.unwrap_or_else(|error| unreachable!("constant bounds: {error}")))
    }
}

impl Latencies {
    fn record(&mut self, latency: Span) {
        self.0.saturating_record(latency.0.max(1));
    }

    fn add(&mut self, other: &Self) {
        let same_bounds = self.0.add(&other.0);
        debug_assert!(same_bounds.is_ok(), "all histograms have the same bounds");
    }

    /// Requests answered.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency that a share of the requests (0 to 1) stayed within.
    pub fn within(&self, share: f64) -> Span {
        Span(self.0.value_at_quantile(share))
    }

    /// The longest.
    pub fn max(&self) -> Span {
        Span(self.0.max())
    }
}

/// What one thread, or all of them, saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Latencies by kind, of all that was answered, refusals included.
    pub kinds: BTreeMap<Kind, Latencies>,
    /// Answers that came before the time was up: the rate counts these only.
    pub in_time: u64,
    /// Refusals by their code.
    pub refused: BTreeMap<Refusal, u64>,
    /// Requests that were never answered.
    pub unanswered: u64,
    /// Requests whose time came, and that found no room to be sent: the RS answered too slowly for the rate.
    pub unsent: u64,
    /// Datagrams sent again.
    pub repeats: u64,
    /// Connections that the RS closed.
    pub closed: u64,
}

impl Tally {
    pub(super) fn record(&mut self, kind: Kind, latency: Span, refused: Option<Refusal>) {
        self.kinds.entry(kind).or_default().record(latency);
        if let Some(code) = refused {
            *self.refused.entry(code).or_default() += 1;
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (kind, latencies) in &other.kinds {
            self.kinds.entry(*kind).or_default().add(latencies);
        }
        for (code, count) in &other.refused {
            *self.refused.entry(*code).or_default() += count;
        }
        self.in_time += other.in_time;
        self.unanswered += other.unanswered;
        self.unsent += other.unsent;
        self.repeats += other.repeats;
        self.closed += other.closed;
    }

    /// The latencies of all kinds together.
    pub fn all(&self) -> Latencies {
        let mut all = Latencies::default();
        self.kinds.values().for_each(|latencies| all.add(latencies));
        all
    }
}
