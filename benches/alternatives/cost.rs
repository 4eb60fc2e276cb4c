//! What a way costs besides time: a fast one that takes both cores is no good neighbour.

use criterion::{Bencher, Throughput};
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// What every run moves.
pub(crate) const BYTES: u64 = 256 << 20;

pub(crate) const fn throughput() -> Throughput {
    Throughput::Bytes(BYTES)
}

/// The CPU that runs took, on the side that is measured and on both.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    runs: u32,
    here: Duration,
    both: Duration,
}

fn read(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).expect("clocks do not go below zero")
}

impl Cost {
    /// Lets criterion time `run`, after an untimed `prepare`.
    pub(crate) fn bench<T>(
        &mut self,
        bencher: &mut Bencher<'_>,
        mut prepare: impl FnMut() -> T,
        mut run: impl FnMut(&mut T),
    ) {
        bencher.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                let mut prepared = prepare();
                let (here, both) = (read(ClockId::ThreadCPUTime), read(ClockId::ProcessCPUTime));
                let begun = Instant::now();
                run(&mut prepared);
                took += begun.elapsed();
                self.here += read(ClockId::ThreadCPUTime).saturating_sub(here);
                self.both += read(ClockId::ProcessCPUTime).saturating_sub(both);
                self.runs += 1;
            }
            took
        });
    }

    /// Prints it below criterion's own lines.
    pub(crate) fn print(&self, side: &str) {
        // Filtered out: nothing ran.
        if self.runs > 0 {
            let per_gib = |sum: Duration| sum.as_secs_f64() / f64::from(self.runs) * 4.0;
            let (here, both) = (per_gib(self.here), per_gib(self.both));
            eprintln!("    CPU for each GiB: {side} {here:.3} s, both sides {both:.3} s");
        }
    }
}
