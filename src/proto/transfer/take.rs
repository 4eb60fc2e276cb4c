//! The getter's side: which holder a piece is expected from, how much each may send, and who has failed.
//!
//! Driving it: [`Taker::open`] for each holder that is reached; [`Taker::handle_choice`], [`Taker::handle_cancel`],
//! [`Taker::handle_progress`], [`Taker::handle_piece`] and [`Taker::close`] as things happen;
//! [`Taker::handle_timeout`] at [`Taker::deadline`], which is also when [`Taker::is_hopeless`] may have become true; after each,
//! [`Taker::poll_output`] until there is none. Invariant: every piece is in exactly one state, and a piece is expected from one
//! holder at a time.

use super::Pieces;
use crate::id::PieceIndex;
use crate::limits::{HOPE_LOST, HOPE_WORD, SLOW_PIECE, STALL, STALL_GIVE_UP, WINDOW_PIECES_MAX, WINDOW_SPAN};
use crate::time::{Instant, Span};
use core::ops::Range;
use std::collections::{BTreeMap, VecDeque};

/// Hope that was told of counts as older by this, more than the word was on its way: or what goes round among many would
/// not grow old.
const HEARSAY: Span = Span(HOPE_WORD.0 / 5);

/// A holder, as its getter numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(pub u64);

/// What a getter wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeOutput {
    /// Grant this holder so many more pieces.
    Credit(Source, u16),
    /// Tell this holder that the piece is settled: not to be sent, or not any more.
    Settled(Source, PieceIndex),
    /// Tell this holder the same of the piece that it has just chosen.
    Refuse(Source, PieceIndex),
    /// Tell this holder that the piece is wanted after all.
    Want(Source, PieceIndex),
    /// Give this holder up: it has been silent for too long.
    Drop(Source),
    /// Every piece is verified.
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Missing,
    Expected(Source),
    /// Wanted from the others too, for this holder has not sent it in time; it counts if it comes from it before
    /// another has chosen it.
    Overdue(Source),
    Verified,
}

#[derive(Debug)]
struct Holder {
    /// Granted and not yet used by a choice.
    credits: u32,
    expected: VecDeque<PieceIndex>,
    window: u32,
    heard: Instant,
    /// When the piece that is arriving began to.
    began: Instant,
    /// Bytes of it have come; until then it is only announced, and waits for its turn.
    begun: bool,
    /// How long its last piece took.
    took: Option<Span>,
    /// It stopped in the middle of what it owed, and has been silent since.
    stalled: bool,
    /// What it owes takes so long that it is wanted from others too.
    late: bool,
    /// It has nothing for us, and so it had hope of more last then; none while it may have something.
    dry: Option<Instant>,
}

impl Holder {
    /// When it last gave hope of a piece: now, if it owes one or may have one.
    fn hoped(&self, now: Instant) -> Instant {
        self.dry.filter(|_| self.expected.is_empty()).unwrap_or(now)
    }

    /// How long it may be silent; none if it owes nothing and has let nothing down.
    fn patience(&self) -> Option<Span> {
        match (self.stalled, self.expected.is_empty(), self.begun) {
            (true, ..) => Some(STALL_GIVE_UP),
            (false, true, _) => None,
            (false, false, true) => Some(STALL),
            (false, false, false) => Some(SLOW_PIECE),
        }
    }
}

/// One content at one getter.
#[derive(Debug)]
pub struct Taker {
    states: Vec<State>,
    verified: Pieces,
    holders: BTreeMap<Source, Holder>,
    outputs: VecDeque<TakeOutput>,
    /// When a holder was last lost that could have had something for us.
    hoped: Instant,
}

impl Taker {
    /// A getter that has these pieces.
    pub fn new(verified: Pieces) -> Self {
        let state = |piece| {
            if verified.contains(PieceIndex(piece)) {
                State::Verified
            } else {
                State::Missing
            }
        };
        let states = (0..verified.count()).map(state).collect();
        Self {
            states,
            verified,
            holders: BTreeMap::new(),
            outputs: VecDeque::new(),
            hoped: Instant::ZERO,
        }
    }

    /// The pieces that are here.
    pub const fn verified(&self) -> &Pieces {
        &self.verified
    }

