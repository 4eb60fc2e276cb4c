//! To how many getters an uplink sends at once: as few as fill it.
//!
//! One after another is best for a swarm: whoever has a piece early passes it on early. But one slow getter does
//! not fill a fast uplink, and nobody tells a sender what limits it. So it tries: twice as many at once are kept
//! if that moves clearly more bytes, half as many if it does not move clearly less. Belongs here: that search, and
//! the uplink's measured rate. Invariant: the width is at least two, so that one goes out while another begins.

use crate::limits::{
    ANNOUNCE_AHEAD, CHUNK_BYTES_MAX, LANES_TRIAL, LANES_TRIAL_AGAIN, LANES_TRIAL_BYTES, LANES_TRIAL_MAX,
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

/// The width of one uplink.
#[derive(Debug)]
pub struct Lanes {
    width: usize,
    trial: Option<Trial>,
    /// Which way the next trial goes.
    widen: bool,
    next_trial: Instant,
    /// Since when the bytes below were sent, always with getters waiting for a lane.
    since: Instant,
    bytes: u64,
    /// When bytes were last sent.
    last: Instant,
    bytes_per_sec: u64,
}

const WIDTH_MIN: usize = 2;
/// Nothing sent for so long is a pause.
const PAUSE: Span = Span::from_secs(1);
/// What is sent in one go takes an uplink about so long.
const STEP_SPAN: Span = Span::from_millis(30);
/// Until its rate is known, so much.
const STEP_BYTES_FIRST: usize = 64 * 1024;
/// Less would be more labels than bytes.
const STEP_BYTES_MIN: usize = 16 * 1024;

impl Default for Lanes {
    fn default() -> Self {
        Self {
            width: WIDTH_MIN,
            trial: None,
            widen: true,
            next_trial: Instant::ZERO,
            since: Instant::ZERO,
            bytes: 0,
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
        let lead = u128::from(self.bytes_per_sec) * u128::from(ANNOUNCE_AHEAD.0) / 1_000_000;
        u64::try_from(lead).unwrap_or(u64::MAX)
    }

    /// How many bytes to send in one go: few enough that the network takes them before the lane looks stuck, and
    /// that control is heard in between.
    pub fn step_bytes(&self) -> usize {
        let in_span = u128::from(self.bytes_per_sec) * u128::from(STEP_SPAN.0) / 1_000_000;
        match usize::try_from(in_span).unwrap_or(usize::MAX) {
            0 => STEP_BYTES_FIRST,
            step => step.clamp(STEP_BYTES_MIN, CHUNK_BYTES_MAX),
        }
    }

    /// Bytes of a piece of so many were taken by the network; `contended` if getters waited for a lane meanwhile.
    pub fn sent(&mut self, now: Instant, bytes: u64, piece_bytes: u64, contended: bool) {
        // After a pause nothing is known: the time in which nothing was sent says nothing of the uplink.
        if now.since(core::mem::replace(&mut self.last, now)) >= PAUSE {
            self.abandon(now);
            (self.since, self.bytes) = (now, 0);
            return;
        }
        self.bytes += bytes;
        let span = now.since(self.since);
        // Every new lane first fills its socket: that says nothing of the uplink.
        let enough = self.bytes >= LANES_TRIAL_BYTES.saturating_mul(self.width as u64);
        if span < LANES_TRIAL || !(enough || span >= Span(LANES_TRIAL.0 * 10)) {
            return;
        }
        let rate = u128::from(self.bytes) * 1_000_000 / u128::from(span.0.max(1));
        self.bytes_per_sec = u64::try_from(rate).unwrap_or(u64::MAX);
        (self.since, self.bytes) = (now, 0);
        if contended {
            self.judge(now, enough, piece_bytes);
        } else {
            // A pause, or nobody to send more to: what was measured compares with nothing.
            self.abandon(now);
        }
    }

    fn abandon(&mut self, now: Instant) {
        if let Some(Trial::Wider(before, _) | Trial::Narrower(before, _)) = self.trial.take() {
            self.width = before;
            self.next_trial = now.after(LANES_TRIAL);
        }
    }

    /// True if what a trial of twice the lanes begins is sent before long.
    fn is_soon_over(&self, piece_bytes: u64) -> bool {
        let begun = u128::from(piece_bytes) * self.width as u128;
        begun * 1_000_000 <= u128::from(self.bytes_per_sec) * u128::from(LANES_TRIAL_MAX.0)
    }

    /// `enough` bytes were moved to tell what new lanes do from what they first take in.
    fn judge(&mut self, now: Instant, enough: bool, piece_bytes: u64) {
        let rate = self.bytes_per_sec;
        match self.trial.take() {
            // Twice the lanes move twice the bytes, or as many as before; the line is drawn between.
            Some(Trial::Wider(before, was)) if !enough || rate < was.saturating_add(was / 3) => {
                (self.width, self.widen) = (before, false);
                self.next_trial = now.after(LANES_TRIAL_AGAIN);
            }
            Some(Trial::Narrower(before, was)) if rate < was - was / 5 => {
                (self.width, self.widen) = (before, true);
                self.next_trial = now.after(LANES_TRIAL_AGAIN);
            }
            Some(_) => self.next_trial = now,
            None => {}
        }
        if now < self.next_trial {
            return;
        }
        if !(self.widen && enough) && self.width > WIDTH_MIN {
            self.trial = Some(Trial::Narrower(self.width, rate));
            self.width = (self.width / 2).max(WIDTH_MIN);
        } else if enough && self.is_soon_over(piece_bytes) {
            self.trial = Some(Trial::Wider(self.width, rate));
            self.width *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PIECE_BYTES_MAX, PIECE_BYTES_MIN};

    /// The width after so many seconds at an uplink, when each getter takes so much of it at most.
    fn width(uplink: u64, getter: u64, secs: u64) -> (usize, Lanes) {
        width_of_pieces(PIECE_BYTES_MIN, uplink, getter, secs)
    }

    fn width_of_pieces(piece_bytes: u64, uplink: u64, getter: u64, secs: u64) -> (usize, Lanes) {
        // It has been idle for a minute.
        let (mut lanes, mut now) = (Lanes::default(), Instant(60_000_000));
        let (mut widest, end) = (0, now.after(Span::from_secs(secs)));
        while now < end {
            let rate = uplink.min(getter * lanes.width() as u64);
            now = now.after(Span(65_536 * 1_000_000 / rate));
            lanes.sent(now, 65_536, piece_bytes, true);
            widest = widest.max(lanes.width());
        }
        (widest, lanes)
    }

    #[test]
    fn an_uplink_that_is_full_is_not_shared_by_more() {
        let (widest, lanes) = width(12_500_000, 12_500_000, 20);
        assert_eq!(widest, 4, "tried, and given up");
        let ahead = lanes.lead_bytes() / 1_000;
        assert_eq!(ahead / 10, 50, "{ahead} kB: 40 ms of 12.5 MB/s");
    }

    #[test]
    fn a_slow_uplink_that_was_idle_stays_narrow() {
        let (widest, lanes) = width(1_200_000, 1_200_000, 60);
        assert_eq!(widest, 4, "tried, and given up: {lanes:?}");
    }

    #[test]
    fn large_pieces_on_a_slow_uplink_are_not_begun_for_a_trial() {
        let (slow, fast) = (1_200_000, 12_500_000);
        let (widest, _) = width_of_pieces(PIECE_BYTES_MAX, slow, slow, 60);
        assert_eq!(widest, WIDTH_MIN, "two more would take half a minute");
        let (widest, _) = width_of_pieces(PIECE_BYTES_MAX, fast, fast, 60);
        assert_eq!(widest, 4, "tried, and given up");
    }

    #[test]
    fn what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck() {
        assert_eq!(Lanes::default().step_bytes(), STEP_BYTES_FIRST);
        for (uplink, step) in [
            (100_000, STEP_BYTES_MIN),
            (2_000_000, 60_000),
            (100_000_000, CHUNK_BYTES_MAX),
        ] {
            let (_, lanes) = width(uplink, uplink, 20);
            assert!(
                lanes.step_bytes().abs_diff(step) < step / 20,
                "{uplink}: {lanes:?}"
            );
        }
    }

    #[test]
    fn slow_getters_are_sent_to_together() {
        let (_, lanes) = width(1_000_000_000, 20_000_000, 20);
        assert!(lanes.width() >= 32, "{lanes:?}");
    }

    #[test]
    fn what_was_wide_gets_narrow_again() {
        let (_, mut lanes) = width(1_000_000_000, 20_000_000, 20);
        let mut now = Instant(80_000_000);
        for _ in 0..20_000 {
            now = now.after(Span(5_000));
            lanes.sent(now, 65_536, PIECE_BYTES_MIN, true);
        }
        assert!(lanes.width() <= 4, "{lanes:?}");
    }

    #[test]
    fn an_uplink_nobody_waits_for_tries_nothing() {
        let (mut lanes, mut now) = (Lanes::default(), Instant(1));
        for _ in 0..10_000 {
            now = now.after(Span(5_000));
            lanes.sent(now, 65_536, PIECE_BYTES_MIN, false);
        }
        assert_eq!(lanes.width(), WIDTH_MIN);
    }
}
