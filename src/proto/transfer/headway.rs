//! Whether a content gets on: what is done when nothing is heard, and when next to nothing comes.
//!
//! Belongs here: when bytes, pieces and words last came. Does not: single holders ([`super::Taker`]). Invariant: words
//! alone keep nobody waiting for ever, and nobody is given up for being slow.

use crate::limits::{HEADWAY, TURN_WAIT_MAX};
use crate::time::{Instant, Span};

/// How one content gets on.
#[derive(Debug)]
pub struct Headway {
    /// When a piece last counted.
    gained: Instant,
    /// Without a piece, when others are next looked for.
    look: Instant,
    /// When bytes last came, or a holder.
    came: Instant,
    /// When anything was last heard.
    heard: Instant,
}

impl Headway {
    /// It begins now.
    pub const fn new(now: Instant) -> Self {
        Self {
            gained: now,
            look: now.after(HEADWAY),
            came: now,
            heard: now,
        }
    }

    /// Bytes came, or a holder, which has its time to send however long nobody else has.
    pub const fn came(&mut self, now: Instant) {
        (self.came, self.heard) = (now, now);
    }

    /// A holder says that it lives, and that we wait for our turn. For a while that is as good as bytes.
    pub fn heard(&mut self, now: Instant) {
        if now.since(self.came) < TURN_WAIT_MAX {
            self.heard = now;
        }
    }

    /// A piece counts.
    pub const fn gained(&mut self, now: Instant) {
        (self.gained, self.look) = (now, now.after(HEADWAY));
    }

    /// How long nothing has been heard.
    pub const fn silent(&self, now: Instant) -> Span {
        now.since(self.heard)
    }

    /// How long no piece has counted, if that is long.
    pub fn slow(&self, now: Instant) -> Option<Span> {
        let slow = now.since(self.gained);
        (slow >= HEADWAY).then_some(slow)
    }

    /// True if others are to be looked for, for it is slow: each time after twice as long.
    pub fn is_to_look(&mut self, now: Instant) -> bool {
        let due = now >= self.look;
        if due {
            self.look = now.after(now.since(self.gained));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::ZERO.after(Span::from_secs(secs))
    }

    #[test]
    fn while_no_piece_counts_others_are_looked_for_less_and_less_often() {
        let mut headway = Headway::new(at(0));
        let looks = |headway: &mut Headway, secs: core::ops::Range<u64>| -> Vec<u64> {
            secs.filter(|secs| headway.is_to_look(at(*secs))).collect()
        };
        let first = HEADWAY.as_secs();
        assert_eq!(looks(&mut headway, 0..first * 5), [first, first * 2, first * 4]);
        // Bytes that make up no piece are no headway.
        headway.came(at(first * 5));
        assert_eq!(headway.slow(at(first * 5)), Some(Span::from_secs(first * 5)));
        headway.gained(at(first * 5));
        assert_eq!(headway.slow(at(first * 6 - 1)), None);
        assert_eq!(looks(&mut headway, first * 5..first * 7), [first * 6]);
    }

    #[test]
    fn words_without_bytes_count_for_so_long() {
        let mut headway = Headway::new(at(0));
        let end = TURN_WAIT_MAX.as_secs();
        (0..end).step_by(2).for_each(|secs| headway.heard(at(secs)));
        assert!(headway.silent(at(end)) <= Span::from_secs(2));
        (end..end + 100).for_each(|secs| headway.heard(at(secs)));
        assert!(
            headway.silent(at(end + 100)) >= Span::from_secs(100),
            "words are not enough any more"
        );
        headway.came(at(end + 100));
        headway.heard(at(end + 200));
        assert_eq!(headway.silent(at(end + 200)), Span::ZERO);
    }
}
