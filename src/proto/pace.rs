//! Pacing: when the next bytes of a limited link may go.
//!
//! Invariant: over any busy time, no more than rate × time leaves; bytes go when their time is over, not
//! before, and an idle link saves nothing up. Senders that reserve in turn share the link evenly.

use crate::limits::{CHUNK_BYTES_MAX, PACE_STEP, PACE_STEP_BYTES_MIN};
use crate::rate::Rate;
use crate::time::{Instant, Span};

/// A limited link.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate: Rate,
    free_at: Instant,
}

impl Pace {
    /// A link of this rate.
    pub const fn new(rate: Rate) -> Self {
        Self { rate, free_at: Instant::ZERO }
    }

    /// How many bytes to send at a time: a step's worth, within what one frame takes.
    pub fn step_bytes(&self) -> usize {
        let step = u128::from(self.rate.bytes_per_sec()) * u128::from(PACE_STEP.0) / 1_000_000;
        let step = u64::try_from(step).unwrap_or(u64::MAX).max(PACE_STEP_BYTES_MIN);
        usize::try_from(step).map_or(CHUNK_BYTES_MAX, |step| step.min(CHUNK_BYTES_MAX))
    }

    /// Reserves the link for `bytes` and says when they have had their time: send them then.
    pub fn reserve(&mut self, now: Instant, bytes: usize) -> Instant {
        let micros = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(1_000_000);
        let span = Span(u64::try_from(micros / u128::from(self.rate.bytes_per_sec())).unwrap_or(u64::MAX));
        // A sender that woke a little late goes on where it should have been; real idle time is lost.
        let start = if now.since(self.free_at) > PACE_STEP { now } else { self.free_at };
        self.free_at = start.after(span);
        self.free_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_link_carries_its_rate_and_no_more() {
        let mut pace = Pace::new(Rate::from_bytes_per_sec(1_000_000).expect("not zero"));
        let start = Instant(9_000_000);
        let mut now = start;
        for _ in 0..1_000 {
            // Every wake-up is 100 µs late, as on a real machine.
            now = pace.reserve(now, 5_000).after(Span(100));
        }
        assert_eq!(now.since(start), Span(5_000_100), "5 MB at 1 MB/s, and the last delay");
    }

    #[test]
    fn an_idle_link_saves_nothing() {
        let mut pace = Pace::new(Rate::from_bytes_per_sec(1_000).expect("not zero"));
        pace.reserve(Instant(1_000_000), 1_000);
        let later = Instant(60_000_000);
        assert_eq!(pace.reserve(later, 1_000), later.after(Span::from_secs(1)));
    }

    #[test]
    fn steps_stay_within_a_frame() {
        for rate in [1, 1_000, 2_500_000, u64::MAX] {
            let step = Pace::new(Rate::from_bytes_per_sec(rate).expect("not zero")).step_bytes();
            assert!((1..=CHUNK_BYTES_MAX).contains(&step), "{rate}: {step}");
        }
    }
}
