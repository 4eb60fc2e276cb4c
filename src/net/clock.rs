//! The real clocks, read in one place.

use crate::time::{Instant, Now, Span, WallTime};
use std::time::SystemTime;

/// A clock that starts at zero with the process, unless it is to outlive it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
    /// What the clock showed at its start.
    first: Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self {
            start: std::time::Instant::now(),
            first: Instant::ZERO,
        }
    }

    /// One that shows the time since the machine began, so that instants outlive the process.
    pub fn since_boot() -> Self {
        let start = std::time::Instant::now();
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let secs = Span::from_secs(u64::try_from(time.tv_sec).unwrap_or(0));
        let micros = Span(u64::try_from(time.tv_nsec / 1_000).unwrap_or(0));
        Self {
            start,
            first: Instant::ZERO.after(secs).after(micros),
        }
    }

    /// The monotonic time.
    pub fn at(&self) -> Instant {
        self.first.after(Span(
            u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX),
        ))
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            at: self.at(),
            wall: WallTime(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)),
        }
    }

    /// The standard library's instant of one of ours.
    pub fn std_instant(&self, at: Instant) -> std::time::Instant {
        self.start + at.since(self.first).to_std()
    }
}
