//! A peer's uplink: the threads that send pieces, one getter at a time each.
//!
//! Belongs here: driving the machines of all offers ([`Giver`], [`Turns`], [`Departures`], [`Lanes`]) with real
//! connections. Does not: who may come, or which pieces there are (`offer.rs`). Invariant: all that is said to one
//! getter is said by one thread at a time, a choice before the piece it announces.

use super::getter::{Getter, OfferNumber, Work};
use super::{Clock, Pacer, Stop};
use crate::id::{PieceIndex, piece_bytes};
use crate::limits::{LANE_STUCK, LANES_MAX, SEND_DEADLINE, WORD_TO_WAITING};
use crate::name::HostPort;
use crate::proto::chunks;
use crate::proto::transfer::{
    Departure, Departures, Giver, Lanes, OnTheWay, Pieces, Reader, Taken, Turns, Uplink as Turn, piece_span,
};
use crate::storage::Conduit;
use crate::time::{Instant, Span};
use crate::wire::{Choice, ContentLabel, Message, content_prefix};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// Nobody waits longer than this without looking around.
const LOOK: Span = Span::from_millis(500);
/// A lane without work for so long ends.
const LANE_IDLE: Span = Span::from_secs(5);

/// A thread that sends: since when its getter has taken nothing.
#[derive(Clone, Copy, Debug)]
struct Lane {
    since: Instant,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) givers: BTreeMap<OfferNumber, Giver>,
    pub(super) getters: BTreeMap<Reader, Getter>,
    turns: Turn,
    departures: Departures,
    lanes: Lanes,
    sending: BTreeMap<Reader, Lane>,
    threads: usize,
    parked: usize,
    next: u64,
}

/// The uplink of a process.
pub struct Uplink {
    state: Mutex<State>,
    work: Condvar,
    pacer: Arc<Pacer>,
    clock: Clock,
    stop: Stop,
}

impl core::fmt::Debug for Uplink {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let state = self.state.lock();
        write!(
            f,
            "Uplink({} getters, {} threads)",
            state.getters.len(),
            state.threads
        )
    }
}

impl Uplink {
    /// An uplink that sends no faster than `pacer` allows, until the stop.
    /// `whole` if it belongs to a holder of whole contents, and not to a getter.
    pub fn new(pacer: Arc<Pacer>, whole: bool, clock: Clock, stop: Stop) -> Arc<Self> {
        let state = State {
            turns: Turn::new(Turns::default(), whole),
            ..State::default()
        };
        Arc::new(Self {
            state: Mutex::new(state),
            work: Condvar::new(),
            pacer,
            clock,
            stop,
        })
    }

    pub(super) const fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(super) fn add_offer(&self, giver: Giver) -> OfferNumber {
        let mut state = self.state.lock();
        let number = OfferNumber(state.number());
        state.givers.insert(number, giver);
        number
    }

    pub(super) fn remove_offer(&self, number: OfferNumber) {
        self.state.lock().givers.remove(&number);
    }

    /// Admits a getter with what it has settled; `None` if its map is of another content.
    pub(super) fn open(&self, getter: Getter, settled: Pieces) -> Option<Reader> {
        let mut state = self.state.lock();
        let reader = Reader(state.number());
        if !state.givers.get_mut(&getter.offer)?.open(reader, settled) {
            return None;
        }
        state.turns.open(reader, 0);
        state.getters.insert(reader, getter);
        Some(reader)
    }

    /// A getter goes.
    pub(super) fn close(&self, reader: Reader) {
        let mut state = self.state.lock();
        if let Some(getter) = state.getters.remove(&reader)
            && let Some(giver) = state.givers.get_mut(&getter.offer)
        {
            giver.close(reader);
        }
        state.turns.close(reader);
        state.departures.close(reader);
    }