    /// The pieces that are not here, as runs by rising index.
    pub fn missing(&self) -> Vec<Range<u32>> {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for PieceIndex(piece) in Pieces::all(self.verified.count()).without(&self.verified) {
            match runs.last_mut() {
                Some(run) if run.end == piece => run.end += 1,
                _ => runs.push(piece..piece + 1),
            }
        }
        runs
    }

    /// What a holder is told at first: everything that is here or expected from another.
    pub fn settled(&self) -> Pieces {
        let mut settled = self.verified.clone();
        for (piece, state) in (0..).map(PieceIndex).zip(&self.states) {
            if matches!(state, State::Expected(_)) {
                settled.insert(piece);
            }
        }
        settled
    }

    /// What to do next.
    pub fn poll_output(&mut self) -> Option<TakeOutput> {
        self.outputs.pop_front()
    }

    /// A holder has been reached and told what is settled: it gets its first credits.
    pub fn open(&mut self, now: Instant, source: Source) {
        let holder = Holder {
            credits: 0,
            expected: VecDeque::new(),
            window: 2,
            heard: now,
            began: now,
            begun: false,
            took: None,
            stalled: false,
            late: false,
            dry: None,
        };
        self.holders.insert(source, holder);
        self.grant(source);
    }

    /// A holder is gone: what was expected from it is wanted from the others.
    pub fn close(&mut self, now: Instant, source: Source) {
        if let Some(holder) = self.holders.remove(&source) {
            self.hoped = self.hoped.max(holder.hoped(now));
            holder
                .expected
                .into_iter()
                .for_each(|piece| self.release(piece, source));
        }
    }

    /// How many holders there are.
    pub fn holders(&self) -> usize {
        self.holders.len()
    }

    fn release(&mut self, piece: PieceIndex, from: Source) {
        let Some(state) = self.states.get_mut(piece.0 as usize) else {
            return;
        };
        match *state {
            State::Expected(holder) if holder == from => {
                *state = State::Missing;
                self.want(piece, from);
            }
            // The others know.
            State::Overdue(holder) if holder == from => *state = State::Missing,
            _ => {}
        }
    }

    /// All that a holder owes is wanted from the others too.
    fn overdue(&mut self, source: Source) {
        let owed = self.holders.get(&source).map(|holder| holder.expected.clone());
        for piece in owed.into_iter().flatten() {
            if let Some(state) = self.states.get_mut(piece.0 as usize)
                && *state == State::Expected(source)
            {
                *state = State::Overdue(source);
                self.want(piece, source);
            }
        }
    }

    fn want(&mut self, piece: PieceIndex, except: Source) {
        let others = self.holders.keys().filter(|other| **other != except);
        self.outputs
            .extend(others.map(|other| TakeOutput::Want(*other, piece)));
    }

    /// Tops a holder up to its window.
    fn grant(&mut self, source: Source) {
        let left = self.verified.count() - self.verified.len();
        let Some(holder) = self.holders.get_mut(&source) else {
            return;
        };
        if holder.stalled || holder.late {
            return;
        }
        let open = holder.credits + u32::try_from(holder.expected.len()).unwrap_or(u32::MAX);
        let more = holder.window.min(left.max(1)).saturating_sub(open);
        if more > 0 && left > 0 {
            holder.credits += more;
            self.outputs.push_back(TakeOutput::Credit(
                source,
                u16::try_from(more).unwrap_or(u16::MAX),
            ));
        }
    }

    /// True if a holder may choose a piece: it was asked for one more than it has chosen since. One that has been
    /// given up may go on for a while.
    pub fn is_asked(&self, source: Source) -> bool {
        self.holders.get(&source).is_none_or(|holder| holder.credits > 0)
    }

    /// A holder has chosen a piece. False: it is settled, or no credit was left for it; its bytes are not needed.
    pub fn handle_choice(&mut self, now: Instant, source: Source, piece: PieceIndex) -> bool {
        let Some(holder) = self.holders.get_mut(&source) else {
            return false;
        };
        holder.heard = now;
        holder.stalled = false;
        holder.dry = None;
        if holder.credits == 0 {
            return false;
        }
        holder.credits -= 1;
        let Some(state) = self.states.get_mut(piece.0 as usize) else {
            return false;
        };
        if matches!(state, State::Expected(_) | State::Verified) {
            // Two holders chose it at once, or this one had not heard yet. The later one is told again.
            self.outputs.push_back(TakeOutput::Refuse(source, piece));
            self.grant(source);
            return false;
        }
        *state = State::Expected(source);
        holder.expected.retain(|expected| *expected != piece);
        if holder.expected.is_empty() {
            holder.began = now;
        }
        holder.expected.push_back(piece);
        self.settle(piece, source);
        true
    }

