//! What is done wrong on purpose, to see that the checks notice.
//!
//! The machine has no such faults to switch on: the world tells nodes what a faulty one would have told them.

use crate::proto::chord::{Member, RingNode, Standing};
use crate::ring::NodeAddress;
use crate::wire::{List, Message, RingState};
use std::collections::BTreeMap;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedRingFault {
    /// A newcomer is given the list as the member before it had it long ago.
    StaleJoin,
    /// The first node takes others as if it were a grown ring by itself.
    NoYoungRing,
    /// A node that its successor names is taken without being asked.
    UnprobedPredecessor,
}

/// Answers in a faulty node's stead.
#[derive(Debug, Default)]
pub(super) struct Planted {
    fault: Option<PlantedRingFault>,
    old: BTreeMap<(NodeAddress, u64), RingState>,
}

impl Planted {
    pub(super) const fn plant(&mut self, fault: PlantedRingFault) {
        self.fault = Some(fault);
    }

    /// What the node at the address answers, if it is not what it should.
    pub(super) fn answer(
        &mut self,
        node: Option<&RingNode>,
        was: Option<Member>,
        request: &Message,
    ) -> Option<Message> {
        let number = request.request()?;
        match (self.fault?, request, node) {
            (PlantedRingFault::StaleJoin, Message::RingJoin(_), Some(node))
                if node.standing() == Standing::In =>
            {
                let now = state_of(node);
                let old = self
                    .old
                    .entry((node.me().address, node.me().incarnation))
                    .or_insert(now);
                Some(
                    RingState {
                        request: number,
                        ..old.clone()
                    }
                    .into(),
                )
            }
            (PlantedRingFault::NoYoungRing, Message::RingJoin(_), Some(node)) => {
                let mut state = state_of(node);
                if state.successors.is_empty() {
                    state.successors = List::first_of([state.node]);
                }
                Some(
                    RingState {
                        request: number,
                        view: None,
                        ..state
                    }
                    .into(),
                )
            }
            (PlantedRingFault::UnprobedPredecessor, Message::RingAsk(_), None) => {
                let node = was?.wire();
                let state = RingState {
                    request: number,
                    node,
                    predecessor: None,
                    successors: List::new(),
                    view: None,
                };
                Some(state.into())
            }
            _ => None,
        }
    }
}

fn state_of(node: &RingNode) -> RingState {
    RingState {
        request: crate::id::RequestNumber(0),
        node: node.me().wire(),
        predecessor: node.predecessor().map(Member::wire),
        successors: List::first_of(node.successors().iter().map(|member| member.wire())),
        view: None,
    }
}
