//! What an RS tells those who run it of whom it knows.

use super::Registration;
use crate::limits::OFFLINE_PEERS_MAX;
use crate::time::Now;
use crate::wire::{List, PeerInfo};

impl Registration {
    /// Peers known, peers active, contents known.
    pub fn counts(&mut self, now: Now) -> (usize, usize, usize) {
        self.handle_timeout(now);
        let (known, active) = self.registry.counts();
        (known, active, self.catalog.len())
    }

    /// Peers that are known and not handed out, with the address they gave: first those that a probe did not reach, whose
    /// leases run, then those that left or fell silent, the latest first. There may be more.
    pub fn offline(&mut self, now: Now) -> List<PeerInfo, OFFLINE_PEERS_MAX> {
        self.handle_timeout(now);
        let offline = self.registry.offline();
        List::first_of(offline.map(|(number, peer)| peer.info(now, number, peer.host.clone())))
    }
}
