//! An RS that remembers: what a store has to write, and an RS made of what one gives back.

use super::{Registration, RegistrationSettings};
use crate::id::PeerNumber;
use crate::proto::catalog::Restored;
use crate::proto::change::Change;
use crate::proto::registry::Peer;
use crate::rng::Rng;
use crate::time::{Now, Span};
use crate::wire::Message;

/// An RS that takes back its rows, one after the other.
#[derive(Debug)]
pub struct Restoring {
    rs: Registration,
    now: Now,
    same_boot: bool,
    lease: Span,
    peers: Vec<(PeerNumber, Peer)>,
    records: Vec<Restored>,
}

impl Restoring {
    /// Begins, with a store that was last written in this boot of the machine, or in another.
    pub fn new(settings: RegistrationSettings, rng: Rng, now: Now, same_boot: bool) -> Self {
        Self {
            rs: Registration::new(settings, rng),
            now,
            same_boot,
            lease: settings.lease,
            peers: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Takes back a row. Peers come by rising number, each before its lease.
    pub fn take(&mut self, row: Change) {
        match row {
            Change::Numbered(number) => self.rs.registry.restore_number(number),
            Change::Peer(number, row) => self.peers.push((number, Peer::restored(row))),
            Change::Lease(number, row) => {
                if let Some((of, peer)) = self.peers.last_mut()
                    && *of == number
                {
                    peer.restore_lease(self.now, self.same_boot, self.lease, row);
                }
            }
            Change::Holder(number, row) => self.records.push(Restored::new(number, &row)),
            Change::PeerGone(_) | Change::HolderGone(..) | Change::HoldersGone(_) => {}
        }
    }

    /// The RS, which from now on tells what changes. Leases that ended meanwhile are over.
    pub fn finish(mut self) -> Registration {
        self.rs.registry.restore(self.now, self.peers);
        self.rs.catalog.restore(self.records);
        self.rs.registry.keep_changes();
        self.rs.catalog.keep_changes();
        self.rs.handle_timeout(self.now);
        self.rs
    }
}

/// True for requests that change what is stored: their answers wait until it is kept.
pub const fn changes_state(request: &Message) -> bool {
    match request {
        Message::PQuery(query) => query.cookie.is_some(),
        Message::Join(_)
        | Message::Leave(_)
        | Message::KeepAlive(_)
        | Message::Register(_)
        | Message::Deregister(_) => true,
        _ => false,
    }
}

impl Registration {
    /// The next change that the store has to write before anybody is told of it.
    pub fn poll_change(&mut self, now: Now) -> Option<Change> {
        let peers = self.registry.poll_change(now);
        peers.or_else(|| self.catalog.poll_change())
    }
}
