//! What an uplink has promised: pieces announced to their getters and not yet sent, in the order in which they go.
//!
//! A choice takes time to be heard of, and until then another holder may make the same one. So pieces are
//! announced a little ahead of their bytes, and what a getter expects from elsewhere is struck off before it costs
//! anything. Belongs here: the order. Does not: which piece ([`super::Giver`]) and whose turn ([`super::Uplink`]).
//! Invariant: one getter has at most one piece promised and one under way.

use super::Reader;
use crate::id::PieceIndex;
use crate::time::Instant;
use std::collections::{BTreeSet, VecDeque};

/// A piece that was announced to a getter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Whom it goes to.
    pub reader: Reader,
    /// Which it is.
    pub piece: PieceIndex,
    /// How long it is.
    pub bytes: u64,
    /// It does not go earlier: its getter may have something to say against it.
    pub not_before: Instant,
}

/// The pieces promised at one uplink.
#[derive(Debug, Default)]
pub struct Departures {
    promised: VecDeque<Departure>,
    under_way: BTreeSet<Reader>,
}

impl Departures {
    /// True if another piece should be announced: less than `lead_bytes` could go at once. What is promised to a
    /// getter that is being sent to waits for that, and holds up nobody else.
    pub fn has_room(&self, lead_bytes: u64) -> bool {
        let could_go = |departure: &&Departure| !self.under_way.contains(&departure.reader);
        let mut ahead = self.promised.iter().filter(could_go).peekable();
        ahead.peek().is_none() || ahead.map(|departure| departure.bytes).sum::<u64>() < lead_bytes
    }

    /// True if a piece is promised to this getter.
    pub fn is_promised(&self, reader: Reader) -> bool {
        self.promised.iter().any(|departure| departure.reader == reader)
    }

    /// A piece is announced: it goes after all that were announced before.
    pub fn promise(&mut self, departure: Departure) {
        self.promised.push_back(departure);
    }

    /// True if nothing is promised to anybody.
    pub fn is_empty(&self) -> bool {
        self.promised.is_empty()
    }

    /// The next piece to send: the first whose time has come and whose getter is not being sent to and is `free`.
    /// It is under way from now on.
    pub fn begin(&mut self, now: Instant, free: impl Fn(Reader) -> bool) -> Option<Departure> {
        let could_go = |departure: &Departure| {
            let reader = departure.reader;
            departure.not_before <= now && !self.under_way.contains(&reader) && free(reader)
        };
        let place = self.promised.iter().position(could_go)?;
        let departure = self.promised.remove(place)?;
        self.under_way.insert(departure.reader);
        Some(departure)
    }

    /// True if [`Departures::begin`] would find something.
    pub fn could_begin(&self, now: Instant) -> bool {
        let may = |departure: &Departure| {
            departure.not_before <= now && !self.under_way.contains(&departure.reader)
        };
        self.promised.iter().any(may)
    }

    /// True if a getter that nothing is under way to was promised a piece: it waits for a lane.
    pub fn waits(&self) -> bool {
        let waits = |departure: &Departure| !self.under_way.contains(&departure.reader);
        self.promised.iter().any(waits)
    }

    /// When the next of those that wait for their time may go.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let times = self.promised.iter().map(|departure| departure.not_before);
        times.filter(|at| *at > now).min()
    }

    /// Nothing is under way to this getter any more.
    pub fn end(&mut self, reader: Reader) {
        self.under_way.remove(&reader);
    }

    /// A getter needs this piece no longer; true if it was promised, and now is not.
    pub fn cancel(&mut self, reader: Reader, piece: PieceIndex) -> bool {
        let before = self.promised.len();
        self.promised
            .retain(|departure| (departure.reader, departure.piece) != (reader, piece));
        self.promised.len() < before
    }

    /// A getter goes.
    pub fn close(&mut self, reader: Reader) {
        self.promised.retain(|departure| departure.reader != reader);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(reader: u64, piece: u32) -> Departure {
        Departure {
            reader: Reader(reader),
            piece: PieceIndex(piece),
            bytes: 10,
            not_before: Instant::ZERO,
        }
    }

    #[test]
    fn pieces_go_in_the_order_they_were_announced_in_and_one_a_getter() {
        let mut departures = Departures::default();
        for departure in [to(1, 0), to(1, 1), to(2, 2)] {
            departures.promise(departure);
        }
        assert_eq!(departures.begin(Instant::ZERO, |_| true), Some(to(1, 0)));
        assert_eq!(
            departures.begin(Instant::ZERO, |_| true),
            Some(to(2, 2)),
            "the first getter is being sent to"
        );
        assert_eq!(departures.begin(Instant::ZERO, |_| true), None);
        departures.end(Reader(1));
        assert_eq!(departures.begin(Instant::ZERO, |_| true), Some(to(1, 1)));
    }

    #[test]
    fn a_piece_does_not_go_before_its_time() {
        let mut departures = Departures::default();
        let not_before = Instant(9);
        departures.promise(Departure {
            not_before,
            ..to(1, 0)
        });
        departures.promise(to(2, 1));
        assert_eq!(departures.deadline(Instant(8)), Some(not_before));
        assert_eq!(departures.begin(Instant(8), |_| true), Some(to(2, 1)));
        assert_eq!(departures.begin(Instant(8), |_| true), None);
        assert!(departures.begin(not_before, |_| true).is_some());
    }

    #[test]
    fn who_is_being_sent_to_waits_for_no_lane() {
        let mut departures = Departures::default();
        departures.promise(to(1, 0));
        assert!(departures.waits());
        departures.begin(Instant::ZERO, |_| true);
        departures.promise(to(1, 1));
        assert!(!departures.waits(), "its next piece waits for the one under way");
        departures.promise(to(2, 1));
        assert!(departures.waits());
    }

    #[test]
    fn a_slow_getter_takes_up_no_room() {
        let mut departures = Departures::default();
        assert!(departures.has_room(0), "one is always announced");
        departures.promise(to(1, 0));
        assert!(departures.has_room(11) && !departures.has_room(10));
        departures.begin(Instant::ZERO, |_| true);
        departures.promise(to(1, 1));
        assert!(departures.has_room(1), "it could not go now");
    }

    #[test]
    fn what_came_from_elsewhere_does_not_go() {
        let mut departures = Departures::default();
        departures.promise(to(1, 0));
        assert!(departures.is_promised(Reader(1)));
        assert!(!departures.cancel(Reader(2), PieceIndex(0)));
        assert!(departures.cancel(Reader(1), PieceIndex(0)));
        departures.promise(to(2, 0));
        departures.close(Reader(2));
        assert_eq!(departures.begin(Instant::ZERO, |_| true), None);
    }
}
