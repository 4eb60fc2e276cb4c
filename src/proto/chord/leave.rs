//! Leaving: what is kept here goes to others first, then the neighbours are told.

use super::asks::Purpose;
use super::member::Member;
use super::node::{RingEvent, RingNode, Standing};
use crate::limits::RING_LEAVE_WAIT;
use crate::time::Instant;
use crate::wire::{RingLeave, RingMember};

impl RingNode {
    pub(super) fn leave(&mut self, now: Instant) {
        match self.standing {
            Standing::Out => self.event(RingEvent::Left),
            Standing::Joining => self.now_out(),
            Standing::Young | Standing::In if self.leaving.is_some() => {}
            Standing::Young | Standing::In => {
                self.leaving = Some(now.after(RING_LEAVE_WAIT));
                self.bequeath(now);
                if !self.owes() {
                    self.depart(now);
                }
            }
        }
    }

    /// Nothing is kept here that others do not have: it goes.
    pub(super) fn depart(&mut self, now: Instant) {
        let sender = self.near.me.wire();
        let told: Vec<Member> = if self.standing == Standing::Young {
            self.near.successors().to_vec()
        } else {
            self.near
                .predecessor
                .into_iter()
                .chain(self.near.successor())
                .collect()
        };
        self.now_out();
        self.say_goodbye(now, &told, sender);
    }

    /// Whoever is told looks, and finds no member here, or another than `sender`, which this node was.
    pub(super) fn say_goodbye(&mut self, now: Instant, told: &[Member], sender: RingMember) {
        for member in told {
            self.ask(now, *member, Purpose::Word, |request, ring| {
                RingLeave {
                    request,
                    ring,
                    sender,
                }
                .into()
            });
        }
    }

    pub(super) fn now_out(&mut self) {
        self.be_nowhere();
        self.custody = None;
        self.event(RingEvent::Left);
    }
}
