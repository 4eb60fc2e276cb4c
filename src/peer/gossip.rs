//! Mode gossip: now and then, ask the peers one knows of for their index, and merge it.

use super::Peer;
use crate::limits::GOSSIP_ROUND;
use crate::name::HostPort;
use crate::net::{Conn, ConnError, read_index};
use crate::wire::{Refusal, features};
use std::collections::BTreeSet;

impl Peer {
    /// The peers to ask: those given, and the active ones the RS names.
    ///
    /// # Errors
    /// There is an RS, and it was not reached or refused.
    pub fn neighbours(&self, given: &[HostPort]) -> Result<Vec<HostPort>, ConnError> {
        let mut found: BTreeSet<HostPort> = given.iter().cloned().collect();
        if let Some(member) = self.member() {
            let active = member.client().active_peers(member.cookie())?;
            found.extend(active.into_iter().map(|peer| HostPort {
                host: peer.host,
                port: peer.port,
            }));
        }
        Ok(found.into_iter().collect())
    }

    /// Asks one peer for its index and merges it; how many contents it named.
    ///
    /// # Errors
    /// The peer was not reached or refused.
    pub fn ask_index(&self, address: &HostPort) -> Result<usize, ConnError> {
        let mut conn = Conn::connect(address, features::HOLDER, &self.stop)?;
        let entries = read_index(&mut conn)?;
        let reached = HostPort {
            host: address.host.clone(),
            port: address.port,
        };
        let mut index = self.index.lock();
        for entry in &entries {
            index.merge(self.clock.at(), &reached, entry);
        }
        Ok(entries.len())
    }

    /// Asks everybody, round after round, until the stop.
    pub fn gossip_until_stop(&self, given: &[HostPort]) {
        loop {
            match self.neighbours(given) {
                Ok(neighbours) => {
                    for address in neighbours {
                        if let Err(error) = self.ask_index(&address) {
                            log::info!("asking {address} for its index: {error}");
                        }
                    }
                }
                Err(error) => {
                    log::info!("asking the RS for peers: {error}");
                    if let (ConnError::Refused(Refusal::BadCookie, _), Some(member)) = (&error, self.member())
                    {
                        member.doubt();
                    }
                }
            }
            self.index.lock().handle_timeout(self.clock.at());
            if self
                .stop
                .wait_until(self.clock.std_instant(self.clock.at().after(GOSSIP_ROUND)))
            {
                return;
            }
        }
    }
}
