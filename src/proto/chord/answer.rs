//! What a node answers to others, at once and whatever it is doing.
//!
//! Invariant: an answer changes nothing but what is noted for later, so anybody may ask anything; and while an
//! operation is open no state is told, for it is about to change.

use super::member::{Member, describe};
use super::node::{RingNode, Standing};
use crate::id::RequestNumber;
use crate::limits::RING_NEARER_MAX;
use crate::proto::refusal;
use crate::ring::{RingId, between};
use crate::time::Instant;
use crate::wire::{
    List, Message, Refusal, RingAck, RingHops, RingJoin, RingLeave, RingNotify, RingShape, RingState,
    RingStep, RingVerdict,
};
use std::net::IpAddr;

impl RingNode {
    /// Answers a request of the ring that came from a host.
    pub fn handle_request(&mut self, now: Instant, from: IpAddr, request: &Message) -> Message {
        let number = request.request().unwrap_or_default();
        let (ring, sender) = match request {
            Message::RingAsk(ask) => (ask.ring, None),
            Message::RingPing(ping) => (ping.ring, None),
            Message::RingStep(step) => (step.ring, None),
            Message::RingNotify(notify) => (notify.ring, Some(notify.sender.address)),
            Message::RingJoin(join) => (join.ring, Some(join.sender.address)),
            Message::RingLeave(leave) => (leave.ring, Some(leave.sender.address)),
            Message::RingMembers(members) => (members.ring, Some(members.sender.address)),
            Message::RingStore(store) => (store.ring, Some(store.sender.address)),
            Message::RingFetch(fetch) => (fetch.ring, None),
            _ => return refusal(number, Refusal::NotServed, "no request of a ring"),
        };
        if let Some(refused) = self.misfit(number, ring) {
            return refused;
        }
        if sender.is_some_and(|sender| sender.ip() != from.to_canonical()) {
            let text =
                format!("the sender calls itself a node of another host than {from}, which it comes from");
            return refusal(number, Refusal::NotMember, text);
        }
        if let Message::RingMembers(members) = request {
            return self.answer_members(now, members);
        }
        if !self.is_member() {
            if matches!(request, Message::RingAsk(_) | Message::RingPing(_)) {
                self.deny();
            }
            return refusal(number, Refusal::NotMember, "this node is in no ring");
        }
        match request {
            Message::RingAsk(_) if self.is_busy() => busy(number),
            Message::RingAsk(_) => self.state(number),
            Message::RingStep(step) => self.answer_step(step),
            Message::RingNotify(notify) => self.answer_notify(now, notify),
            Message::RingJoin(join) => self.answer_join(now, join),
            Message::RingLeave(leave) => self.answer_leave(now, leave),
            Message::RingStore(store) => self.answer_store(now, store),
            Message::RingFetch(fetch) => self.answer_fetch(now, fetch),
            _ => self.ack(number),
        }
    }

    pub(super) fn is_member(&self) -> bool {
        matches!(self.standing, Standing::In | Standing::Young)
    }

    fn misfit(&self, request: RequestNumber, theirs: RingShape) -> Option<Message> {
        let ours = self.shape();
        (ours != theirs).then(|| {
            let text = format!("this ring has {}, yours {}", describe(&ours), describe(&theirs));
            refusal(request, Refusal::OtherRing, text)
        })
    }

    pub(super) fn ack(&self, request: RequestNumber) -> Message {
        RingAck {
            request,
            node: self.near.me.wire(),
        }
        .into()
    }

    pub(super) fn state(&self, request: RequestNumber) -> Message {
        RingState {
            request,
            node: self.near.me.wire(),
            predecessor: self.near.predecessor.map(Member::wire),
            successors: List::first_of(self.near.successors().iter().map(|member| member.wire())),
            view: self.view.as_ref().map(|view| view.wire(false)),
        }
        .into()
    }

    fn hops(&self, request: RequestNumber, verdict: RingVerdict, nodes: &[Member]) -> Message {
        RingHops {
            request,
            node: self.near.me.wire(),
            verdict,
            nodes: List::first_of(nodes.iter().map(|member| member.wire())),
        }
        .into()
    }

