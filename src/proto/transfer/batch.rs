//! Many small contents, each asked for whole: which of them is asked of whom next.
//!
//! Belongs here: how far ahead a connection is asked, how a list is shared out among holders, and what becomes of
//! that which a holder owed. Does not: bytes, connections, names. Invariant: every content is in one state, and
//! when all is settled each has either come or been asked in vain of everybody who was said to hold it.

use super::Source;
use crate::limits::{SLOW_PIECE, SMALL_AHEAD_BYTES_MAX, SMALL_AHEAD_MAX, SMALL_AHEAD_SPAN};
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// Contents asked ahead of a connection at first, and at least.
const AHEAD_FIRST: usize = 8;
const AHEAD_MIN: usize = 2;

/// A content of the batch, by its place in the list.
pub type BatchItem = usize;
/// A holder, by its place in the list.
pub type BatchHolder = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    /// Asked of so many connections.
    Owed(u32),
    Here,
    /// Nobody is left to ask.
    Left,
}

#[derive(Debug)]
struct Entry {
    bytes: u64,
    /// Who may still have it.
    holders: Vec<BatchHolder>,
    state: State,
}

#[derive(Debug)]
struct Lane {
    holder: BatchHolder,
    /// What it owes, in the order it was asked, and since when.
    owed: VecDeque<(BatchItem, Instant)>,
    owed_bytes: u64,
    ahead: usize,
}

/// The contents of one batch, and the connections they are asked over.
#[derive(Debug)]
pub struct Batch {
    entries: Vec<Entry>,
    /// For each holder what to ask it for; what has been settled since is passed over.
    queues: Vec<VecDeque<BatchItem>>,
    lanes: BTreeMap<Source, Lane>,
    waiting: usize,
    unsettled: usize,
}

impl Batch {
    /// Contents of so many bytes, and the holders of each.
    pub fn new(holders: usize, contents: impl Iterator<Item = (u64, Vec<BatchHolder>)>) -> Self {
        let mut batch = Self {
            entries: Vec::new(),
            queues: vec![VecDeque::new(); holders],
            lanes: BTreeMap::new(),
            waiting: 0,
            unsettled: 0,
        };
        for (item, (bytes, holders)) in contents.enumerate() {
            batch.waiting += 1;
            batch.unsettled += 1;
            batch.entries.push(Entry {
                bytes,
                holders,
                state: State::Waiting,
            });
            batch.give_back(item, false);
        }
        batch
    }

    /// Lets a content be asked for, of those who are left; before others if it was asked for already.
    fn give_back(&mut self, item: BatchItem, first: bool) {
        let entry = &mut self.entries[item];
        if entry.holders.is_empty() {
            entry.state = State::Left;
            self.waiting -= 1;
            self.unsettled -= 1;
        }
        for holder in &entry.holders {
            let Some(queue) = self.queues.get_mut(*holder) else {
                continue;
            };
            if first {
                queue.push_front(item);
            } else {
                queue.push_back(item);
            }
        }
    }

    /// A connection to a holder is open.
    pub fn open(&mut self, source: Source, holder: BatchHolder) {
        let lane = Lane {
            holder,
            owed: VecDeque::new(),
            owed_bytes: 0,
            ahead: AHEAD_FIRST,
        };
        self.lanes.insert(source, lane);
    }

    /// What to ask a connection for now, in this order; nothing while it owes enough.
    pub fn asks(&mut self, now: Instant, source: Source) -> Vec<BatchItem> {
        let mut asks = Vec::new();
        let Some(lane) = self.lanes.get(&source) else {
            return asks;
        };
        // Several at a time: a request costs as much to send as a small content.
        if lane.owed.len() * 2 > lane.ahead {
            return asks;
        }
        while let Some(item) = self.ask(now, source) {
            asks.push(item);
        }
        asks
    }

    fn ask(&mut self, now: Instant, source: Source) -> Option<BatchItem> {
        let holder = self.lanes.get(&source)?.holder;
        let item = match self.next_waiting(holder) {
            Some(item) => item,
            None => self.late_for(now, holder)?,
        };
        let (lane, entry) = (self.lanes.get_mut(&source)?, &mut self.entries[item]);
        let fits = lane.owed.len() < lane.ahead
            && lane.owed_bytes.saturating_add(entry.bytes) <= SMALL_AHEAD_BYTES_MAX;
        if !fits && !lane.owed.is_empty() {
            return None;
        }
        match &mut entry.state {
            State::Owed(times) => *times += 1,
            state => {
                *state = State::Owed(1);
                self.waiting -= 1;
                self.queues[holder].pop_front();
            }
        }
        lane.owed.push_back((item, now));
        lane.owed_bytes += entry.bytes;
        Some(item)
    }

