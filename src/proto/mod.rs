//! Decisions, as state machines: what came in and when, in; what to send and do, out.
//!
//! Belongs here: everything that decides. Does not: sockets, threads, locks, clocks, files, and any order
//! that changes from run to run. Invariant: the same calls give the same outputs, byte for byte.
//!
//! Every machine is driven in the same way: hand it what happened (`handle_*`, with [`crate::time::Now`]),
//! take what it wants done (`poll_*`) until there is nothing, and call `handle_timeout` at `deadline()`.

mod allowance;
mod asker;
mod catalog;
mod change;
pub mod chord;
mod claim;
mod exchange;
mod gate;
mod index;
mod membership;
mod pace;
mod page;
mod placed;
mod registration;
mod registry;
mod token;
pub mod transfer;
mod upload;

pub use allowance::Allowances;
pub use asker::{AddressGroup, Asker};
pub use catalog::Policy;
pub use change::{Activity, Change, HolderRow, LeaseRow, PeerRow, answer_kept, key_bytes};
pub use exchange::{Exchange, ExchangeStep};
pub use gate::{GateStep, admit_datagram, bad_bytes, encode_datagram_answer};
pub use index::{FoundContent, Index, LocalContent};
pub use membership::{Identity, Membership, MembershipEvent};
pub use pace::Pace;
pub use placed::{NoRoom, Placed, PlacedAttempt, PlacedBounds, PlacedStep};
pub use registration::{Registration, RegistrationSettings, Restoring, changes_state};
pub use registry::Probe;
pub use token::AddressTokens;
pub use upload::{Chunk, chunks, resolve_range};

use crate::id::RequestNumber;
use crate::wire::{Error, Message, Refusal, Text};

/// The answer that refuses a request.
pub fn refusal(request: RequestNumber, code: Refusal, text: impl Into<String>) -> Message {
    Error {
        request,
        code,
        text: Text::cut(text),
    }
    .into()
}
