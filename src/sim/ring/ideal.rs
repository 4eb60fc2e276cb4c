//! The ring that all would come to in the end, built at once: large rings are too slow to wait for.
//!
//! Belongs here: who would know whom. Does not: what they then do, which is theirs.

use super::world::{RingNetwork, RingWorld, address_with};
use crate::proto::chord::{Member, RingNode, RingSettings};
use crate::ring::{RingId, between_or_end};
use crate::rng::Rng;

/// A ring of members in the order of their ids.
#[derive(Debug)]
pub struct IdealRing {
    settings: RingSettings,
    members: Vec<Member>,
}

impl IdealRing {
    /// So many members, at addresses that the seed chooses.
    pub fn of(settings: RingSettings, nodes: usize, seed: u64) -> Self {
        let port = u16::try_from(1_024 + seed % 60_000).unwrap_or(5_000);
        let mut members: Vec<Member> = (1..=nodes)
            .map(|number| Member {
                incarnation: number as u64,
                ..Member::at(settings.space, address_with(number, port))
            })
            .collect();
        members.sort_unstable_by_key(|member| member.id);
        members.dedup_by_key(|member| member.id);
        Self { settings, members }
    }

    /// The members by rising id.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The position of the owner of a key.
    pub fn owner(&self, key: RingId) -> usize {
        self.members.partition_point(|member| member.id < key) % self.members.len().max(1)
    }

    /// The world of these members; the node of each has its position as index.
    pub fn world(&self, seed: u64) -> RingWorld {
        let mut rng = Rng::from_seed(seed);
        let mut world = RingWorld::new(RingNetwork::perfect(), Rng::from_seed(rng.next_u64()));
        for at in 0..self.members.len() {
            let rng = Rng::from_seed(rng.next_u64());
            world.put(self.node(at, rng));
        }
        world
    }

    fn node(&self, at: usize, rng: Rng) -> RingNode {
        let count = self.members.len();
        let after = |step| self.members[(at + step) % count];
        let list: Vec<Member> = (1..count).map(after).take(self.settings.successors).collect();
        let hints = list.last().map_or_else(Vec::new, |last| self.hints(at, last.id));
        let me = self.members[at];
        RingNode::placed(self.settings, me, rng, after(count - 1), &list, hints)
    }

    /// Who comes first from each power of two on, beyond the list.
    fn hints(&self, at: usize, last: RingId) -> Vec<Member> {
        let (space, me) = (self.settings.space, self.members[at].id);
        let mut hints: Vec<Member> = Vec::new();
        if !self.settings.fingers {
            return hints;
        }
        for i in (0..space.bits()).rev() {
            let start = space.finger_start(me, i);
            if between_or_end(me, start, last) {
                break;
            }
            let found = self.members[self.owner(start)];
            if found.id != me && hints.last() != Some(&found) {
                hints.push(found);
            }
        }
        hints.reverse();
        hints
    }
}
