//! The encoding of a directory, fetched into memory, and what of a directory is not a file.

use super::account::{Accounts, AttemptFault};
use super::{FetchFault, Fetched, Fetcher, HolderSource, Order, Receiving, Standing, Unfetched, Watcher};
use crate::name::{ContentName, HostPort};
use crate::storage::Group;
use crate::wire::{ContentInfo, Tree};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

/// Hands on what is told while a tree comes.
struct Encoding<'w>(&'w mut dyn Watcher);

impl Receiving for Encoding<'_> {
    fn more(&mut self, _order: usize, _tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        Vec::new()
    }

    fn failed(&mut self, holder: &HostPort, why: &str) {
        self.0.failed(holder, why);
    }

    fn advanced(&mut self, bytes: u64) {
        self.0.advanced(&Standing::of_bytes(bytes));
    }

    fn ended(&mut self, _order: usize, _result: Result<Fetched, Unfetched>) {}
}

impl Fetcher<'_> {
    /// Fetches what a directory consists of.
    ///
    /// # Errors
    /// Nobody delivered it, it is no tree or too large, or we were stopped.
    pub fn fetch_tree(
        &self,
        content: &ContentInfo,
        holders: &mut dyn HolderSource,
        watcher: &mut dyn Watcher,
    ) -> Result<Tree, Unfetched> {
        let begun = Instant::now();
        let mut accounts = Accounts::default();
        let mut asked: BTreeSet<HostPort> = BTreeSet::new();
        let mut next = holders.known();
        while !next.is_empty() {
            asked.extend(next.iter().cloned());
            let order = Order {
                info: content.clone(),
                holders: next,
                executable: None,
            };
            let orders = [order];
            let wanted = [(0, orders[0].holders.clone())];
            let work = self.work(&orders, &wanted, None);
            std::thread::scope(|scope| work.oversee(scope, Instant::now(), &mut Encoding(&mut *watcher)));
            let state = work.state.into_inner();
            if let Some(bytes) = state.kept {
                return Tree::decode(&bytes).map_err(|error| {
                    // Its bytes have the id, so it was made so: whoever listed it is to blame.
                    let fault = AttemptFault::Lie(format!("lists what is no tree: {error}"));
                    asked.iter().for_each(|holder| accounts.failed(holder, &fault));
                    accounts.no_holder_left(begun.elapsed())
                });
            }
            if self.stop.is_set() {
                return Err(accounts.unfetched(FetchFault::Interrupted, begun.elapsed()));
            }
            state.accounts.values().for_each(|failed| accounts.merge(failed));
            for (holder, fault) in &state.gone {
                accounts.failed(&work.holders[*holder], fault);
            }
            next = holders.more(&asked);
        }
        Err(accounts.no_holder_left(begun.elapsed()))
    }

    /// Makes directories of these names; what could not be made.
    pub fn make_directories(&self, names: &[ContentName]) -> Vec<io::Error> {
        match Group::open(&self.out) {
            Ok(group) => names
                .iter()
                .filter_map(|name| group.make_directory(name).err())
                .collect(),
            Err(error) => vec![error],
        }
    }

    /// Lets the owner of a fetched file execute it, or not.
    ///
    /// # Errors
    /// The file system's.
    pub fn set_executable(&self, name: &ContentName, executable: bool) -> io::Result<()> {
        Group::open(&self.out)?.set_executable(name, executable)
    }

    /// Where a content of this name lies when it is there.
    pub fn path(&self, name: &ContentName) -> PathBuf {
        self.out.join(name.as_str())
    }
}