    /// Whom to ask about a key next, the best first. If the list reaches beyond the key those after the key come first:
    /// nobody who is in everybody's list is between two on a list, so the first of them that is there owns it.
    ///
    /// Who takes the key for its own does not say so unless another has said it: the node before it may know better.
    pub(super) fn verdict(&self, key: RingId) -> (RingVerdict, Vec<Member>) {
        let list = self.near.successors();
        if list.is_empty() {
            return (RingVerdict::Mine, Vec::new());
        }
        let after = list.partition_point(|member| between(self.near.me.id, member.id, key));
        let (before, after) = list.split_at(after);
        if !self.settings.fingers && !before.is_empty() {
            return (RingVerdict::Nearer, list.to_vec());
        }
        if !after.is_empty() {
            return (
                RingVerdict::After,
                after.iter().chain(before.iter().rev()).copied().collect(),
            );
        }
        let own = self.near.predecessor.filter(|_| self.near.owns(key));
        let nearer = self.near.before(self.settings.space, key);
        (RingVerdict::Nearer, own.into_iter().chain(nearer).collect())
    }

    /// Whether a key is this node's own, as others have said; if not, who comes before.
    pub(super) fn confirmation(&self, key: RingId) -> (RingVerdict, Vec<Member>) {
        let list = self.near.successors();
        if self.near.owns(key) {
            return (RingVerdict::Mine, list.to_vec());
        }
        let before = self.near.predecessor.into_iter();
        (RingVerdict::Before, before.chain(list.iter().copied()).collect())
    }

    fn answer_step(&self, step: &RingStep) -> Message {
        let (verdict, nodes) = if step.confirm {
            self.confirmation(step.key)
        } else {
            self.verdict(step.key)
        };
        // Nearer nodes are hints; anything else is a claim.
        let unsure = self.is_busy() || step.confirm && !self.near.confirmed;
        if unsure && verdict != RingVerdict::Nearer {
            return busy(step.request);
        }
        let most = if verdict == RingVerdict::Nearer {
            RING_NEARER_MAX
        } else {
            nodes.len()
        };
        self.hops(step.request, verdict, nodes.get(..most).unwrap_or(&nodes))
    }

    fn answer_notify(&mut self, now: Instant, notify: &RingNotify) -> Message {
        let notifier = Member::of(self.settings.space, &notify.sender);
        if self.note_notify(now, notifier) {
            self.ack(notify.request)
        } else {
            busy(notify.request)
        }
    }

    fn answer_join(&mut self, now: Instant, join: &RingJoin) -> Message {
        let request = join.request;
        let newcomer = Member::of(self.settings.space, &join.sender);
        if self.view.is_some() {
            return self.answer_young_join(now, request, newcomer);
        }
        let taken = self.near.successors().iter().chain([&self.near.me]);
        if let Some(same) = taken.into_iter().find(|member| member.id == newcomer.id) {
            return self.id_taken(request, newcomer, *same);
        }
        if !self.near.precedes(newcomer.id) {
            let nodes = self.near.before(self.settings.space, newcomer.id);
            return self.hops(request, RingVerdict::Nearer, &nodes);
        }
        // Of a ring that has shrunk nobody becomes a member before it is young.
        if self.is_busy() || self.whole_ring().is_some() {
            return busy(request);
        }
        self.host_is_full(request, newcomer)
            .unwrap_or_else(|| self.state(request))
    }

    /// What a node of somebody else's id is told; one that was here before waits until its ghost is gone.
    pub(super) fn id_taken(&self, request: RequestNumber, newcomer: Member, same: Member) -> Message {
        if same.address == newcomer.address {
            return busy(request);
        }
        let text = format!(
            "the node at {} has the id {} too: take another port",
            same.address, newcomer.id
        );
        refusal(request, Refusal::IdTaken, text)
    }

    /// The refusal for a host of which this node knows as many nodes as it may.
    pub(super) fn host_is_full(&self, request: RequestNumber, newcomer: Member) -> Option<Message> {
        let max = self.settings.ids_per_host;
        (self.near.of_host(newcomer) >= max).then(|| {
            let text = format!(
                "{} has {max} nodes here already, as many as a host may have",
                newcomer.address.ip()
            );
            refusal(request, Refusal::LimitReached, text)
        })
    }

    pub(super) fn redirect(&self, request: RequestNumber, to: Member) -> Message {
        self.hops(request, RingVerdict::Nearer, &[to])
    }

    fn answer_leave(&mut self, now: Instant, leave: &RingLeave) -> Message {
        let leaver = Member::of(self.settings.space, &leave.sender);
        // It is looked at, not believed: another on its host may have said so.
        self.watch_one(now, leaver);
        if self.near.successor() == Some(leaver) {
            self.settle_at = Some(now);
        }
        self.ack(leave.request)
    }
}

pub(super) fn busy(request: RequestNumber) -> Message {
    let text = "this node is changing its place in the ring: ask again in a moment";
    refusal(request, Refusal::RingBusy, text)
}
