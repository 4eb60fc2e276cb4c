//! Rings on a virtual network: every node a [`RingNode`](crate::proto::chord::RingNode), the very machine of real peers.
//!
//! Belongs here: the world they live in, what must hold, what is measured. Does not: decisions of any kind, which are
//! the machine's. Invariant: the same seed gives the same run.

mod check;
mod ideal;
mod measure;
mod planted;
mod sample;
mod schedule;
mod unrest;
mod world;

pub use check::{RingBroken, RingCheck};
pub use ideal::IdealRing;
pub use measure::{Load, Lookups, failures, load, look_up, measured_settings, paths};
pub use planted::PlantedRingFault;
pub use sample::sample_record;
pub use schedule::{RingLife, RingSchedule, run_ring};
pub use unrest::{Churn, Partition, churn, partition};
pub use world::{NodeIndex, RingNetwork, RingWorld};
