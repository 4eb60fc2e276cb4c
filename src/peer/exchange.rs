//! The exchange of pieces on one connection: what a getter says, handed to the offer it is about.

use super::{Peer, ShareBody};
use crate::id::{ContentId, RequestNumber};
use crate::limits::{MANIFEST_PAGE_PIECES_MAX, OFFERS_KEPT_MAX};
use crate::name::{Host, HostPort};
use crate::net::{Conn, Offer, OfferReader};
use crate::proto::refusal;
use crate::proto::transfer::Pieces;
use crate::storage::{Mapped, Stamp};
use crate::wire::{HaveMap, List, Manifest, ManifestQuery, Message, Refusal, Wanted};
use std::io;
use std::path::Path;
use std::sync::{Arc, Weak};

/// The exchange open on a connection, if there is one.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    open: Option<(RequestNumber, OfferReader)>,
}

impl Exchange {
    /// Handles a message if it is one of the exchange's; false if it is not.
    pub(super) fn handle(&mut self, peer: &Arc<Peer>, conn: &Conn, message: &Message) -> io::Result<bool> {
        let reader = |number: RequestNumber| match &self.open {
            Some((open, reader)) if *open == number => Some(reader),
            _ => None,
        };
        match message {
            Message::ManifestQuery(query) => conn.send(&manifest_page(peer, query))?,
            Message::HaveMap(map) => self.open(peer, conn, map)?,
            // A word about an exchange that is over comes too late to matter.
            Message::Credit(credit) => {
                if let Some(reader) = reader(credit.request) {
                    reader.credit(credit.pieces);
                }
            }
            Message::Settled(settled) => {
                if let Some(reader) = reader(settled.request) {
                    reader.settle(&settled.pieces);
                }
            }
            Message::Want(want) => {
                if let Some(reader) = reader(want.request) {
                    reader.want(&want.pieces);
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn open(&mut self, peer: &Arc<Peer>, conn: &Conn, map: &HaveMap) -> io::Result<()> {
        let request = map.request;
        if self.open.as_ref().is_some_and(|(_, reader)| reader.is_busy()) {
            // What is on its way of the last exchange would run into this one.
            return conn.send(&refusal(
                request,
                Refusal::Busy,
                "the exchange before this one has not ended yet",
            ));
        }
        self.open = None;
        let offer = match peer.offer_of(map.id) {
            Ok(offer) => offer,
            Err((code, text)) => return conn.send(&refusal(request, code, text)),
        };
        let serves = map.port != 0;
        let address = serves.then(|| HostPort {
            host: Host::of(conn.peer().ip()),
            port: map.port,
        });
        let (owner, id) = (Arc::downgrade(peer), map.id);
        let lost = Arc::new(move || {
            if let Some(owner) = owner.upgrade() {
                owner.lost_content(id);
            }
        });
        let Some(reader) = offer.open(conn.writer(), request, &map.map.0, address, lost) else {
            let text = "this have-map is not of that content's pieces";
            return conn.send(&refusal(request, Refusal::BadFrame, text));
        };
        self.open = Some((request, reader));
        Ok(())
    }
}

fn manifest_page(peer: &Peer, query: &ManifestQuery) -> Message {
    match peer.offer_of(query.id) {
        Err((code, text)) => refusal(query.request, code, text),
        Ok(offer) => {
            let first = query.first.0 as usize;
            let values = offer
                .manifest()
                .values()
                .iter()
                .skip(first)
                .take(MANIFEST_PAGE_PIECES_MAX);
            Manifest {
                request: query.request,
                bytes: offer.manifest().bytes(),
                first: query.first,
                values: List::first_of(values.copied()),
            }
            .into()
        }
    }
}

impl Peer {
    /// The offer of a content held here, whole or in part.
    fn offer_of(&self, id: ContentId) -> Result<Arc<Offer>, (Refusal, String)> {
        // Held to the end: two offers of one content would send the same pieces.
        let mut offers = self.offers.lock();
        if let Some(offer) = offers.get(&id).and_then(Weak::upgrade) {
            return Ok(offer);
        }
        let not_found = || (Refusal::NotFound, "this peer does not hold it".to_owned());
        let mut shares = self.shares.find(&Wanted::Id(id)).into_iter();
        let share = shares.next().ok_or_else(not_found)?;
        let ShareBody::File(path, stamp, manifest) = &share.body else {
            return Err((
                Refusal::NotServed,
                "a tree is served whole: download it".to_owned(),
            ));
        };
        let mapped = Mapped::open(path, *stamp).map_err(|_| {
            self.lost(&share.info.key());
            (
                Refusal::ContentLost,
                format!("{} has changed or vanished", share.info.name),
            )
        })?;
        let have = Pieces::all(u32::try_from(manifest.values().len()).unwrap_or(u32::MAX));
        // Two whole holders that began at the same piece would send the same ones.
        let mut seed = [0; 8];
        blake3::Hasher::new()
            .update(self.address.to_string().as_bytes())
            .finalize_xof()
            .fill(&mut seed);
        let seed = Some(u64::from_be_bytes(seed));
        let offer = Arc::new(Offer::new(&self.uplink, Arc::clone(manifest), mapped, have, seed));
        offers.insert(id, Arc::downgrade(&offer));
        // Whoever comes next finds it mapped, and is sent what was not sent before.
        let mut kept = self.kept_offers.lock();
        kept.push_back((id, Arc::clone(&offer)));
        let excess = kept.len().saturating_sub(OFFERS_KEPT_MAX);
        let old: Vec<_> = kept.drain(..excess).collect();
        drop((kept, offers));
        drop(old);
        Ok(offer)
    }

    /// A content is not what it was while it was being sent.
    fn lost_content(&self, id: ContentId) {
        self.offers.lock().remove(&id);
        self.kept_offers.lock().retain(|(kept, _)| *kept != id);
        for share in self.shares.find(&Wanted::Id(id)) {
            self.lost(&share.info.key());
        }
    }

    /// Offers a content of which pieces are still coming; others are told that it is here in part.
    pub fn offer_part(&self, info: &crate::wire::ContentInfo, offer: &Arc<Offer>) {
        self.offers.lock().insert(info.id, Arc::downgrade(offer));
        self.index.lock().hold(crate::proto::LocalContent {
            info: info.clone(),
            complete: false,
        });
        self.tell_ring(info, false);
        if let Some(member) = self.member.as_ref().filter(|_| self.central) {
            member.share(info.clone(), false);
        }
    }

    /// What was offered while it came is whole, and its file in this state. Who still takes it is cut off when it changes.
    pub(super) fn seal_part(&self, id: ContentId, stamp: Stamp) {
        let offer = self.offers.lock().get(&id).and_then(Weak::upgrade);
        if let Some(offer) = offer {
            offer.seal(stamp);
        }
    }

    /// Offers a part no longer that is whole: it will be found again in its directory.
    pub fn end_part(&self, path: &Path, info: &crate::wire::ContentInfo) {
        if let Ok(metadata) = path.metadata() {
            self.seal_part(info.id, Stamp::of(&metadata));
        }
        self.withdraw_part(info);
    }

    /// Offers it no longer: its fetch has ended without it.
    pub fn withdraw_part(&self, info: &crate::wire::ContentInfo) {
        self.offers.lock().remove(&info.id);
        self.unlist(&info.key());
    }
}
