//! The young ring: too few members for the lists, so everybody lists everybody and one member leads.
//!
//! Invariant: every live member lists every live member. A newcomer is told that it is one after all others list it;
//! whoever is dead or has left is taken off afterwards; and one change is finished before the next begins.

use super::answer::busy;
use super::asks::{Purpose, Reply};
use super::member::Member;
use super::node::{Operation, RingEvent, RingNode, Standing};
use crate::id::RequestNumber;
use crate::proto::refusal;
use crate::time::Instant;
use crate::wire::{List, Message, Refusal, RingMembers, RingView};

/// Everybody, as of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) version: u64,
    /// By seniority; the first leads.
    pub(super) members: Vec<Member>,
    /// Those that this node has found dead.
    pub(super) gone: Vec<Member>,
}

/// The way from one view to the next.
#[derive(Debug)]
pub(super) struct Change {
    next: View,
    grown: bool,
    /// Who has not heard of it.
    waiting: Vec<Member>,
    /// The newcomer, who is told last.
    last: Option<Member>,
    gone: Vec<Member>,
    /// Somebody's ring is not young.
    refused: bool,
}

/// Finding out what the others know, before leading them.
#[derive(Debug)]
pub(super) struct Takeover {
    best: View,
    waiting: Vec<Member>,
    gone: Vec<Member>,
    grown: bool,
}

impl View {
    pub(super) fn of_founder(me: Member) -> Self {
        Self {
            version: 1,
            members: vec![me],
            gone: Vec::new(),
        }
    }

    pub(super) fn wire(&self, grown: bool) -> RingView {
        RingView {
            version: self.version,
            grown,
            members: List::first_of(self.members.iter().map(|member| member.wire())),
        }
    }

    /// The most senior member.
    pub(super) fn first(&self) -> Option<Member> {
        self.members.first().copied()
    }

    /// The most senior member not known to be dead.
    fn leader(&self) -> Option<Member> {
        self.members
            .iter()
            .find(|member| !self.gone.contains(member))
            .copied()
    }
}

impl RingNode {
    fn view_of(&self, view: &RingView) -> View {
        let space = self.settings.space;
        View {
            version: view.version,
            members: view
                .members
                .iter()
                .map(|member| Member::of(space, member))
                .collect(),
            gone: Vec::new(),
        }
    }

    /// Lists everybody in a view.
    pub(super) fn take_view(&mut self, now: Instant, view: View) {
        let me = self.near.me;
        let mut others: Vec<Member> = view
            .members
            .iter()
            .filter(|member| **member != me)
            .copied()
            .collect();
        others.sort_by_key(|member| self.settings.space.distance(me.id, member.id));
        self.near.predecessor = others.last().copied();
        self.near.confirmed = true;
        for other in &others {
            self.remember(other.address);
        }
        match others.split_first() {
            Some((first, rest)) => self
                .near
                .adopt(self.settings.successors, *first, rest.iter().copied()),
            None => self.near.forget_successors(),
        }
        self.view = Some(Box::new(view));
        if self.standing == Standing::Young {
            return;
        }
        if !self.is_member() {
            self.audit_at = Some(now.after(self.about_audit()));
            self.event(RingEvent::Joined);
        }
        self.standing = Standing::Young;
        let pause = self.about(self.settings.stabilize);
        self.settle_at = Some(now.after(pause));
    }

    /// The ring has as many members as lists and one more: it is young no longer.
    fn grow_up(&mut self, now: Instant) {
        self.stop_operation();
        self.view = None;
        self.standing = Standing::In;
        self.grown_at = now;
        self.settle_at = Some(now);
        let pause = self.about(self.settings.stabilize);
        self.finger_at = Some(now.after(pause));
    }

    pub(super) fn answer_young_join(
        &mut self,
        now: Instant,
        request: RequestNumber,
        newcomer: Member,
    ) -> Message {
        let Some(view) = &self.view else {
            return busy(request);
        };
        match view.leader() {
            Some(leader) if leader != self.near.me => return self.redirect(request, leader),
            _ if self.is_busy() || self.leaving.is_some() => return busy(request),
            _ if view.gone.contains(&newcomer) => return busy(request),
            _ if view.members.contains(&newcomer) => {
                // It has not heard that it is a member already.
                if !self.asks.waits_for(newcomer, Purpose::Word) {
                    let view = view.wire(false);
                    self.tell_members(now, newcomer, Purpose::Word, view);
                }
                return self.ack(request);
            }
            _ => {}
        }
        let same = view.members.iter().find(|member| member.id == newcomer.id);
        if let Some(same) = same.copied() {
            if same.address == newcomer.address {
                // Whoever asks from there is perhaps no member any more.
                self.watch_one(now, same);
            }
            return self.id_taken(request, newcomer, same);
        }
        if let Some(refused) = self.host_is_full(request, newcomer) {
            return refused;
        }
        let mut next = view.as_ref().clone();
        next.members.push(newcomer);
        self.begin_change(now, next, Some(newcomer), false);
        self.ack(request)
    }

