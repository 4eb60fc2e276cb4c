//! Repair: a member whose whole list is dead, which the protocol presumes not to happen, looks for the next that is alive.
//!
//! It stays a member meanwhile, or those that list it would lose their lists in turn. It asks those it knows of, the
//! nearest after it first, and goes back from the first that answers, from predecessor to predecessor, until the next one is
//! gone. If nobody at all is there it is alone, the first of a young ring.

use super::asks::{Purpose, Reply};
use super::member::Member;
use super::node::{Operation, RingEvent, RingNode};
use super::young::View;
use crate::limits::RING_STEPS_MAX;
use crate::ring::between;
use crate::time::Instant;
use crate::wire::{Message, RingState};

/// Who may be next.
#[derive(Debug)]
pub(super) struct Repair {
    /// Whom to ask, the nearest last.
    known: Vec<Member>,
    /// The nearest that answered, and what it said.
    best: Option<(Member, RingState)>,
    steps: u32,
}

impl RingNode {
    pub(super) fn repair(&mut self, now: Instant) {
        self.event(RingEvent::Lost);
        let (space, me) = (self.settings.space, self.near.me);
        let contacts = self.contacts.iter().map(|contact| Member::at(space, *contact));
        let near = self.near.hints().iter().chain(&self.near.predecessor).copied();
        let mut known: Vec<Member> = near.chain(contacts).filter(|member| member.id != me.id).collect();
        known.sort_by_cached_key(|member| core::cmp::Reverse(space.distance(me.id, member.id)));
        known.dedup_by_key(|member| member.id);
        self.repair_on(
            now,
            Repair {
                known,
                best: None,
                steps: 0,
            },
        );
    }

    fn repair_on(&mut self, now: Instant, mut repair: Repair) {
        repair.steps += 1;
        let me = self.near.me;
        let to = match &repair.best {
            Some((best, state)) => {
                let before = state
                    .predecessor
                    .map(|before| Member::of(self.settings.space, &before));
                before.filter(|before| between(me.id, before.id, best.id))
            }
            None => repair.known.pop(),
        };
        match to.filter(|_| repair.steps <= RING_STEPS_MAX) {
            Some(to) => {
                self.open = Some(Box::new(Operation::Repair(repair)));
                self.ask_state(now, to, Purpose::Operation);
            }
            None => self.repaired(now, repair),
        }
    }

    pub(super) fn repair_replied(&mut self, now: Instant, mut repair: Repair, reply: &Reply<'_>) {
        match reply {
            Reply::Answer(Message::RingState(state)) if !self.is_left_out(state) => {
                let member = Member::of(self.settings.space, &state.node);
                repair.best = Some((member, state.clone()));
                self.repair_on(now, repair);
            }
            // Nobody is between this node and the one that answered last.
            _ if repair.best.is_some() => self.repaired(now, repair),
            _ => self.repair_on(now, repair),
        }
    }

    fn repaired(&mut self, now: Instant, repair: Repair) {
        match repair.best {
            Some((next, state)) => {
                self.take_list(next, &state);
                self.notify(now, next);
            }
            None => {
                let me = self.near.me;
                self.near.clear();
                self.take_view(now, View::of_founder(me));
            }
        }
    }
}
