//! The node itself: what it is told, what it wants done, and which operation is open.

use super::asks::{Asks, Purpose, Reply};
use super::custody::Custody;
use super::join::Joining;
use super::lookup::{Lookup, LookupFault, Owner};
use super::member::{Member, RingSettings};
use super::neighbours::Neighbours;
use super::publish::{Fetching, Publishing};
use super::repair::Repair;
use super::young::{Change, Takeover, View};
use crate::id::RequestNumber;
use crate::limits::{RING_AUDIT, RING_CONTACTS_MAX};
use crate::ring::{NodeAddress, RingId};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::{Message, Refusal, RingPing, RingRecord, RingShape, Wanted};
use std::collections::{BTreeMap, VecDeque};

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// In no ring.
    Out,
    /// On the way into one.
    Joining,
    /// A member of a ring that is still young: everybody lists everybody.
    Young,
    /// A member.
    In,
}

/// A command, as its events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandNumber(pub u64);

/// What can be wanted of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingCommand {
    /// Be the first member of a new ring.
    Found,
    /// Join the ring of whoever of these answers. It is tried until it is done or refused.
    Join(Vec<NodeAddress>),
    /// Leave, when what is kept here is with others.
    Leave,
    /// Find the owner of a key; by way of a node, if this one is no member.
    Lookup(RingId, Option<NodeAddress>),
    /// Have a record kept at its key, with what this node says of itself as a holder. To be said again before it expires.
    Publish(Box<RingRecord>),
    /// The same for a holder that is no member, by way of a node.
    PublishBy(Box<RingRecord>, NodeAddress),
    /// Find the records of a content, by its name or id; by way of a node, if this one is no member.
    Fetch(Wanted, Option<NodeAddress>),
}

/// What became of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingEvent {
    /// This node is a member now.
    Joined,
    /// It is none any more, as it wanted.
    Left,
    /// Everybody it listed is gone; it looks for the next that is not.
    Lost,
    /// Nobody has answered so far; the join goes on.
    NobodyThere,
    /// The ring would not have it.
    Refused(Refusal, String),
    /// A lookup ended.
    Found(CommandNumber, Owner),
    /// A record is kept by its owner.
    Stored(CommandNumber, Owner),
    /// What the owner of the key keeps; nothing if nobody has published it.
    Fetched(CommandNumber, Vec<RingRecord>),
    /// A record came to be kept here that wants its content here too, or one that is says so again.
    Place(Box<RingRecord>),
    /// A command came to nothing.
    Failed(CommandNumber, LookupFault),
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingOutput {
    /// Ask a node; its answer comes back by [`RingNode::handle_answer`].
    Ask(NodeAddress, Message),
    /// Something happened.
    Event(RingEvent),
}

/// The one operation that may be open. Until it is finished the node's state is not told.
#[derive(Debug)]
pub(super) enum Operation {
    /// Stabilizing: the successor was asked.
    AskSuccessor(Member),
    /// Stabilizing: the node between was asked, before it is taken.
    AskBetween(Member, Member),
    /// Rectifying: the predecessor is probed, because of a node that says it comes before this one.
    ProbePredecessor(Member, Member),
    /// Rectifying: that node is probed, before it is taken.
    ProbeNotifier(Member),
    /// Joining.
    Join(Joining),
    /// Leading a young ring to its next view.
    Change(Change),
    /// Taking the lead of a young ring.
    Takeover(Takeover),
    /// Looking for the next node, for all that were listed are gone.
    Repair(Repair),
}

/// A node of a ring.
#[derive(Debug)]
pub struct RingNode {
    pub(super) settings: RingSettings,
    pub(super) standing: Standing,
    pub(super) near: Neighbours,
    pub(super) asks: Asks,
    pub(super) open: Option<Box<Operation>>,
    /// Those that said they come before this node, while another operation was open.
    pub(super) notified: VecDeque<Member>,
    pub(super) view: Option<Box<View>>,
    /// Since when its ring has not been young.
    pub(super) grown_at: Instant,
    pub(super) contacts: VecDeque<NodeAddress>,
    pub(super) lookups: BTreeMap<u64, Box<Lookup>>,
    pub(super) next_number: u64,
    pub(super) next_finger: u16,
    pub(super) settle_at: Option<Instant>,
    pub(super) finger_at: Option<Instant>,
    pub(super) audit_at: Option<Instant>,
    pub(super) leaving: Option<Instant>,
    pub(super) custody: Option<Box<Custody>>,
    /// Nodes that give copies, and have been looked at.
    pub(super) givers: VecDeque<Member>,
    pub(super) publishing: BTreeMap<CommandNumber, Publishing>,
    pub(super) fetching: BTreeMap<CommandNumber, Fetching>,
    pub(super) rng: Rng,
    pub(super) outputs: VecDeque<RingOutput>,
}

