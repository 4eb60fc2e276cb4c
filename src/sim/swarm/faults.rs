//! What goes wrong: peers that go, connections that break, holders that lie.

use super::events::{Ask, Event, PeerNumber, Tell};
use super::world::World;
use crate::limits::HOLDER_RETRY;
use crate::proto::transfer::{Departures, Reader, Source};

impl World {
    /// It goes, with all it owes.
    pub(super) fn leave(&mut self, number: PeerNumber) {
        let peer = self.peer(number);
        peer.here = false;
        peer.report.left = true;
        let holders = core::mem::take(&mut peer.holders);
        let getters = core::mem::take(&mut peer.getters);
        let on_line = peer.up.on_line.take();
        peer.up.queue.clear();
        peer.departures = Departures::default();
        peer.promised.clear();
        peer.incoming.clear();
        if let Some(outgoing) = on_line {
            self.ledger.sent(outgoing.chunk.bytes);
            self.ledger.lost(outgoing.chunk.bytes);
        }
        for (holder, exchange) in holders {
            self.ask(number, holder, exchange, Ask::Close);
        }
        for (getter, exchange) in getters {
            self.tell(number, getter, exchange, Tell::Close);
        }
    }

    /// A getter is gone.
    pub(super) fn hang_up(&mut self, holder: PeerNumber, getter: PeerNumber) {
        let peer = self.peer(holder);
        peer.giver.close(Reader(u64::from(getter)));
        peer.uplink.close(Reader(u64::from(getter)));
        peer.up.cancel_all(getter);
        peer.departures.close(Reader(u64::from(getter)));
        peer.departures.end(Reader(u64::from(getter)));
        peer.promised.retain(|(to, _), _| *to != getter);
        peer.getters.remove(&getter);
    }

    /// All its connections break at once: whatever was on its way on them is lost, and each getter tries again.
    pub(super) fn cut(&mut self, number: PeerNumber) {
        let peer = self.peer(number);
        let holders: Vec<PeerNumber> = peer.holders.keys().copied().collect();
        let getters: Vec<PeerNumber> = peer.getters.keys().copied().collect();
        let taking = holders.into_iter().map(|holder| (number, holder));
        let giving = getters.into_iter().map(|getter| (getter, number));
        for (getter, holder) in taking.chain(giving).collect::<Vec<_>>() {
            self.hang_up(holder, getter);
            if self.drop_holder(getter, holder) {
                let again = self.now.after(HOLDER_RETRY.0 * 1_000);
                self.events.put(again, getter, Event::Retry(holder));
                self.follow(getter);
            }
        }
    }

    /// A holder's piece is not what it should be: it is given up for good.
    pub(super) fn expose(&mut self, getter: PeerNumber, holder: PeerNumber) {
        self.peer(getter).liars.insert(holder);
        self.peer(getter).report.exposed += 1;
        let exchange = self.peer(getter).holders.get(&holder).copied();
        if let Some(exchange) = exchange.filter(|_| self.drop_holder(getter, holder)) {
            self.ask(getter, holder, exchange, Ask::Close);
            self.follow(getter);
        }
    }

    /// A getter takes nothing more from a holder in this exchange; false if there is none.
    fn drop_holder(&mut self, getter: PeerNumber, holder: PeerNumber) -> bool {
        let now = self.now.instant();
        let peer = self.peer(getter);
        let open = peer.holders.remove(&holder).is_some();
        peer.taker.close(now, Source(u64::from(holder)));
        peer.incoming.retain(|_, incoming| incoming.holder != holder);
        open
    }
}
