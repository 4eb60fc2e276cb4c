//! A peer's two lines: the uplink, on which chunks go out one after another, and the downlink.
//!
//! Pieces that share the uplink take turns chunk by chunk. The downlink takes chunks in the order in which
//! they arrive; what it cannot take yet waits before it, as in the buffers of a real network. Invariant: a
//! line carries one chunk at a time.

use super::events::{Chunk, Exchange, Nanos, PeerNumber};
use crate::id::PieceIndex;
use crate::rate::Rate;
use std::collections::VecDeque;

/// How long so many bytes take.
pub(super) fn nanos(bytes: u64, rate: Rate) -> u64 {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(rate.bytes_per_sec());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// A piece on its way to a getter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    pub(super) number: u64,
    pub(super) to: PeerNumber,
    pub(super) exchange: Exchange,
    pub(super) piece: PieceIndex,
    /// Bytes not yet on the line.
    pub(super) left: u64,
}

/// A chunk on the line, and where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outgoing {
    pub(super) to: PeerNumber,
    pub(super) exchange: Exchange,
    pub(super) chunk: Chunk,
    pub(super) line_nanos: u64,
}

/// What goes out.
#[derive(Debug, Default)]
pub(super) struct UpLine {
    pub(super) queue: VecDeque<Transfer>,
    pub(super) on_line: Option<Outgoing>,
    pub(super) stalled: bool,
}

impl UpLine {
    /// Puts the next chunk on the line, if it is free; returns how long it takes.
    pub(super) fn put(&mut self, rate: Rate, chunk_bytes: u64, at_once: usize) -> Option<u64> {
        if self.stalled || self.on_line.is_some() {
            return None;
        }
        let mut transfer = self.queue.pop_front()?;
        let bytes = transfer.left.min(chunk_bytes);
        transfer.left -= bytes;
        let line_nanos = nanos(bytes, rate);
        self.on_line = Some(Outgoing {
            to: transfer.to,
            exchange: transfer.exchange,
            line_nanos,
            chunk: Chunk {
                transfer: transfer.number,
                piece: transfer.piece,
                bytes,
                last: transfer.left == 0,
            },
        });
        if transfer.left > 0 {
            // Behind the others that share the line, before those that wait for it.
            let place = self.queue.len().min(at_once.saturating_sub(1));
            self.queue.insert(place, transfer);
        }
        Some(line_nanos)
    }

    /// Sends no more of this piece to this getter; true if there was more to send.
    pub(super) fn cancel(&mut self, to: PeerNumber, piece: PieceIndex) -> bool {
        let before = self.queue.len();
        self.queue
            .retain(|transfer| (transfer.to, transfer.piece) != (to, piece));
        self.queue.len() < before
    }

    /// Sends nothing more to this getter.
    pub(super) fn cancel_all(&mut self, to: PeerNumber) {
        self.queue.retain(|transfer| transfer.to != to);
    }
}

/// What comes in.
#[derive(Debug, Default)]
pub(super) struct DownLine {
    free: Nanos,
}

impl DownLine {
    /// When a chunk has passed whose last bit arrives now, after so long on its sender's line.
    pub(super) fn pass(&mut self, now: Nanos, line_nanos: u64, bytes: u64, rate: Rate) -> Nanos {
        let first_bit = Nanos(now.0.saturating_sub(line_nanos));
        let begins = self.free.max(first_bit);
        self.free = begins.after(nanos(bytes, rate)).max(now);
        self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_downlink_takes_one_after_another() {
        let rate = Rate::from_bytes_per_sec(1_000).expect("not zero");
        let mut line = DownLine::default();
        let second = 1_000_000_000;
        // As fast as the sender: it has passed when it arrives.
        assert_eq!(line.pass(Nanos(second), second, 1_000, rate), Nanos(second));
        // Two at the same time: the other waits.
        assert_eq!(line.pass(Nanos(second), second, 1_000, rate), Nanos(2 * second));
    }

    #[test]
    fn pieces_share_the_uplink_chunk_by_chunk() {
        let rate = Rate::from_bytes_per_sec(1_000).expect("not zero");
        let mut line = UpLine::default();
        for number in 1..=3 {
            line.queue.push_back(Transfer {
                number,
                to: 1,
                exchange: Exchange(1),
                piece: PieceIndex(0),
                left: 20,
            });
        }
        let order: Vec<u64> = (0..6)
            .filter_map(|_| {
                line.put(rate, 10, 2)?;
                line.on_line.take().map(|outgoing| outgoing.chunk.transfer)
            })
            .collect();
        assert_eq!(order, [1, 2, 1, 2, 3, 3]);
    }
}
