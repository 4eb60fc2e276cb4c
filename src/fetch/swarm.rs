//! A content that comes by pieces from many holders at once.
//!
//! One thread a holder (`source.rs`) shares the [`Taker`] behind a lock; the fetching thread starts them, shows
//! progress and looks after those that stall. Invariant: no lock is held while a thread waits for the network;
//! the short frames that tell holders what is settled are the exception, and go to sockets with room.

use super::Sharing;
use super::account::{Accounts, AttemptFault};
use super::source::take_from;
use super::stopwatch::{self, Phase};
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::{HOLDER_RETRY, HOPE_LOST, HOPE_WORD, STALL_GIVE_UP};
use crate::name::HostPort;
use crate::net::{Clock, Conn, ConnWriter, Offer, Pacer, Stop};
use crate::proto::transfer::{Headway, Manifest, Pieces, Source, Taker, piece_span};
use crate::storage::{Landing, Mapped};
use crate::time::{Instant, Span};
use crate::wire::{ContentInfo, HaveMap, Rest};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A holder's connection, as the others see it.
pub(super) struct Line {
    pub(super) writer: Arc<ConnWriter>,
    pub(super) request: RequestNumber,
    /// Pieces it has yet to be told are settled: together they cost one frame.
    pub(super) settled: Vec<PieceIndex>,
    /// It was given up because it sent nothing.
    pub(super) silent: bool,
    /// When it was last told anything.
    pub(super) told: Instant,
}

/// A payload is read in steps of this size at most.
const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// A holder that is asked for the piece values and silent for this long is not the only one asked any more.
const HAND_OVER: Span = Span::from_secs(1);

pub(super) struct State {
    pub(super) taker: Option<Taker>,
    pub(super) lines: BTreeMap<Source, Line>,
    pub(super) next: u64,
    /// Holders that were lost after they had brought something, or have no room, and when each is tried again.
    pub(super) again: Vec<(Instant, HostPort)>,
    /// Addresses heard of and not yet tried.
    pub(super) heard: Vec<HostPort>,
    /// All that were ever heard of: getters, as far as is known.
    pub(super) partial: BTreeSet<HostPort>,
    /// The threads of those that have everything, as far as is known.
    pub(super) whole: BTreeMap<HostPort, usize>,
    pub(super) accounts: Accounts,
    /// Threads that are running.
    pub(super) running: usize,
    /// Holders that failed since the fetching thread last looked.
    pub(super) failed: Vec<(HostPort, String)>,
    pub(super) disk: Option<io::Error>,
    pub(super) bytes_here: u64,
    pub(super) headway: Headway,
    pub(super) over: bool,
    /// What is missing is nowhere.
    pub(super) hopeless: bool,
    /// When those who take from us were last told of our hope by whoever heard something.
    pub(super) hope_told: Instant,
    /// A holder is being asked for the piece values.
    pub(super) asking: bool,
    /// The length that was proven, if it is not the one listed.
    pub(super) true_bytes: Option<u64>,
    /// Some holder has not been told of all that is settled, and the fetching thread knows.
    pub(super) untold: bool,
    /// The fetching thread asks an index, which may take long.
    pub(super) away: bool,
}

impl State {
    /// Ends every line, for none has said anything for long; their threads note why.
    pub(super) fn give_up_silent(&mut self) {
        for line in self.lines.values_mut() {
            line.silent = true;
            line.writer.shut();
        }
    }
}

/// One content on its way here.
pub(super) struct Swarm<'a> {
    pub(super) content: &'a ContentInfo,
    /// Where it lands.
    pub(super) out: &'a Path,
    /// Opened when the piece values, and with them the length, are proven.
    pub(super) landing: OnceLock<Landing>,
    /// Held by whoever looks what is here when they are.
    pub(super) beginning: Mutex<()>,
    pub(super) manifest: OnceLock<Arc<Manifest>>,
    pub(super) offer: OnceLock<Arc<Offer>>,
    pub(super) sharing: Option<&'a dyn Sharing>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    /// Whose turn it is to write to a piece; some pieces share one.
    pub(super) turns: [Mutex<()>; 64],
    pub(super) down: &'a Pacer,
    pub(super) clock: Clock,
    /// Comes with the user's, and when all is over.
    pub(super) stop: Stop,
}

