//! Pages: as many entries as fit into one answer.

use crate::wire::{Field, HEADER_BYTES, List};

/// What every page carries besides its entries: header, request number, form, `more`, count.
const PAGE_OVERHEAD_BYTES: usize = HEADER_BYTES + 8 + 1 + 1 + 2;

/// Room for an entry of a usual length.
const ENTRY_BYTES: usize = 256;

/// A page being filled.
#[derive(Debug)]
pub(super) struct Page<T, const MAX: usize> {
    entries: List<T, MAX>,
    /// The last one offered, as it will lie in the answer.
    encoded: Vec<u8>,
    bytes_left: usize,
    more: bool,
}

impl<T: Field, const MAX: usize> Page<T, MAX> {
    /// An empty page of at most `answer_bytes_max`, frame and all.
    pub(super) fn new(answer_bytes_max: usize) -> Self {
        Self {
            entries: List::new(),
            encoded: Vec::with_capacity(ENTRY_BYTES),
            bytes_left: answer_bytes_max.saturating_sub(PAGE_OVERHEAD_BYTES),
            more: false,
        }
    }

    /// Adds an entry if it fits. False: the page is full and says that more follow.
    pub(super) fn offer(&mut self, entry: T) -> bool {
        self.encoded.clear();
        entry.put(&mut self.encoded);
        let bytes = self.encoded.len();
        if bytes <= self.bytes_left && self.entries.push(entry) {
            self.bytes_left -= bytes;
            true
        } else {
            self.more = true;
            false
        }
    }

    /// The entries and whether more follow; `None` if the first entry alone was too long for the answer.
    pub(super) fn finish(self) -> Option<(bool, List<T, MAX>)> {
        if self.more && self.entries.is_empty() {
            None
        } else {
            Some((self.more, self.entries))
        }
    }
}
