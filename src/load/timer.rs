//! A timer that ends a poll's wait to the microsecond: polls themselves wait whole milliseconds.

use crate::time::Span;
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::fs::Timespec;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

pub(super) struct Timer(OwnedFd);

impl Timer {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        Ok(Self(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    pub(super) fn register(&self, poll: &Poll, token: Token) -> io::Result<()> {
        poll.registry()
            .register(&mut SourceFd(&self.0.as_raw_fd()), token, Interest::READABLE)
    }

    /// Wakes the poll once, after this span. It need not be read: setting it anew clears it.
    pub(super) fn wake_after(&self, span: Span) -> io::Result<()> {
        let span = span.to_std().max(core::time::Duration::from_micros(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec {
                tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: span.subsec_nanos().into(),
            },
        };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}