    /// Tells a node who is in the ring.
    fn tell_members(&mut self, now: Instant, to: Member, purpose: Purpose, view: RingView) {
        let sender = self.near.me.wire();
        self.ask(now, to, purpose, |request, ring| {
            RingMembers {
                request,
                ring,
                sender,
                view,
            }
            .into()
        });
    }

    /// Leads everybody to the next view; `last` comes with it.
    pub(super) fn begin_change(&mut self, now: Instant, mut next: View, last: Option<Member>, grown: bool) {
        next.version = next.version.saturating_add(1);
        let me = self.near.me;
        let others = next
            .members
            .iter()
            .filter(|member| **member != me && Some(**member) != last);
        let waiting: Vec<Member> = others.copied().collect();
        let change = Change {
            next,
            grown,
            waiting: waiting.clone(),
            last,
            gone: Vec::new(),
            refused: false,
        };
        for to in waiting {
            self.ask_change(now, &change, to);
        }
        self.change_on(now, change);
    }

    fn ask_change(&mut self, now: Instant, change: &Change, to: Member) {
        let view = change.next.wire(change.grown);
        self.tell_members(now, to, Purpose::Operation, view);
    }

    fn change_on(&mut self, now: Instant, mut change: Change) {
        if !change.waiting.is_empty() {
            self.open = Some(Box::new(Operation::Change(change)));
            return;
        }
        if change.refused && !change.grown {
            let mut next = change.next;
            next.members.retain(|member| Some(*member) != change.last);
            self.begin_change(now, next, None, true);
            return;
        }
        if let Some(last) = change.last.take() {
            self.take_view(now, change.next.clone());
            self.ask_change(now, &change, last);
            change.waiting.push(last);
            self.open = Some(Box::new(Operation::Change(change)));
            return;
        }
        let Change {
            mut next,
            grown,
            gone,
            ..
        } = change;
        next.gone = gone;
        self.take_view(now, next);
        if grown {
            self.grow_up(now);
        }
    }

    pub(super) fn change_replied(&mut self, now: Instant, mut change: Change, to: Member, reply: &Reply<'_>) {
        change.waiting.retain(|member| *member != to);
        match reply {
            Reply::Gone if change.next.members.contains(&to) => change.gone.push(to),
            Reply::Refused(Refusal::RingBusy, _) => change.refused = true,
            // It knows a later view: this node was given up meanwhile.
            Reply::Refused(Refusal::StaleNumber, _) => {
                self.join_others(now);
                return;
            }
            _ => {}
        }
        self.change_on(now, change);
    }

    /// With no change under way, the one that leads begins the next that is due.
    pub(super) fn lead_on(&mut self, now: Instant) {
        let Some(view) = &self.view else {
            return;
        };
        if view.leader() != Some(self.near.me) {
            return;
        }
        let mut next = view.as_ref().clone();
        if view.members.first() != Some(&self.near.me) {
            self.take_over(now, next);
        } else if !view.gone.is_empty() {
            next.members.retain(|member| !view.gone.contains(member));
            next.gone.clear();
            self.begin_change(now, next, None, false);
        } else if view.members.len() > self.settings.successors {
            self.begin_change(now, next, None, true);
        }
    }

    /// A member of a young ring looks whether the leader is there, and the leader whether all are.
    pub(super) fn watch(&mut self, now: Instant) {
        let Some(view) = &self.view else {
            return;
        };
        let me = self.near.me;
        let watched: Vec<Member> = match view.leader() {
            // A newcomer may be listed, and not know yet that it is a member.
            Some(leader) if leader == me && self.is_busy() => Vec::new(),
            Some(leader) if leader == me => view
                .members
                .iter()
                .filter(|member| **member != me)
                .copied()
                .collect(),
            leader => leader.into_iter().collect(),
        };
        for member in watched {
            self.watch_one(now, member);
        }
    }

    /// Looks whether a member of a young ring is still there.
    pub(super) fn watch_one(&mut self, now: Instant, member: Member) {
        let view = self.view.as_ref();
        if view.is_some_and(|view| view.members.contains(&member))
            && !self.asks.waits_for(member, Purpose::Watch)
        {
            self.ask_state(now, member, Purpose::Watch);
        }
    }

