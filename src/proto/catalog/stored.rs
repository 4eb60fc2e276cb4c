//! The catalog's rows in a store: what has changed, and how they come back.

use super::{ById, Catalog, Change, Content, Entry, HolderRecord, HolderRow, PeerNumber, VecDeque};
use std::collections::BTreeMap;

/// A record on its way back.
#[derive(Debug)]
pub(in crate::proto) struct Restored {
    peer: PeerNumber,
    content: Content,
    order: u64,
    complete: bool,
}

impl Restored {
    pub(in crate::proto) fn new(peer: PeerNumber, row: &HolderRow) -> Self {
        Self {
            peer,
            content: Content::new(&row.content),
            order: row.order,
            complete: row.complete,
        }
    }
}

impl Catalog {
    /// Takes back all records. What a holder said of a content while others held it was not believed, so all rows of
    /// a content say the same of it. Tables made of all their rows at once are half as large as tables that grow row
    /// by row.
    pub(in crate::proto) fn restore(&mut self, mut rows: Vec<Restored>) {
        rows.sort_unstable_by(|a, b| (&a.content, a.peer).cmp(&(&b.content, b.peer)));
        // One memory for all that name it.
        for at in 1..rows.len() {
            if rows[at].content == rows[at - 1].content {
                rows[at].content = rows[at - 1].content.clone();
            }
        }
        self.order = rows.iter().map(|row| row.order).max().unwrap_or(0);
        let entries = rows.chunk_by(|a, b| a.content == b.content).map(|same| {
            let holders = same.iter().map(|row| HolderRecord {
                peer: row.peer,
                order: row.order,
                uses: 0,
                complete: row.complete,
            });
            (same[0].content.clone(), Entry::of_all(holders.collect()))
        });
        self.contents = entries.collect();
        self.by_id = ById::ordered(self.contents.keys()).collect();
        let numbered = self
            .contents
            .keys()
            .filter_map(|content| Some((content.number()?, content.clone())));
        self.by_number = numbered.collect();
        let mut counts: BTreeMap<PeerNumber, usize> = BTreeMap::new();
        for row in &rows {
            *counts.entry(row.peer).or_default() += 1;
        }
        self.counts = counts;
        self.by_peer = rows.into_iter().map(|row| (row.peer, row.content)).collect();
    }

    /// From now on [`Catalog::poll_change`] tells what has changed.
    pub(in crate::proto) fn keep_changes(&mut self) {
        self.changes = Some(VecDeque::new());
    }

    /// The next row that a store has to write.
    pub(in crate::proto) fn poll_change(&mut self) -> Option<Change> {
        self.changes.as_mut()?.pop_front()
    }
}
