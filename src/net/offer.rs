//! One content as a holder offers it: getters come, give credits, and are sent pieces of the holder's choice.
//!
//! Belongs here: what the connections of getters say, handed to the uplink that serves them. Does not: sending
//! (`uplink.rs`), who may come, or where contents are. Invariant: only pieces that are there are offered.

use super::Uplink;
use super::conn::ConnWriter;
use super::getter::{Getter, Lost, OfferNumber};
use crate::id::{PieceIndex, RequestNumber};
use crate::name::HostPort;
use crate::proto::transfer::{Giver, Manifest, Pieces, Reader};
use crate::storage::{Mapped, Stamp};
use crate::time::{Instant, Span};
use std::sync::Arc;

/// One content, whole or in part.
#[derive(Debug)]
pub struct Offer {
    manifest: Arc<Manifest>,
    mapped: Arc<Mapped>,
    uplink: Arc<Uplink>,
    number: OfferNumber,
}

impl Offer {
    /// Offers these pieces of a file at an uplink. A seed gives a holder an order of its own.
    pub fn new(
        uplink: &Arc<Uplink>,
        manifest: Arc<Manifest>,
        mapped: Mapped,
        have: Pieces,
        seed: Option<u64>,
    ) -> Self {
        let mut giver = Giver::new(have, seed);
        giver.hope(uplink.clock().at());
        Self {
            manifest,
            mapped: Arc::new(mapped),
            uplink: Arc::clone(uplink),
            number: uplink.add_offer(giver),
        }
    }

    /// The content's piece values.
    pub const fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// Everything is here, and the file as the stamp says: from now on it must stay so.
    pub fn seal(&self, stamp: Stamp) {
        self.mapped.seal(stamp);
    }

    /// A piece came from this holder and was verified: it can be sent; at once if we are the first to have it.
    pub fn gain(&self, piece: PieceIndex, first: bool, from: &HostPort) {
        let mut state = self.uplink.state();
        state.gave(from);
        if let Some(giver) = state.givers.get_mut(&self.number) {
            giver.gain(self.uplink.clock().at(), piece, first);
            if giver.getters() > 0 {
                self.uplink.wake(state);
            }
        }
    }

    /// We last had hope of more pieces so long ago. Getters for which there is nothing are told.
    pub fn hoped(&self, before: Span) {
        let (mut state, now) = (self.uplink.state(), self.uplink.clock().at());
        if let Some(giver) = state.givers.get_mut(&self.number) {
            giver.hope(Instant(now.0.saturating_sub(before.0)));
        }
    }

    /// A getter comes with what it has settled, and with the address it serves others at. It and the others
    /// are told of each other. `None` if its have-map is of another content. `lost` is called if the file turns
    /// out not to be what it was.
    pub fn open(
        self: &Arc<Self>,
        writer: &Arc<ConnWriter>,
        request: RequestNumber,
        settled: &[u8],
        address: Option<HostPort>,
        lost: Lost,
    ) -> Option<OfferReader> {
        let count = u32::try_from(self.manifest.values().len()).unwrap_or(u32::MAX);
        let settled = Pieces::from_map(settled, count)?;
        let (mapped, newcomer) = (Arc::clone(&self.mapped), address.clone());
        let getter = Getter::new(self.number, mapped, Arc::clone(writer), request, address, lost);
        let reader = self.uplink.open(getter, settled)?;
        self.introduce(reader, newcomer.as_ref());
        Some(OfferReader {
            offer: Arc::clone(self),
            reader,
        })
    }

    /// Tells a newcomer of the others, and them of it.
    fn introduce(&self, reader: Reader, newcomer: Option<&HostPort>) {
        let mut state = self.uplink.state();
        let mut known = Vec::new();
        let others = state.getters.iter_mut().filter(|(other, getter)| {
            **other != reader && getter.offer == self.number && getter.address.as_ref() != newcomer
        });
        for (_, other) in others {
            known.extend(other.address.clone());
            if let Some(newcomer) = newcomer {
                other.introduce(core::iter::once(newcomer.clone()));
            }
        }
        if let Some(getter) = state.getters.get_mut(&reader).filter(|_| !known.is_empty()) {
            getter.introduce(known.into_iter());
        }
        self.uplink.wake(state);
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.uplink.remove_offer(self.number);
    }
}

/// A getter at an offer; it goes when this is dropped.
#[derive(Debug)]
pub struct OfferReader {
    offer: Arc<Offer>,
    reader: Reader,
}

impl OfferReader {
    /// True while something is being sent to it.
    pub fn is_busy(&self) -> bool {
        self.offer.uplink.state().is_busy(self.reader)
    }

    /// It may be sent so many more pieces.
    pub fn credit(&self, pieces: u16) {
        let mut state = self.offer.uplink.state();
        if let Some(giver) = state.givers.get_mut(&self.offer.number) {
            giver.credit(self.reader, u32::from(pieces));
        }
        self.offer.uplink.wake(state);
    }

    /// It has these pieces, or expects them from elsewhere.
    pub fn settle(&self, pieces: &[PieceIndex]) {
        let mut state = self.offer.uplink.state();
        pieces.iter().for_each(|piece| state.settle(self.reader, *piece));
        self.offer.uplink.wake(state);
    }

    /// It wants these pieces after all.
    pub fn want(&self, pieces: &[PieceIndex]) {
        let mut state = self.offer.uplink.state();
        if let Some(giver) = state.givers.get_mut(&self.offer.number) {
            pieces.iter().for_each(|piece| giver.want(self.reader, *piece));
        }
        self.offer.uplink.wake(state);
    }
}

impl Drop for OfferReader {
    fn drop(&mut self) {
        self.offer.uplink.close(self.reader);
    }
}
