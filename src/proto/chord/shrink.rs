//! A grown ring that has shrunk: with no more members than a list has entries it is young again.
//!
//! Too few are left for as many principals as it takes; that everybody lists everybody has to do in their stead. Who has the
//! lowest id proposes the first view; it holds if all that are there see the same ring and no other. If one does not, all are
//! grown again, with the lists that they had. A newcomer that the view leaves out, because nobody knew of it, joins anew.
//!
//! Invariant: a proposed view changes nobody's list; it only says that no list will change but by the next view.

use super::answer::busy;
use super::asks::Purpose;
use super::member::Member;
use super::node::{RingNode, Standing};
use super::young::View;
use crate::id::RequestNumber;
use crate::limits::RING_SHRINK_WAIT;
use crate::time::Instant;
use crate::wire::{Message, RingState};

impl RingNode {
    /// Everybody by rising id, if this node's list goes all the way round and has room left.
    pub(super) fn whole_ring(&self) -> Option<Vec<Member>> {
        let list = self.near.successors();
        let last = list.last().copied()?;
        let is_whole = list.len() < self.settings.successors
            && self.near.predecessor == Some(last)
            && self.near.confirmed
            && self.standing == Standing::In;
        is_whole.then(|| {
            let mut all: Vec<Member> = list.iter().copied().chain([self.near.me]).collect();
            all.sort_by_key(|member| member.id);
            all
        })
    }

    /// What was sent to the young ring that this one once was is under way no longer.
    fn has_been_grown(&self, now: Instant) -> bool {
        now.since(self.grown_at) >= RING_SHRINK_WAIT
    }

    /// Proposes to be young again, if that is due and this node's to propose.
    pub(super) fn shrink(&mut self, now: Instant) -> bool {
        let all = self.whole_ring().filter(|_| self.has_been_grown(now));
        let Some(members) = all.filter(|all| all.first() == Some(&self.near.me)) else {
            return false;
        };
        let view = View {
            version: 0,
            members,
            gone: Vec::new(),
        };
        self.begin_change(now, view, None, false);
        true
    }

    /// A member of a grown ring is told who is in it.
    pub(super) fn answer_shrink(
        &mut self,
        now: Instant,
        request: RequestNumber,
        sender: Member,
        view: View,
        grown: bool,
    ) -> Message {
        if grown {
            return self.ack(request);
        }
        // Nobody lists a newcomer yet; that the others took it in as one of a young ring may have crossed with its place.
        let newcomer = !self.near.confirmed
            && [sender, self.near.me]
                .iter()
                .all(|one| view.members.contains(one));
        let agreed = self.has_been_grown(now)
            && view.first() == Some(sender)
            && self.whole_ring().is_some_and(|all| all == view.members);
        if !agreed && !newcomer {
            return busy(request);
        }
        self.stop_operation();
        self.take_view(now, view);
        self.ack(request)
    }

    /// Drops what is open; nothing has come of it.
    pub(super) fn stop_operation(&mut self) {
        if self.open.take().is_some() {
            self.asks.forget(Purpose::Operation);
            self.asks.forget(Purpose::Patience);
        }
    }

    /// True if this is the state of a node in a young ring that does not count this one in.
    pub(super) fn is_left_out(&self, state: &RingState) -> bool {
        let me = self.near.me.wire();
        let theirs = state.view.as_ref();
        theirs.is_some_and(|view| view.members.iter().all(|member| *member != me))
    }

    /// The successor is in such a ring. If that is what became of this node's own, for it has others of those that this one
    /// lists, or if this one is a newcomer, it joins; to all others that is another ring.
    pub(super) fn left_out(&mut self, now: Instant, next: Member, state: &RingState) {
        let others = self
            .near
            .successors()
            .iter()
            .skip(1)
            .chain(&self.near.predecessor);
        let mut others = others.filter(|other| **other != next).map(|other| other.wire());
        let theirs = state.view.as_ref();
        let ours = others.any(|other| theirs.is_some_and(|view| view.members.contains(&other)));
        if self.near.confirmed && !ours {
            self.notify(now, next);
            self.lose_successor(now, next);
        } else {
            self.be_nowhere();
            self.join_anew(now, vec![next.address]);
        }
    }
}