    /// Has somebody do what there is to do, now that something has changed.
    pub(super) fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let now = self.clock.at();
        state.announce(now);
        // What may be done later needs a thread that waits for it.
        let waits = state.parked == 0 && state.deadline(now) < Instant(u64::MAX);
        if !state.has_work(now) && !waits {
            return;
        }
        if state.parked > 0 {
            self.work.notify_one();
            return;
        }
        let stuck = state.stuck(now);
        if state.has_room_for_thread(stuck) && !self.stop.is_set() {
            let lane = Arc::clone(self);
            let thread = std::thread::Builder::new().name("peer-give".to_owned());
            match thread.spawn(move || lane.run()) {
                Ok(_) => state.threads += 1,
                Err(error) => log::warn!("no thread to send with: {error}"),
            }
        }
    }

    /// Waits until every thread has ended, after the stop.
    pub fn join(&self) {
        self.work.notify_all();
        let mut state = self.state.lock();
        while state.threads > 0 {
            let until = self.clock.std_instant(self.clock.at().after(LOOK));
            self.work.wait_until(&mut state, until);
        }
    }

    fn run(self: Arc<Self>) {
        let mut conduit = Conduit::default();
        while let Some(work) = self.next_work() {
            let ended = self.perform(&work, &mut conduit);
            let mut state = self.state.lock();
            if work.piece.is_some() {
                state.departures.end(work.reader);
                state.sending.remove(&work.reader);
            }
            let getter = state.getters.get_mut(&work.reader);
            let lost = getter.map(|getter| {
                getter.busy = false;
                getter.sending = None;
                Arc::clone(&getter.lost)
            });
            drop(state);
            if let Err(error) = ended {
                work.writer.shut();
                if let Some(lost) = lost.filter(|_| error.kind() == io::ErrorKind::InvalidData) {
                    lost();
                }
            }
        }
        self.work.notify_all();
    }

    /// Waits for something to do; `None` if there has been nothing for long, or the process stops.
    fn next_work(self: &Arc<Self>) -> Option<Work> {
        let mut state = self.state.lock();
        let mut idle_since = self.clock.at();
        loop {
            let now = self.clock.at();
            let over = self.stop.is_set() || now.since(idle_since) >= LANE_IDLE && state.getters.is_empty();
            if over {
                state.threads -= 1;
                return None;
            }
            state.announce(now);
            if let Some(work) = state.words().or_else(|| state.piece(now)) {
                // There may be more to do than this.
                self.wake(state);
                return Some(work);
            }
            let until = state.deadline(now).min(now.after(LOOK));
            state.parked += 1;
            self.work.wait_until(&mut state, self.clock.std_instant(until));
            state.parked -= 1;
            if !state.getters.is_empty() {
                idle_since = self.clock.at();
            }
        }
    }

    fn perform(&self, work: &Work, conduit: &mut Conduit) -> io::Result<()> {
        work.words.iter().try_for_each(|word| work.writer.send(word))?;
        let Some(piece) = work.piece else { return Ok(()) };
        let (mapped, writer) = (&work.mapped, &work.writer);
        let bytes = mapped.bytes();
        let mut prefix = Vec::new();
        let (step_bytes, unsent_bytes) = {
            let lanes = &self.state.lock().lanes;
            (lanes.step_bytes(), lanes.unsent_bytes())
        };
        let step_bytes = self.pacer.step_bytes().min(step_bytes);
        writer.keep_unsent_low(unsent_bytes);
        let span = piece_span(bytes, piece);
        let (end, span_bytes) = (span.end, span.end - span.start);
        for chunk in chunks(bytes, span, step_bytes) {
            if self.pacer.wait(chunk.bytes, &self.stop) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let (go_on, words) =
                self.before_chunk(work.reader, piece, chunk.offset + chunk.bytes as u64 == end);
            words.iter().try_for_each(|word| writer.send(word))?;
            if !go_on {
                return Ok(());
            }
            mapped.check()?;
            prefix.clear();
            let label = ContentLabel {
                request: work.request,
                piece,
                offset: chunk.offset,
            };
            content_prefix(label, chunk.bytes, &mut prefix);
            writer.send_by(|socket, allow| {
                mapped.send(socket, Some(conduit), &prefix, chunk.offset, chunk.bytes, allow)
            })?;
            self.chunk_sent(work, chunk.bytes);
        }
        // Only then is this lane free: a piece that waits in a socket was chosen early, and blindly.
        writer.wait_until_low()?;
        self.wait_until_taken(work, span_bytes)?;
        // What went out after the file had changed is void: the getter's hash says so, and the cut that follows.
        mapped.check()
    }

    /// Waits until the network has taken most of this piece, as long as others wait for a lane; says meanwhile what there
    /// is to say.
    fn wait_until_taken(&self, work: &Work, piece_bytes: u64) -> io::Result<()> {
        let path = work.writer.round_trip();
        // What a fast uplink has taken at once need not be asked for.
        if self.state.lock().lanes.until_free(piece_bytes, path).is_none() {
            return Ok(());
        }
        let begun = self.clock.at();
        loop {
            let bytes = work.writer.unacked_bytes()?;
            let mut state = self.state.lock();
            let wait = state
                .lanes
                .until_free(bytes, path)
                .filter(|_| state.departures.waits());
            let (Some(wait), Some(getter)) = (wait, state.getters.get_mut(&work.reader)) else {
                return Ok(());
            };
            let words = core::mem::take(&mut getter.words);
            drop(state);
            words.iter().try_for_each(|word| work.writer.send(word))?;
            let now = self.clock.at();
            if now.since(begun) >= SEND_DEADLINE {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if self.stop.wait_until(self.clock.std_instant(now.after(wait))) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }

    /// True if the piece is still wanted; and what its getter has to be told meanwhile.
    fn before_chunk(&self, reader: Reader, piece: PieceIndex, last: bool) -> (bool, Vec<Message>) {
        let mut state = self.state.lock();
        let Some(getter) = state.getters.get_mut(&reader) else {
            return (false, Vec::new());
        };
        let go_on = getter.sending == Some(piece);
        if last {
            // It will be whole: nothing is left to take back.
            getter.sending = None;
        }
        (go_on, core::mem::take(&mut getter.words))
    }

    fn chunk_sent(&self, work: &Work, bytes: usize) {
        let mut state = self.state.lock();
        let now = self.clock.at();
        if let Some(lane) = state.sending.get_mut(&work.reader) {
            lane.since = now;
        }
        let Some(getter) = state.getters.get_mut(&work.reader) else {
            return;
        };
        getter.told = now;
        let taken = Taken {
            bytes: bytes as u64,
            piece_bytes: piece_bytes(work.mapped.bytes()),
            sending: state.sending.len() - state.stuck(now),
            contended: state.departures.waits(),
        };
        let State { lanes, getters, .. } = &mut *state;
        let unacked = |getter: &Getter| getter.writer.unacked_bytes().unwrap_or(0);
        lanes.sent(now, taken, || OnTheWay {
            unacked_bytes: getters.values().map(unacked).sum(),
            round_trip: work.writer.round_trip(),
        });
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// When a machine wants to be looked after.
    fn deadline(&self, now: Instant) -> Instant {
        let givers = self.givers.values().filter_map(Giver::deadline);
        let departures = self.departures.deadline(now);
        givers.chain(departures).min().unwrap_or(Instant(u64::MAX))
    }

    /// True if there may be another thread: one more than there are lanes, so that words and choices wait for no piece.
    fn has_room_for_thread(&self, stuck: usize) -> bool {
        self.threads <= self.lanes.width() + stuck && self.threads < LANES_MAX
    }

    /// Lanes whose getters take nothing.
    fn stuck(&self, now: Instant) -> usize {
        let stuck = self
            .sending
            .values()
            .filter(|lane| now.since(lane.since) >= LANE_STUCK);
        stuck.count()
    }

    /// A getter has a piece, or expects it from elsewhere: it is not sent, or no more of it.
    pub(super) fn settle(&mut self, reader: Reader, piece: PieceIndex) {
        let Some(getter) = self.getters.get_mut(&reader) else {
            return;
        };
        let giver = self.givers.get_mut(&getter.offer);
        let witness = giver.and_then(|giver| giver.settle(reader, piece));
        if self.departures.cancel(reader, piece) {
            getter.take_back(piece);
        } else if getter.sending == Some(piece) {
            // The getter is told that the rest does not follow, and can say that it wants the piece after all. It
            // is told now: if the piece is chosen again, that word comes later.
            getter.sending = None;
            getter.take_back(piece);
        }
        if let Some(witness) = witness {
            self.turns.gave(witness);
        }
    }

    /// True while a thread is at this getter's connection.
    pub(super) fn is_busy(&self, reader: Reader) -> bool {
        self.getters.get(&reader).is_some_and(|getter| getter.busy)
    }

    /// The holder at this address gave us a piece: if it is a getter here, that counts.
    pub(super) fn gave(&mut self, from: &HostPort) {
        let gave = |getter: &Getter| getter.address.as_ref() == Some(from);
        let readers = self.getters.iter().filter(|(_, getter)| gave(getter));
        readers.for_each(|(reader, _)| self.turns.gave(*reader));
    }

    /// Announces pieces, while there is room for them and somebody waits.
    fn announce(&mut self, now: Instant) {
        self.givers
            .values_mut()
            .for_each(|giver| giver.handle_timeout(now));
        self.tell_dry();
        while self.departures.has_room(self.lanes.lead_bytes()) {
            let departures = &self.departures;
            let waiting = self.givers.values().flat_map(Giver::waiting);
            let waiting = waiting.filter(|(reader, _)| !departures.is_promised(*reader));
            let Some(reader) = self.turns.next(waiting) else {
                break;
            };
            let Some(getter) = self.getters.get_mut(&reader) else {
                break;
            };
            let Some(giver) = self.givers.get_mut(&getter.offer) else {
                break;
            };
            let not_before = giver.not_before(now);
            let Some(chosen) = giver.choose(reader) else {
                break;
            };
            let (request, piece, first) = (getter.request, chosen.piece, chosen.first);
            getter.tell(
                Choice {
                    request,
                    piece,
                    first,
                }
                .into(),
            );
            getter.told = now;
            let span = piece_span(getter.mapped.bytes(), piece);
            self.departures.promise(Departure {
                reader,
                piece,
                bytes: span.end - span.start,
                not_before,
            });
        }
        self.reassure(now);
    }

    /// Has those told that wait for nothing.
    fn tell_dry(&mut self) {
        for giver in self.givers.values_mut() {
            while let Some((reader, hoped_before)) = giver.poll_dry() {
                if let Some(getter) = self.getters.get_mut(&reader).filter(|getter| !getter.busy) {
                    getter.dry(hoped_before);
                }
            }
        }
    }

    /// Has those told that we live who wait for their turn, or for what they were promised.
    fn reassure(&mut self, now: Instant) {
        for (reader, getter) in &mut self.getters {
            if now.since(getter.told) < WORD_TO_WAITING {
                continue;
            }
            let giver = self.givers.get(&getter.offer);
            let waits = giver.is_some_and(|giver| giver.waiting().any(|(waiting, _)| waiting == *reader));
            if waits || self.departures.is_promised(*reader) {
                getter.told = now;
                getter.introduce(core::iter::empty());
            }
        }
    }

    /// True if a thread would find something to do.
    fn has_work(&self, now: Instant) -> bool {
        let has_words = |getter: &Getter| !getter.busy && !getter.words.is_empty();
        self.getters.values().any(has_words) || self.has_lane(now) && self.departures.could_begin(now)
    }

    /// True if another piece may be sent now.
    fn has_lane(&self, now: Instant) -> bool {
        self.sending.len() < self.lanes.width() + self.stuck(now)
    }

    /// Words for a getter that nobody is talking to.
    fn words(&mut self) -> Option<Work> {
        let mut getters = self.getters.iter_mut();
        let (reader, getter) = getters.find(|(_, getter)| !getter.busy && !getter.words.is_empty())?;
        Some(getter.work(*reader, None))
    }

    /// The next piece, if another may be sent.
    fn piece(&mut self, now: Instant) -> Option<Work> {
        if !self.has_lane(now) {
            return None;
        }
        let getters = &self.getters;
        let free = |reader: Reader| getters.get(&reader).is_some_and(|getter| !getter.busy);
        let Departure { reader, piece, .. } = self.departures.begin(now, free)?;
        let getter = self.getters.get_mut(&reader)?;
        if let Some(giver) = self.givers.get_mut(&getter.offer) {
            giver.depart(reader, piece);
        }
        self.sending.insert(reader, Lane { since: now });
        Some(getter.work(reader, Some(piece)))
    }
}

#[cfg(test)]
#[path = "uplink_tests.rs"]
mod tests;
