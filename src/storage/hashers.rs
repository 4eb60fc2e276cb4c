//! Threads that hash files: several at once, and several stretches of a large one at once.
//!
//! Belongs here: which stretch comes next, and putting a file's stretches together. Does not: which files are
//! wanted (the peer, `p2pdi hash`), reading them (`hashing.rs`). Invariant: every file taken on is told of exactly
//! once, unless it is forgotten before; between two stretches nothing is held of a file but its values.

use super::hashing::hash_pieces;
use super::{HashFault, Stamp};
use crate::id::piece_bytes;
use crate::limits::{HASH_STRETCH_BYTES, HASH_THREADS_MAX};
use crate::proto::transfer::{Manifest, piece_count};
use core::ops::Range;
use crossbeam_channel::{Receiver, Sender, unbounded};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Which file comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashOrder {
    /// The smallest: many are done soon. A large one is passed by small ones that come later, but by no more of
    /// them than make up eight times its size, so it has its turn whatever comes.
    SmallestFirst,
    /// As they are handed in.
    AsGiven,
}

/// How many times its own size may pass a file by.
const PASSED_BY: u64 = 8;

/// A file that was hashed, or could not be.
#[derive(Debug)]
pub struct Hashed {
    /// Where it is.
    pub path: PathBuf,
    /// What it was.
    pub stamp: Stamp,
    /// True if the stamp was old before the first byte was read, so that no later change can hide behind it.
    pub is_sure: bool,
    /// Its piece values.
    pub result: Result<Manifest, HashFault>,
}

/// How far the threads are with all they were given since they last had nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HashProgress {
    /// Files done.
    pub files_done: u64,
    /// Files in all.
    pub files: u64,
    /// Bytes done.
    pub bytes_done: u64,
    /// Bytes in all.
    pub bytes: u64,
}

/// A file's place in the order of handing in, which also names it.
type Ticket = u64;

#[derive(Debug)]
struct Job {
    path: Arc<Path>,
    stamp: Stamp,
    /// What the queue sorts by.
    rank: u64,
    is_sure: bool,
    /// The first piece that no thread has taken.
    next: u32,
    /// Threads at work on it.
    workers: u32,
    bytes_done: u64,
    /// Of the pieces taken; it grows with them, for a sparse file may claim any size.
    values: Vec<[u8; 32]>,
    fault: Option<HashFault>,
}

impl Job {
    fn count(&self) -> u32 {
        piece_count(self.stamp.bytes)
    }

    /// Takes the next stretch.
    fn take(&mut self) -> Range<u32> {
        let pieces = u32::try_from(HASH_STRETCH_BYTES / piece_bytes(self.stamp.bytes)).unwrap_or(1);
        let taken = self.next..self.next.saturating_add(pieces.max(1)).min(self.count());
        self.next = taken.end;
        self.workers += 1;
        self.values.resize(taken.end as usize, [0; 32]);
        taken
    }
}

#[derive(Debug, Default)]
struct Queue {
    jobs: BTreeMap<Ticket, Job>,
    /// Those with pieces that no thread has taken, in the order they are taken.
    waiting: BTreeSet<(u64, Ticket)>,
    tickets: BTreeMap<PathBuf, Ticket>,
    next: Ticket,
    progress: HashProgress,
}

#[derive(Debug)]
struct Shared {
    order: HashOrder,
    queue: Mutex<Queue>,
    work: Condvar,
    ended: AtomicBool,
    done: Sender<Hashed>,
}

/// The threads, and what they have to do. Dropping it ends them at once.
#[derive(Debug)]
pub struct Hashers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    threads_max: usize,
}