impl RingNode {
    /// The node at an address, in no ring.
    pub fn new(settings: RingSettings, address: NodeAddress, mut rng: Rng) -> Self {
        let me = Member {
            incarnation: rng.next_u64().max(1),
            ..Member::at(settings.space, address)
        };
        Self {
            settings,
            standing: Standing::Out,
            near: Neighbours::new(me),
            asks: Asks::default(),
            open: None,
            notified: VecDeque::new(),
            view: None,
            grown_at: Instant::ZERO,
            contacts: VecDeque::new(),
            lookups: BTreeMap::new(),
            next_number: 0,
            next_finger: 0,
            settle_at: None,
            finger_at: None,
            audit_at: None,
            leaving: None,
            custody: None,
            givers: VecDeque::new(),
            publishing: BTreeMap::new(),
            fetching: BTreeMap::new(),
            rng,
            outputs: VecDeque::new(),
        }
    }

    /// A member of a grown ring, with the neighbours it would have found in time; its timers do not run. For looking at rings
    /// that are too large to wait for.
    pub fn placed(
        settings: RingSettings,
        me: Member,
        rng: Rng,
        before: Member,
        list: &[Member],
        hints: Vec<Member>,
    ) -> Self {
        let mut node = Self::new(settings, me.address, rng);
        node.near = Neighbours::new(me);
        node.near.predecessor = Some(before);
        node.near.confirmed = true;
        if let Some((first, rest)) = list.split_first() {
            node.near.adopt(settings.successors, *first, rest.iter().copied());
        }
        node.near.set_hints(hints);
        node.standing = Standing::In;
        node
    }

    /// This node.
    pub const fn me(&self) -> Member {
        self.near.me
    }

    /// How its ring is made.
    pub const fn settings(&self) -> &RingSettings {
        &self.settings
    }

    /// Where it stands.
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// The node before it.
    pub const fn predecessor(&self) -> Option<Member> {
        self.near.predecessor
    }

    /// The nodes after it.
    pub fn successors(&self) -> &[Member] {
        self.near.successors()
    }

    /// Its finger table: where each begins, and who comes first from there, as far as this node knows.
    pub fn fingers(&self) -> Vec<(RingId, Member)> {
        let space = self.settings.space;
        (0..space.bits())
            .map(|i| (space.finger_start(self.near.me.id, i), self.near.finger(space, i)))
            .collect()
    }

    /// True while it would not tell its state.
    pub const fn is_busy(&self) -> bool {
        self.open.is_some()
    }

    /// True if the answer to this question may change its place.
    pub fn heeds(&self, request: RequestNumber) -> bool {
        self.asks.is_of_operation(request)
    }

    /// Does what is wanted; events that carry the number tell what became of it.
    pub fn command(&mut self, now: Instant, command: RingCommand) -> CommandNumber {
        let number = CommandNumber(self.new_number());
        match command {
            RingCommand::Found => self.found(now),
            RingCommand::Join(contacts) => self.join(now, &contacts),
            RingCommand::Leave => self.leave(now),
            RingCommand::Lookup(key, via) => self.look_up(now, number, key, via),
            RingCommand::Publish(record) => self.publish(now, number, record, None),
            RingCommand::PublishBy(record, via) => self.publish(now, number, record, Some(via)),
            RingCommand::Fetch(wanted, via) => self.fetch(now, number, wanted, via),
        }
        number
    }

    /// The next thing it wants done.
    pub fn poll_output(&mut self) -> Option<RingOutput> {
        self.outputs.pop_front()
    }

