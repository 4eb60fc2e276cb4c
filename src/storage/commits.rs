//! Group commit: many wait for one sync.
//!
//! Changes are handed over in order and one thread writes all that have come while it wrote the last ones. Invariant:
//! nobody holds a lock during a sync; a change counts as settled only when it and all before it are kept.

use super::store::Store;
use crate::proto::Change;
use parking_lot::{Condvar, Mutex};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many changes were handed over: an answer that waits for one of them waits for its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeCount(pub u64);

#[derive(Debug, Default)]
struct Waiting {
    changes: Vec<Change>,
    handed_over: u64,
    closed: bool,
}

/// The way into a store.
#[derive(Default)]
pub struct Commits {
    waiting: Mutex<Waiting>,
    come: Condvar,
    settled: AtomicU64,
    /// Called after each commit.
    told: Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

impl core::fmt::Debug for Commits {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Commits({:?} settled)", self.settled)
    }
}

impl Commits {
    /// Hands changes over, and says which count stands for them and all before.
    pub fn hand_over(&self, changes: impl Iterator<Item = Change>) -> ChangeCount {
        let mut waiting = self.waiting.lock();
        let before = waiting.changes.len();
        waiting.changes.extend(changes);
        let more = waiting.changes.len() - before;
        waiting.handed_over += more as u64;
        if more > 0 {
            self.come.notify_one();
        }
        ChangeCount(waiting.handed_over)
    }

    /// What is kept.
    pub fn settled(&self) -> ChangeCount {
        ChangeCount(self.settled.load(Ordering::Acquire))
    }

    /// Calls this after each commit from now on.
    pub fn tell(&self, told: Box<dyn Fn() + Send + Sync>) {
        self.told.lock().push(told);
    }

    /// No more changes come: what was handed over is written, and [`Commits::run`] ends.
    pub fn close(&self) {
        self.waiting.lock().closed = true;
        self.come.notify_one();
    }

    /// Writes until closed.
    ///
    /// # Errors
    /// The store's: nothing more is settled.
    pub fn run(&self, store: &mut dyn Store) -> io::Result<()> {
        loop {
            let (changes, count) = {
                let mut waiting = self.waiting.lock();
                while waiting.changes.is_empty() {
                    if waiting.closed {
                        return Ok(());
                    }
                    self.come.wait(&mut waiting);
                }
                (core::mem::take(&mut waiting.changes), waiting.handed_over)
            };
            store.commit(&changes)?;
            self.settled.store(count, Ordering::Release);
            self.told.lock().iter().for_each(|told| told());
        }
    }
}
