//! Questions under way to other nodes: asked again when the answer is late, given up in the end.
//!
//! Invariant: of every question there is exactly one end: an answer, a refusal, or nobody there.

use super::member::Member;
use super::node::CommandNumber;
use crate::id::RequestNumber;
use crate::limits::{RING_ANSWER, RING_BUSY_MAX, RING_BUSY_WAIT, RING_TRIES_MAX};
use crate::ring::NodeAddress;
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::{Message, Refusal};
use std::collections::BTreeMap;

/// What a question is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// The operation that is open.
    Operation,
    /// The same, of a node that is asked again while it is busy.
    Patience,
    /// A lookup.
    Lookup(u64),
    /// A look whether a member of a young ring is still there.
    Watch,
    /// Records that a node is owed.
    Copy,
    /// A record for its owner.
    Publish(CommandNumber),
    /// Records of a content.
    Fetch(CommandNumber),
    /// The state of a node of what may be another ring.
    Mirror,
    /// Whether a node that gives copies is there, and a member.
    Vouch,
    /// A word that needs no answer.
    Word,
}

/// How a question ended.
#[derive(Debug)]
pub(super) enum Reply<'m> {
    /// An answer of the very node that was asked.
    Answer(&'m Message),
    /// A refusal.
    Refused(Refusal, &'m str),
    /// Nobody is there, or somebody else, or one that is no member.
    Gone,
}

#[derive(Debug)]
struct Ask {
    to: Member,
    purpose: Purpose,
    message: Message,
    tries: u32,
    busy: u32,
    due: Instant,
}

/// The questions of one node.
#[derive(Debug, Default)]
pub(super) struct Asks {
    last: u64,
    open: BTreeMap<RequestNumber, Ask>,
}

impl Asks {
    pub(super) fn next_number(&mut self) -> RequestNumber {
        self.last += 1;
        RequestNumber(self.last)
    }

    /// Notes a question with its number.
    pub(super) fn put(&mut self, now: Instant, to: Member, purpose: Purpose, message: Message) {
        let Some(number) = message.request() else {
            return;
        };
        let ask = Ask {
            to,
            purpose,
            message,
            tries: 1,
            busy: 0,
            due: now.after(RING_ANSWER),
        };
        self.open.insert(number, ask);
    }

    /// True if a node has yet to answer such a question.
    pub(super) fn waits_for(&self, to: Member, purpose: Purpose) -> bool {
        self.open
            .values()
            .any(|ask| ask.purpose == purpose && ask.to == to)
    }

    /// True if the open operation goes on with the answer to this question.
    pub(super) fn is_of_operation(&self, number: RequestNumber) -> bool {
        let ask = self.open.get(&number);
        ask.is_some_and(|ask| matches!(ask.purpose, Purpose::Operation | Purpose::Patience))
    }

    /// How many such questions are open.
    pub(super) fn count(&self, purpose: Purpose) -> usize {
        self.open.values().filter(|ask| ask.purpose == purpose).count()
    }

    /// Forgets all questions for a purpose.
    pub(super) fn forget(&mut self, purpose: Purpose) {
        self.open.retain(|_, ask| ask.purpose != purpose);
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|ask| ask.due).min()
    }

    /// What the answer of the node at `from` ends; `None` if that was not asked, or is to be asked again.
    pub(super) fn answered<'m>(
        &mut self,
        now: Instant,
        from: NodeAddress,
        answer: &'m Message,
        rng: &mut Rng,
    ) -> Option<(Purpose, Member, Reply<'m>)> {
        let number = answer.request()?;
        let ask = self.open.get_mut(&number).filter(|ask| ask.to.address == from)?;
        if let Message::Error(error) = answer
            && error.code == Refusal::RingBusy
            && ask.purpose != Purpose::Operation
            && ask.busy < RING_BUSY_MAX
        {
            ask.busy += 1;
            ask.tries = 0;
            let wait = RING_BUSY_WAIT.0 * u64::from(ask.busy);
            ask.due = now.after(Span(wait + rng.below(wait)));
            return None;
        }
        let Ask { to, purpose, .. } = self.open.remove(&number)?;
        let node = match answer {
            Message::RingState(state) => Some(state.node),
            Message::RingAck(ack) => Some(ack.node),
            Message::RingHops(hops) => Some(hops.node),
            _ => None,
        };
        let reply = match answer {
            Message::Error(error) if error.code == Refusal::NotMember => Reply::Gone,
            Message::Error(error) => Reply::Refused(error.code, error.text.as_str()),
            _ if node.is_some_and(|node| node.address != from || !to.may_be(node.incarnation)) => Reply::Gone,
            answer => Reply::Answer(answer),
        };
        Some((purpose, to, reply))
    }

    /// Nobody was there to be asked this.
    pub(super) fn failed(&mut self, number: RequestNumber) -> Option<(Purpose, Member)> {
        let ask = self.open.remove(&number)?;
        Some((ask.purpose, ask.to))
    }

    /// What is late: to be asked again, or given up.
    pub(super) fn late(&mut self, now: Instant) -> (Vec<(NodeAddress, Message)>, Vec<RequestNumber>) {
        let (mut again, mut given_up) = (Vec::new(), Vec::new());
        for (number, ask) in &mut self.open {
            if ask.due > now {
                continue;
            }
            if ask.tries >= RING_TRIES_MAX {
                given_up.push(*number);
            } else {
                ask.tries += 1;
                ask.due = now.after(RING_ANSWER);
                again.push((ask.to.address, ask.message.clone()));
            }
        }
        (again, given_up)
    }
}
