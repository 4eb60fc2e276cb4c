//! What of many contents is here already, and what may not be put where something else lies.
//!
//! Belongs here: looking at `--out` before anybody is asked. Does not: fetching (`many.rs`), the files (`storage/`).
//! Invariant: what is not the content, and was not put there by a fetch, is neither taken for it nor replaced.

use super::account::{Account, Accounts};
use super::many::{Order, Receiving};
use super::{FetchFault, Fetched, Fetcher, LOOK};
use crate::storage::{Group, HashOrder, Hashers};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

impl Fetcher<'_> {
    /// Tells of what is here already, or cannot be; the orders that are left.
    pub(super) fn missing(
        &self,
        orders: &[Order],
        group: &Group,
        begun: Instant,
        receiving: &mut dyn Receiving,
    ) -> Vec<usize> {
        let mut missing = self.not_here(orders, group, begun, receiving);
        missing.retain(|order| {
            let refused = group.refuse_to_replace(&orders[*order].info.name);
            let had = refused
                .map_err(|error| Accounts::default().unfetched(FetchFault::Disk(error), begun.elapsed()));
            had.map_err(|unfetched| receiving.ended(*order, Err(unfetched)))
                .is_ok()
        });
        missing
    }

    /// Tells of what is here already, or has a directory in its way; the orders that are left.
    fn not_here(
        &self,
        orders: &[Order],
        group: &Group,
        begun: Instant,
        receiving: &mut dyn Receiving,
    ) -> Vec<usize> {
        let mut missing = BTreeSet::new();
        let mut here = BTreeMap::new();
        for (order, wanted) in orders.iter().enumerate() {
            match group.find(&wanted.info.name) {
                Err(error) => {
                    let unfetched = Accounts::default().unfetched(FetchFault::Disk(error), begun.elapsed());
                    receiving.ended(order, Err(unfetched));
                }
                Ok(Some(stamp)) if stamp.bytes == wanted.info.bytes => {
                    here.insert(group.path(&wanted.info.name), (order, stamp));
                }
                Ok(_) => drop(missing.insert(order)),
            }
        }
        let (hashers, results) = Hashers::new(HashOrder::AsGiven);
        let files = here.iter().map(|(path, (_, stamp))| (path.clone(), *stamp));
        if here.is_empty() || hashers.hash(files).is_err() {
            missing.extend(here.into_values().map(|(order, _)| order));
            return missing.into_iter().collect();
        }
        let total: u64 = here.values().map(|(_, stamp)| stamp.bytes).sum();
        let mut bytes = 0;
        while !here.is_empty() && !self.stop.is_set() {
            let Ok(hashed) = results.recv_timeout(LOOK) else {
                continue;
            };
            let Some((order, stamp)) = here.remove(&hashed.path) else {
                continue;
            };
            bytes += stamp.bytes;
            let wanted = &orders[order];
            let right = hashed
                .result
                .ok()
                .filter(|manifest| manifest.id() == wanted.info.id);
            let Some(manifest) = right else {
                missing.insert(order);
                continue;
            };
            receiving.advanced(bytes.min(total));
            let mended = wanted
                .executable
                .filter(|executable| *executable != stamp.executable)
                .map_or(Ok(()), |executable| {
                    group.set_executable(&wanted.info.name, executable)
                });
            let result = match mended {
                Ok(()) => Ok(Fetched {
                    path: hashed.path,
                    manifest: Arc::new(manifest),
                    account: Account::of(Vec::new(), begun.elapsed()),
                }),
                Err(error) => Err(Accounts::default().unfetched(FetchFault::Disk(error), begun.elapsed())),
            };
            receiving.ended(order, result);
        }
        missing.extend(here.into_values().map(|(order, _)| order));
        missing.into_iter().collect()
    }
}
