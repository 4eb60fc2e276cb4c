//! Stabilizing and rectifying: how a member finds its place and keeps it (Zave 2017).
//!
//! Invariant: nobody is taken into the list or as predecessor who was not asked, after it was named; and what is
//! written down is exactly what the node that was asked said, under the node itself.

use super::asks::{Purpose, Reply};
use super::member::Member;
use super::node::{Operation, RingNode, Standing};
use crate::limits::{RING_BUSY_WAIT, RING_NOTIFIED_MAX};
use crate::ring::between;
use crate::time::{Instant, Span};
use crate::wire::{Message, RingAsk, RingNotify, RingState};

impl RingNode {
    /// The time has come to look at the successor, or in a young ring at whoever leads.
    pub(super) fn settle(&mut self, now: Instant) {
        let pause = self.about(self.settings.stabilize);
        self.settle_at = Some(now.after(pause));
        self.try_again();
        match self.standing {
            Standing::Young => self.watch(now),
            Standing::In if self.open.is_none() => {
                if !self.shrink(now) {
                    self.stabilize(now);
                }
            }
            // One operation at a time: this one is next.
            Standing::In => self.settle_soon(now),
            Standing::Out | Standing::Joining => self.settle_at = None,
        }
    }

    /// Sooner than usual, and at no foreseeable moment: nodes that find each other busy would do so again and again.
    fn settle_soon(&mut self, now: Instant) {
        let pause = Span(RING_BUSY_WAIT.0 + self.rng.below(self.settings.stabilize.0));
        self.settle_at = Some(now.after(pause));
    }

    fn stabilize(&mut self, now: Instant) {
        let Some(next) = self.near.successor() else {
            self.repair(now);
            return;
        };
        self.open = Some(Box::new(Operation::AskSuccessor(next)));
        self.ask_state(now, next, Purpose::Operation);
    }

    pub(super) fn ask_state(&mut self, now: Instant, to: Member, purpose: Purpose) {
        self.ask(now, to, purpose, |request, ring| RingAsk { request, ring }.into());
    }

    /// The list becomes a node and what that node lists.
    pub(super) fn take_list(&mut self, first: Member, state: &RingState) {
        let space = self.settings.space;
        let rest: Vec<Member> = state
            .successors
            .iter()
            .map(|member| Member::of(space, member))
            .collect();
        self.near.adopt(self.settings.successors, first, rest);
        self.remember(first.address);
    }

    pub(super) fn successor_replied(&mut self, now: Instant, next: Member, reply: &Reply<'_>) {
        match reply {
            Reply::Answer(Message::RingState(state)) if self.is_left_out(state) => {
                self.left_out(now, next, state);
            }
            Reply::Answer(Message::RingState(state)) => {
                let next = Member::of(self.settings.space, &state.node);
                self.take_list(next, state);
                let before = state
                    .predecessor
                    .map(|member| Member::of(self.settings.space, &member))
                    .filter(|member| between(self.near.me.id, member.id, next.id));
                if let Some(before) = before {
                    self.open = Some(Box::new(Operation::AskBetween(next, before)));
                    self.ask_state(now, before, Purpose::Operation);
                } else {
                    self.notify(now, next);
                }
            }
            Reply::Gone => self.lose_successor(now, next),
            // It is busy itself, or confused: nothing has happened.
            Reply::Refused(..) | Reply::Answer(_) => self.settle_soon(now),
        }
    }

    pub(super) fn lose_successor(&mut self, now: Instant, next: Member) {
        self.near.drop_successor(next);
        match self.near.successor() {
            Some(next) => self.notify(now, next),
            None => self.repair(now),
        }
    }

    pub(super) fn between_replied(&mut self, now: Instant, next: Member, before: Member, reply: &Reply<'_>) {
        match reply {
            Reply::Answer(Message::RingState(state)) if !self.is_left_out(state) => {
                self.take_list(before, state);
                self.notify(now, before);
            }
            Reply::Refused(..) => {
                self.settle_soon(now);
                self.notify(now, next);
            }
            Reply::Gone | Reply::Answer(_) => self.notify(now, next),
        }
    }

    pub(super) fn notify(&mut self, now: Instant, next: Member) {
        let sender = self.near.me.wire();
        self.ask(now, next, Purpose::Word, |request, ring| {
            RingNotify {
                request,
                ring,
                sender,
            }
            .into()
        });
    }

    /// A node says that it comes before this one. False if there is no room to note it.
    pub(super) fn note_notify(&mut self, now: Instant, notifier: Member) -> bool {
        self.remember(notifier.address);
        if self.near.predecessor == Some(notifier) {
            self.near.confirmed = true;
            return true;
        }
        if self.notified.contains(&notifier) {
            return true;
        }
        if self.open.is_none() && self.standing == Standing::In {
            self.rectify(now, notifier);
            return true;
        }
        let room = self.notified.len() < RING_NOTIFIED_MAX;
        if room {
            self.notified.push_back(notifier);
        }
        room
    }

    pub(super) fn rectify(&mut self, now: Instant, notifier: Member) {
        let me = self.near.me.id;
        match self.near.predecessor {
            _ if notifier.id == me => {}
            Some(before) if before == notifier => {}
            Some(before) if !between(before.id, notifier.id, me) => {
                self.open = Some(Box::new(Operation::ProbePredecessor(before, notifier)));
                self.ping(now, before, Purpose::Operation);
            }
            _ => self.probe_notifier(now, notifier),
        }
    }

    fn probe_notifier(&mut self, now: Instant, notifier: Member) {
        self.open = Some(Box::new(Operation::ProbeNotifier(notifier)));
        self.ping(now, notifier, Purpose::Operation);
    }

    pub(super) fn predecessor_replied(
        &mut self,
        now: Instant,
        before: Member,
        notifier: Member,
        reply: &Reply<'_>,
    ) {
        if matches!(reply, Reply::Gone) && self.near.predecessor == Some(before) {
            self.probe_notifier(now, notifier);
        }
    }

    pub(super) fn notifier_replied(&mut self, notifier: Member, reply: &Reply<'_>) {
        let room = self.near.of_host(notifier) < self.settings.ids_per_host;
        if matches!(reply, Reply::Answer(_)) && room {
            self.near.predecessor = Some(notifier);
            self.near.confirmed = true;
        }
    }
}
