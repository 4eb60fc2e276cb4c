//! Lookups: from node to node, the asker asking each in turn, until the owner itself says that it is.
//!
//! Invariant: an owner is named only if a node before the key lists it first of those that are not gone, and if it says
//! so itself, or the one node it would yield to is gone. So a lookup may fail, and never passes over a principal.
//! Every step leads nearer to the key or is passed over, and their number is bounded.

use super::asks::{Purpose, Reply};
use super::member::Member;
use super::node::{CommandNumber, RingEvent, RingNode, Standing};
use super::records::RecordKey;
use crate::limits::{RING_HINTS_MAX, RING_LOOKUPS_MAX, RING_STEPS_MAX, RING_WALK_MAX};
use crate::ring::{NodeAddress, RingId, between};
use crate::time::Instant;
use crate::wire::{Message, Refusal, RingHops, RingStep, RingVerdict};
use core::fmt;
use std::collections::BTreeSet;

/// The owner of a key, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The key.
    pub key: RingId,
    /// The owner.
    pub owner: Member,
    /// The nodes after it.
    pub next: Vec<Member>,
    /// Other nodes that were asked on the way to the last one before the key. That the owner itself was asked is not counted.
    pub hops: u32,
    /// Nodes that were asked and gone.
    pub timeouts: u32,
}

impl Owner {
    /// The nodes that are to keep what belongs to the key: the owner and those after it, `replicas` in all.
    pub fn keepers(&self, replicas: usize) -> Vec<Member> {
        let mut keepers = vec![self.owner];
        for next in &self.next {
            if !keepers.iter().any(|keeper| keeper.id == next.id) {
                keepers.push(*next);
            }
        }
        keepers.truncate(replicas);
        keepers
    }
}

/// Why a lookup failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupFault {
    /// This node is in no ring and was given no other to ask.
    NotMember,
    /// Everybody who could be asked is gone.
    NobodyLeft,
    /// It took too many steps.
    TooLong,
    /// Too many lookups are open.
    TooMany,
    /// The owner was busy whenever it was asked.
    Busy,
    /// The owner would not keep the record.
    Refused(Refusal),
}

impl fmt::Display for LookupFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMember => f.write_str("this node is in no ring: join one, or name a node that is in it"),
            Self::NobodyLeft => f.write_str("everybody who could be asked is gone: try again in a moment"),
            Self::TooLong => f.write_str("it took more steps than a lookup may"),
            Self::TooMany => f.write_str("too many lookups are open at this node"),
            Self::Busy => f.write_str("the owner is changing its place in the ring: try again in a moment"),
            Self::Refused(code) => write!(f, "the owner would not keep the record ({})", code.code()),
        }
    }
}

/// What a lookup is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    Command(CommandNumber),
    Finger(u16),
    Publish(CommandNumber),
    Fetch(CommandNumber),
    /// Records kept here, for their owner.
    Audit(Box<RecordKey>),
    /// This node's own id, by way of another.
    Mirror,
}

/// What to do next.
#[derive(Clone, Debug)]
enum Hint {
    /// Ask a node before the key.
    Ask(Member),
    /// Everybody that a node lists before the key has been tried: the owner is the first after it that is there.
    Claims(Vec<Member>),
}

#[derive(Debug)]
pub(super) struct Lookup {
    key: RingId,
    aim: Aim,
    /// Whom to ask, the next one last.
    hints: Vec<Hint>,
    /// Who was asked the way already.
    asked: BTreeSet<RingId>,
    /// Who may be the owner, the next one last; once there are any, hints are for when all of them are gone.
    claims: Vec<Member>,
    gone: Vec<Member>,
    /// An owner that would yield to the node that is asked now.
    yields: Option<(Member, Vec<Member>)>,
    confirming: bool,
    hops: u32,
    timeouts: u32,
    steps: u32,
}

impl RingNode {
    pub(super) fn look_up(
        &mut self,
        now: Instant,
        number: CommandNumber,
        key: RingId,
        via: Option<NodeAddress>,
    ) {
        self.begin_lookup(now, key, Aim::Command(number), via);
    }

