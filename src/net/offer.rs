//! One content as a holder offers it: getters come, give credits, and are sent pieces of the holder's choice.
//!
//! Belongs here: driving a [`Giver`] with real connections and a real file. Does not: who may come, or where
//! contents are. Invariant: only pieces that are there are sent, from the map, each by one thread a getter.

use super::conn::ConnWriter;
use super::{Clock, Pacer, Stop};
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::HOLDERS_PER_LISTING_MAX;
use crate::name::HostPort;
use crate::proto::chunks;
use crate::proto::transfer::{Chosen, Giver, Manifest, Pieces, Reader, piece_span};
use crate::storage::Mapped;
use crate::wire::{Choice, ContentLabel, HaveUpdate, List, PeerAddress, Settled, content_prefix};
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing waits longer than this without looking around.
const LOOK: Duration = Duration::from_millis(500);

/// What a sender needs besides the offer.
#[derive(Clone, Debug)]
pub struct OfferLimits {
    /// The limited uplink.
    pub up: Arc<Pacer>,
    /// The process's end.
    pub stop: Stop,
}

/// A getter that is being served.
#[derive(Debug)]
struct Served {
    writer: Arc<ConnWriter>,
    request: RequestNumber,
    /// Where it serves others, if it does.
    address: Option<HostPort>,
    /// Others of the same content it has yet to be told of; its own sender does, for it may be slow to read.
    untold: Vec<HostPort>,
    /// Wakes its sender, and no other: with many getters, waking all for each piece would be all they do.
    wake: Arc<Condvar>,
}

#[derive(Debug)]
struct State {
    giver: Giver,
    served: BTreeMap<Reader, Served>,
    /// The piece that each getter is being sent, until it says that it is settled.
    sending: BTreeMap<Reader, PieceIndex>,
    next: u64,
}

/// What a getter's sender does next.
enum Work {
    /// Names others that take or hold the same content.
    Tell(Vec<HostPort>),
    /// Sends a piece.
    Send(Chosen),
}

/// One content, whole or in part.
#[derive(Debug)]
pub struct Offer {
    manifest: Arc<Manifest>,
    mapped: Mapped,
    state: Mutex<State>,
    clock: Clock,
}

impl Offer {
    /// Offers these pieces of a file. A seed gives a holder of a part an order of its own.
    pub fn new(manifest: Arc<Manifest>, mapped: Mapped, have: Pieces, seed: Option<u64>) -> Self {
        let state = State {
            giver: Giver::new(have, seed),
            served: BTreeMap::new(),
            sending: BTreeMap::new(),
            next: 0,
        };
        Self {
            manifest,
            mapped,
            state: Mutex::new(state),
            clock: Clock::start(),
        }
    }

    /// The content's piece values.
    pub const fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// A piece has been verified: it can be sent; at once if we are the first to have it.
    pub fn gain(&self, piece: PieceIndex, first: bool) {
        let mut state = self.state.lock();
        state.giver.gain(self.clock.at(), piece, first);
        let State { giver, served, .. } = &*state;
        let waiting = served
            .iter()
            .filter(|(reader, _)| giver.waits_for(**reader, piece));
        waiting.for_each(|(_, served)| {
            served.wake.notify_one();
        });
    }

    /// A getter comes with what it has settled, and with the address it serves others at. It and the others
    /// are told of each other. `None` if its have-map is of another content.
    pub fn open(
        self: &Arc<Self>,
        writer: &Arc<ConnWriter>,
        request: RequestNumber,
        settled: &[u8],
        address: Option<HostPort>,
    ) -> Option<OfferReader> {
        let settled = Pieces::from_map(settled, self.state.lock().giver.have().count())?;
        let wake = Arc::new(Condvar::new());
        let mut state = self.state.lock();
        let reader = Reader(state.next);
        state.next += 1;
        state.giver.open(reader, settled);
        let others = state.served.values().filter(|other| other.address != address);
        let untold: Vec<HostPort> = others.filter_map(|other| other.address.clone()).collect();
        if let Some(newcomer) = &address {
            for other in state.served.values_mut().filter(|other| other.address != address) {
                other.untold.push(newcomer.clone());
                other.wake.notify_one();
            }
        }
        let (writer, own_wake) = (Arc::clone(writer), Arc::clone(&wake));
        state.served.insert(
            reader,
            Served {
                writer,
                request,
                address,
                untold,
                wake: own_wake,
            },
        );
        drop(state);
        Some(OfferReader {
            offer: Arc::clone(self),
            reader,
            closed: Arc::new(AtomicBool::new(false)),
            wake,
        })
    }

    /// Sends pieces to one getter until it goes.
    fn serve(&self, of: &OfferReader, limits: &OfferLimits) -> io::Result<()> {
        let Some((writer, request)) = self
            .state
            .lock()
            .served
            .get(&of.reader)
            .map(|served| (Arc::clone(&served.writer), served.request))
        else {
            return Ok(());
        };
        writer.keep_unsent_low();
        while let Some(work) = self.next_work(of, limits) {
            match work {
                Work::Tell(known) => {
                    let update = HaveUpdate {
                        request,
                        pieces: List::new(),
                        holders: addresses(known),
                    };
                    writer.send(&update.into())?;
                }
                Work::Send(Chosen { piece, first }) => {
                    writer.send(
                        &Choice {
                            request,
                            piece,
                            first,
                        }
                        .into(),
                    )?;
                    self.send_piece(&writer, request, piece, of, limits)?;
                }
            }
        }
        Ok(())
    }

