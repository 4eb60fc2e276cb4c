//! The holder's choice: which piece a getter is sent next.
//!
//! A getter gives credits and says which pieces it has or expects from elsewhere (*settled*). The holder sends
//! what is spread least: the piece that the fewest getters have settled, so a source hands out each piece
//! once before any twice. Whoever is sent a piece first passes it on, before all others; other relays leave it to
//! that one for a while, for two that send the same piece to one getter waste it.
//! Invariant: a getter is never sent a piece it has settled, nor more pieces than it gave credits.

use super::Pieces;
use crate::id::PieceIndex;
use crate::limits::{ANNOUNCED_BEFORE, HOPE_WORD, RELAY_PATIENCE, RELAY_PATIENCE_MAX};
use crate::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A getter, as its holder numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reader(pub u64);

#[derive(Debug)]
struct Getter {
    settled: Pieces,
    /// What went out to it from here.
    departed: Pieces,
    credits: u32,
}

/// One content at one holder, and the getters that take it.
#[derive(Debug)]
pub struct Giver {
    have: Pieces,
    getters: BTreeMap<Reader, Getter>,
    /// For each piece, how many of the getters here have settled it.
    copies: Vec<u32>,
    /// For each piece, how often it was sent from here.
    sent: Vec<u32>,
    /// For each piece, the getter that alone was sent it from here, while no other had it.
    alone: Vec<Option<Reader>>,
    /// Holders that break ties alike choose alike: each partial holder has an order of its own.
    seed: Option<u64>,
    /// It held everything from the start.
    whole: bool,
    /// What may be sent now: at once what a relay got first, later what others got before it.
    ready: Pieces,
    /// What a relay got before others, and passes on before all else.
    own: Pieces,
    /// What may be sent later, and when.
    patient: BTreeSet<(Instant, PieceIndex)>,
    /// How long what others got first is left to them.
    patience: Span,
    /// When we last had hope of pieces that are not here.
    hoped: Instant,
    /// When getters are next told that there is nothing for them, and those who are to be told now.
    dry_due: Instant,
    dry: Vec<(Reader, Span)>,
}

/// A piece to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which.
    pub piece: PieceIndex,
    /// No other getter here has it or was sent it: this one is to pass it on.
    pub first: bool,
}

