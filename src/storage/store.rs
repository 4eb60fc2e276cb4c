//! What an RS remembers, on disk or only in memory: one trait.
//!
//! Belongs here: writing rows and giving them back. Does not: what they mean (`proto/change.rs`), and who waits for
//! them (`commits.rs`). Invariant: after [`Store::commit`] all changes are kept, whatever happens to the process or
//! the machine; if it fails or is interrupted, all of them or none.

use crate::proto::{Change, key_bytes};
use std::io;

/// Where rows are kept.
pub trait Store: Send {
    /// Makes changes, in their order, and returns when they are kept.
    ///
    /// # Errors
    /// They may or may not be kept, and nothing more can be: the store has to be opened anew.
    fn commit(&mut self, changes: &[Change]) -> io::Result<()>;

    /// Gives every row: how far peers are numbered, then each peer with its lease, then the contents they hold, by
    /// rising number and key. Done once, before the first commit.
    ///
    /// # Errors
    /// A row cannot be read, or is damaged: then nothing was written to the store.
    fn load(&mut self, each: &mut dyn FnMut(Change)) -> io::Result<()>;

    /// True if what is stored was last written in this boot of the machine.
    fn is_of_this_boot(&self) -> bool;
}

/// Rows kept for as long as they are not dropped.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    numbered: Option<Change>,
    peers: std::collections::BTreeMap<u64, [Option<Change>; 2]>,
    holders: std::collections::BTreeMap<(u64, Vec<u8>), Change>,
}

impl Store for MemoryStore {
    fn commit(&mut self, changes: &[Change]) -> io::Result<()> {
        for change in changes {
            let kept = Some(change.clone());
            match change {
                Change::Numbered(_) => self.numbered = kept,
                Change::Peer(number, _) => self.peers.entry(number.0).or_default()[0] = kept,
                Change::Lease(number, _) => self.peers.entry(number.0).or_default()[1] = kept,
                Change::PeerGone(number) => {
                    self.peers.remove(&number.0);
                }
                Change::Holder(number, row) => {
                    let key = (number.0, key_bytes(&row.content.key()));
                    self.holders.insert(key, change.clone());
                }
                Change::HolderGone(number, key) => {
                    self.holders.remove(&(number.0, key_bytes(key)));
                }
                Change::HoldersGone(number) => {
                    self.holders.retain(|(holder, _), _| *holder != number.0);
                }
            }
        }
        Ok(())
    }

    fn load(&mut self, each: &mut dyn FnMut(Change)) -> io::Result<()> {
        let peers = self.peers.values().flatten().flatten();
        let rows = self.numbered.iter().chain(peers).chain(self.holders.values());
        rows.cloned().for_each(each);
        Ok(())
    }

    fn is_of_this_boot(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
