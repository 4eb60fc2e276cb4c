//! What happens when, in virtual time.
//!
//! Invariant: events come out by rising time, and those of one moment in the order they were put in.

use crate::id::PieceIndex;
use crate::proto::transfer::Pieces;
use crate::time::{Instant, Span};
use core::cmp::Ordering;
use std::collections::BinaryHeap;

/// Virtual time since the run began, in nanoseconds: fine enough for a chunk on a fast link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nanos(pub(super) u64);

impl Nanos {
    pub(super) const fn after(self, nanos: u64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// As the machines are told it.
    pub(super) const fn instant(self) -> Instant {
        Instant(self.0 / 1_000)
    }
}

/// A peer's number; the source is 0.
pub(super) type PeerNumber = u32;

/// Which connection between two peers a message belongs to: what is late for an old one is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exchange(pub(super) u64);

/// From a getter to its holder.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Open(Pieces),
    Credit(u16),
    Settled(PieceIndex),
    Want(PieceIndex),
    Close,
}

/// From a holder to its getter.
#[derive(Clone, Copy, Debug)]
pub(super) enum Tell {
    /// This piece follows, under this number of the run.
    Choice {
        transfer: u64,
        piece: PieceIndex,
        first: bool,
    },
    /// It does not follow, or no more of it.
    Cancel(PieceIndex),
    /// There is nothing for it, and so long ago there was last hope of more.
    Dry(Span),
    /// The last bit of a chunk arrives; it was so long on the holder's line.
    Chunk {
        chunk: Chunk,
        line_nanos: u64,
    },
    Close,
}

/// Bytes of a piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) transfer: u64,
    pub(super) piece: PieceIndex,
    pub(super) bytes: u64,
    pub(super) last: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Join,
    /// It looks for others.
    Meet,
    Leave,
    /// Its uplink stops, or goes on.
    Stall(bool),
    /// Its connections break.
    Cut,
    /// The chunk on its uplink is out.
    Sent,
    /// A getter's word reaches this holder.
    Ask {
        from: PeerNumber,
        exchange: Exchange,
        ask: Ask,
    },
    /// A holder's word reaches this getter.
    Tell {
        from: PeerNumber,
        exchange: Exchange,
        tell: Tell,
    },
    /// A chunk has passed this getter's downlink.
    Received {
        from: PeerNumber,
        exchange: Exchange,
        chunk: Chunk,
    },
    /// The deadline of its machine.
    Wake,
    /// It tries a holder again that it had given up.
    Retry(PeerNumber),
}

impl Event {
    /// Bytes of content it brings.
    pub(super) const fn bytes(&self) -> u64 {
        match self {
            Self::Tell {
                tell: Tell::Chunk { chunk, .. },
                ..
            }
            | Self::Received { chunk, .. } => chunk.bytes,
            _ => 0,
        }
    }

    /// A number that tells kinds apart in the trace.
    pub(super) fn kind(&self) -> u64 {
        match self {
            Self::Join => 1,
            Self::Meet => 2,
            Self::Leave => 3,
            Self::Stall(stops) => 4 + u64::from(*stops),
            Self::Sent => 6,
            Self::Ask { ask, .. } => match ask {
                Ask::Open(_) => 7,
                Ask::Credit(more) => 1_000 + u64::from(*more),
                Ask::Settled(piece) => (1 << 32) + u64::from(piece.0),
                Ask::Want(piece) => (2 << 32) + u64::from(piece.0),
                Ask::Close => 8,
            },
            Self::Tell { tell, .. } => match tell {
                Tell::Choice { piece, .. } => (3 << 32) + u64::from(piece.0),
                Tell::Cancel(piece) => (7 << 32) + u64::from(piece.0),
                Tell::Chunk { chunk, .. } => (4 << 32) + u64::from(chunk.piece.0),
                Tell::Dry(hoped_before) => (8 << 32) + hoped_before.0,
                Tell::Close => 9,
            },
            Self::Received { chunk, .. } => (5 << 32) + u64::from(chunk.piece.0),
            Self::Wake => 10,
            Self::Cut => 11,
            Self::Retry(holder) => (6 << 32) + u64::from(*holder),
        }
    }
}

#[derive(Debug)]
struct Entry {
    at: Nanos,
    number: u64,
    peer: PeerNumber,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        // The heap gives the greatest first.
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

/// What is still to happen, and a hash of all that has.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Entry>,
    number: u64,
    trace: u64,
    steps: u64,
}

impl Events {
    pub(super) fn put(&mut self, at: Nanos, peer: PeerNumber, event: Event) {
        self.number += 1;
        self.heap.push(Entry {
            at,
            number: self.number,
            peer,
            event,
        });
    }

    pub(super) fn take(&mut self) -> Option<(Nanos, PeerNumber, Event)> {
        let entry = self.heap.pop()?;
        self.steps += 1;
        for word in [entry.at.0, u64::from(entry.peer), entry.event.kind()] {
            self.trace = (self.trace ^ word)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29);
        }
        Some((entry.at, entry.peer, entry.event))
    }

    /// A hash of every event so far, with its time and its peer.
    pub(super) const fn trace(&self) -> u64 {
        self.trace
    }

    pub(super) const fn steps(&self) -> u64 {
        self.steps
    }
}
