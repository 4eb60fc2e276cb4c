//! A getter at an uplink: what it has to be told, and what it is being sent.
//!
//! Belongs here: one getter's words, in their order. Does not: whose turn it is (`uplink.rs`). Invariant: one
//! thread at a time is at its connection.

use super::conn::ConnWriter;
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::{HOLDERS_PER_LISTING_MAX, WORDS_WAITING_MAX};
use crate::name::HostPort;
use crate::proto::transfer::Reader;
use crate::storage::Mapped;
use crate::time::{Instant, Span};
use crate::wire::{Dry, HaveUpdate, List, Message, PeerAddress, Settled};
use std::sync::Arc;

/// An offer, as its uplink numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OfferNumber(pub(super) u64);

/// What is told when a file turns out not to be what it was.
pub(super) type Lost = Arc<dyn Fn() + Send + Sync>;

/// A getter that is being served.
pub(super) struct Getter {
    pub(super) offer: OfferNumber,
    pub(super) mapped: Arc<Mapped>,
    pub(super) writer: Arc<ConnWriter>,
    pub(super) request: RequestNumber,
    /// Where it serves others, if it does.
    pub(super) address: Option<HostPort>,
    /// What it has to be told, in this order, before anything else is sent.
    pub(super) words: Vec<Message>,
    /// The piece it is being sent, until it says that it is settled.
    pub(super) sending: Option<PieceIndex>,
    /// A thread is at its connection.
    pub(super) busy: bool,
    /// When it was last told or sent something.
    pub(super) told: Instant,
    pub(super) lost: Lost,
}

impl Getter {
    pub(super) fn new(
        offer: OfferNumber,
        mapped: Arc<Mapped>,
        writer: Arc<ConnWriter>,
        request: RequestNumber,
        address: Option<HostPort>,
        lost: Lost,
    ) -> Self {
        Self {
            offer,
            mapped,
            writer,
            request,
            address,
            words: Vec::new(),
            sending: None,
            busy: false,
            told: Instant::ZERO,
            lost,
        }
    }

    /// Has something said to it. One that takes none of it is cut off.
    pub(super) fn tell(&mut self, word: Message) {
        if self.words.len() >= WORDS_WAITING_MAX {
            self.writer.shut();
            return;
        }
        self.words.push(word);
    }

    /// Tells it of others that take or hold the same content, together with those it is yet to be told of.
    pub(super) fn introduce(&mut self, known: impl Iterator<Item = HostPort>) {
        let mut known: Vec<PeerAddress> = known
            .map(|HostPort { host, port }| PeerAddress { host, port })
            .collect();
        if let Some(Message::HaveUpdate(last)) = self.words.last_mut() {
            known = add_to(last, known);
            if known.is_empty() {
                return;
            }
        }
        let (request, pieces, holders) = (self.request, List::new(), List::first_of(known));
        self.tell(
            HaveUpdate {
                request,
                pieces,
                holders,
            }
            .into(),
        );
    }

    /// Tells it that there is nothing for it, instead of what it was yet to be told of that.
    pub(super) fn dry(&mut self, hoped_before: Span) {
        let dry = Dry {
            request: self.request,
            hoped_before_millis: u32::try_from(hoped_before.0 / 1_000).unwrap_or(u32::MAX),
        };
        self.words.retain(|word| !matches!(word, Message::Dry(_)));
        self.tell(dry.into());
    }

    /// Tells it that a piece does not follow, or no more of it.
    pub(super) fn take_back(&mut self, piece: PieceIndex) {
        let (request, pieces) = (self.request, List::first_of([piece]));
        self.tell(Settled { request, pieces }.into());
    }
}

/// Has a word say these too; what it has no room for.
fn add_to(word: &mut HaveUpdate, mut known: Vec<PeerAddress>) -> Vec<PeerAddress> {
    known.retain(|address| !word.holders.contains(address));
    let room = HOLDERS_PER_LISTING_MAX.saturating_sub(word.holders.len());
    let rest = known.split_off(known.len().min(room));
    let together = word.holders.iter().cloned().chain(known);
    word.holders = List::first_of(together.collect::<Vec<_>>());
    rest
}

/// What a thread does next: words, then a piece, to a getter that is its own meanwhile.
pub(super) struct Work {
    pub(super) reader: Reader,
    pub(super) writer: Arc<ConnWriter>,
    pub(super) mapped: Arc<Mapped>,
    pub(super) request: RequestNumber,
    pub(super) words: Vec<Message>,
    pub(super) piece: Option<PieceIndex>,
}

impl Getter {
    /// What a thread has to do for it now.
    pub(super) fn work(&mut self, reader: Reader, piece: Option<PieceIndex>) -> Work {
        self.busy = true;
        self.sending = piece;
        Work {
            reader,
            writer: Arc::clone(&self.writer),
            mapped: Arc::clone(&self.mapped),
            request: self.request,
            words: core::mem::take(&mut self.words),
            piece,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Host;

    #[test]
    fn a_word_that_is_full_leaves_the_rest_for_another() {
        let addresses = |ports: core::ops::Range<u16>| -> Vec<PeerAddress> {
            let host = || Host::new("192.0.2.1").expect("a host");
            ports.map(|port| PeerAddress { host: host(), port }).collect()
        };
        let most = u16::try_from(HOLDERS_PER_LISTING_MAX).expect("few");
        let mut word = HaveUpdate {
            request: RequestNumber(1),
            pieces: List::new(),
            holders: List::first_of(addresses(0..most - 1)),
        };
        assert_eq!(add_to(&mut word, addresses(0..1)), [], "it was said already");
        assert_eq!(
            add_to(&mut word, addresses(most - 1..most + 2)),
            addresses(most..most + 2)
        );
        assert_eq!(
            add_to(&mut word, addresses(most + 2..most + 3)),
            addresses(most + 2..most + 3)
        );
        assert_eq!(word.holders.len(), HOLDERS_PER_LISTING_MAX);
    }
}
