//! A swarm on a virtual network: every peer a [`Taker`](crate::proto::transfer::Taker) and a
//! [`Giver`](crate::proto::transfer::Giver), the very machines of real peers.
//!
//! Belongs here: links with rates and delays, comings and goings, what must hold, what a run was like. Does not:
//! the bytes of pieces (one that came from a liar is wrong, and any other right), and decisions of any kind. Invariant: the same
//! [`Setup`] gives the same [`Report`], and a run in which a property breaks ends there.

mod check;
mod events;
mod faults;
mod line;
mod mesh;
mod report;
mod sending;
mod setup;
mod world;

pub use report::{PeerReport, Report};
pub use setup::{PeerPlan, Setup};

use crate::time::Span;

/// A run that takes longer has lost its way.
const LIMIT: Span = Span::from_secs(24 * 3_600);

/// Runs a swarm to its end.
pub fn run(setup: Setup) -> Report {
    world::World::new(setup).run(LIMIT)
}
