//! Where the time of a thread that takes from a holder goes.
//!
//! Belongs here: reading the clocks. Does not: what the spans mean (`proto/transfer/bound.rs`). Each such thread has a
//! watch of its own, kept by the thread: it runs through everything the thread does, and is read where one thing
//! ends and the next begins. Invariant: between start and stop every moment is in one phase; on a thread that has not
//! started its watch a lap does nothing. A lap costs some tens of nanoseconds, one around a write some hundreds.

use crate::proto::transfer::Spent;
use crate::time::Span;
use core::cell::Cell;
use rustix::time::{ClockId, clock_gettime};
use std::time::Instant;

/// What a thread has been doing until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connecting, and asking for piece values.
    Reaching,
    /// Waiting for the holder to begin a piece.
    Idle,
    /// Reading bytes of a piece.
    Receiving,
    /// Waiting for our own limit.
    Limited,
    /// Hashing.
    Hashing,
    /// Writing.
    Writing,
}

/// All in nanoseconds: rounded to less, short laps would vanish.
#[derive(Clone, Copy, Debug)]
struct Watch {
    at: Instant,
    phases: [u64; 6],
    /// The processor's time at the start, and at the last lap before a write.
    cpu_start: u64,
    cpu_mark: u64,
    writing_cpu: u64,
    queued_start: u64,
}

thread_local! {
    static WATCH: Cell<Option<Watch>> = const { Cell::new(None) };
}

/// The processor time of this thread.
fn cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (secs, nanos) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    secs.unwrap_or(0).saturating_mul(1_000_000_000) + nanos.unwrap_or(0)
}

/// How long this thread was ready to run and did not; zero where the kernel does not tell.
fn queued_nanos() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let queued = told.split_whitespace().nth(1);
    queued.and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}

/// Starts this thread's watch.
pub(super) fn start() {
    let cpu = cpu_nanos();
    WATCH.set(Some(Watch {
        at: Instant::now(),
        phases: [0; 6],
        cpu_start: cpu,
        cpu_mark: cpu,
        writing_cpu: 0,
        queued_start: queued_nanos(),
    }));
}

/// The time since the last lap went into `phase`.
pub(super) fn lap(phase: Phase) {
    let Some(mut watch) = WATCH.get() else {
        return;
    };
    let now = Instant::now();
    let passed = now.duration_since(core::mem::replace(&mut watch.at, now));
    watch.phases[phase as usize] += u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
    match phase {
        // What follows may be a write.
        Phase::Hashing => watch.cpu_mark = cpu_nanos(),
        Phase::Writing => watch.writing_cpu += cpu_nanos().saturating_sub(watch.cpu_mark),
        _ => {}
    }
    WATCH.set(Some(watch));
}

/// Stops this thread's watch and reads it.
pub(super) fn stop() -> Spent {
    let Some(watch) = WATCH.take() else {
        return Spent::default();
    };
    let span = |nanos: u64| Span(nanos / 1_000);
    let phase = |phase: Phase| span(watch.phases[phase as usize]);
    Spent {
        reaching: phase(Phase::Reaching),
        idle: phase(Phase::Idle),
        receiving: phase(Phase::Receiving),
        limited: phase(Phase::Limited),
        hashing: phase(Phase::Hashing),
        writing: phase(Phase::Writing),
        writing_cpu: span(watch.writing_cpu),
        cpu: span(cpu_nanos().saturating_sub(watch.cpu_start)),
        queued: span(queued_nanos().saturating_sub(watch.queued_start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_and_working_are_told_apart() {
        lap(Phase::Idle);
        assert_eq!(stop(), Spent::default(), "not started");
        start();
        std::thread::park_timeout(std::time::Duration::from_millis(50));
        lap(Phase::Receiving);
        let mut hasher = blake3::Hasher::new();
        let begun = Instant::now();
        while begun.elapsed().as_millis() < 50 {
            hasher.update(&[7; 65_536]);
        }
        lap(Phase::Hashing);
        let spent = stop();
        assert!(spent.receiving >= Span::from_millis(40), "{spent:?}");
        assert!(spent.hashing >= Span::from_millis(50), "{spent:?}");
        let worked = Span(spent.cpu.0 + spent.queued.0);
        assert!(worked >= Span::from_millis(25), "{spent:?}");
        assert!(spent.waited() >= Span::from_millis(20), "{spent:?}");
    }
}
