//! Joining: from contact to contact until a member says that the place behind it is ours, or takes us into a young ring.
//!
//! Invariant: the list of a newcomer is the whole list of the member before it, as that member has just told it, and
//! that member said so only because nobody it knows of is between.

use super::asks::{Purpose, Reply};
use super::lookup::{Aim, LookupFault};
use super::member::Member;
use super::node::{Operation, RingEvent, RingNode, Standing};
use super::young::View;
use crate::limits::{REJOIN_WAIT, RING_BUSY_WAIT, RING_JOIN_WAIT, RING_STEPS_MAX};
use crate::ring::{NodeAddress, between};
use crate::time::{Instant, Span};
use crate::wire::{Message, Refusal, RingJoin, RingState};

/// A node on its way in.
#[derive(Debug)]
pub(super) struct Joining {
    contacts: Vec<NodeAddress>,
    /// Whom to ask, the next one last.
    hints: Vec<Member>,
    steps: u32,
    /// Nothing is asked before this.
    wait: Option<Instant>,
    told_nobody: bool,
    /// It has said that it is no member, and who asked may have struck it off a list: it may not become one by what was
    /// sent before.
    denied: bool,
}

impl RingNode {
    /// The first of a new ring.
    pub(super) fn found(&mut self, now: Instant) {
        if self.standing != Standing::Out {
            return;
        }
        let me = self.near.me;
        self.take_view(now, View::of_founder(me));
    }

    pub(super) fn join(&mut self, now: Instant, contacts: &[NodeAddress]) {
        if self.standing != Standing::Out {
            return;
        }
        for contact in contacts {
            self.remember(*contact);
        }
        self.begin_join(now, contacts.to_vec());
    }

    /// Its ring went on without it: it joins anew, as another.
    pub(super) fn join_others(&mut self, now: Instant) {
        let known = self
            .near
            .predecessor
            .into_iter()
            .chain(self.near.hints().iter().copied());
        let known = known.map(|member| member.address);
        let contacts: Vec<NodeAddress> = known.chain(self.contacts.iter().copied()).collect();
        self.be_nowhere();
        self.begin_join(now, contacts);
    }

    /// Somebody asked whether this node is a member, which it is not yet.
    pub(super) fn deny(&mut self) {
        if let Some(Operation::Join(joining)) = self.open.as_deref_mut() {
            joining.denied = true;
        }
    }

    pub(super) fn may_be_taken_in(&self) -> bool {
        self.open_join().is_some_and(|joining| !joining.denied)
    }

    /// By these, or whoever else is remembered.
    pub(super) fn join_anew(&mut self, now: Instant, mut contacts: Vec<NodeAddress>) {
        contacts.extend(self.contacts.iter().copied());
        self.begin_join(now, contacts);
    }

    fn begin_join(&mut self, now: Instant, contacts: Vec<NodeAddress>) {
        self.standing = Standing::Joining;
        let joining = Joining {
            hints: self.hints_of(&contacts),
            contacts,
            steps: 0,
            wait: None,
            told_nobody: false,
            denied: false,
        };
        self.join_on(now, joining);
    }

    fn hints_of(&self, contacts: &[NodeAddress]) -> Vec<Member> {
        let space = self.settings.space;
        let members = contacts.iter().map(|contact| Member::at(space, *contact));
        members.rev().collect()
    }

    pub(super) fn open_join(&self) -> Option<&Joining> {
        match self.open.as_deref() {
            Some(Operation::Join(joining)) => Some(joining),
            _ => None,
        }
    }

    pub(super) fn join_deadline(&self) -> Option<Instant> {
        self.open_join()?.wait
    }

    pub(super) fn join_timeout(&mut self, now: Instant) {
        if self.join_deadline().is_none_or(|at| at > now) {
            return;
        }
        if let Some(Operation::Join(mut joining)) = self.open.take().map(|open| *open) {
            joining.wait = None;
            joining.steps = 0;
            joining.denied = false;
            joining.hints = self.hints_of(&joining.contacts);
            self.join_on(now, joining);
        }
    }