    /// A holder takes a choice back, as it does with each that it had announced when it heard that the piece is
    /// settled. The word of that may have crossed with a choice that was taken here: it is wanted after all.
    pub fn handle_cancel(&mut self, source: Source, piece: PieceIndex) {
        let Some(holder) = self.holders.get_mut(&source) else {
            return;
        };
        if let Some(place) = holder.expected.iter().position(|expected| *expected == piece) {
            holder.expected.remove(place);
            holder.begun = false;
            holder.late = false;
            self.release(piece, source);
            self.grant(source);
        }
    }

    /// Tells all but one that they need not send a piece, and waits for it from none of them any more.
    fn settle(&mut self, piece: PieceIndex, except: Source) {
        let mut freed = Vec::new();
        for (other, holder) in self.holders.iter_mut().filter(|(other, _)| **other != except) {
            self.outputs.push_back(TakeOutput::Settled(*other, piece));
            if let Some(place) = holder.expected.iter().position(|expected| *expected == piece) {
                holder.expected.remove(place);
                holder.late = false;
                freed.push(*other);
            }
        }
        freed.into_iter().for_each(|other| self.grant(other));
    }

    /// Bytes of a piece came from a holder: it lives.
    pub fn handle_progress(&mut self, now: Instant, source: Source) {
        if let Some(holder) = self.holders.get_mut(&source) {
            holder.begun = true;
        }
        self.handle_word(now, source);
    }

    /// A holder says that it lives.
    pub fn handle_word(&mut self, now: Instant, source: Source) {
        if let Some(holder) = self.holders.get_mut(&source) {
            holder.heard = now;
            holder.dry = None;
            if core::mem::replace(&mut holder.stalled, false) {
                self.grant(source);
            }
        }
    }

    /// A holder says that it has nothing for us, and how long ago it last had hope of more.
    pub fn handle_dry(&mut self, now: Instant, source: Source, hoped_before: Span) {
        if let Some(holder) = self.holders.get_mut(&source) {
            let before = hoped_before.0.saturating_add(HEARSAY.0);
            holder.dry = Some(Instant(now.0.saturating_sub(before)));
        }
    }

    /// True if a holder has nothing for us, as far as it has said.
    pub fn is_dry(&self, source: Source) -> bool {
        let dry = |holder: &Holder| holder.dry.is_some() && holder.expected.is_empty();
        self.holders.get(&source).is_some_and(dry)
    }

    /// When there was last hope of a piece that is not here: somebody owed one, or could have had one. What a holder
    /// says of its own hope is never newer than that hope, so getters that wait for each other do not keep it alive.
    pub fn hoped(&self, now: Instant) -> Instant {
        let holders = self.holders.values().map(|holder| holder.hoped(now));
        holders.fold(self.hoped, Instant::max)
    }

    /// True if what is missing is nowhere: all holders have nothing for us, and have had no hope of more for long.
    pub fn is_hopeless(&self, now: Instant) -> bool {
        !self.verified.is_all() && now.since(self.hoped(now)) >= HOPE_LOST
    }

    /// True if this piece counts when it comes from this holder: it has chosen it, and no other has since.
    pub fn expects(&self, source: Source, piece: PieceIndex) -> bool {
        let state = self.states.get(piece.0 as usize);
        matches!(state, Some(State::Expected(from) | State::Overdue(from)) if *from == source)
    }

    /// All bytes of a piece have come and are the right ones. True if they were not here before.
    pub fn handle_piece(&mut self, now: Instant, source: Source, piece: PieceIndex) -> bool {
        let took = self.arrived(now, source, piece);
        let Some(state) = self.states.get_mut(piece.0 as usize) else {
            return false;
        };
        let before = *state;
        if before != State::Verified {
            *state = State::Verified;
            self.verified.insert(piece);
            if before != State::Expected(source) {
                // It had been given up here and comes after all: whoever else is asked for it need not send it.
                self.settle(piece, source);
            }
            if self.verified.is_all() {
                self.outputs.push_back(TakeOutput::Finished);
            }
        }
        if let Some(took) = took {
            self.adapt(source, took);
        }
        self.grant(source);
        before != State::Verified
    }

