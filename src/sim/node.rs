//! What the world knows of a node: how to drive it. And the nodes there are.

use super::{PeerNode, RsNode};
use crate::time::{Instant, Now};
use std::net::SocketAddr;

/// What a node wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a datagram.
    Datagram {
        /// Where to.
        to: SocketAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Try to open a stream; the end comes as [`Node::handle_connect`].
    Connect {
        /// Where to.
        to: SocketAddr,
        /// The node's own number for it.
        attempt: u64,
    },
}

/// A machine, or several, with an address in the world.
pub trait Node {
    /// A datagram came.
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]);

    /// An attempt to open a stream ended: is somebody there?
    fn handle_connect(&mut self, now: Now, attempt: u64, alive: bool);

    /// The deadline has come.
    fn handle_timeout(&mut self, now: Now);

    /// When [`Node::handle_timeout`] wants to be called.
    fn deadline(&self) -> Option<Instant>;

    /// The next thing it wants done.
    fn poll_output(&mut self) -> Option<Output>;
}

/// The nodes of a world with an RS.
#[derive(Debug)]
pub enum Actor {
    /// The RS.
    Rs(Box<RsNode>),
    /// A peer.
    Peer(Box<PeerNode>),
}

impl Actor {
    fn node(&mut self) -> &mut dyn Node {
        match self {
            Self::Rs(rs) => &mut **rs,
            Self::Peer(peer) => &mut **peer,
        }
    }
}

impl Node for Actor {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        self.node().handle_datagram(now, from, bytes);
    }

    fn handle_connect(&mut self, now: Now, attempt: u64, alive: bool) {
        self.node().handle_connect(now, attempt, alive);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.node().handle_timeout(now);
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Rs(rs) => rs.deadline(),
            Self::Peer(peer) => peer.deadline(),
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.node().poll_output()
    }
}
