//! Stamps of the wall clock, which somebody may set.
//!
//! Invariant: a stamp that was right stays as it is, however wrong the clock is meanwhile; one from the future is pulled
//! back only when the clock has not been set for so long that it can be taken to be right.

use super::{Peer, Registry};
use crate::limits::{REGISTRATIONS_DAYS, WALL_CLOCK_JUMP, WALL_CLOCK_TRUSTED_AFTER};
use crate::time::{Instant, Now, WallTime};

/// How the wall clock goes beside the one that never jumps.
#[derive(Clone, Copy, Debug)]
pub(super) struct WallClock {
    /// Seconds that it was ahead when it was last seen to be set.
    ahead_secs: i64,
    set: Instant,
    /// Stamps from the future were pulled back since.
    trusted: bool,
}

fn seconds(at: Instant) -> i64 {
    i64::try_from(at.since(Instant::ZERO).as_secs()).unwrap_or(i64::MAX)
}

impl Registry {
    /// Looks at the wall clock; pulls stamps from the future back once it can be trusted.
    pub(super) fn look_at_wall(&mut self, now: Now) {
        let ahead_secs = now.wall.0.saturating_sub(seconds(now.at));
        let jumped = |clock: &WallClock| ahead_secs.abs_diff(clock.ahead_secs) > WALL_CLOCK_JUMP.as_secs();
        let mut clock = self.wall.filter(|clock| !jumped(clock)).unwrap_or(WallClock {
            ahead_secs,
            set: now.at,
            trusted: false,
        });
        if !clock.trusted && now.at.since(clock.set) >= WALL_CLOCK_TRUSTED_AFTER {
            clock.trusted = true;
            // They were made before it was set right.
            self.pull_stamps_back(
                WallTime(clock.ahead_secs.saturating_add(seconds(clock.set))),
                now.wall,
            );
        }
        self.wall = Some(clock);
    }

    fn pull_stamps_back(&mut self, to: WallTime, now: WallTime) {
        for (number, peer) in &mut self.peers {
            let mut wrong = peer
                .registrations
                .iter_mut()
                .filter(|stamp| **stamp > now)
                .peekable();
            if wrong.peek().is_some() && self.news.kept {
                self.news.peers.insert(*number);
            }
            wrong.for_each(|stamp| *stamp = to);
        }
    }
}

impl Peer {
    /// Registrations of the last 30 days.
    pub(in crate::proto) fn registrations(&self, wall: WallTime) -> u32 {
        let since = wall.0.saturating_sub(REGISTRATIONS_DAYS * 86_400);
        // A stamp from the future is a wall clock that was set back: it still counts.
        let count = self.registrations.iter().filter(|stamp| stamp.0 > since).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// When it last registered: not later than now, whatever the clock said then.
    pub(in crate::proto) fn registered(&self, wall: WallTime) -> WallTime {
        self.registrations.last().copied().unwrap_or_default().min(wall)
    }
}