    /// Waits for something to send; `None` when the getter has gone or the process stops.
    fn next_work(&self, of: &OfferReader, limits: &OfferLimits) -> Option<Work> {
        let mut state = self.state.lock();
        loop {
            if of.closed.load(Ordering::Relaxed) || limits.stop.is_set() {
                return None;
            }
            state.sending.remove(&of.reader);
            let untold = state
                .served
                .get_mut(&of.reader)
                .map(|served| core::mem::take(&mut served.untold));
            if let Some(known) = untold.filter(|known| !known.is_empty()) {
                return Some(Work::Tell(known));
            }
            if let Some(chosen) = state.giver.choose(self.clock.at(), of.reader) {
                state.sending.insert(of.reader, chosen.piece);
                return Some(Work::Send(chosen));
            }
            of.wake.wait_for(&mut state, LOOK);
        }
    }

    fn send_piece(
        &self,
        writer: &ConnWriter,
        request: RequestNumber,
        piece: PieceIndex,
        of: &OfferReader,
        limits: &OfferLimits,
    ) -> io::Result<()> {
        let bytes = self.mapped.bytes();
        let mut prefix = Vec::new();
        for chunk in chunks(bytes, piece_span(bytes, piece), limits.up.step_bytes()) {
            if limits.up.wait(chunk.bytes, &limits.stop) || of.closed.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.state.lock().sending.get(&of.reader) != Some(&piece) {
                // It has come from elsewhere meanwhile, says the getter; or so it did when that was sent. So it is
                // told that the rest does not follow, and can say that it wants the piece after all.
                let pieces = List::first_of([piece]);
                return writer.send(&Settled { request, pieces }.into());
            }
            self.mapped.check()?;
            prefix.clear();
            let label = ContentLabel {
                request,
                piece,
                offset: chunk.offset,
            };
            content_prefix(label, chunk.bytes, &mut prefix);
            writer.send_by(|socket, allow| {
                self.mapped
                    .send(socket, &prefix, chunk.offset, chunk.bytes, allow)
            })?;
        }
        // What went out after the file had changed is void: the getter's hash says so, and the cut that follows.
        self.mapped.check()
    }
}

fn addresses(known: Vec<HostPort>) -> List<PeerAddress, HOLDERS_PER_LISTING_MAX> {
    List::first_of(
        known
            .into_iter()
            .map(|HostPort { host, port }| PeerAddress { host, port }),
    )
}

/// A getter at an offer; it goes when this is dropped.
#[derive(Debug)]
pub struct OfferReader {
    offer: Arc<Offer>,
    reader: Reader,
    closed: Arc<AtomicBool>,
    wake: Arc<Condvar>,
}

impl OfferReader {
    /// Starts the thread that sends to it. `lost` is called if the file is not what it was.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        &self,
        limits: OfferLimits,
        lost: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        let this = Self {
            offer: Arc::clone(&self.offer),
            reader: self.reader,
            closed: Arc::clone(&self.closed),
            wake: Arc::clone(&self.wake),
        };
        let thread = std::thread::Builder::new().name("peer-give".to_owned());
        thread.spawn(move || {
            let ended = this.offer.serve(&this, &limits);
            if let Err(error) = ended {
                if error.kind() == io::ErrorKind::InvalidData {
                    lost();
                }
                let served = this
                    .offer
                    .state
                    .lock()
                    .served
                    .get(&this.reader)
                    .map(|served| Arc::clone(&served.writer));
                if let Some(writer) = served {
                    writer.shut();
                }
            }
        })
    }

    /// True while it waits for pieces it has given credits for, or one is being sent.
    pub fn waits(&self) -> bool {
        let state = self.offer.state.lock();
        state.sending.contains_key(&self.reader) || state.giver.has_credit(self.reader)
    }

    /// It may be sent so many more pieces.
    pub fn credit(&self, pieces: u16) {
        self.offer
            .state
            .lock()
            .giver
            .credit(self.reader, u32::from(pieces));
        self.wake.notify_one();
    }

    /// It has these pieces, or expects them from elsewhere.
    pub fn settle(&self, pieces: &[PieceIndex]) {
        let mut state = self.offer.state.lock();
        for piece in pieces {
            state.giver.settle(self.reader, *piece);
            if state.sending.get(&self.reader) == Some(piece) {
                state.sending.remove(&self.reader);
            }
        }
    }

    /// It wants these pieces after all.
    pub fn want(&self, pieces: &[PieceIndex]) {
        let mut state = self.offer.state.lock();
        pieces
            .iter()
            .for_each(|piece| state.giver.want(self.reader, *piece));
        drop(state);
        self.wake.notify_one();
    }
}

impl Drop for OfferReader {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::Relaxed) {
            let mut state = self.offer.state.lock();
            state.giver.close(self.reader);
            state.served.remove(&self.reader);
            state.sending.remove(&self.reader);
            drop(state);
            self.wake.notify_one();
        }
    }
}
