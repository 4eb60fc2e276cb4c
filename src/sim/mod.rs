//! The other world: the same machines on a virtual network, with a virtual clock, seeded.
//!
//! Belongs here: worlds that drive the machines of `proto/` a million times faster than real ones. Does not:
//! sockets, threads, real clocks, decisions. Invariant: the same seed gives the same run, event for event.

pub mod swarm;
