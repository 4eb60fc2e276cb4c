//! Small contents that turn out to be longer than was listed: they come by pieces after all.
//!
//! Belongs here: handing one order of many to the fetching by pieces. Does not: how pieces come.

use super::many::{Order, Receiving};
use super::{FetchFault, Fetcher, HolderSource, Standing, Unfetched, Watcher};
use crate::name::HostPort;
use std::cell::RefCell;
use std::collections::BTreeSet;

/// One order, as the fetching by pieces sees it.
struct Alone<'r, 'o> {
    order: usize,
    receiving: &'r RefCell<&'o mut dyn Receiving>,
}

impl HolderSource for Alone<'_, '_> {
    fn known(&mut self) -> Vec<HostPort> {
        Vec::new()
    }

    fn more(&mut self, tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        self.receiving.borrow_mut().more(self.order, tried)
    }
}

impl Watcher for Alone<'_, '_> {
    // It is counted with the others when it is here.
    fn advanced(&mut self, _standing: &Standing) {}

    fn failed(&mut self, holder: &HostPort, why: &str) {
        self.receiving.borrow_mut().failed(holder, why);
    }
}

impl Fetcher<'_> {
    /// Fetches the content of an order by pieces, and tells what became of it.
    pub(super) fn fetch_longer(&self, order: usize, wanted: &Order, receiving: &mut dyn Receiving) {
        let receiving = RefCell::new(receiving);
        let alone = || Alone {
            order,
            receiving: &receiving,
        };
        let (known, mut more, mut watcher) = (wanted.holders.clone(), alone(), alone());
        let fetched = self.fetch_large(&wanted.info, known, &mut more, &mut watcher);
        let mended = fetched.and_then(|fetched| {
            let mend = |executable| self.set_executable(&wanted.info.name, executable);
            match wanted.executable.map_or(Ok(()), mend) {
                Ok(()) => Ok(fetched),
                Err(error) => Err(Unfetched {
                    fault: FetchFault::Disk(error),
                    account: Box::new(fetched.account),
                }),
            }
        });
        receiving.borrow_mut().ended(order, mended);
    }
}