    pub(super) fn begin_lookup(&mut self, now: Instant, key: RingId, aim: Aim, via: Option<NodeAddress>) {
        let mut lookup = Lookup {
            key,
            aim,
            hints: Vec::new(),
            asked: BTreeSet::new(),
            claims: Vec::new(),
            gone: Vec::new(),
            yields: None,
            confirming: false,
            hops: 0,
            timeouts: 0,
            steps: 0,
        };
        let fault = match via {
            _ if self.lookups.len() >= RING_LOOKUPS_MAX => Some(LookupFault::TooMany),
            Some(contact) => {
                lookup
                    .hints
                    .push(Hint::Ask(Member::at(self.settings.space, contact)));
                None
            }
            None if !self.is_member() => Some(LookupFault::NotMember),
            None => None,
        };
        if let Some(fault) = fault {
            self.lookup_failed(&lookup.aim, fault);
            return;
        }
        if via.is_none() {
            let (verdict, nodes) = self.verdict(key);
            let me = self.near.me;
            if let Some((owner, next)) = lookup.heed(me, verdict, &nodes) {
                self.lookup_done(now, lookup, owner, next);
                return;
            }
        }
        let number = self.new_number();
        self.lookup_on(now, number, Box::new(lookup));
    }

    /// Asks the next node, if there is one.
    fn lookup_on(&mut self, now: Instant, number: u64, mut lookup: Box<Lookup>) {
        lookup.steps += 1;
        let most = if self.settings.fingers {
            RING_STEPS_MAX
        } else {
            RING_WALK_MAX
        };
        let fault = if lookup.steps > most {
            LookupFault::TooLong
        } else if let Some((to, confirm)) = lookup.next() {
            if to == self.near.me && confirm {
                let (verdict, nodes) = self.confirmation(lookup.key);
                match lookup.heed(to, verdict, &nodes) {
                    Some((owner, next)) => self.lookup_done(now, *lookup, owner, next),
                    None => self.lookup_on(now, number, lookup),
                }
                return;
            }
            lookup.confirming = confirm;
            let key = lookup.key;
            self.lookups.insert(number, lookup);
            self.ask(now, to, Purpose::Lookup(number), |request, ring| {
                RingStep {
                    request,
                    ring,
                    key,
                    confirm,
                }
                .into()
            });
            return;
        } else {
            LookupFault::NobodyLeft
        };
        self.lookup_failed(&lookup.aim, fault);
    }

    pub(super) fn lookup_replied(&mut self, now: Instant, number: u64, to: Member, reply: &Reply<'_>) {
        let Some(mut lookup) = self.lookups.remove(&number) else {
            return;
        };
        let done = match reply {
            Reply::Answer(Message::RingHops(hops)) => self.heed_hops(&mut lookup, hops),
            Reply::Gone => {
                lookup.timeouts += 1;
                lookup.gone.push(to);
                lookup.yields.take()
            }
            // It may well be the owner, so nobody else is.
            Reply::Refused(..) | Reply::Answer(_) if lookup.confirming => {
                self.lookup_failed(&lookup.aim, LookupFault::Busy);
                return;
            }
            Reply::Refused(..) | Reply::Answer(_) => None,
        };
        match done {
            Some((owner, next)) => self.lookup_done(now, *lookup, owner, next),
            None => self.lookup_on(now, number, lookup),
        }
    }

    fn heed_hops(&self, lookup: &mut Lookup, hops: &RingHops) -> Option<(Member, Vec<Member>)> {
        let space = self.settings.space;
        let from = Member::of(space, &hops.node);
        let nodes: Vec<Member> = hops.nodes.iter().map(|node| Member::of(space, node)).collect();
        if !lookup.confirming {
            lookup.hops += 1;
        }
        lookup.heed(from, hops.verdict, &nodes)
    }

    fn lookup_done(&mut self, now: Instant, lookup: Lookup, owner: Member, next: Vec<Member>) {
        let found = Owner {
            key: lookup.key,
            owner,
            next,
            hops: lookup.hops,
            timeouts: lookup.timeouts,
        };
        match lookup.aim {
            Aim::Command(number) => self.event(RingEvent::Found(number, found)),
            Aim::Finger(i) => self.near.point_finger(self.settings.space, i, owner),
            Aim::Publish(number) => self.publish_to(now, number, found),
            Aim::Fetch(number) => self.fetch_from(now, number, &found),
            Aim::Audit(key) => self.audited(now, owner, *key),
            Aim::Mirror => self.mirrored(now, owner),
        }
    }

