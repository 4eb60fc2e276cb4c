//! Who is known and not handed out: counted, and named for those who run the RS.
//!
//! All of it is as true as the last [`Registry::handle_timeout`]: call that first.

use super::{Peer, Registry};
use crate::id::PeerNumber;

impl Registry {
    /// How many records there are, and how many of them may be handed out.
    pub(in crate::proto) fn counts(&self) -> (usize, usize) {
        let known = self.peers.len();
        (known, known - self.inactive.len() - self.hidden.len())
    }

    /// First those that a probe did not reach, whose leases run; then those that left or fell silent, the latest first.
    pub(in crate::proto) fn offline(&self) -> impl Iterator<Item = (PeerNumber, &Peer)> {
        let gone = self.inactive.iter().rev().map(|(_, number)| *number);
        let numbers = self.hidden.iter().copied().chain(gone);
        numbers.filter_map(|number| Some((number, self.get(number)?)))
    }
}
