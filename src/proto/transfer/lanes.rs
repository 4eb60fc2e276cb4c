//! To how many getters an uplink sends at once: as few as fill it.
//!
//! One after another is best for a swarm: whoever has a piece early passes it on early. But one slow getter does
//! not fill a fast uplink, and nobody tells a sender what limits it. So it tries, and first with half as many: a full
//! uplink moves as much, and nothing is lost. Only if that moves clearly less are half as many more tried, and kept if
//! they move clearly more. What an uplink has queued is before every word of its peer, so a lane is not free before the network
//! has most of its piece, and there are a few more where that is waited for. Belongs here: that search, when a lane is
//! free, and the uplink's measured rate. Invariant: between trials the width is at least two, so that one goes out while
//! another begins.

use crate::limits::{
    ANNOUNCE_AHEAD, ANNOUNCE_BYTES_FIRST, CHUNK_BYTES_MAX, LANE_LOOK_MAX, LANE_LOOK_MIN, LANE_TAIL,
    LANES_FLOOR_MAX, LANES_SPAN, LANES_TRIAL, LANES_TRIAL_AGAIN, LANES_TRIAL_AGAIN_MAX, LANES_TRIAL_BYTES,
    LANES_TRIAL_MAX, STEP_BYTES_FIRST, STEP_BYTES_MIN, STEP_SPAN, UNSENT_BYTES_MAX, UNSENT_BYTES_MIN,
    UPLINK_PAUSE,
};
use crate::time::{Instant, Span};

/// What is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// More than so many at once, which moved so many bytes a second.
    Wider(usize, u64),
    /// Fewer.
    Narrower(usize, u64),
}

/// Bytes of a piece that were sent.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// How many.
    pub bytes: u64,
    /// How long the pieces are.
    pub piece_bytes: u64,
    /// How many getters are being sent to.
    pub sending: usize,
    /// Others wait for a lane.
    pub contended: bool,
}

/// What the network holds, which costs a call to ask.
#[derive(Clone, Copy, Debug)]
pub struct OnTheWay {
    /// Bytes that are not acknowledged, in all lanes together.
    pub unacked_bytes: u64,
    /// How long the way to this getter and back is when it is empty.
    pub round_trip: Span,
}

/// What was seen of an uplink while lanes were waited for.
struct Seen {
    bytes_per_sec: u64,
    /// It was enough to tell what new lanes do from what they first take in.
    enough: bool,
    piece_bytes: u64,
    /// As many lanes as it needs at least.
    floor: usize,
}

/// The width of one uplink.
#[derive(Debug)]
pub struct Lanes {
    width: usize,
    trial: Option<Trial>,
    next_trial: Instant,
    /// How long after a trial that does not help.
    again: Span,
    /// Since when the bytes below were taken, always with getters waiting for a lane, and how many were on the way then.
    since: Instant,
    bytes: u64,
    unacked: u64,
    /// When bytes were last sent.
    last: Instant,
    /// The most that was seen of late: a relay has not always enough to send.
    bytes_per_sec: u64,
}

const WIDTH_MIN: usize = 2;

impl Default for Lanes {
    fn default() -> Self {
        Self {
            width: WIDTH_MIN,
            trial: None,
            next_trial: Instant::ZERO,
            again: LANES_TRIAL_AGAIN,
            since: Instant::ZERO,
            bytes: 0,
            unacked: 0,
            last: Instant::ZERO,
            bytes_per_sec: 0,
        }
    }
}

impl Lanes {
    /// How many getters may be sent to at once.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// How many bytes to announce ahead of those that are being sent.
    pub fn lead_bytes(&self) -> u64 {
        match self.bytes_in(ANNOUNCE_AHEAD) {
            0 => ANNOUNCE_BYTES_FIRST,
            lead => lead,
        }
    }

