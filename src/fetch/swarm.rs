//! A content that comes by pieces from many holders at once.
//!
//! One thread a holder (`source.rs`) shares the [`Taker`] behind a lock; the fetching thread starts them, shows
//! progress and looks after those that stall. Invariant: no lock is held while a thread waits for the network;
//! the short frames that tell holders what is settled are the exception, and go to sockets with room.

use super::Sharing;
use super::account::{Accounts, AttemptFault};
use super::source::take_from;
use crate::id::{PieceIndex, RequestNumber};
use crate::name::HostPort;
use crate::net::{Clock, Conn, ConnWriter, Offer, Pacer, Stop};
use crate::proto::transfer::{Manifest, Pieces, Source, TakeOutput, Taker, piece_span};
use crate::storage::Landing;
use crate::storage::Mapped;
use crate::time::Instant;
use crate::wire::{ContentInfo, Credit, HaveMap, List, Message, Rest, Settled, Want};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

/// A holder's connection, as the others see it.
pub(super) struct Line {
    pub(super) writer: Arc<ConnWriter>,
    pub(super) request: RequestNumber,
    /// Pieces it has yet to be told are settled: together they cost one frame.
    pub(super) settled: Vec<PieceIndex>,
    /// It was given up because it sent nothing.
    pub(super) silent: bool,
}

/// A payload is read in steps of this size at most.
const RECEIVE_STEP_BYTES: usize = 64 * 1024;

/// So many settled pieces are told at once; fewer when the fetching thread next looks around.
const SETTLED_TOGETHER: usize = 16;

pub(super) struct State {
    pub(super) taker: Option<Taker>,
    pub(super) lines: BTreeMap<Source, Line>,
    pub(super) next: u64,
    /// Addresses heard of and not yet tried.
    pub(super) heard: Vec<HostPort>,
    pub(super) accounts: Accounts,
    /// Threads that are running.
    pub(super) running: usize,
    /// Holders that failed since the fetching thread last looked.
    pub(super) failed: Vec<(HostPort, String)>,
    pub(super) disk: Option<io::Error>,
    pub(super) bytes_here: u64,
    /// When a holder last sent anything of the content.
    pub(super) heard_at: Instant,
    pub(super) over: bool,
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
    pub(super) landing: Landing,
    pub(super) manifest: OnceLock<Arc<Manifest>>,
    pub(super) offer: OnceLock<Arc<Offer>>,
    pub(super) sharing: Option<&'a dyn Sharing>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    /// Whose turn it is to write to a piece; some pieces share one.
    pub(super) turns: [Mutex<()>; 64],
    pub(super) down: &'a Pacer,
    pub(super) clock: Clock,
    pub(super) stop: &'a Stop,
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
        self.stop
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