impl Hashers {
    /// As many threads as the machine runs at once, within [`HASH_THREADS_MAX`]; they start with the first file.
    /// What they have done comes out of the channel.
    pub fn new(order: HashOrder) -> (Self, Receiver<Hashed>) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self::with_threads(order, cores)
    }

    /// The same with so many threads, if the bound allows it.
    pub fn with_threads(order: HashOrder, threads: usize) -> (Self, Receiver<Hashed>) {
        let (done, results) = unbounded();
        let shared = Arc::new(Shared {
            order,
            queue: Mutex::default(),
            work: Condvar::new(),
            ended: AtomicBool::new(false),
            done,
        });
        let hashers = Self {
            shared,
            threads: Mutex::default(),
            threads_max: threads.clamp(1, HASH_THREADS_MAX),
        };
        (hashers, results)
    }

    /// Takes these files on. One that is taken on already is hashed as it was handed in first.
    ///
    /// # Errors
    /// The operating system gives not a single thread; the files stay taken on.
    pub fn hash(&self, files: impl IntoIterator<Item = (PathBuf, Stamp)>) -> io::Result<()> {
        let mut queue = self.shared.queue.lock();
        // One lot is sorted by size alone; what it may pass by is decided by all that came before it.
        let head_start = queue.progress.bytes / PASSED_BY;
        for (path, stamp) in files {
            queue.add(self.shared.order, head_start, path, stamp);
        }
        let idle = queue.jobs.is_empty();
        drop(queue);
        self.shared.work.notify_all();
        if idle { Ok(()) } else { self.start_threads() }
    }

    fn start_threads(&self) -> io::Result<()> {
        let mut threads = self.threads.lock();
        while threads.len() < self.threads_max {
            let shared = Arc::clone(&self.shared);
            let builder = std::thread::Builder::new().name("hash".to_owned());
            match builder.spawn(move || shared.work_until_end()) {
                Ok(thread) => threads.push(thread),
                Err(error) if threads.is_empty() => return Err(error),
                // Fewer do it too.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Hashes a file no longer, if it was to be.
    pub fn forget(&self, path: &Path) {
        let mut queue = self.shared.queue.lock();
        if let Some(job) = queue
            .tickets
            .get(path)
            .copied()
            .and_then(|ticket| queue.remove(ticket))
        {
            queue.progress.files = queue.progress.files.saturating_sub(1);
            queue.progress.bytes = queue.progress.bytes.saturating_sub(job.stamp.bytes);
            queue.progress.bytes_done = queue.progress.bytes_done.saturating_sub(job.bytes_done);
        }
    }

    /// How far they are; none while they have nothing to do.
    pub fn progress(&self) -> Option<HashProgress> {
        let queue = self.shared.queue.lock();
        (!queue.jobs.is_empty()).then_some(queue.progress)
    }

    /// Ends the threads at once; what they had begun is not told of.
    pub fn end(&self) {
        {
            // Under the lock, or a thread on its way to sleep would miss it.
            let _queue = self.shared.queue.lock();
            self.shared.ended.store(true, Ordering::Relaxed);
        }
        self.shared.work.notify_all();
        for thread in core::mem::take(&mut *self.threads.lock()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Hashers {
    fn drop(&mut self) {
        self.end();
    }
}

impl Queue {
    fn add(&mut self, order: HashOrder, head_start: u64, path: PathBuf, stamp: Stamp) {
        if self.tickets.contains_key(&path) {
            return;
        }
        if self.jobs.is_empty() {
            self.progress = HashProgress::default();
        }
        let ticket = self.next;
        self.next += 1;
        let rank = match order {
            HashOrder::SmallestFirst => stamp.bytes.saturating_add(head_start),
            HashOrder::AsGiven => 0,
        };
        let job = Job {
            path: path.as_path().into(),
            stamp,
            rank,
            is_sure: false,
            next: 0,
            workers: 0,
            bytes_done: 0,
            values: Vec::new(),
            fault: None,
        };
        self.jobs.insert(ticket, job);
        self.waiting.insert((rank, ticket));
        self.tickets.insert(path, ticket);
        self.progress.files += 1;
        self.progress.bytes = self.progress.bytes.saturating_add(stamp.bytes);
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Job> {
        let job = self.jobs.remove(&ticket)?;
        self.waiting.remove(&(job.rank, ticket));
        self.tickets.remove(&*job.path);
        Some(job)
    }

    fn take(&mut self) -> Option<(Ticket, Arc<Path>, Stamp, Range<u32>)> {
        let (rank, ticket) = *self.waiting.first()?;
        let job = self.jobs.get_mut(&ticket)?;
        if job.next == 0 {
            job.is_sure = job.stamp.is_old();
        }
        let taken = job.take();
        let claim = (ticket, Arc::clone(&job.path), job.stamp, taken);
        if job.next == job.count() {
            self.waiting.remove(&(rank, ticket));
        }
        Some(claim)
    }

    /// Puts a stretch to its file; the file, if that was its last.
    fn put(&mut self, ticket: Ticket, first: u32, result: Result<Vec<[u8; 32]>, HashFault>) -> Option<Job> {
        let job = self.jobs.get_mut(&ticket)?;
        job.workers -= 1;
        match result {
            Ok(values) => {
                let bytes = piece_bytes(job.stamp.bytes).saturating_mul(values.len() as u64);
                let bytes = bytes.min(job.stamp.bytes - job.bytes_done);
                job.bytes_done += bytes;
                self.progress.bytes_done = self.progress.bytes_done.saturating_add(bytes);
                let first = first as usize;
                job.values[first..first + values.len()].copy_from_slice(&values);
            }
            Err(fault) => {
                job.fault.get_or_insert(fault);
                self.waiting.remove(&(job.rank, ticket));
            }
        }
        let over = job.workers == 0 && (job.fault.is_some() || job.next == job.count());
        if !over {
            return None;
        }
        let job = self.remove(ticket)?;
        self.progress.files_done += 1;
        let rest = job.stamp.bytes - job.bytes_done;
        self.progress.bytes_done = self.progress.bytes_done.saturating_add(rest);
        Some(job)
    }
}

impl Shared {
    fn work_until_end(&self) {
        let mut buffer = Vec::new();
        while let Some((ticket, path, stamp, pieces)) = self.next() {
            let first = pieces.start;
            let go_on = || !self.ended.load(Ordering::Relaxed);
            let result = hash_pieces(&path, stamp, pieces, &mut buffer, go_on);
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let done = self.queue.lock().put(ticket, first, result);
            if let Some(job) = done {
                let Job {
                    stamp,
                    is_sure,
                    values,
                    fault,
                    ..
                } = job;
                let result = fault.map_or_else(|| Ok(Manifest::of_values(stamp.bytes, values)), Err);
                let path = path.to_path_buf();
                // Nobody who would hear of it is no reason to fail.
                let _ = self.done.send(Hashed {
                    path,
                    stamp,
                    is_sure,
                    result,
                });
            }
        }
    }

    /// Waits for a stretch to hash; none at the end.
    fn next(&self) -> Option<(Ticket, Arc<Path>, Stamp, Range<u32>)> {
        let mut queue = self.queue.lock();
        loop {
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(claim) = queue.take() {
                return Some(claim);
            }
            self.work.wait(&mut queue);
        }
    }
}

#[cfg(test)]
#[path = "hashers_tests.rs"]
mod tests;