    pub(super) fn watch_replied(&mut self, now: Instant, to: Member, reply: &Reply<'_>) {
        match reply {
            Reply::Gone => self.note_gone(now, to),
            Reply::Answer(Message::RingState(state)) => {
                let Some(view) = &self.view else {
                    return;
                };
                let theirs = state.view.as_ref().map(|view| self.view_of(view));
                match theirs {
                    // They went on without us.
                    Some(theirs)
                        if theirs.version > view.version && !theirs.members.contains(&self.near.me) =>
                    {
                        self.join_others(now);
                    }
                    // It is grown, and so are we.
                    None => self.grow_up(now),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    pub(super) fn note_gone(&mut self, now: Instant, member: Member) {
        if let Some(view) = &mut self.view
            && view.members.contains(&member)
            && !view.gone.contains(&member)
        {
            view.gone.push(member);
            if self.open.is_none() {
                self.lead_on(now);
            }
        }
    }

    fn take_over(&mut self, now: Instant, mut best: View) {
        let me = self.near.me;
        let gone = core::mem::take(&mut best.gone);
        let others = best
            .members
            .iter()
            .filter(|member| **member != me && !gone.contains(member));
        let waiting: Vec<Member> = others.copied().collect();
        for member in &waiting {
            self.ask_state(now, *member, Purpose::Patience);
        }
        self.takeover_on(
            now,
            Takeover {
                best,
                waiting,
                gone,
                grown: false,
            },
        );
    }

    pub(super) fn takeover_replied(
        &mut self,
        now: Instant,
        mut takeover: Takeover,
        to: Member,
        reply: &Reply<'_>,
    ) {
        takeover.waiting.retain(|member| *member != to);
        match reply {
            Reply::Gone => takeover.gone.push(to),
            Reply::Answer(Message::RingState(state)) => match &state.view {
                Some(view) if view.version > takeover.best.version => takeover.best = self.view_of(view),
                Some(_) => {}
                None => takeover.grown = true,
            },
            // It is changing something: ask again.
            Reply::Refused(..) | Reply::Answer(_) => {
                takeover.waiting.push(to);
                self.ask_state(now, to, Purpose::Patience);
            }
        }
        self.takeover_on(now, takeover);
    }

    fn takeover_on(&mut self, now: Instant, takeover: Takeover) {
        if !takeover.waiting.is_empty() {
            self.open = Some(Box::new(Operation::Takeover(takeover)));
            return;
        }
        if takeover.grown {
            self.grow_up(now);
            return;
        }
        let (me, mut next) = (self.near.me, takeover.best);
        if !next.members.contains(&me) {
            self.join_others(now);
            return;
        }
        next.members
            .retain(|member| *member != me && !takeover.gone.contains(member));
        next.members.insert(0, me);
        self.begin_change(now, next, None, false);
    }

    /// The leader of a young ring tells who is in it.
    pub(super) fn answer_members(&mut self, now: Instant, members: &RingMembers) -> Message {
        let request = members.request;
        let sender = Member::of(self.settings.space, &members.sender);
        let view = self.view_of(&members.view);
        let in_it = view.members.contains(&self.near.me);
        match self.standing {
            Standing::Out => refusal(request, Refusal::NotMember, "this node is in no ring"),
            Standing::In => self.answer_shrink(now, request, sender, view, members.view.grown),
            Standing::Joining if in_it && view.members.contains(&sender) && self.may_be_taken_in() => {
                self.open = None;
                self.take_view(now, view);
                self.ack(request)
            }
            Standing::Joining => refusal(request, Refusal::NotMember, "this node is on its way into a ring"),
            Standing::Young => self.answer_next_view(now, request, sender, view, members.view.grown),
        }
    }

    fn answer_next_view(
        &mut self,
        now: Instant,
        request: RequestNumber,
        sender: Member,
        view: View,
        grown: bool,
    ) -> Message {
        let Some(ours) = &self.view else {
            return busy(request);
        };
        if view.version < ours.version || view.version == ours.version && view.members == ours.members {
            return self.ack(request);
        }
        if !ours.members.contains(&sender) {
            return refusal(request, Refusal::NotMember, "the sender is not in this ring");
        }
        if view.version == ours.version {
            return refusal(
                request,
                Refusal::StaleNumber,
                "a later view of this ring is known",
            );
        }
        let ack = self.ack(request);
        if !view.members.contains(&self.near.me) {
            self.join_others(now);
            return ack;
        }
        self.stop_operation();
        self.take_view(now, view);
        if grown {
            self.grow_up(now);
        }
        ack
    }
}