    /// What a holder is to be asked for next; what has been settled since it was put there is passed over.
    fn next_waiting(&mut self, holder: BatchHolder) -> Option<BatchItem> {
        let queue = self.queues.get_mut(holder)?;
        while let Some(item) = queue.front() {
            if self.entries[*item].state == State::Waiting {
                return Some(*item);
            }
            queue.pop_front();
        }
        None
    }

    /// A content that another holder has owed for so long that this one is asked as well.
    pub fn late_for(&self, now: Instant, holder: BatchHolder) -> Option<BatchItem> {
        let others = self.lanes.values().filter(|lane| lane.holder != holder);
        let mut late = others
            .flat_map(|lane| &lane.owed)
            .filter(|(_, since)| now.since(*since) >= SLOW_PIECE);
        let once = |item: &BatchItem| {
            let entry = &self.entries[*item];
            entry.state == State::Owed(1) && entry.holders.contains(&holder)
        };
        late.find(|(item, _)| once(item)).map(|(item, _)| *item)
    }

    /// The content whose answer comes next over a connection, and its length.
    pub fn owed(&self, source: Source) -> Option<(BatchItem, u64)> {
        let (item, _) = self.lanes.get(&source)?.owed.front()?;
        Some((*item, self.entries[*item].bytes))
    }

    fn answered(&mut self, source: Source) -> Option<(BatchItem, Instant)> {
        let lane = self.lanes.get_mut(&source)?;
        let (item, since) = lane.owed.pop_front()?;
        lane.owed_bytes -= self.entries[item].bytes;
        Some((item, since))
    }

    /// The next content came over a connection, and is right; true if it is the first to bring it.
    pub fn came(&mut self, now: Instant, source: Source) -> bool {
        let Some((item, since)) = self.answered(source) else {
            return false;
        };
        if let Some(lane) = self.lanes.get_mut(&source) {
            // A slow one is asked late: what it owes at the end is what the others wait for.
            lane.ahead = if now.since(since) < SMALL_AHEAD_SPAN {
                (lane.ahead + 1).min(SMALL_AHEAD_MAX)
            } else {
                (lane.ahead - 1).max(AHEAD_MIN)
            };
        }
        let entry = &mut self.entries[item];
        let first = matches!(entry.state, State::Owed(_));
        if first {
            entry.state = State::Here;
            self.unsettled -= 1;
        }
        first
    }

    /// A connection's holder has not got the content it owed first: others are asked.
    pub fn lacks(&mut self, source: Source) {
        let Some(holder) = self.lanes.get(&source).map(|lane| lane.holder) else {
            return;
        };
        if let Some((item, _)) = self.answered(source) {
            self.entries[item].holders.retain(|other| *other != holder);
            self.no_longer_owed(item);
        }
    }

    fn no_longer_owed(&mut self, item: BatchItem) {
        let entry = &mut self.entries[item];
        match &mut entry.state {
            State::Owed(1) => {
                entry.state = State::Waiting;
                self.waiting += 1;
                self.give_back(item, true);
            }
            State::Owed(times) => *times -= 1,
            State::Waiting | State::Here | State::Left => {}
        }
    }

    /// A connection is over; what it owed is asked again, and is told.
    pub fn close(&mut self, source: Source) -> Vec<BatchItem> {
        let owed = self
            .lanes
            .remove(&source)
            .map(|lane| lane.owed)
            .unwrap_or_default();
        let owed: Vec<BatchItem> = owed.into_iter().map(|(item, _)| item).collect();
        // The last first: they go to the front one by one.
        owed.iter().rev().for_each(|item| self.no_longer_owed(*item));
        owed
    }

    /// Nothing more is asked of a holder.
    pub fn give_up(&mut self, holder: BatchHolder) {
        self.queues[holder].clear();
        for item in 0..self.entries.len() {
            let entry = &mut self.entries[item];
            let before = entry.holders.len();
            entry.holders.retain(|other| *other != holder);
            let nobody = entry.holders.is_empty() && before > 0;
            if nobody && entry.state == State::Waiting {
                entry.state = State::Left;
                self.waiting -= 1;
                self.unsettled -= 1;
            }
        }
    }

    /// True if a content has come.
    pub fn is_here(&self, item: BatchItem) -> bool {
        self.entries
            .get(item)
            .is_some_and(|entry| entry.state == State::Here)
    }

    /// How many contents wait to be asked for.
    pub const fn waiting(&self) -> usize {
        self.waiting
    }

    /// True if a holder has something to be asked for that waits.
    pub fn waits_for(&mut self, holder: BatchHolder) -> bool {
        self.next_waiting(holder).is_some()
    }

    /// True when every content has come, or nobody is left to ask for it.
    pub const fn is_settled(&self) -> bool {
        self.unsettled == 0
    }
}

#[cfg(test)]
#[path = "batch_tests.rs"]
mod tests;