    pub(super) fn lookup_failed(&mut self, aim: &Aim, fault: LookupFault) {
        if let Aim::Command(number) | Aim::Publish(number) | Aim::Fetch(number) = aim {
            self.publishing.remove(number);
            self.fetching.remove(number);
            self.event(RingEvent::Failed(*number, fault));
        }
    }

    /// The commands that wait for no lookup but for somebody's answer.
    pub(super) fn commands_open(&self) -> Vec<CommandNumber> {
        let numbers = self.publishing.keys().chain(self.fetching.keys());
        numbers.copied().collect()
    }

    /// Looks up one finger, the next one each time.
    pub(super) fn fix_finger(&mut self, now: Instant) {
        let pause = self.about(self.settings.stabilize);
        self.finger_at = Some(now.after(pause));
        if self.standing != Standing::In || !self.settings.fingers {
            return;
        }
        let (space, me) = (self.settings.space, self.near.me.id);
        // Those below the end of the list are in the list.
        let last = self.near.successors().last().map_or(me, |member| member.id);
        let below = space.distance(me, last).highest_bit().unwrap_or(0);
        self.next_finger = if self.next_finger > below {
            self.next_finger - 1
        } else {
            space.bits() - 1
        };
        let start = space.finger_start(me, self.next_finger);
        self.begin_lookup(now, start, Aim::Finger(self.next_finger), None);
    }
}

impl Lookup {
    pub(super) const fn aim(&self) -> &Aim {
        &self.aim
    }

    #[cfg(test)]
    pub(super) const fn hints_kept(&self) -> usize {
        self.hints.len()
    }

    /// Whom to ask now, and whether it is to confirm that the key is its own.
    fn next(&mut self) -> Option<(Member, bool)> {
        loop {
            while let Some(claim) = self.claims.pop() {
                if !self.gone.contains(&claim) {
                    return Some((claim, true));
                }
            }
            match self.hints.pop()? {
                Hint::Ask(hint) if !self.gone.contains(&hint) && self.asked.insert(hint.id) => {
                    return Some((hint, false));
                }
                Hint::Ask(_) => {}
                Hint::Claims(claims) => self.claims = claims,
            }
        }
    }

    /// Takes an answer into account; gives the owner and the nodes after it if that is settled.
    fn heed(
        &mut self,
        from: Member,
        verdict: RingVerdict,
        nodes: &[Member],
    ) -> Option<(Member, Vec<Member>)> {
        let key = self.key;
        match verdict {
            // Only who is alone says so without being asked to confirm it.
            RingVerdict::Mine => return Some((from, nodes.to_vec())),
            RingVerdict::Nearer => {
                let (nearer, after): (Vec<Member>, Vec<Member>) =
                    nodes.iter().partition(|node| between(from.id, node.id, key));
                if !after.is_empty() {
                    self.hints.push(Hint::Claims(after.into_iter().rev().collect()));
                }
                self.hints.extend(nearer.into_iter().rev().map(Hint::Ask));
            }
            RingVerdict::After => {
                let (before, after): (Vec<Member>, Vec<Member>) =
                    nodes.iter().partition(|node| between(from.id, node.id, key));
                self.hints.extend(before.into_iter().rev().map(Hint::Ask));
                self.claims = after.into_iter().rev().collect();
            }
            RingVerdict::Before => {
                let before = nodes.first().copied();
                let next = nodes.get(1..).unwrap_or_default().to_vec();
                // It yields to a node at or after the key; if that one is gone, the key is its own.
                match before.filter(|node| node.id == key || between(key, node.id, from.id)) {
                    Some(before) if !self.gone.contains(&before) => {
                        self.claims.push(from);
                        self.claims.push(before);
                        self.yields = Some((from, next));
                        return None;
                    }
                    _ => return Some((from, next)),
                }
            }
        }
        self.yields = None;
        let farthest = self.hints.len().saturating_sub(RING_HINTS_MAX);
        self.hints.drain(..farthest);
        None
    }
}