    /// When [`RingNode::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let timers = [
            self.settle_at,
            self.finger_at,
            self.audit_at,
            self.leaving,
            self.join_deadline(),
        ];
        timers.into_iter().flatten().chain(self.asks.deadline()).min()
    }

    /// The deadline has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let (again, given_up) = self.asks.late(now);
        for (to, message) in again {
            self.outputs.push_back(RingOutput::Ask(to, message));
        }
        for number in given_up {
            self.handle_failure(now, number);
        }
        if self.leaving.is_some_and(|at| at <= now) {
            self.depart(now);
        }
        self.join_timeout(now);
        if self.settle_at.is_some_and(|at| at <= now) {
            self.settle(now);
        }
        if self.finger_at.is_some_and(|at| at <= now) {
            self.fix_finger(now);
        }
        if self.audit_at.is_some_and(|at| at <= now) {
            self.audit(now);
        }
        self.tend(now);
    }

    /// The node at `from` answered a question.
    pub fn handle_answer(&mut self, now: Instant, from: NodeAddress, answer: &Message) {
        if let Some((purpose, to, reply)) = self.asks.answered(now, from, answer, &mut self.rng) {
            self.replied(now, purpose, to, &reply);
        }
    }

    /// A question reached nobody: the connection was refused, or broke.
    pub fn handle_failure(&mut self, now: Instant, request: RequestNumber) {
        if let Some((purpose, to)) = self.asks.failed(request) {
            self.replied(now, purpose, to, &Reply::Gone);
        }
    }

    fn replied(&mut self, now: Instant, purpose: Purpose, to: Member, reply: &Reply<'_>) {
        if matches!(reply, Reply::Gone) && self.open_join().is_none() {
            self.miss(to);
        }
        match purpose {
            Purpose::Operation | Purpose::Patience => self.operation_replied(now, to, reply),
            Purpose::Lookup(number) => self.lookup_replied(now, number, to, reply),
            Purpose::Watch => self.watch_replied(now, to, reply),
            Purpose::Copy => self.copy_replied(now, to, reply),
            Purpose::Publish(number) => self.publish_replied(now, number, reply),
            Purpose::Fetch(number) => self.fetch_replied(now, number, reply),
            Purpose::Mirror => self.mirror_replied(now, to, reply),
            Purpose::Vouch => self.vouch_replied(to, reply),
            Purpose::Word => {}
        }
        self.next_operation(now);
        self.tend(now);
    }

    fn operation_replied(&mut self, now: Instant, to: Member, reply: &Reply<'_>) {
        let Some(open) = self.open.take() else {
            return;
        };
        match *open {
            Operation::AskSuccessor(next) => self.successor_replied(now, next, reply),
            Operation::AskBetween(next, between) => self.between_replied(now, next, between, reply),
            Operation::ProbePredecessor(before, notifier) => {
                self.predecessor_replied(now, before, notifier, reply);
            }
            Operation::ProbeNotifier(notifier) => self.notifier_replied(notifier, reply),
            Operation::Join(joining) => self.join_replied(now, joining, reply),
            Operation::Change(change) => self.change_replied(now, change, to, reply),
            Operation::Takeover(takeover) => self.takeover_replied(now, takeover, to, reply),
            Operation::Repair(repair) => self.repair_replied(now, repair, reply),
        }
    }

    /// What waited for the operation that has ended.
    fn next_operation(&mut self, now: Instant) {
        while self.open.is_none() && self.standing == Standing::In {
            let Some(notifier) = self.notified.pop_front() else {
                break;
            };
            self.rectify(now, notifier);
        }
        if self.open.is_none() && self.standing == Standing::Young {
            self.lead_on(now);
        }
    }

    pub(super) const fn new_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    pub(super) fn event(&mut self, event: RingEvent) {
        self.outputs.push_back(RingOutput::Event(event));
    }

    pub(super) fn shape(&self) -> RingShape {
        self.settings.shape()
    }

    pub(super) fn about_audit(&mut self) -> Span {
        self.about(RING_AUDIT)
    }

    /// Asks a node something.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        to: Member,
        purpose: Purpose,
        message: impl FnOnce(RequestNumber, RingShape) -> Message,
    ) {
        let message = message(self.asks.next_number(), self.shape());
        self.asks.put(now, to, purpose, message.clone());
        self.outputs.push_back(RingOutput::Ask(to.address, message));
    }

    pub(super) fn ping(&mut self, now: Instant, to: Member, purpose: Purpose) {
        self.ask(now, to, purpose, |request, ring| {
            RingPing { request, ring }.into()
        });
    }

    /// A span around `span`, so that nodes do not keep step.
    pub(super) fn about(&mut self, span: Span) -> Span {
        Span(span.0 - span.0 / 4 + self.rng.below(span.0 / 2 + 1))
    }

    /// Remembers an address, to ask it one day whether this is the only ring.
    pub(super) fn remember(&mut self, address: NodeAddress) {
        if address == self.near.me.address || self.contacts.contains(&address) {
            return;
        }
        if self.contacts.len() >= RING_CONTACTS_MAX {
            self.contacts.pop_front();
        }
        self.contacts.push_back(address);
    }

    /// A node is gone: nobody is sent to it by this one any more. The list itself is for stabilizing to change.
    fn miss(&mut self, gone: Member) {
        self.near.drop_hint(gone);
    }
}
