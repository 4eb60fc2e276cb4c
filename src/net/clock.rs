//! The real clocks, read in one place.

use crate::time::{Instant, Now, WallTime};
use std::time::SystemTime;

/// A clock that starts at zero with the process.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// The monotonic time.
    pub fn at(&self) -> Instant {
        Instant(u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { at: self.at(), wall: WallTime(i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)) }
    }

    /// The standard library's instant of one of ours.
    pub fn std_instant(&self, at: Instant) -> std::time::Instant {
        self.start + crate::time::Span(at.0).to_std()
    }
}