    fn join_on(&mut self, now: Instant, mut joining: Joining) {
        joining.steps += 1;
        let me = self.near.me;
        let next = core::iter::from_fn(|| joining.hints.pop()).find(|hint| hint.address != me.address);
        match next.filter(|_| joining.steps <= RING_STEPS_MAX) {
            Some(to) => {
                let sender = me.wire();
                self.ask(now, to, Purpose::Operation, |request, ring| {
                    RingJoin {
                        request,
                        ring,
                        sender,
                    }
                    .into()
                });
            }
            None => {
                if !joining.told_nobody {
                    joining.told_nobody = true;
                    self.event(RingEvent::NobodyThere);
                }
                joining.wait = Some(now.after(REJOIN_WAIT));
            }
        }
        self.open = Some(Box::new(Operation::Join(joining)));
    }

    pub(super) fn join_replied(&mut self, now: Instant, mut joining: Joining, reply: &Reply<'_>) {
        let space = self.settings.space;
        match reply {
            Reply::Answer(Message::RingState(state)) => {
                let before = Member::of(space, &state.node);
                if self.take_place(now, before, state) {
                    return;
                }
            }
            Reply::Answer(Message::RingHops(hops)) => {
                let from = Member::of(space, &hops.node);
                self.remember(from.address);
                let nodes = hops.nodes.iter().map(|node| Member::of(space, node));
                joining
                    .hints
                    .extend(nodes.rev().filter(|node| node.id != from.id));
            }
            // A young ring takes us in: its leader tells us when it has.
            Reply::Answer(Message::RingAck(_)) => {
                joining.wait = Some(now.after(RING_JOIN_WAIT));
                self.open = Some(Box::new(Operation::Join(joining)));
                return;
            }
            Reply::Refused(Refusal::RingBusy, _) => {
                joining.wait = Some(now.after(Span(RING_BUSY_WAIT.0 + self.rng.below(RING_BUSY_WAIT.0))));
                self.open = Some(Box::new(Operation::Join(joining)));
                return;
            }
            Reply::Refused(code, text) => {
                self.event(RingEvent::Refused(*code, (*text).to_owned()));
                self.be_nowhere();
                return;
            }
            Reply::Gone | Reply::Answer(_) => {}
        }
        self.join_on(now, joining);
    }

    /// Becomes a member behind `before`, if that is the place.
    fn take_place(&mut self, now: Instant, before: Member, state: &RingState) -> bool {
        let space = self.settings.space;
        let list: Vec<Member> = state
            .successors
            .iter()
            .map(|member| Member::of(space, member))
            .collect();
        let Some(first) = list.first().copied() else {
            return false;
        };
        if !between(before.id, self.near.me.id, first.id) {
            return false;
        }
        self.near
            .adopt(self.settings.successors, first, list.into_iter().skip(1));
        self.near.predecessor = Some(before);
        self.standing = Standing::In;
        self.grown_at = now;
        self.settle_at = Some(now);
        self.finger_at = Some(now);
        self.audit_at = Some(now.after(self.about_audit()));
        self.remember(before.address);
        self.event(RingEvent::Joined);
        true
    }

    /// In no ring, and another from now on.
    pub(super) fn be_nowhere(&mut self) {
        self.standing = Standing::Out;
        self.open = None;
        self.view = None;
        self.notified.clear();
        self.givers.clear();
        self.near.clear();
        self.near.me.incarnation = self.rng.next_u64().max(1);
        self.asks.clear();
        if let Some(custody) = &mut self.custody {
            custody.drift();
        }
        let lookups = core::mem::take(&mut self.lookups);
        for lookup in lookups.into_values() {
            self.lookup_failed(lookup.aim(), LookupFault::NotMember);
        }
        for number in self.commands_open() {
            self.lookup_failed(&Aim::Command(number), LookupFault::NotMember);
        }
        self.settle_at = None;
        self.finger_at = None;
        self.audit_at = None;
        self.leaving = None;
    }
}
