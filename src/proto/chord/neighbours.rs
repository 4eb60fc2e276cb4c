//! Whom a node knows: the node before it, those after it, and hints of those farther away.
//!
//! Invariant: the list goes round from the node in strict order and ends before it comes to the node again; it
//! never has more than the ring's entries. Of hints there is one at most for each power of two.

use super::member::Member;
use crate::ring::{NodeAddress, RingId, RingSpace, between, between_or_end};
use std::collections::BTreeSet;

/// The neighbours of a node.
#[derive(Clone, Debug)]
pub(super) struct Neighbours {
    pub(super) me: Member,
    pub(super) predecessor: Option<Member>,
    /// The predecessor has said that this node is its successor. A newcomer to whom nobody has said so is not in the ring
    /// yet, and owns nothing.
    pub(super) confirmed: bool,
    successors: Vec<Member>,
    /// By rising distance.
    hints: Vec<Member>,
}

impl Neighbours {
    pub(super) const fn new(me: Member) -> Self {
        Self {
            me,
            predecessor: None,
            confirmed: false,
            successors: Vec::new(),
            hints: Vec::new(),
        }
    }

    pub(super) fn successors(&self) -> &[Member] {
        &self.successors
    }

    pub(super) fn successor(&self) -> Option<Member> {
        self.successors.first().copied()
    }

    pub(super) fn hints(&self) -> &[Member] {
        &self.hints
    }

    /// The list becomes `first` and what follows it, as far as that goes round in order, cut to `max`.
    pub(super) fn adopt(&mut self, max: usize, first: Member, rest: impl IntoIterator<Item = Member>) {
        let me = self.me.id;
        let mut list = Vec::with_capacity(max);
        let mut last = me;
        for member in core::iter::once(first).chain(rest).take(max) {
            if member.id == me || !between(last, member.id, me) {
                break;
            }
            last = member.id;
            list.push(member);
        }
        self.successors = list;
    }

    /// How many other nodes on a node's host this one knows, itself among them.
    pub(super) fn of_host(&self, node: Member) -> usize {
        let near = self.successors.iter().chain(&self.hints).chain(&self.predecessor);
        let known: BTreeSet<NodeAddress> = near.chain([&self.me]).map(|member| member.address).collect();
        let others = known.iter().filter(|known| **known != node.address);
        others.filter(|other| other.ip == node.address.ip).count()
    }

    pub(super) fn forget_successors(&mut self) {
        self.successors.clear();
    }

    /// Takes the successor, which is dead, off the list.
    pub(super) fn drop_successor(&mut self, dead: Member) {
        self.successors.retain(|member| *member != dead);
        self.drop_hint(dead);
    }

    /// Takes a dead node out of the hints.
    pub(super) fn drop_hint(&mut self, dead: Member) {
        self.hints.retain(|member| *member != dead);
    }

    /// Forgets everybody.
    pub(super) fn clear(&mut self) {
        self.predecessor = None;
        self.confirmed = false;
        self.successors.clear();
        self.hints.clear();
    }

    /// Takes all hints from elsewhere, by rising distance.
    pub(super) fn set_hints(&mut self, hints: Vec<Member>) {
        self.hints = hints;
    }

    /// Notes who comes first from 2^`i` on: nobody is between.
    pub(super) fn point_finger(&mut self, space: RingSpace, i: u16, found: Member) {
        let me = self.me.id;
        let start = space.finger_start(me, i);
        if found.id == me {
            self.hints
                .retain(|hint| !between_or_end(start, hint.id, me) && hint.id != start);
            return;
        }
        let bit = |member: &Member| space.distance(me, member.id).highest_bit();
        let farther = |hint: &Member| between(me, found.id, hint.id);
        self.hints.retain(|hint| {
            let skipped = hint.id == start || between(start, hint.id, found.id);
            !skipped
                && hint.id != found.id
                && (bit(hint) != bit(&found) || bit(&found) != Some(i) && !farther(hint))
        });
        if !self.hints.iter().any(|hint| bit(hint) == bit(&found)) {
            let at = self.hints.partition_point(|hint| between(me, hint.id, found.id));
            self.hints.insert(at, found);
        }
    }

    /// Where finger `i` points, as far as is known: the node itself if nobody else comes first.
    pub(super) fn finger(&self, space: RingSpace, i: u16) -> Member {
        let start = space.finger_start(self.me.id, i);
        let known = self.successors.iter().chain(&self.hints).chain(&self.predecessor);
        let after = known.filter(|member| member.id == start || between(start, member.id, self.me.id));
        after
            .min_by_key(|member| space.distance(start, member.id))
            .copied()
            .unwrap_or(self.me)
    }

    /// Those known that lie before `key`, the nearest to it first.
    pub(super) fn before(&self, space: RingSpace, key: RingId) -> Vec<Member> {
        let known = self.hints.iter().chain(&self.successors);
        let mut before: Vec<Member> = known
            .filter(|member| between(self.me.id, member.id, key))
            .copied()
            .collect();
        before.sort_by_cached_key(|member| space.distance(member.id, key));
        before.dedup();
        before
    }

    /// True if `key` is between the node before this one and this one.
    pub(super) fn owns(&self, key: RingId) -> bool {
        match self.predecessor {
            Some(before) => self.confirmed && between_or_end(before.id, key, self.me.id),
            None => self.successors.is_empty(),
        }
    }

    /// True if `key` is between this node and the next.
    pub(super) fn precedes(&self, key: RingId) -> bool {
        self.successor()
            .is_some_and(|next| between_or_end(self.me.id, key, next.id))
    }
}
