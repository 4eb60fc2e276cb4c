//! A virtual world: the very machines of `proto/`, on a virtual network, under a virtual clock.
//!
//! Belongs here: the world, its network, nodes that drive machines in it, and checks of what must hold.
//! Does not: decisions of the protocol, which live in `proto/`; sockets, threads and real clocks. Invariant:
//! one seed, one trace, byte for byte; so a seed that fails is a test.
//!
//! To run another machine here, write a [`Node`] that drives it; [`World`] and [`Network`] know no machine.

mod check;
mod network;
mod node;
mod peer_node;
pub mod ring;
mod rs_node;
mod scenario;
pub mod swarm;
mod trace;
mod world;

pub use check::{Broken, Check};
pub use network::{Network, NetworkSettings};
pub use node::{Actor, Node, Output};
pub use peer_node::{PeerNode, Question};
pub use rs_node::{PlantedFault, RsNode, RsRemains};
pub use scenario::{Outcome, ScenarioSettings, run};
pub use trace::{Trace, TraceHash};
pub use world::{Datagram, Event, Step, World};
