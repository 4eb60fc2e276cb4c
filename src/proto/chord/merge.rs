//! Split rings: noticing that there is another ring, and becoming one with it.
//!
//! A node remembers addresses of others and now and then lets one of them look up its own id. In one ring that leads
//! back to the node itself. (A member of a young ring asks for the id after its own, which in one ring leads to the next.)
//! If it does not, there are two, and they grow together where they touch: a node takes the other ring's successor of its
//! id if that is nearer than its own, or tells it that there is a node before it; the rest is stabilizing. A young ring
//! cannot grow together with another; its members move over, one by one.

use super::asks::{Purpose, Reply};
use super::lookup::Aim;
use super::member::Member;
use super::node::{Operation, RingNode, Standing};
use crate::ring::{NodeAddress, between};
use crate::time::Instant;
use crate::wire::{Message, RingState};

impl RingNode {
    pub(super) fn look_for_another_ring(&mut self, now: Instant) {
        let near = self.near.successors().iter().chain(&self.near.predecessor);
        let near: Vec<NodeAddress> = near.map(|member| member.address).collect();
        let far: Vec<NodeAddress> = self
            .contacts
            .iter()
            .filter(|contact| !near.contains(contact))
            .copied()
            .collect();
        let at = usize::try_from(self.rng.below(far.len() as u64)).unwrap_or(0);
        if let Some(contact) = far.get(at) {
            // A member of a young ring may be the predecessor of a node of the other ring, which then takes it for the owner
            // of its own id: it asks for what comes after it.
            let me = self.near.me.id;
            let key = match self.standing {
                Standing::Young => self.settings.space.finger_start(me, 0),
                Standing::In | Standing::Joining | Standing::Out => me,
            };
            self.begin_lookup(now, key, Aim::Mirror, Some(*contact));
        }
    }

    /// Somebody else's way to this node's id, or of a young ring to the one after it, ended at `owner`.
    pub(super) fn mirrored(&mut self, now: Instant, owner: Member) {
        let me = self.near.me;
        // Itself, or its ghost in the eyes of others.
        if owner.address == me.address || owner.id == me.id {
            return;
        }
        match self.standing {
            Standing::Young => self.ask_state(now, owner, Purpose::Mirror),
            Standing::In if self.open.is_none() => match self.near.successor() {
                Some(next) if next != owner && between(me.id, owner.id, next.id) => {
                    self.open = Some(Box::new(Operation::AskBetween(next, owner)));
                    self.ask_state(now, owner, Purpose::Operation);
                }
                Some(next) if next != owner => self.notify(now, owner),
                _ => {}
            },
            Standing::In | Standing::Joining | Standing::Out => {}
        }
    }

    /// The other ring's state, for a member of a young ring.
    pub(super) fn mirror_replied(&mut self, now: Instant, to: Member, reply: &Reply<'_>) {
        if let Reply::Answer(Message::RingState(state)) = reply {
            self.weigh_other_ring(now, to, state);
        }
    }

    fn weigh_other_ring(&mut self, now: Instant, owner: Member, state: &RingState) {
        let Some(ours) = &self.view else {
            return;
        };
        let ours_leads = ours.first();
        let moves = match &state.view {
            // Grown rings do not move. One of ours that is grown is so because ours is about to be.
            None => !ours.members.contains(&owner),
            Some(theirs) if theirs.members.iter().any(|member| *member == self.near.me.wire()) => false,
            Some(theirs) => {
                let theirs_leads = theirs.members.first().map(|member| member.address);
                theirs_leads < ours_leads.map(|member| member.address)
            }
        };
        if !moves {
            self.notify(now, owner);
            return;
        }
        let sender = self.near.me.wire();
        let others = self.near.successors().to_vec();
        self.be_nowhere();
        self.say_goodbye(now, &others, sender);
        self.join_anew(now, vec![owner.address]);
    }
}
