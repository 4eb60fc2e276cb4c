//! Who is there while a content comes: how far it is, who came and went, and how attempts failed.
//!
//! Belongs here: what is counted of holders under the swarm's lock. Does not: pieces and frames (`swarm.rs`).
//! Invariant: whoever comes goes once, with the time its thread took.

use super::Standing;
use super::account::AttemptFault;
use super::swarm::State;
use crate::limits::HEARD_HOLDERS_MAX;
use crate::name::HostPort;
use crate::proto::transfer::{Pieces, Spent, Taker};
use crate::time::Instant;

impl State {
    /// How far it is.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        let pieces = self.taker.as_ref().map(Taker::verified);
        Standing {
            bytes: self.bytes_here,
            pieces: pieces.map_or(0, Pieces::len),
            pieces_all: pieces.map_or(0, Pieces::count),
            holders: self.accounts.sending(now),
            slow: self.headway.slow(now),
        }
    }

    /// A holder is tried, which has brought so many pieces before.
    pub(super) fn come(&mut self, now: Instant, holder: &HostPort) -> u32 {
        let whole = !self.partial.contains(holder);
        self.accounts.lulls.come(now, whole);
        if whole {
            *self.whole.entry(holder.clone()).or_default() += 1;
        }
        self.accounts.of(holder).pieces
    }

    /// Those that were lost and are to be tried again now.
    pub(super) fn due_again(&mut self, now: Instant) -> Vec<HostPort> {
        let due = self.again.extract_if(.., |(then, _)| *then <= now);
        due.map(|(_, holder)| holder).collect()
    }

    /// Somebody names a holder, which takes the content itself or did then. Anybody can name anything: so many are
    /// believed, and whom an index names is asked all the same.
    pub(super) fn hear_of(&mut self, now: Instant, holder: HostPort) {
        if self.partial.contains(&holder) || self.partial.len() >= HEARD_HOLDERS_MAX {
            return;
        }
        for _ in 0..self.whole.remove(&holder).unwrap_or(0) {
            self.accounts.lulls.go(now, true);
        }
        self.heard.push(holder.clone());
        self.partial.insert(holder);
    }

    /// A holder's thread ends, which spent its time like this.
    pub(super) fn gone(&mut self, now: Instant, holder: &HostPort, spent: &Spent) {
        let whole = self.whole.get_mut(holder).filter(|threads| **threads > 0);
        let was_whole = whole.is_some();
        if let Some(threads) = whole {
            *threads -= 1;
        }
        self.accounts.lulls.go(now, was_whole);
        let account = self.accounts.of(holder);
        account.spent.add(spent);
        account.threads += 1;
    }

    /// Notes how an attempt at a holder failed.
    pub(super) fn ended_badly(&mut self, holder: &HostPort, fault: AttemptFault) {
        match fault {
            AttemptFault::Disk(error) => {
                self.over = true;
                self.lines.values().for_each(|line| line.writer.shut());
                self.disk.get_or_insert(error);
            }
            AttemptFault::OtherSize(bytes) => {
                self.over = true;
                self.lines.values().for_each(|line| line.writer.shut());
                self.true_bytes = Some(bytes);
            }
            AttemptFault::Interrupted | AttemptFault::Ourselves => {}
            fault => {
                self.failed.push((holder.clone(), fault.to_string()));
                self.accounts.failed(holder, &fault);
            }
        }
    }
}
