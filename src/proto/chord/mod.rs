//! The ring node, a machine: a place on the ring, lookups, and the records it keeps (`rfcs/0005-ring.txt`).
//!
//! Belongs here: Zave's corrected Chord, the young ring before it, lookups, records and their way from node to node.
//! Does not: sockets, clocks, files, and the ring's arithmetic ([`crate::ring`]). Invariant: a node's list holds a
//! live node, and enough members that nobody's list skips; from these two follows one ordered ring.
//!
//! Driving a [`RingNode`]: hand it every request that comes in ([`RingNode::handle_request`] gives the answer at
//! once), every answer to a question of its own ([`RingNode::handle_answer`]), and every question that reached nobody
//! ([`RingNode::handle_failure`]); take what it wants done ([`RingNode::poll_output`]) until there is nothing; and
//! call [`RingNode::handle_timeout`] at [`RingNode::deadline`]. What is wanted of it is a [`RingCommand`].

mod answer;
mod asks;
mod custody;
mod join;
mod leave;
mod lookup;
mod member;
mod merge;
mod neighbours;
mod node;
mod publish;
mod records;
mod repair;
mod settle;
mod shrink;
mod vouch;
mod young;

pub use lookup::{LookupFault, Owner};
pub use member::{Member, RingSettings};
pub use node::{CommandNumber, RingCommand, RingEvent, RingNode, RingOutput, Standing};

#[cfg(test)]
#[path = "../chord_tests.rs"]
mod tests;