    /// What the uplink takes in this time.
    fn bytes_in(&self, span: Span) -> u64 {
        let bytes = u128::from(self.bytes_per_sec) * u128::from(span.0) / 1_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// What may be on the way of a lane that is free: what the path holds, and little more.
    fn tail_bytes(&self, round_trip: Span) -> u64 {
        self.bytes_in(Span(LANE_TAIL.0.saturating_add(round_trip.0)))
    }

    /// When to look again at a lane with so many bytes on a way that takes so long when it is empty; none if it is free.
    pub fn until_free(&self, bytes: u64, round_trip: Span) -> Option<Span> {
        let rate = Some(self.bytes_per_sec).filter(|rate| *rate > 0)?;
        let over = bytes
            .checked_sub(self.tail_bytes(round_trip))
            .filter(|over| *over > 0)?;
        // The uplink is shared by all lanes.
        let micros = u128::from(over) * self.width as u128 * 1_000_000 / u128::from(rate);
        let wait = Span(u64::try_from(micros).unwrap_or(u64::MAX));
        Some(wait.clamp(LANE_LOOK_MIN, LANE_LOOK_MAX))
    }

    /// How many pieces an uplink of this rate sends at once at least: more than two if each is waited for.
    fn floor_of(&self, piece_bytes: u64, round_trip: Span) -> usize {
        if piece_bytes <= self.tail_bytes(round_trip) {
            return WIDTH_MIN;
        }
        let pieces = self.bytes_in(LANES_SPAN).div_ceil(piece_bytes.max(1));
        usize::try_from(pieces)
            .unwrap_or(LANES_FLOOR_MAX)
            .clamp(WIDTH_MIN, LANES_FLOOR_MAX)
    }

    /// How many bytes to send in one go: few enough that the network takes them before the lane looks stuck, and
    /// that control is heard in between.
    pub fn step_bytes(&self) -> usize {
        match usize::try_from(self.bytes_in(STEP_SPAN)).unwrap_or(usize::MAX) {
            0 => STEP_BYTES_FIRST,
            step => step.clamp(STEP_BYTES_MIN, CHUNK_BYTES_MAX),
        }
    }

    /// How many bytes may wait in a socket: few enough that it has sent them when the lane is free.
    pub fn unsent_bytes(&self) -> u32 {
        // In powers of two, so that it seldom changes.
        let unsent = u32::try_from(self.bytes_in(LANE_TAIL)).unwrap_or(u32::MAX);
        unsent
            .clamp(UNSENT_BYTES_MIN, UNSENT_BYTES_MAX)
            .next_power_of_two()
    }

    /// Bytes went out; `on_the_way` is asked where it matters what the network holds.
    pub fn sent(&mut self, now: Instant, taken: Taken, on_the_way: impl FnOnce() -> OnTheWay) {
        let Taken {
            bytes,
            piece_bytes,
            sending,
            contended,
        } = taken;
        let pause = now.since(core::mem::replace(&mut self.last, now)) >= UPLINK_PAUSE;
        if pause {
            // The time in which nothing was sent says nothing of the uplink.
            self.abandon(now);
        }
        // What was begun before a trial of fewer goes to its end first, if that is not long.
        if pause || matches!(self.trial, Some(Trial::Narrower(..))) && sending > self.width {
            if now.since(self.next_trial) >= LANES_TRIAL_MAX {
                self.abandon(now);
            }
            self.watch(now, on_the_way().unacked_bytes);
            return;
        }
        self.bytes += bytes;
        let span = now.since(self.since);
        if span < LANES_TRIAL {
            return;
        }
        let OnTheWay {
            unacked_bytes,
            round_trip,
        } = on_the_way();
        let acked = (self.bytes + self.unacked).saturating_sub(unacked_bytes);
        let enough = acked >= LANES_TRIAL_BYTES.saturating_mul(self.width as u64);
        if !enough && span < Span(LANES_TRIAL.0 * 10) {
            return;
        }
        self.watch(now, unacked_bytes);
        let rate = u128::from(acked) * 1_000_000 / u128::from(span.0.max(1));
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        // An uplink that had too little to send, or too few lanes, is no slower for that.
        let before = self.bytes_per_sec;
        let fades = contended && !matches!(self.trial, Some(Trial::Narrower(..)));
        let faded = if fades { before - before / 16 } else { before };
        self.bytes_per_sec = rate.max(faded);
        let floor = self.floor_of(piece_bytes, round_trip);
        if contended {
            let seen = Seen {
                bytes_per_sec: rate,
                enough,
                piece_bytes,
                floor,
            };
            self.judge(now, &seen);
        } else {
            // A pause, or nobody to send more to: what was measured compares with nothing.
            self.abandon(now);
        }
        if self.trial.is_none() && self.width < floor {
            self.width = floor;
            self.next_trial = self.next_trial.max(now.after(LANES_TRIAL));
        }
    }

    /// From now on counts what goes out.
    const fn watch(&mut self, now: Instant, unacked: u64) {
        (self.since, self.bytes, self.unacked) = (now, 0, unacked);
    }

    fn abandon(&mut self, now: Instant) {
        if let Some(Trial::Wider(before, _) | Trial::Narrower(before, _)) = self.trial.take() {
            self.width = before;
            self.next_trial = now.after(LANES_TRIAL);
        }
    }

    /// A trial did not help: lanes beyond what fills the uplink cost a swarm something each time.
    fn put_off(&mut self, now: Instant) {
        self.next_trial = now.after(self.again);
        self.again = Span(self.again.0 * 2).min(LANES_TRIAL_AGAIN_MAX);
    }

    /// True if what a trial of more lanes begins is sent before long.
    fn is_soon_over(&self, piece_bytes: u64) -> bool {
        let begun = u128::from(piece_bytes) * self.width as u128;
        begun * 1_000_000 <= u128::from(self.bytes_per_sec) * u128::from(LANES_TRIAL_MAX.0)
    }

    /// Ends a trial, or begins one.
    fn judge(&mut self, now: Instant, seen: &Seen) {
        let rate = seen.bytes_per_sec;
        match self.trial.take() {
            Some(Trial::Wider(before, was)) if !seen.enough || rate < was.saturating_add(was / 4) => {
                self.width = before;
                self.put_off(now);
            }
            Some(Trial::Wider(..)) => {
                self.again = LANES_TRIAL_AGAIN;
                self.try_wider(now, seen.piece_bytes);
            }
            Some(Trial::Narrower(before, was)) if self.limit_themselves(rate, before, was) => {
                self.width = before;
                self.try_wider(now, seen.piece_bytes);
            }
            // As much, or nearly: the others are not needed.
            Some(Trial::Narrower(before, was)) if rate >= was - was / 8 && seen.floor < before => {
                self.width = self.width.max(seen.floor);
                (self.next_trial, self.again) = (now.after(LANES_TRIAL), LANES_TRIAL_AGAIN);
            }
            Some(Trial::Narrower(before, _)) => {
                self.width = before;
                self.put_off(now);
            }
            None if now >= self.next_trial => {
                self.trial = Some(Trial::Narrower(self.width, rate));
                (self.width, self.next_trial) = (self.width / 2, now);
            }
            None => {}
        }
    }

    /// True if each of fewer lanes moves hardly more than each of those before: then it is not the uplink that limits
    /// them, and more of them may fill it.
    fn limit_themselves(&self, rate: u64, before: usize, was: u64) -> bool {
        let (each, each_before) = (rate / self.width as u64, was / before as u64);
        each <= each_before + each_before / 4
    }

    /// Half as many more, unless what that begins would hold up the rest for long.
    fn try_wider(&mut self, now: Instant, piece_bytes: u64) {
        if self.is_soon_over(piece_bytes) {
            self.trial = Some(Trial::Wider(self.width, self.bytes_per_sec));
            self.width += self.width.div_ceil(2);
        } else {
            self.put_off(now);
        }
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