/// An order of the pieces that another seed makes another.
fn scrambled(piece: PieceIndex, seed: u64) -> u64 {
    let mixed = (u64::from(piece.0) ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

impl Giver {
    /// A holder of these pieces. With a seed it breaks ties in an order of its own, without by rising index.
    pub fn new(have: Pieces, seed: Option<u64>) -> Self {
        let (count, whole) = (have.count() as usize, have.is_all());
        Self {
            ready: have.clone(),
            own: Pieces::none(have.count()),
            patient: BTreeSet::new(),
            patience: RELAY_PATIENCE,
            hoped: Instant::ZERO,
            dry_due: Instant::ZERO,
            dry: Vec::new(),
            have,
            getters: BTreeMap::new(),
            copies: vec![0; count],
            sent: vec![0; count],
            alone: vec![None; count],
            seed,
            whole,
        }
    }

    /// Where a piece stands among equals. Whole holders read their file forwards, each from a place of its own.
    fn order(&self, piece: PieceIndex) -> u64 {
        let (at, count) = (u64::from(piece.0), u64::from(self.have.count().max(1)));
        match self.seed {
            None => at,
            Some(seed) if self.whole => (at + count - seed % count) % count,
            Some(seed) => scrambled(piece, seed),
        }
    }

    /// The pieces held.
    pub const fn have(&self) -> &Pieces {
        &self.have
    }

    /// When a piece that is announced now may be sent. Only a relay need wait: what a whole holder chooses first
    /// nobody else has.
    pub fn not_before(&self, now: Instant) -> Instant {
        if self.whole {
            now
        } else {
            now.after(ANNOUNCED_BEFORE)
        }
    }

    /// How many getters there are.
    pub fn getters(&self) -> usize {
        self.getters.len()
    }

    /// Notes that a piece was gained; `first` if we are the first to have it and pass it on.
    pub fn gain(&mut self, now: Instant, piece: PieceIndex, first: bool) {
        if !self.have.insert(piece) {
            return;
        }
        if first {
            self.own.insert(piece);
            self.ready.insert(piece);
        } else {
            self.patient.insert((now.after(self.patience), piece));
        }
    }

    /// When [`Giver::handle_timeout`] wants to be called: more of what is here may be sent then.
    pub fn deadline(&self) -> Option<Instant> {
        let looks = !self.have.is_all() && !self.getters.is_empty();
        let patient = self.patient.first().map(|(at, _)| *at);
        patient.into_iter().chain(looks.then_some(self.dry_due)).min()
    }

    /// Lets go what has waited long enough, and looks who waits for nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(first) = self.patient.first().filter(|(at, _)| *at <= now).copied() {
            self.patient.remove(&first);
            self.ready.insert(first.1);
        }
        if now >= self.dry_due {
            self.dry_due = now.after(HOPE_WORD);
            let hoped_before = now.since(self.hoped);
            let getters = self.getters.iter().filter(|(_, getter)| self.is_dry(getter));
            self.dry = getters.map(|(reader, _)| (*reader, hoped_before)).collect();
        }
    }

    /// True if a getter waits and has all that is here. Who has everything always has something for somebody else.
    fn is_dry(&self, getter: &Getter) -> bool {
        getter.credits > 0 && !self.have.is_all() && getter.settled.holds_all_of(&self.have)
    }

    /// We had hope of more then, as a getter ourselves.
    pub fn hope(&mut self, hoped: Instant) {
        self.hoped = self.hoped.max(hoped);
    }

    /// A getter to be told that there is nothing for it here, and how long ago we last had hope of more.
    pub fn poll_dry(&mut self) -> Option<(Reader, Span)> {
        self.dry.pop()
    }

    /// A getter comes, with what it has settled; false if its map is of another content.
    pub fn open(&mut self, reader: Reader, settled: Pieces) -> bool {
        self.close(reader);
        if settled.count() != self.have.count() {
            return false;
        }
        settled
            .iter()
            .for_each(|piece| self.copies[piece.0 as usize] += 1);
        let getter = Getter {
            settled,
            departed: Pieces::none(self.have.count()),
            credits: 0,
        };
        self.getters.insert(reader, getter);
        true
    }

    /// A getter goes.
    pub fn close(&mut self, reader: Reader) {
        if let Some(getter) = self.getters.remove(&reader) {
            getter
                .settled
                .iter()
                .for_each(|piece| self.copies[piece.0 as usize] -= 1);
        }
    }

    /// A getter may be sent so many more pieces.
    pub fn credit(&mut self, reader: Reader, pieces: u32) {
        if let Some(getter) = self.getters.get_mut(&reader) {
            getter.credits = getter.credits.saturating_add(pieces).min(self.have.count());
        }
    }

    /// A getter has this piece, or expects it from elsewhere. Returns who must have passed it on: the only one
    /// that had it, from here. What others have seen is the one account of a getter that it cannot make up.
    pub fn settle(&mut self, reader: Reader, piece: PieceIndex) -> Option<Reader> {
        let getter = self.getters.get_mut(&reader)?;
        if !getter.settled.insert(piece) {
            if getter.departed.remove(piece) {
                self.wasted(piece);
            }
            return None;
        }
        self.copies[piece.0 as usize] += 1;
        self.alone[piece.0 as usize].filter(|giver| *giver != reader)
    }

    /// A piece goes out to a getter: from now on it costs something if another sends it as well.
    pub fn depart(&mut self, reader: Reader, piece: PieceIndex) {
        if let Some(getter) = self.getters.get_mut(&reader) {
            getter.departed.insert(piece);
        }
    }

    /// What went out from here came from another holder as well: of help that is wasted too often less is given.
    fn wasted(&mut self, piece: PieceIndex) {
        if !self.own.contains(piece) {
            let longer = Span(self.patience.0 + self.patience.0 / 2);
            self.patience = longer.min(RELAY_PATIENCE_MAX);
        }
    }

    /// A getter wants this piece after all.
    pub fn want(&mut self, reader: Reader, piece: PieceIndex) {
        if let Some(getter) = self.getters.get_mut(&reader)
            && getter.settled.remove(piece)
        {
            self.copies[piece.0 as usize] -= 1;
        }
    }

    /// The getters that could be sent something now, for they have credit and lack a piece that may go; and how
    /// many pieces each has settled.
    pub fn waiting(&self) -> impl Iterator<Item = (Reader, u32)> + '_ {
        let waits = |getter: &Getter| getter.credits > 0 && !getter.settled.holds_all_of(&self.ready);
        let getters = self.getters.iter();
        getters
            .filter(move |(_, getter)| waits(getter))
            .map(|(reader, getter)| (*reader, getter.settled.len()))
    }

    /// The piece to send this getter now, for one of its credits; none if it has no credit, or lacks nothing
    /// that may be sent from here yet.
    pub fn choose(&mut self, reader: Reader) -> Option<Chosen> {
        let getter = self.getters.get(&reader).filter(|getter| getter.credits > 0)?;
        let rank = |piece: &PieceIndex| {
            let at = piece.0 as usize;
            let others = !self.own.contains(*piece);
            (others, self.copies[at], self.sent[at], self.order(*piece))
        };
        let piece = self.ready.without(&getter.settled).min_by_key(rank)?;
        let at = piece.0 as usize;
        // What is ours to pass on is nobody else's.
        let first = self.copies[at] == 0 && self.sent[at] == 0 && !self.own.contains(piece);
        self.sent[at] += 1;
        self.settle(reader, piece);
        if !self.own.contains(piece) {
            let shorter = Span(self.patience.0 - self.patience.0 / 32);
            self.patience = shorter.max(RELAY_PATIENCE);
        }
        self.alone[at] = first.then_some(reader);
        if let Some(getter) = self.getters.get_mut(&reader) {
            getter.credits -= 1;
        }
        Some(Chosen { piece, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1);

    fn giver(count: u32, getters: u64) -> Giver {
        let mut giver = Giver::new(Pieces::all(count), None);
        for reader in 0..getters {
            assert!(giver.open(Reader(reader), Pieces::none(count)));
            giver.credit(Reader(reader), count);
        }
        giver
    }

    #[test]
    fn each_piece_goes_out_once_before_any_goes_twice() {
        let mut giver = giver(10, 3);
        let first: Vec<u32> = (0..10)
            .filter_map(|turn| giver.choose(Reader(turn % 3)).map(|chosen| chosen.piece))
            .map(|piece| piece.0)
            .collect();
        assert_eq!(first, (0..10).collect::<Vec<_>>());
        for turn in 0..10 {
            assert!(
                giver
                    .choose(Reader(turn % 3))
                    .map(|chosen| chosen.piece)
                    .is_some()
            );
        }
        assert!(giver.sent.iter().all(|sent| *sent == 2), "{:?}", giver.sent);
    }

    #[test]
    fn what_others_have_spread_waits() {
        let mut giver = giver(3, 2);
        // The other getter has the first two from elsewhere: the third is spread least.
        giver.settle(Reader(1), PieceIndex(0));
        giver.settle(Reader(1), PieceIndex(1));
        assert_eq!(
            giver.choose(Reader(0)).map(|chosen| chosen.piece),
            Some(PieceIndex(2))
        );
        assert_eq!(
            giver.choose(Reader(1)).map(|chosen| chosen.piece),
            Some(PieceIndex(2))
        );
        assert_eq!(
            giver.choose(Reader(1)).map(|chosen| chosen.piece),
            None,
            "it lacks nothing"
        );
        giver.want(Reader(1), PieceIndex(0));
        assert_eq!(
            giver.choose(Reader(1)).map(|chosen| chosen.piece),
            Some(PieceIndex(0)),
            "wanted after all"
        );
    }

    #[test]
    fn without_credit_nothing_is_sent() {
        let mut giver = Giver::new(Pieces::all(4), Some(7));
        assert!(
            !giver.open(Reader(1), Pieces::none(5)),
            "a map of another content"
        );
        assert!(giver.open(Reader(1), Pieces::none(4)));
        assert_eq!(giver.choose(Reader(1)).map(|chosen| chosen.piece), None);
        giver.credit(Reader(1), 1);
        assert!(giver.choose(Reader(1)).map(|chosen| chosen.piece).is_some());
        assert_eq!(giver.choose(Reader(1)).map(|chosen| chosen.piece), None);
        giver.close(Reader(1));
        assert_eq!(giver.copies, [0; 4], "what a getter had goes with it");
    }

    #[test]
    fn a_relay_leaves_a_piece_to_whoever_got_it_first() {
        let mut giver = Giver::new(Pieces::none(3), Some(7));
        for reader in [Reader(1), Reader(2)] {
            assert!(giver.open(reader, Pieces::none(3)));
            giver.credit(reader, 3);
        }
        giver.handle_timeout(NOW);
        giver.gain(NOW, PieceIndex(0), false);
        giver.gain(NOW, PieceIndex(2), true);
        let ours = Chosen {
            piece: PieceIndex(2),
            first: false,
        };
        assert_eq!(
            giver.choose(Reader(1)),
            Some(ours),
            "ours to pass on, and nobody else's"
        );
        assert_eq!(giver.choose(Reader(1)), None, "somebody else's, for now");
        assert_eq!(giver.choose(Reader(2)), Some(ours));
        let later = NOW.after(RELAY_PATIENCE);
        assert_eq!(giver.deadline(), Some(later));
        giver.handle_timeout(later);
        assert_eq!(
            giver.choose(Reader(1)).map(|chosen| chosen.piece),
            Some(PieceIndex(0))
        );
    }

    #[test]
    fn what_a_partial_holder_had_from_the_start_is_passed_on_by_whoever_gets_it_first() {
        let mut have = Pieces::none(3);
        have.insert(PieceIndex(1));
        let mut giver = Giver::new(have, Some(7));
        for (reader, first) in [(Reader(1), true), (Reader(2), false)] {
            assert!(giver.open(reader, Pieces::none(3)));
            giver.credit(reader, 3);
            assert_eq!(giver.choose(reader).map(|chosen| chosen.first), Some(first));
        }
    }

    #[test]
    fn a_relay_whose_help_is_wasted_waits_longer() {
        let count = 400;
        let mut giver = Giver::new(Pieces::none(count), Some(7));
        let reader = Reader(1);
        assert!(giver.open(reader, Pieces::none(count)));
        giver.credit(reader, count);
        let mut now = NOW;
        // How long each piece waits of which another holder tells, and which comes twice or does not.
        let mut helps = |pieces: core::ops::Range<u32>, wasted: bool| {
            let mut waited = Span::ZERO;
            for piece in pieces.map(PieceIndex) {
                giver.handle_timeout(now);
                giver.gain(now, piece, false);
                let due = *giver.patient.first().map(|(at, _)| at).expect("it waits");
                waited = due.since(now);
                now = due;
                giver.handle_timeout(now);
                assert_eq!(giver.choose(reader).map(|chosen| chosen.piece), Some(piece));
                if wasted {
                    giver.depart(reader, piece);
                }
                assert_eq!(giver.settle(reader, piece), None);
            }
            waited
        };
        assert_eq!(helps(0..1, true), RELAY_PATIENCE);
        assert!(helps(1..3, true) > RELAY_PATIENCE);
        assert_eq!(helps(3..50, true), RELAY_PATIENCE_MAX);
        assert!(helps(50..60, false) < RELAY_PATIENCE_MAX);
        assert_eq!(helps(60..300, false), RELAY_PATIENCE);
    }

    #[test]
    fn a_relay_passes_on_its_own_before_it_helps_with_what_is_rarer() {
        let mut giver = Giver::new(Pieces::none(3), Some(7));
        for reader in [Reader(1), Reader(2)] {
            assert!(giver.open(reader, Pieces::none(3)));
            giver.credit(reader, 3);
        }
        giver.gain(NOW, PieceIndex(0), false);
        giver.gain(NOW, PieceIndex(1), true);
        giver.settle(Reader(2), PieceIndex(1));
        giver.handle_timeout(NOW.after(RELAY_PATIENCE));
        let chosen = |giver: &mut Giver| giver.choose(Reader(1)).map(|chosen| chosen.piece);
        assert_eq!(
            chosen(&mut giver),
            Some(PieceIndex(1)),
            "ours, though another has it"
        );
        assert_eq!(chosen(&mut giver), Some(PieceIndex(0)), "then what nobody has");
    }

    #[test]
    fn who_waits_for_nothing_is_told_so_now_and_then() {
        let mut giver = Giver::new(Pieces::none(3), Some(7));
        assert!(giver.open(Reader(1), Pieces::none(3)));
        giver.handle_timeout(NOW);
        assert_eq!(giver.poll_dry(), None, "it waits for nothing yet");
        giver.credit(Reader(1), 1);
        let [first, second, third] = [1, 2, 3].map(|times| NOW.after(Span(HOPE_WORD.0 * times)));
        assert_eq!(giver.deadline(), Some(first));
        giver.handle_timeout(first);
        assert_eq!(giver.poll_dry(), Some((Reader(1), first.since(Instant::ZERO))));
        assert_eq!(giver.poll_dry(), None);
        giver.hope(second);
        giver.handle_timeout(second);
        assert_eq!(giver.poll_dry(), Some((Reader(1), Span::ZERO)));
        giver.gain(second, PieceIndex(0), true);
        giver.handle_timeout(third);
        assert_eq!(giver.poll_dry(), None, "there is something for it");
    }
}
