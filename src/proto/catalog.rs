//! The contents an RS knows and who holds them (`rfcs/0003-index.txt` §2).
//!
//! Belongs here: content records and the order of holders. Does not: whether a holder is alive
//! (`registry.rs`). Invariant: a holder stands at most once under a key, every holder's keys are listed
//! under it, and a content without holders is forgotten.

use super::change::{Change, HolderRow};
use super::registry::{Peer, Registry};
use crate::id::{ContentId, PeerNumber, RfcNumber};
use crate::limits::{RECORDS_MAX, RECORDS_PER_PEER_MAX};
use crate::name::ContentName;
use crate::time::Instant;
use crate::wire::{ContentInfo, ContentKey, ContentKind, Wanted};
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Which holder the RS names first when several hold a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// The one named first the fewest times so far.
    #[default]
    LeastUsed,
    /// The one that registered last.
    MostRecent,
    /// Each in turn.
    Rotate,
}

/// One holder of a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HolderRecord {
    pub(super) peer: PeerNumber,
    pub(super) complete: bool,
    /// Rising with every registration at this RS.
    order: u64,
    /// How often it was named first. A new holder begins with the fewest of the others: it takes its share
    /// from now on, and does not have to make up for the past.
    uses: u64,
}

#[derive(Clone, Debug)]
struct Entry {
    info: ContentInfo,
    holders: Vec<HolderRecord>,
    turns: u64,
}

/// Why a record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegisterFault {
    /// Another peer of the same name holds content of this name.
    NameTaken,
    /// The peer has as many records as it may.
    Full,
    /// All peers together have as many as they may.
    AllFull,
}

/// All content records.
#[derive(Clone, Debug)]
pub(super) struct Catalog {
    policy: Policy,
    records_per_peer_max: usize,
    records_max: usize,
    /// Records of all peers: one for each content and holder.
    records: usize,
    contents: BTreeMap<ContentKey, Entry>,
    by_id: BTreeMap<ContentId, BTreeSet<ContentName>>,
    by_number: BTreeMap<RfcNumber, BTreeSet<ContentKey>>,
    by_peer: BTreeMap<PeerNumber, BTreeSet<ContentKey>>,
    order: u64,
    /// What has changed since the store was told; nothing is noted without one.
    changes: Option<VecDeque<Change>>,
}

impl Catalog {
    pub(super) const fn new(policy: Policy) -> Self {
        Self {
            policy,
            records_per_peer_max: RECORDS_PER_PEER_MAX,
            records_max: RECORDS_MAX,
            records: 0,
            contents: BTreeMap::new(),
            by_id: BTreeMap::new(),
            by_number: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            order: 0,
            changes: None,
        }
    }

    /// The same with fewer records a peer.
    #[cfg(test)]
    pub(super) const fn with_records_per_peer(mut self, records_per_peer_max: usize) -> Self {
        self.records_per_peer_max = records_per_peer_max;
        self
    }

    /// The same with fewer records in all.
    #[cfg(test)]
    pub(super) const fn with_records(mut self, records_max: usize) -> Self {
        self.records_max = records_max;
        self
    }

    pub(super) fn len(&self) -> usize {
        self.contents.len()
    }

    /// Records that `number` holds a content. `namesakes` tells of another peer whether it has the same name.
    pub(super) fn register(
        &mut self,
        number: PeerNumber,
        info: &ContentInfo,
        complete: bool,
        namesake: impl Fn(PeerNumber) -> bool,
    ) -> Result<(), RegisterFault> {
        let others = self.named(&info.name).flat_map(|(_, entry)| &entry.holders);
        if others
            .into_iter()
            .any(|other| other.peer != number && namesake(other.peer))
        {
            return Err(RegisterFault::NameTaken);
        }
        let key = info.key();
        let keys = self.by_peer.get(&number);
        let fresh = keys.is_none_or(|keys| !keys.contains(&key));
        if fresh && keys.is_some_and(|keys| keys.len() >= self.records_per_peer_max) {
            return Err(RegisterFault::Full);
        }
        if fresh && self.records >= self.records_max {
            return Err(RegisterFault::AllFull);
        }
        self.records += usize::from(fresh);
        self.by_peer.entry(number).or_default().insert(key.clone());
        self.by_id.entry(info.id).or_default().insert(info.name.clone());
        self.order += 1;
        let order = self.order;
        let fresh = || Entry {
            info: info.clone(),
            holders: Vec::new(),
            turns: 0,
        };
        let entry = self.contents.entry(key.clone()).or_insert_with(fresh);
        // Others' words about the same bytes stand until they have gone; one's own may be corrected.
        if entry.holders.iter().all(|holder| holder.peer == number) {
            if let Some(rfc) = entry.info.number {
                take_from(&mut self.by_number, &rfc, &key);
            }
            if let Some(rfc) = info.number {
                self.by_number.entry(rfc).or_default().insert(key);
            }
            entry.info = info.clone();
        }
        let fewest = entry.holders.iter().map(|holder| holder.uses).min().unwrap_or(0);
        match entry.holders.iter_mut().find(|holder| holder.peer == number) {
            Some(holder) => {
                *holder = HolderRecord {
                    complete,
                    order,
                    ..*holder
                }
            }
            None => entry.holders.push(HolderRecord {
                peer: number,
                complete,
                order,
                uses: fewest,
            }),
        }
        if let Some(changes) = &mut self.changes {
            let content = entry.info.clone();
            let row = HolderRow {
                content,
                complete,
                order,
            };
            changes.push_back(Change::Holder(number, row));
        }
        Ok(())
    }

