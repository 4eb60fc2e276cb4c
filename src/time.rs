//! Time as values: what a machine is told, never what it looks up.
//!
//! Only `net/` reads a clock; every decision below it takes [`Now`] as an argument. So the simulator
//! can run the very same machines at any speed. Invariant: [`Instant`] is monotonic within one process
//! and means nothing outside it; [`WallTime`] may jump and is only ever shown or counted in days.

/// A point of monotonic time, in microseconds since the world that drives the machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub u64);

impl Instant {
    /// The beginning of the world.
    pub const ZERO: Self = Self(0);

    /// This instant plus `span`; the end of time if that overflows.
    pub const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `secs` seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// `millis` milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Whole seconds, rounded down: a lifetime told onwards never grows by rounding.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Whole seconds as the wire carries them; the largest value if it does not fit.
    pub fn as_secs_u32(self) -> u32 {
        u32::try_from(self.as_secs()).unwrap_or(u32::MAX)
    }

    /// Seconds with their fraction, for people.
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of a run fit well into 53 bits"
    )]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// For the calls of the standard library that wait.
    pub const fn to_std(self) -> core::time::Duration {
        core::time::Duration::from_micros(self.0)
    }
}

/// Seconds since 1970-01-01 00:00 UTC, as the wall clock shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

/// Both clocks, read at the same moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For leases, timers and order.
    pub at: Instant,
    /// For dates shown to people and the count of the last 30 days.
    pub wall: WallTime,
}
