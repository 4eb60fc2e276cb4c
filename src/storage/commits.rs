//! Group commit: many wait for one sync.
//!
//! Changes are handed over in order and one thread writes all that have come while it wrote the last ones. Invariant:
//! nobody holds a lock during a sync; a change counts as settled only when it and all before it are kept.

use super::store::Store;
use crate::limits::RS_CHANGES_WAITING_MAX;
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
    closed: bool,
}

/// The way into a store.
#[derive(Default)]
pub struct Commits {
    waiting: Mutex<Waiting>,
    come: Condvar,
    handed_over: AtomicU64,
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
    pub fn hand_over(&self, mut changes: impl Iterator<Item = Change>) -> ChangeCount {
        let Some(first) = changes.next() else {
            return ChangeCount(self.handed_over.load(Ordering::Acquire));
        };
        let mut waiting = self.waiting.lock();
        let before = waiting.changes.len();
        waiting.changes.push(first);
        waiting.changes.extend(changes);
        let more = waiting.changes.len() - before;
        let count = self.handed_over.fetch_add(more as u64, Ordering::AcqRel) + more as u64;
        self.come.notify_one();
        ChangeCount(count)
    }

    /// True while as many changes wait as may: the store does not keep up.
    pub fn is_full(&self) -> bool {
        let waiting = self
            .handed_over
            .load(Ordering::Relaxed)
            .saturating_sub(self.settled().0);
        waiting >= RS_CHANGES_WAITING_MAX as u64
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
                let count = self.handed_over.load(Ordering::Acquire);
                (core::mem::take(&mut waiting.changes), count)
            };
            store.commit(&changes)?;
            self.settled.store(count, Ordering::Release);
            self.told.lock().iter().for_each(|told| told());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerNumber;
    use crate::storage::MemoryStore;
    use std::sync::Arc;

    fn changes(count: u64) -> impl Iterator<Item = Change> {
        (0..count).map(|number| Change::PeerGone(PeerNumber(number)))
    }

    #[test]
    fn a_store_that_does_not_keep_up_is_full() {
        let commits = Commits::default();
        let max = RS_CHANGES_WAITING_MAX as u64;
        assert_eq!(commits.hand_over(changes(max - 1)), ChangeCount(max - 1));
        assert!(!commits.is_full());
        commits.hand_over(changes(1));
        assert!(commits.is_full());
        commits.close();
        commits.run(&mut MemoryStore::default()).expect("memory");
        assert!(!commits.is_full(), "it has caught up");
        assert_eq!(commits.hand_over(changes(0)), commits.settled());
    }

    /// A store that fails from the second commit on.
    struct Failing(u32);

    impl Store for Failing {
        fn commit(&mut self, _: &[Change]) -> io::Result<()> {
            self.0 += 1;
            if self.0 > 1 {
                return Err(io::Error::other("no room"));
            }
            Ok(())
        }
        fn load(&mut self, _: &mut dyn FnMut(Change)) -> io::Result<()> {
            Ok(())
        }
        fn is_of_this_boot(&self) -> bool {
            true
        }
    }

    #[test]
    fn what_is_not_kept_is_never_settled() {
        let commits = Arc::new(Commits::default());
        let (told, settled) = crossbeam_channel::unbounded();
        let looks = Arc::clone(&commits);
        commits.tell(Box::new(move || told.send(looks.settled()).expect("heard")));
        let first = commits.hand_over(changes(3));
        let writer = Arc::clone(&commits);
        let writer = std::thread::spawn(move || writer.run(&mut Failing(0)));
        assert_eq!(settled.recv(), Ok(first));
        let second = commits.hand_over(changes(1));
        assert!(writer.join().expect("a thread").is_err());
        assert!(commits.settled() < second);
    }
}