impl<'a> Swarm<'a> {
    pub(super) const fn content(&self) -> &'a ContentInfo {
        self.content
    }

    /// Bytes to read before it is noted that a holder lives.
    pub(super) fn step_bytes(&self) -> usize {
        self.down.step_bytes().min(RECEIVE_STEP_BYTES)
    }

    pub(super) const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// True if a holder that an index named is the one that shares what comes here.
    pub(super) fn is_ourselves(&self, conn: &Conn) -> bool {
        let (here, there) = (conn.local(), conn.peer());
        let port = self.sharing.map_or(0, Sharing::port);
        here.ip() == there.ip() && there.port() == port
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().over
    }

    pub(super) fn needs_manifest(&self) -> bool {
        self.manifest.get().is_none()
    }

    pub(super) fn value(&self, piece: PieceIndex) -> Option<[u8; 32]> {
        self.manifest.get()?.value(piece)
    }

    /// True if this holder is to be asked for the piece values; false when they are here. One is asked at a time,
    /// for all would bring the same; one that does not answer keeps nobody waiting for long.
    pub(super) fn is_to_ask(&self) -> bool {
        let mut state = self.state.lock();
        while state.asking && self.needs_manifest() && !state.over {
            if self.changed.wait_for(&mut state, HAND_OVER.to_std()).timed_out() {
                break;
            }
        }
        let asks = self.needs_manifest();
        state.asking = asks;
        asks
    }

    /// It has answered, or failed.
    pub(super) fn has_asked(&self) {
        self.state.lock().asking = false;
        self.changed.notify_all();
    }

    /// The piece values are proven: what an earlier run has left can be counted, and offered to others.
    pub(super) fn set_manifest(&self, manifest: Manifest) -> io::Result<()> {
        // Hashing what was left may take long; nobody else is kept from anything but this meanwhile.
        let turn = self.beginning.lock();
        if self.landing.get().is_some() {
            return Ok(());
        }
        let landing = Landing::open(self.out, self.content)?;
        let present = landing.present(&manifest, || !self.stop.is_set())?;
        let _ = self.landing.set(landing);
        let mut state = self.state.lock();
        // Whoever sees it finds the taker: a holder that is reached in between would be one that serves no pieces.
        let manifest = Arc::clone(self.manifest.get_or_init(|| Arc::new(manifest)));
        state.bytes_here = present.iter().map(|piece| self.piece_bytes(piece)).sum();
        state.over |= present.is_all();
        state.taker = Some(Taker::new(present.clone()));
        drop((state, turn));
        if let Some(sharing) = self.sharing {
            self.offer_part(sharing, manifest, present)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    fn offer_part(&self, sharing: &dyn Sharing, manifest: Arc<Manifest>, present: Pieces) -> io::Result<()> {
        let Some(uplink) = sharing.uplink() else {
            return Ok(());
        };
        let mapped = Mapped::of_part(self.landing()?.share()?, self.content.bytes)?;
        // Holders of a part break ties differently, each by the port it has.
        let seed = u64::from(sharing.port()) << 16 | u64::from(std::process::id());
        let offer = Arc::new(Offer::new(&uplink, manifest, mapped, present, Some(seed)));
        sharing.begin(self.content, &offer);
        let _ = self.offer.set(offer);
        Ok(())
    }

    fn landing(&self) -> io::Result<&Landing> {
        let unproven = || io::Error::other("bytes came before the piece values were proven");
        self.landing.get().ok_or_else(unproven)
    }

    fn piece_bytes(&self, piece: PieceIndex) -> u64 {
        let span = piece_span(self.content.bytes, piece);
        span.end - span.start
    }

    /// A holder is reached: it is told what is settled, and gets its first credits.
    pub(super) fn open(&self, conn: &Conn, request: RequestNumber) -> Result<Source, AttemptFault> {
        stopwatch::lap(Phase::Reaching);
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(taker) = state.taker.as_mut() else {
            return Err(AttemptFault::NoPieces);
        };
        let source = Source(state.next);
        state.next += 1;
        let port = self.sharing.map_or(0, Sharing::port);
        let map = HaveMap {
            request,
            id: self.content.id,
            port,
            map: Rest(taker.settled().to_map()),
        };
        conn.writer().send_promptly(&[map.into()])?;
        let now = self.clock.at();
        state.lines.insert(
            source,
            Line {
                writer: Arc::clone(conn.writer()),
                request,
                settled: Vec::new(),
                silent: false,
                told: now,
            },
        );
        taker.open(now, source);
        state.headway.came(now);
        self.pump(state);
        Ok(source)
    }

    /// A holder's thread ends; why, if that is not what its connection says.
    pub(super) fn close(&self, source: Source) -> Option<AttemptFault> {
        let mut state = self.state.lock();
        let silent = state.lines.remove(&source).is_some_and(|line| line.silent);
        let dry = state.taker.as_ref().is_some_and(|taker| taker.is_dry(source));
        if let Some(taker) = state.taker.as_mut() {
            taker.close(self.clock.at(), source);
        }
        state.accounts.lulls.end(self.clock.at(), source);
        self.pump(&mut state);
        match (silent, dry) {
            (true, _) => Some(AttemptFault::Silent),
            (false, true) => Some(AttemptFault::Dry),
            (false, false) => None,
        }
    }

    /// True if a holder may choose a piece now.
    pub(super) fn is_asked(&self, source: Source) -> bool {
        let state = self.state.lock();
        state.taker.as_ref().is_some_and(|taker| taker.is_asked(source))
    }

    /// A holder has chosen a piece; true if it is needed from it.
    pub(super) fn chosen(&self, source: Source, piece: PieceIndex) -> bool {
        stopwatch::lap(Phase::Idle);
        let mut state = self.state.lock();
        let now = self.clock.at();
        let needed = state
            .taker
            .as_mut()
            .is_some_and(|taker| taker.handle_choice(now, source, piece));
        if needed {
            state.accounts.lulls.begin(now, source);
        } else {
            state.accounts.lulls.end(now, source);
        }
        self.pump(&mut state);
        needed
    }

    /// True if this piece may still come from this holder.
    pub(super) fn expects(&self, source: Source, piece: PieceIndex) -> bool {
        self.state
            .lock()
            .taker
            .as_ref()
            .is_some_and(|taker| taker.expects(source, piece))
    }

    /// Bytes came from a holder.
    pub(super) fn received(
        &self,
        source: Source,
        holder: &HostPort,
        bytes: usize,
    ) -> Result<(), AttemptFault> {
        stopwatch::lap(Phase::Receiving);
        {
            let mut state = self.state.lock();
            let now = self.clock.at();
            state.headway.came(now);
            if let Some(taker) = state.taker.as_mut() {
                taker.handle_progress(now, source);
            }
            let account = state.accounts.of(holder);
            account.bytes += bytes as u64;
            account.heard = Some(now);
            self.tell_hope(&mut state, now);
        }
        if !self.down.is_limited() {
            return Ok(());
        }
        stopwatch::lap(Phase::Receiving);
        let stopped = self.down.wait(bytes, &self.stop);
        stopwatch::lap(Phase::Limited);
        if stopped {
            Err(AttemptFault::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Writes bytes of a piece, if it is still to come from this holder; false if it is not. One thread writes to
    /// a piece at a time, so a holder that lost it cannot write over what another brought since.
    pub(super) fn write(
        &self,
        source: Source,
        piece: PieceIndex,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<bool> {
        stopwatch::lap(Phase::Hashing);
        let _turn = self.turns[piece.0 as usize % self.turns.len()].lock();
        let expected = self.expects(source, piece);
        if expected {
            self.landing()?.write_at(offset, bytes)?;
        }
        stopwatch::lap(Phase::Writing);
        Ok(expected)
    }

    /// All bytes of a piece were written and are right. It counts, and this is true, if it could still come from this
    /// holder.
    pub(super) fn verified(
        &self,
        source: Source,
        holder: &HostPort,
        piece: PieceIndex,
        first: bool,
    ) -> io::Result<bool> {
        stopwatch::lap(Phase::Hashing);
        let _turn = self.turns[piece.0 as usize % self.turns.len()].lock();
        if !self.expects(source, piece) {
            return Ok(false);
        }
        self.landing()?.piece_done(piece)?;
        if let Some(offer) = self.offer.get() {
            offer.gain(piece, first, holder);
        }
        let mut state = self.state.lock();
        let now = self.clock.at();
        if state
            .taker
            .as_mut()
            .is_some_and(|taker| taker.handle_piece(now, source, piece))
        {
            state.bytes_here += self.piece_bytes(piece);
            state.accounts.of(holder).pieces += 1;
            state.headway.gained(now);
        }
        state.accounts.lulls.end(now, source);
        self.pump(&mut state);
        stopwatch::lap(Phase::Writing);
        Ok(true)
    }

    /// A holder has taken back a piece it had chosen, for it had heard that it is settled.
    pub(super) fn taken_back(&self, source: Source, pieces: &[PieceIndex]) {
        let mut state = self.state.lock();
        if let Some(taker) = state.taker.as_mut() {
            pieces
                .iter()
                .for_each(|piece| taker.handle_cancel(source, *piece));
        }
        self.pump(&mut state);
    }

    /// A holder at which we wait for our turn says that it lives.
    pub(super) fn heard_from(&self, source: Source) {
        let now = self.clock.at();
        let mut state = self.state.lock();
        state.headway.heard(now);
        if let Some(taker) = state.taker.as_mut() {
            taker.handle_word(now, source);
        }
        self.tell_hope(&mut state, now);
    }

    /// A holder has nothing for us, and had hope of more so long ago. While it has some that is as good as its turn.
    pub(super) fn has_nothing(&self, source: Source, hoped_before: Span) {
        let mut state = self.state.lock();
        let now = self.clock.at();
        if hoped_before < HOPE_LOST {
            state.headway.heard(now);
        }
        if let Some(taker) = state.taker.as_mut() {
            taker.handle_dry(now, source, hoped_before);
        }
        self.tell_hope(&mut state, now);
    }

    /// Somebody named other holders.
    pub(super) fn hear_of(&self, addresses: impl Iterator<Item = HostPort>) {
        let (mut state, now) = (self.state.lock(), self.clock.at());
        addresses.for_each(|holder| state.hear_of(now, holder));
        self.changed.notify_all();
    }

    /// How old our hope is, of which those who take from us are told. While somebody is being tried it is not.
    pub(super) fn hoped_before(&self, state: &State, now: Instant) -> Span {
        let taker = state.taker.as_ref().filter(|taker| {
            let trying = state.running > taker.holders() || !state.again.is_empty();
            !trying
        });
        let before = taker.map_or(Span::ZERO, |taker| now.since(taker.hoped(now)));
        if let Some(offer) = self.offer.get() {
            offer.hoped(before);
        }
        before
    }

    /// The same, now and then, by whoever hears something: the fetching thread may be asking an index for long.
    fn tell_hope(&self, state: &mut State, now: Instant) {
        if now.since(state.hope_told) >= HOPE_WORD {
            state.hope_told = now;
            self.hoped_before(state, now);
        }
    }

    /// Ends it, for what is missing is nowhere, unless somebody has come since this was found.
    pub(super) fn give_up_hope(&self) {
        let mut state = self.state.lock();
        if self.hoped_before(&state, self.clock.at()) >= HOPE_LOST {
            (state.over, state.hopeless) = (true, true);
        }
    }

    pub(super) fn run_source(&self, holder: &HostPort) {
        stopwatch::start();
        let before = self.state.lock().come(self.clock.at(), holder);
        let ended = take_from(self, holder);
        let spent = stopwatch::stop();
        let mut state = self.state.lock();
        state.running -= 1;
        state.gone(self.clock.at(), holder, &spent);
        if matches!(ended, Err(AttemptFault::Ourselves)) {
            state.accounts.forget(holder);
        }
        if let Err(fault) = ended
            && !state.over
            && !self.stop.is_set()
        {
            let now = self.clock.at();
            // Whoever brings a piece each time may break off as often as there are pieces.
            let broke_off = fault.is_loss() && state.accounts.of(holder).pieces > before;
            let full = fault.is_busy() && state.headway.silent(now) < STALL_GIVE_UP;
            if broke_off || full {
                state.again.push((now.after(HOLDER_RETRY), holder.clone()));
            }
            state.ended_badly(holder, fault);
        }
        self.changed.notify_all();
    }
}