    /// Takes a record back from a store. What a holder said of a content while others held it was not believed, so
    /// all rows of a content say the same of it.
    pub(super) fn restore(&mut self, number: PeerNumber, row: &HolderRow) {
        let before = self.order;
        self.order = row.order.saturating_sub(1);
        let _ = self.register(number, &row.content, row.complete, |_| false);
        self.order = self.order.max(before);
    }

    /// From now on [`Catalog::poll_change`] tells what has changed.
    pub(super) fn keep_changes(&mut self) {
        self.changes = Some(VecDeque::new());
    }

    /// The next row that a store has to write.
    pub(super) fn poll_change(&mut self) -> Option<Change> {
        self.changes.as_mut()?.pop_front()
    }

    /// Removes one record, if there is one.
    pub(super) fn deregister(&mut self, number: PeerNumber, key: &ContentKey) {
        if self.remove(number, key)
            && let Some(changes) = &mut self.changes
        {
            changes.push_back(Change::HolderGone(number, key.clone()));
        }
    }

    /// False if there was no such record.
    fn remove(&mut self, number: PeerNumber, key: &ContentKey) -> bool {
        let Some(keys) = self.by_peer.get_mut(&number) else {
            return false;
        };
        if !keys.remove(key) {
            return false;
        }
        self.records -= 1;
        if keys.is_empty() {
            self.by_peer.remove(&number);
        }
        let Some(entry) = self.contents.get_mut(key) else {
            return true;
        };
        entry.holders.retain(|holder| holder.peer != number);
        if entry.holders.is_empty() {
            let rfc = entry.info.number;
            self.contents.remove(key);
            take_from(&mut self.by_id, &key.id, &key.name);
            if let Some(rfc) = rfc {
                take_from(&mut self.by_number, &rfc, key);
            }
        }
        true
    }

    /// Removes every record of a peer.
    pub(super) fn deregister_all(&mut self, number: PeerNumber) {
        let keys = self.by_peer.get(&number).cloned().unwrap_or_default();
        if let Some(changes) = self.changes.as_mut().filter(|_| !keys.is_empty()) {
            changes.push_back(Change::HoldersGone(number));
        }
        for key in keys {
            self.remove(number, &key);
        }
    }

    fn named(&self, name: &ContentName) -> impl Iterator<Item = (&ContentKey, &Entry)> {
        let first = ContentKey {
            name: name.clone(),
            id: ContentId([0; 32]),
        };
        let last = ContentKey {
            name: name.clone(),
            id: ContentId([0xff; 32]),
        };
        self.contents.range(first..=last)
    }

    /// The keys that match, by rising key.
    pub(super) fn matching(&self, wanted: &Wanted) -> Vec<ContentKey> {
        match wanted {
            Wanted::Name(name) => self.named(name).map(|(key, _)| key.clone()).collect(),
            Wanted::Id(id) => {
                let names = self.by_id.get(id).into_iter().flatten();
                names
                    .map(|name| ContentKey {
                        name: name.clone(),
                        id: *id,
                    })
                    .collect()
            }
            Wanted::Number(number) => self
                .by_number
                .get(number)
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
        }
    }

    /// The keys of one kind after a cursor.
    pub(super) fn keys_after(
        &self,
        kind: ContentKind,
        after: Option<&ContentKey>,
    ) -> impl Iterator<Item = &ContentKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.contents.range::<ContentKey, _>((from, Bound::Unbounded));
        range
            .filter(move |(_, entry)| entry.info.kind == kind)
            .map(|(key, _)| key)
    }

    /// A content and its holders that may be handed out, in the policy's order.
    pub(super) fn holders<'r>(
        &self,
        key: &ContentKey,
        registry: &'r Registry,
        now: Instant,
    ) -> Option<(&ContentInfo, Vec<(HolderRecord, &'r Peer)>)> {
        let entry = self.contents.get(key)?;
        let alive = entry
            .holders
            .iter()
            .filter_map(|holder| Some((*holder, registry.listed(holder.peer, now)?)));
        let mut alive: Vec<_> = alive.collect();
        match self.policy {
            Policy::LeastUsed => alive.sort_by_key(|(holder, _)| (holder.uses, holder.order)),
            Policy::MostRecent => alive.sort_by_key(|(holder, _)| core::cmp::Reverse(holder.order)),
            Policy::Rotate => {
                alive.sort_by_key(|(holder, _)| holder.peer);
                if !alive.is_empty() {
                    let turn = entry.turns % alive.len() as u64;
                    alive.rotate_left(usize::try_from(turn).unwrap_or(0));
                }
            }
        }
        // Whoever has all of it before whoever has a part: a stable sort keeps the policy within both.
        alive.sort_by_key(|(holder, _)| !holder.complete);
        Some((&entry.info, alive))
    }

    /// Notes that a search named `first` first for this content: the policies go by it.
    pub(super) fn note_named(&mut self, key: &ContentKey, first: PeerNumber) {
        let Some(entry) = self.contents.get_mut(key) else {
            return;
        };
        entry.turns = entry.turns.wrapping_add(1);
        if let Some(holder) = entry.holders.iter_mut().find(|holder| holder.peer == first) {
            holder.uses += 1;
        }
    }
}

/// Removes `item` from the set under `key`, and the set with its last item.
fn take_from<K: Ord, T: Ord>(sets: &mut BTreeMap<K, BTreeSet<T>>, key: &K, item: &T) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(item);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}
