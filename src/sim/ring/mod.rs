//! Rings on a virtual network: every node a [`RingNode`](crate::proto::chord::RingNode), the very machine of real peers.
//!
//! Belongs here: the world they live in, what must hold, what is measured. Does not: decisions of any kind, which are
//! the machine's. Invariant: the same seed gives the same run.

mod world;

pub use world::{NodeIndex, RingNetwork, RingWorld};