    /// Takes a piece off what a holder is expected to send; how long it took, if it was the next.
    fn arrived(&mut self, now: Instant, source: Source, piece: PieceIndex) -> Option<Span> {
        let holder = self.holders.get_mut(&source)?;
        holder.heard = now;
        holder.stalled = false;
        let place = holder.expected.iter().position(|expected| *expected == piece)?;
        holder.expected.remove(place);
        holder.begun = false;
        let took = now.since(holder.began);
        holder.began = now;
        holder.took = Some(took);
        holder.late = false;
        Some(took)
    }

    /// Opens the window of a fast holder: enough pieces under way to cover [`WINDOW_SPAN`], and never fewer
    /// than two, so that one is on its way while another is being chosen.
    fn adapt(&mut self, source: Source, took: Span) {
        if let Some(holder) = self.holders.get_mut(&source) {
            let in_span = WINDOW_SPAN.0 / took.0.max(1);
            let wanted = u32::try_from(in_span)
                .unwrap_or(u32::MAX)
                .saturating_add(2)
                .min(WINDOW_PIECES_MAX);
            // One step at a time: a burst out of a socket's buffer says little about the link.
            holder.window = if wanted > holder.window {
                holder.window + 1
            } else {
                wanted.max(holder.window - 1)
            };
        }
    }

    /// When [`Taker::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let silent = self.holders.iter().filter_map(|(source, holder)| {
            let silent = holder.heard.after(holder.patience()?);
            Some(self.late_at(*source).map_or(silent, |late| late.min(silent)))
        });
        // If somebody gives hope now, that has no end yet.
        let hoped = self.hoped(Instant(u64::MAX));
        let dry = hoped < Instant(u64::MAX) && !self.verified.is_all();
        let hopeless = dry.then(|| hoped.after(HOPE_LOST));
        silent.chain(hopeless).min()
    }

    /// When the piece that a holder is sending has taken so long that others should have it too: twice as long
    /// as the fastest of them needs, so that where all are slow nothing is begun again. Of one that has brought nothing
    /// yet and owes nothing it is not known how fast it is: it may try what has only been announced, or takes very long.
    fn late_at(&self, source: Source) -> Option<Instant> {
        let holder = self.holders.get(&source)?;
        if holder.late || holder.expected.is_empty() {
            return None;
        }
        let others = || {
            self.holders
                .iter()
                .filter(|(other, holder)| **other != source && !holder.late && !holder.stalled)
        };
        let fastest = others().filter_map(|(_, holder)| holder.took).min();
        let is_untried = |holder: &Holder| holder.took.is_none() && holder.expected.is_empty();
        let span = match fastest {
            Some(fastest) => Span(fastest.0.saturating_mul(2)).max(SLOW_PIECE),
            None if !others().any(|(_, holder)| is_untried(holder)) => return None,
            None if holder.begun => STALL_GIVE_UP,
            None => SLOW_PIECE,
        };
        Some(holder.began.after(span))
    }

    /// Takes pieces away from holders that have stopped in the middle or become slow, and gives up those that
    /// stay silent.
    pub fn handle_timeout(&mut self, now: Instant) {
        let sources: Vec<Source> = self.holders.keys().copied().collect();
        for source in sources {
            if self.late_at(source).is_some_and(|late| late <= now)
                && let Some(holder) = self.holders.get_mut(&source)
            {
                holder.late = true;
                self.overdue(source);
            }
        }
        let due = |holder: &Holder| {
            let silent = now.since(holder.heard);
            holder.patience().is_some_and(|patience| silent >= patience)
        };
        let silent: Vec<Source> = self
            .holders
            .iter()
            .filter(|(_, holder)| due(holder))
            .map(|(source, _)| *source)
            .collect();
        for source in silent {
            let Some(holder) = self.holders.get_mut(&source) else {
                continue;
            };
            let dead = now.since(holder.heard) >= STALL_GIVE_UP;
            let first = !core::mem::replace(&mut holder.stalled, true);
            if first {
                self.overdue(source);
            }
            if dead {
                self.outputs.push_back(TakeOutput::Drop(source));
                self.close(now, source);
            }
        }
    }
}

#[cfg(test)]
#[path = "take_tests.rs"]
mod tests;
