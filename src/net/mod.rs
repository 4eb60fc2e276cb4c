//! The real world: sockets, threads, the clock. It drives the machines of `proto/` and decides nothing.
//!
//! Invariant: every blocking call ends: by a deadline, or by [`Stop`].
#![allow(
    clippy::disallowed_types,
    reason = "this floor is where sockets and clocks live"
)]

mod account;
mod client;
mod clock;
mod conn;
mod datagrams;
mod descriptors;
mod getter;
mod link;
mod offer;
mod pacer;
mod places;
mod ring;
mod rs_pool;
mod rs_session;
mod socket;
mod stop;
mod unacked;
mod uplink;

pub use account::{Account, Dropped, Kept};
pub use client::{RsClient, read_index};
pub use clock::Clock;
pub use conn::{Conn, ConnError, ConnWriter, Incoming, is_silence};
pub use datagrams::{HeldAnswer, send_held, serve_datagrams};
pub use descriptors::connections_within;
pub use link::{LinkTransport, RsLink};
pub use offer::{Offer, OfferReader};
pub use pacer::Pacer;
pub use ring::{RingClient, RingDriver, look_at_node};
pub use rs_pool::{PoolSettings, RsPool};
pub use socket::{bind, bind_udp, connect, connect_udp, local_address, resolve};
pub use stop::{Stop, StopGuard};
pub use uplink::Uplink;

use crate::proto::Asker;
use crate::storage::ChangeCount;
use crate::time::Now;
use crate::wire::Message;

/// What answers requests: the same over streams and datagrams.
pub trait Service: Send + Sync {
    /// Begins to answer requests that came together. Others may have to wait until this is dropped.
    fn turn(&self, now: Now) -> Box<dyn Turn + '_>;

    /// Where the work is counted.
    fn account(&self) -> &Account;

    /// What is settled: answers that wait for no more may go.
    fn settled(&self) -> ChangeCount;

    /// Calls this whenever more is settled.
    fn tell_settled(&self, told: Box<dyn Fn() + Send + Sync>);
}

/// Requests that came together are answered in one turn.
pub trait Turn {
    /// The answer to a request, and what must be settled before anybody is told.
    fn answer(&mut self, asker: &Asker, request: &Message) -> (Message, ChangeCount);
}
