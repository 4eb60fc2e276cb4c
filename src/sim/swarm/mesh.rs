//! Who knows whom: everybody in a small swarm; the source and some others in a large one.

use super::events::PeerNumber;
use super::world::World;

impl World {
    /// A peer looks for others. Whoever knows one is known by it: each takes from the other.
    pub(super) fn meet(&mut self, number: PeerNumber) {
        if self.setup.in_line {
            return self.introduce(number, number.saturating_sub(1));
        }
        let count = PeerNumber::try_from(self.peers.len()).unwrap_or(PeerNumber::MAX);
        if self.peers.len() <= self.setup.mesh_peers_max + 1 {
            for other in 0..count {
                self.introduce(number, other);
            }
            return;
        }
        self.introduce(number, 0);
        // The RS names a handful at random; a few of them may be gone, or known already.
        for _ in 0..4 * self.setup.acquaintances {
            if self.peers[number as usize].holders.len() > self.setup.acquaintances {
                return;
            }
            let other = self.rng.below(u64::from(count));
            self.introduce(number, PeerNumber::try_from(other).unwrap_or(0));
        }
    }

    fn introduce(&mut self, one: PeerNumber, other: PeerNumber) {
        if self.peers[one as usize].here && self.peers[other as usize].here {
            self.connect(one, other);
            self.connect(other, one);
        }
    }
}
