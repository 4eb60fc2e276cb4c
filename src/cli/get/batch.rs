//! Getting many contents: the small ones together, and then the large ones one by one.

use super::Getting;
use super::tree::Come;
use crate::cli::failure::Failure;
use crate::cli::progress::Progress;
use p2pdi::fetch::{Fetched, Order, Receiving, Standing, Unfetched, Watcher as _};
use p2pdi::limits::SMALL_BYTES_MAX;
use p2pdi::locate::Located;
use p2pdi::name::HostPort;
use p2pdi::wire::ContentKind;
use std::cell::RefCell;
use std::collections::BTreeSet;

impl Getting<'_> {
    /// Gets what was located, each under its name; what fails is noted and does not keep the others.
    pub(super) fn get_located(&mut self, located: Vec<Located>, note: &mut dyn FnMut(Failure)) {
        let (trees, files): (Vec<Located>, Vec<Located>) = located
            .into_iter()
            .partition(|located| located.info.kind == ContentKind::Tree);
        let order = |located: Located| Order {
            info: located.info,
            holders: located.holders,
            executable: None,
        };
        let (small, large): (Vec<Order>, Vec<Order>) = files
            .into_iter()
            .map(order)
            .partition(|order| order.info.bytes <= SMALL_BYTES_MAX);
        self.get_small(&small, None, note);
        for order in large {
            self.get_large(order, None).unwrap_or_else(&mut *note);
        }
        for tree in &trees {
            self.get_tree(tree, note);
        }
    }

    /// Gets small contents in numbers; they are shown as one.
    pub(super) fn get_small(
        &self,
        orders: &[Order],
        of_tree: Option<&RefCell<Come>>,
        note: &mut dyn FnMut(Failure),
    ) {
        let holders: BTreeSet<&HostPort> = orders.iter().flat_map(|order| &order.holders).collect();
        let progress = match orders {
            [] => return,
            [one] => Progress::new(self.showing, &one.info, holders.len()),
            several => {
                let bytes = several.iter().map(|order| order.info.bytes).sum();
                Progress::of_several(self.showing, several.len(), bytes, holders.len())
            }
        };
        let mut several = Several {
            getting: self,
            orders,
            of_tree,
            note,
            reported: BTreeSet::new(),
            progress,
        };
        self.fetcher.fetch_many(orders, &mut several);
        several.progress.finish();
    }
}

/// Tells of what becomes of many.
struct Several<'s, 'g> {
    getting: &'s Getting<'g>,
    orders: &'s [Order],
    of_tree: Option<&'s RefCell<Come>>,
    note: &'s mut dyn FnMut(Failure),
    reported: BTreeSet<HostPort>,
    progress: Progress,
}

impl Receiving for Several<'_, '_> {
    fn more(&mut self, order: usize, tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        let id = self.orders[order].info.id;
        self.getting.locator.borrow_mut().more_holders(id, tried)
    }

    fn failed(&mut self, holder: &HostPort, why: &str) {
        self.progress.failed(holder, why);
        if self.reported.insert(holder.clone()) {
            self.getting.report(holder);
        }
    }

    fn advanced(&mut self, bytes: u64) {
        self.progress.advanced(&Standing::of_bytes(bytes));
    }

    fn ended(&mut self, order: usize, result: Result<Fetched, Unfetched>) {
        let info = &self.orders[order].info;
        match result {
            Ok(fetched) => self.getting.got(info, &fetched, self.of_tree),
            Err(unfetched) => (self.note)(self.getting.not_got(info, &unfetched)),
        }
    }
}