    /// The piece values are proven: what an earlier run has left can be counted, and offered to others.
    pub(super) fn set_manifest(&self, manifest: Manifest) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.taker.is_some() {
            return Ok(());
        }
        let present = self.landing.present(&manifest)?;
        let manifest = Arc::clone(self.manifest.get_or_init(|| Arc::new(manifest)));
        state.bytes_here = present.iter().map(|piece| self.piece_bytes(piece)).sum();
        state.over |= present.is_all();
        state.taker = Some(Taker::new(present.clone()));
        drop(state);
        if let Some(sharing) = self.sharing {
            self.offer_part(sharing, manifest, present)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    fn offer_part(&self, sharing: &dyn Sharing, manifest: Arc<Manifest>, present: Pieces) -> io::Result<()> {
        let mapped = Mapped::of_part(self.landing.share()?, self.content.bytes)?;
        // Holders of a part break ties differently, each by the port it has.
        let seed = u64::from(sharing.port()) << 16 | u64::from(std::process::id());
        let offer = Arc::new(Offer::new(manifest, mapped, present, Some(seed)));
        sharing.begin(self.content, &offer);
        let _ = self.offer.set(offer);
        Ok(())
    }

    fn piece_bytes(&self, piece: PieceIndex) -> u64 {
        let span = piece_span(self.content.bytes, piece);
        span.end - span.start
    }

    /// A holder is reached: it is told what is settled, and gets its first credits.
    pub(super) fn open(&self, conn: &Conn, request: RequestNumber) -> Result<Source, AttemptFault> {
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
        conn.send(&map.into())?;
        state.lines.insert(
            source,
            Line {
                writer: Arc::clone(conn.writer()),
                request,
                settled: Vec::new(),
                silent: false,
            },
        );
        taker.open(self.clock.at(), source);
        self.pump(state);
        Ok(source)
    }

    /// A holder's thread ends; true if the holder was given up for its silence.
    pub(super) fn close(&self, source: Source) -> bool {
        let mut state = self.state.lock();
        let silent = state.lines.remove(&source).is_some_and(|line| line.silent);
        if let Some(taker) = state.taker.as_mut() {
            taker.close(source);
        }
        self.pump(&mut state);
        silent
    }

    /// A holder has chosen a piece; true if it is needed from it.
    pub(super) fn chosen(&self, source: Source, piece: PieceIndex) -> bool {
        let mut state = self.state.lock();
        let now = self.clock.at();
        let needed = state
            .taker
            .as_mut()
            .is_some_and(|taker| taker.handle_choice(now, source, piece));
        self.pump(&mut state);
        needed
    }

    /// True if this piece is still to come from this holder.
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
        {
            let mut state = self.state.lock();
            let now = self.clock.at();
            state.heard_at = now;
            if let Some(taker) = state.taker.as_mut() {
                taker.handle_progress(now, source);
            }
            state.accounts.of(holder).bytes += bytes as u64;
        }
        if self.down.wait(bytes, self.stop) {
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
        let _turn = self.turns[piece.0 as usize % self.turns.len()].lock();
        let expected = self.expects(source, piece);
        if expected {
            self.landing.write_at(offset, bytes)?;
        }
        Ok(expected)
    }

    /// All bytes of a piece were written and are right. It counts if it was still to come from this holder.
    pub(super) fn verified(&self, source: Source, piece: PieceIndex, first: bool) -> io::Result<()> {
        let _turn = self.turns[piece.0 as usize % self.turns.len()].lock();
        if !self.expects(source, piece) {
            return Ok(());
        }
        self.landing.piece_done(piece)?;
        if let Some(offer) = self.offer.get() {
            offer.gain(piece, first);
        }
        let mut state = self.state.lock();
        let now = self.clock.at();
        if state
            .taker
            .as_mut()
            .is_some_and(|taker| taker.handle_piece(now, source, piece))
        {
            state.bytes_here += self.piece_bytes(piece);
        }
        self.pump(&mut state);
        Ok(())
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

    /// Somebody named other holders.
    pub(super) fn hear_of(&self, addresses: impl Iterator<Item = HostPort>) {
        let mut state = self.state.lock();
        state.heard.extend(addresses);
        self.changed.notify_all();
    }

    /// Does what the taker wants done.
    fn pump(&self, state: &mut State) {
        self.pump_with(state, SETTLED_TOGETHER);
    }

    /// The same, telling of settled pieces where there are so many.
    pub(super) fn pump_with(&self, state: &mut State, settled_together: usize) {
        let mut frames: BTreeMap<Source, Vec<Message>> = BTreeMap::new();
        while let Some(output) = state.taker.as_mut().and_then(Taker::poll_output) {
            let request = |source: &Source| state.lines.get(source).map(|line| line.request);
            match output {
                TakeOutput::Finished => state.over = true,
                TakeOutput::Drop(source) => {
                    if let Some(line) = state.lines.get_mut(&source) {
                        line.silent = true;
                        line.writer.shut();
                    }
                }
                TakeOutput::Credit(source, pieces) => {
                    if let Some(request) = request(&source) {
                        frames
                            .entry(source)
                            .or_default()
                            .push(Credit { request, pieces }.into());
                    }
                }
                TakeOutput::Settled(source, piece) => {
                    if let Some(line) = state.lines.get_mut(&source) {
                        line.settled.push(piece);
                    }
                }
                TakeOutput::Want(source, piece) => {
                    let Some(line) = state.lines.get_mut(&source) else {
                        continue;
                    };
                    // What it has not been told is settled, it need not be told is wanted.
                    let untold = line.settled.len();
                    line.settled.retain(|settled| *settled != piece);
                    if line.settled.len() == untold {
                        let (request, pieces) = (line.request, List::first_of([piece]));
                        frames
                            .entry(source)
                            .or_default()
                            .push(Want { request, pieces }.into());
                    }
                }
            }
        }
        for (source, line) in &mut state.lines {
            if line.settled.len() >= settled_together.max(1) {
                let pieces = List::first_of(line.settled.drain(..));
                let told = Settled {
                    request: line.request,
                    pieces,
                };
                frames.entry(*source).or_default().insert(0, told.into());
            }
        }
        for (source, messages) in frames {
            if let Some(line) = state.lines.get(&source) {
                // A line that takes no more is noticed by its own thread.
                let sent = messages
                    .iter()
                    .try_for_each(|message| line.writer.send_promptly(message));
                if sent.is_err() {
                    line.writer.shut();
                }
            }
        }
        if state.over {
            state.lines.values().for_each(|line| line.writer.shut());
        }
        self.changed.notify_all();
    }

    pub(super) fn run_source(&self, holder: &HostPort) {
        let ended = take_from(self, holder);
        let mut state = self.state.lock();
        state.running -= 1;
        state.accounts.of(holder);
        if let Err(fault) = ended
            && !state.over
            && !self.stop.is_set()
        {
            match fault {
                AttemptFault::Disk(error) => {
                    state.over = true;
                    state.lines.values().for_each(|line| line.writer.shut());
                    state.disk.get_or_insert(error);
                }
                AttemptFault::Interrupted => {}
                fault => {
                    state.failed.push((holder.clone(), fault.to_string()));
                    state.accounts.failed(holder, &fault);
                }
            }
        }
        self.changed.notify_all();
    }
}
