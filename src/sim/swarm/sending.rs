//! What a simulated peer sends: the turns at its uplink, as in `net/uplink.rs` but for a line that tells when it is free.

use super::events::{Event, Exchange, PeerNumber, Tell};
use super::line::{Transfer, nanos};
use super::world::World;
use crate::proto::transfer::{Departure, Reader};

impl World {
    /// Announces pieces while there is room for them, begins to send what was announced, and puts the next chunk
    /// on the line.
    pub(super) fn pump(&mut self, number: PeerNumber) {
        loop {
            let (at_once, chunk_bytes) = (self.setup.at_once, self.setup.chunk_bytes);
            let peer = self.peer(number);
            if !peer.here || peer.up.stalled {
                return;
            }
            if let Some(line_nanos) = peer.up.put(peer.plan.up, chunk_bytes, at_once) {
                let at = self.now.after(line_nanos);
                self.events.put(at, number, Event::Sent);
            } else if !self.announce(number) && !self.begin(number) {
                self.schedule(number);
                return;
            }
        }
    }

    /// Announces a piece, if there is room for one and somebody waits for it.
    fn announce(&mut self, number: PeerNumber) -> bool {
        let (ahead, bytes, now) = (
            self.setup.announce_ahead,
            self.setup.piece_bytes,
            self.now.instant(),
        );
        let peer = self.peer(number);
        let lead_bytes = bytes * ahead.0 * 1_000 / nanos(bytes, peer.plan.up).max(1);
        if !peer.departures.has_room(lead_bytes) {
            return false;
        }
        let waiting = peer.giver.waiting();
        let waiting = waiting.filter(|(reader, _)| !peer.departures.is_promised(*reader));
        let Some(reader) = peer.uplink.next(waiting) else {
            return false;
        };
        let not_before = peer.giver.not_before(now);
        let Some(chosen) = peer.giver.choose(reader) else {
            return false;
        };
        let Some((to, exchange)) = self.exchange_of(number, reader) else {
            return false;
        };
        self.transfers += 1;
        let (transfer, piece) = (self.transfers, chosen.piece);
        let peer = self.peer(number);
        peer.promised.insert((to, piece), transfer);
        peer.departures.promise(Departure {
            reader,
            piece,
            bytes,
            not_before,
        });
        self.ledger.chose(number, to, piece);
        let choice = Tell::Choice {
            transfer,
            piece,
            first: chosen.first,
        };
        self.tell(number, to, exchange, choice);
        true
    }

    /// Begins to send what was announced first, if the line has room.
    fn begin(&mut self, number: PeerNumber) -> bool {
        let (at_once, now) = (self.setup.at_once, self.now.instant());
        let peer = self.peer(number);
        if peer.up.queue.len() >= at_once {
            return false;
        }
        let Some(Departure {
            reader, piece, bytes, ..
        }) = peer.departures.begin(now, |_| true)
        else {
            return false;
        };
        let to_and_exchange = self.exchange_of(number, reader);
        let peer = self.peer(number);
        if let Some((to, exchange)) = to_and_exchange
            && let Some(transfer) = peer.promised.remove(&(to, piece))
        {
            peer.giver.depart(reader, piece);
            peer.up.queue.push_back(Transfer {
                number: transfer,
                to,
                exchange,
                piece,
                left: bytes,
            });
        }
        true
    }

    pub(super) fn exchange_of(&self, number: PeerNumber, reader: Reader) -> Option<(PeerNumber, Exchange)> {
        let to = PeerNumber::try_from(reader.0).unwrap_or(PeerNumber::MAX);
        let exchange = self.peers[number as usize].getters.get(&to)?;
        Some((to, *exchange))
    }

    /// A chunk is out.
    pub(super) fn sent(&mut self, number: PeerNumber) {
        let peer = self.peer(number);
        if let Some(outgoing) = peer.up.on_line.take() {
            if outgoing.chunk.last {
                peer.departures.end(Reader(u64::from(outgoing.to)));
            }
            peer.report.sent_bytes += outgoing.chunk.bytes;
            self.ledger.sent(outgoing.chunk.bytes);
            let tell = Tell::Chunk {
                chunk: outgoing.chunk,
                line_nanos: outgoing.line_nanos,
            };
            self.tell(number, outgoing.to, outgoing.exchange, tell);
        }
        self.pump(number);
    }
}
