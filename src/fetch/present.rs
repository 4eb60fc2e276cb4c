//! What of many contents is here already, and what may not be put where something else lies.
//!
//! Belongs here: looking at `--out` before anybody is asked. Does not: fetching (`many.rs`), the files (`storage/`).
//! Invariant: what is not the content, and was not put there by a fetch, is neither taken for it nor replaced.

use super::account::{Account, Accounts};
use super::many::{Order, Receiving};
use super::{FetchFault, Fetched, Fetcher, LOOK};
use crate::proto::transfer::Manifest;
use crate::storage::{Found, Group, HashOrder, Hashed, Hashers, Stamp};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// A look at what was ordered, and who is told what comes of it.
struct Presence<'a> {
    orders: &'a [Order],
    group: &'a Group,
    begun: Instant,
    receiving: &'a mut dyn Receiving,
}

impl Presence<'_> {
    fn ended(&mut self, order: usize, ended: io::Result<Fetched>) {
        let took = self.begun.elapsed();
        let ended = ended.map_err(|error| Accounts::default().unfetched(FetchFault::Disk(error), took));
        self.receiving.ended(order, ended);
    }

    /// What lies there with the right size, and the orders whose content is not here: is there something else?
    fn of_the_size(&mut self) -> (BTreeMap<PathBuf, (usize, Stamp)>, BTreeMap<usize, bool>) {
        let (mut here, mut missing) = (BTreeMap::new(), BTreeMap::new());
        for (order, wanted) in self.orders.iter().enumerate() {
            match self.group.find(&wanted.info.name) {
                Err(error) => self.ended(order, Err(error)),
                Ok(Found::File(stamp)) if stamp.bytes == wanted.info.bytes => {
                    here.insert(self.group.path(&wanted.info.name), (order, stamp));
                }
                Ok(found) => drop(missing.insert(order, found != Found::Nothing)),
            }
        }
        (here, missing)
    }

    /// A content is here: it is made executable or not, as it was ordered.
    fn found(&mut self, order: usize, stamp: Stamp, path: PathBuf, manifest: Manifest) {
        let wanted = &self.orders[order];
        let other = wanted
            .executable
            .filter(|executable| *executable != stamp.executable);
        let mended = other.map_or(Ok(()), |executable| {
            self.group.set_executable(&wanted.info.name, executable)
        });
        let fetched = mended.map(|()| Fetched {
            path,
            manifest: Arc::new(manifest),
            account: Account::of(Vec::new(), self.begun.elapsed()),
        });
        self.ended(order, fetched);
    }

    /// True unless something lies in the way of this order.
    fn has_place(&mut self, order: usize) -> bool {
        let refused = self.group.refuse_to_replace(&self.orders[order].info.name);
        refused.map_err(|error| self.ended(order, Err(error))).is_ok()
    }
}

impl Fetcher<'_> {
    /// Tells of what is here already, or cannot be; the orders that are left.
    pub(super) fn missing(
        &self,
        orders: &[Order],
        group: &Group,
        begun: Instant,
        receiving: &mut dyn Receiving,
    ) -> Vec<usize> {
        let mut presence = Presence {
            orders,
            group,
            begun,
            receiving,
        };
        let (mut here, mut missing) = presence.of_the_size();
        let files: Vec<_> = here
            .iter()
            .map(|(path, (_, stamp))| (path.clone(), *stamp))
            .collect();
        let total: u64 = files.iter().map(|(_, stamp)| stamp.bytes).sum();
        let mut bytes = 0;
        let looked = self.hash_here(files, |hashed| {
            let Some((order, stamp)) = here.remove(&hashed.path) else {
                return;
            };
            bytes += stamp.bytes;
            let manifest = hashed.result.ok();
            match manifest.filter(|manifest| manifest.id() == orders[order].info.id) {
                Some(manifest) => {
                    presence.receiving.advanced(bytes.min(total));
                    presence.found(order, stamp, hashed.path, manifest);
                }
                None => drop(missing.insert(order, true)),
            }
        });
        if let Err(error) = looked {
            log::warn!("what is here is not looked at: {error}");
        }
        missing.extend(here.into_values().map(|(order, _)| (order, true)));
        let mut has_place = |(order, is_taken): &(usize, bool)| !is_taken || presence.has_place(*order);
        let mut missing: Vec<_> = missing.into_iter().collect();
        missing.retain(&mut has_place);
        missing.into_iter().map(|(order, _)| order).collect()
    }

    /// Hashes files that are here, and hands each over when it is done; some are left out if we are stopped.
    pub(super) fn hash_here(
        &self,
        files: Vec<(PathBuf, Stamp)>,
        mut each: impl FnMut(Hashed),
    ) -> io::Result<()> {
        let mut left = files.len();
        if left == 0 {
            return Ok(());
        }
        let (hashers, results) = Hashers::new(HashOrder::AsGiven);
        hashers.hash(files)?;
        while left > 0 && !self.stop.is_set() {
            if let Ok(hashed) = results.recv_timeout(LOOK) {
                left -= 1;
                each(hashed);
            }
        }
        Ok(())
    }
}
