//! When a getter is sent nothing, and whether anybody could have sent something.
//!
//! Belongs here: adding up lulls. Does not: what they mean beside everything else (`bound.rs`). Invariant: any
//! moment counts as one kind of lull, or as none.

use super::Source;
use crate::time::{Instant, Span};
use std::collections::BTreeSet;

/// The lulls of one transfer so far. Every change is told when it happens, with the time.
#[derive(Clone, Debug, Default)]
pub struct Lulls {
    at: Instant,
    sending: BTreeSet<Source>,
    any_sent: bool,
    /// Holders connected, or on the way there, that are known to have everything.
    whole: usize,
    /// Before the first holder sent.
    pub reaching: Span,
    /// While one that has everything was there: its turns were others'.
    pub turns: Span,
    /// While none was known to have everything.
    pub nobody: Span,
}

impl Lulls {
    /// Counts what has passed since the last call.
    pub fn pass(&mut self, now: Instant) {
        let passed = now.since(self.at);
        self.at = self.at.max(now);
        let kind = match (self.sending.is_empty(), self.any_sent, self.whole) {
            (false, _, _) => return,
            (true, false, _) => &mut self.reaching,
            (true, true, 0) => &mut self.nobody,
            (true, true, _) => &mut self.turns,
        };
        kind.0 = kind.0.saturating_add(passed.0);
    }

    /// A holder is tried that is known to have everything, or a part.
    pub fn come(&mut self, now: Instant, whole: bool) {
        self.pass(now);
        self.whole += usize::from(whole);
    }

    /// A holder that had come goes.
    pub fn go(&mut self, now: Instant, whole: bool) {
        self.pass(now);
        self.whole = self.whole.saturating_sub(usize::from(whole));
    }

    /// A holder begins to send a piece.
    pub fn begin(&mut self, now: Instant, source: Source) {
        self.pass(now);
        self.any_sent = true;
        self.sending.insert(source);
    }

    /// It has sent it, or sends no more.
    pub fn end(&mut self, now: Instant, source: Source) {
        self.pass(now);
        self.sending.remove(&source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_of_one_kind() {
        let at = |secs| Instant::ZERO.after(Span::from_secs(secs));
        let mut lulls = Lulls::default();
        lulls.come(at(0), true);
        lulls.come(at(0), false);
        lulls.begin(at(1), Source(1));
        lulls.begin(at(2), Source(2));
        lulls.end(at(4), Source(1));
        lulls.end(at(5), Source(2));
        lulls.begin(at(7), Source(2));
        lulls.go(at(8), true);
        lulls.end(at(9), Source(2));
        lulls.pass(at(12));
        let kinds = [lulls.reaching, lulls.turns, lulls.nobody];
        assert_eq!(
            kinds.map(Span::as_secs),
            [1, 2, 3],
            "six of twelve seconds were lulls"
        );
        lulls.pass(at(11));
        lulls.pass(at(12));
        assert_eq!(
            lulls.nobody.as_secs(),
            3,
            "time that seems to run back is not counted again"
        );
    }
}
