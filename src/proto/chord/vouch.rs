//! Whose copies of records are taken: those of nodes that are there, at the place that their address gives them.
//!
//! Copies carry the claims of others, so a stranger must not bring them. Who is not among the neighbours is asked whether it
//! is a member, as the one that it says it is; until it has answered, its copies wait. Invariant: what one host can have this
//! node ask and remember for it is bounded.

use super::asks::{Purpose, Reply};
use super::member::Member;
use super::node::RingNode;
use crate::limits::{RING_GIVERS_MAX, RING_NOTIFIED_MAX};
use crate::time::Instant;

impl RingNode {
    /// Whether a node is known to be a member; if not, it is looked at.
    pub(super) fn vouches_for(&mut self, now: Instant, giver: Member) -> bool {
        let near = self.near.successors().iter().chain(&self.near.predecessor);
        if near.chain(&self.givers).any(|known| *known == giver) {
            return true;
        }
        let room = self.asks.count(Purpose::Vouch) < RING_NOTIFIED_MAX;
        if room && !self.asks.waits_for(giver, Purpose::Vouch) {
            self.ping(now, giver, Purpose::Vouch);
        }
        false
    }

    pub(super) fn vouch_replied(&mut self, giver: Member, reply: &Reply<'_>) {
        if matches!(reply, Reply::Answer(_)) && giver.incarnation != 0 {
            if self.givers.len() >= RING_GIVERS_MAX {
                self.givers.pop_front();
            }
            self.givers.push_back(giver);
        }
    }
}
