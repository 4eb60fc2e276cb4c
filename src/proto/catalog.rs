//! The contents an RS knows and who holds them (`rfcs/0003-index.txt` §2).
//!
//! Belongs here: content records and the order of holders. Does not: whether a holder is alive
//! (`registry.rs`). Invariant: a holder stands at most once under a key, every holder's keys are listed
//! under it, and a content without holders is forgotten. There may be a million contents, so every table names them
//! by the same memory.

use super::change::{Change, HolderRow, key_bytes};
use super::registry::{Peer, Registry};
use crate::id::{PeerNumber, RfcNumber};
use crate::limits::{RECORDS_MAX, RECORDS_PER_PEER_MAX};
use crate::name::ContentName;
use crate::time::Instant;
use crate::wire::{ContentInfo, ContentKey, ContentKind, Wanted};
use content::ById;
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

mod content;
mod stored;
pub(super) use content::Content;
pub(super) use stored::Restored;

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
    /// Rising with every registration at this RS.
    order: u64,
    /// How often it was named first. A new holder begins with the fewest of the others: it takes its share
    /// from now on, and does not have to make up for the past.
    uses: u32,
    pub(super) complete: bool,
}

/// Who holds a content: mostly one, which then costs nothing more.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    One(HolderRecord),
    Shared(Box<Shared>),
}

/// Several holders.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    holders: Vec<HolderRecord>,
    turns: u32,
}

impl Entry {
    /// At least one.
    fn of_all(holders: Vec<HolderRecord>) -> Self {
        match holders[..] {
            [one] => Self::One(one),
            _ => Self::Shared(Box::new(Shared { holders, turns: 0 })),
        }
    }

    /// True if there is more than one holder.
    pub(super) const fn is_shared(&self) -> bool {
        matches!(self, Self::Shared(_))
    }

    fn all(&self) -> &[HolderRecord] {
        match self {
            Self::One(holder) => core::slice::from_ref(holder),
            Self::Shared(shared) => &shared.holders,
        }
    }

    const fn turns(&self) -> u32 {
        match self {
            Self::One(_) => 0,
            Self::Shared(shared) => shared.turns,
        }
    }

    fn of(&mut self, peer: PeerNumber) -> Option<&mut HolderRecord> {
        let all = match self {
            Self::One(holder) => core::slice::from_mut(holder),
            Self::Shared(shared) => &mut shared.holders,
        };
        all.iter_mut().find(|holder| holder.peer == peer)
    }

    fn add(&mut self, holder: HolderRecord) {
        match self {
            Self::One(first) => *self = Self::of_all(vec![*first, holder]),
            Self::Shared(shared) => shared.holders.push(holder),
        }
    }

    /// False if nobody is left.
    fn remove(&mut self, peer: PeerNumber) -> bool {
        match self {
            Self::One(holder) => holder.peer != peer,
            Self::Shared(shared) => {
                shared.holders.retain(|holder| holder.peer != peer);
                if let [last] = shared.holders[..] {
                    *self = Self::One(last);
                }
                true
            }
        }
    }
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
    contents: BTreeMap<Content, Entry>,
    by_id: BTreeSet<ById>,
    by_number: BTreeSet<(RfcNumber, Content)>,
    by_peer: BTreeSet<(PeerNumber, Content)>,
    /// How many records each peer has.
    counts: BTreeMap<PeerNumber, usize>,
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
            contents: BTreeMap::new(),
            by_id: BTreeSet::new(),
            by_number: BTreeSet::new(),
            by_peer: BTreeSet::new(),
            counts: BTreeMap::new(),
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
        let others = self.named(&info.name).flat_map(|(_, entry)| entry.all());
        if others
            .into_iter()
            .any(|other| other.peer != number && namesake(other.peer))
        {
            return Err(RegisterFault::NameTaken);
        }
        let known = self.find(&key_bytes(&info.key())).cloned();
        let has = known
            .as_ref()
            .is_some_and(|known| self.by_peer.contains(&(number, known.clone())));
        let count = self.counts.get(&number).copied().unwrap_or(0);
        if !has && count >= self.records_per_peer_max {
            return Err(RegisterFault::Full);
        }
        if !has && self.by_peer.len() >= self.records_max {
            return Err(RegisterFault::AllFull);
        }
        self.order += 1;
        let order = self.order;
        let content = match known {
            Some(known) => self.corrected(number, known, info),
            None => Content::new(info),
        };
        if let Some(entry) = self.contents.get_mut(&content) {
            let fewest = entry.all().iter().map(|holder| holder.uses).min();
            match entry.of(number) {
                Some(holder) => {
                    holder.complete = complete;
                    holder.order = order;
                }
                None => entry.add(HolderRecord {
                    peer: number,
                    order,
                    uses: fewest.unwrap_or(0),
                    complete,
                }),
            }
        } else {
            let holder = HolderRecord {
                peer: number,
                order,
                uses: 0,
                complete,
            };
            self.enter(content.clone(), Entry::One(holder));
        }
        if self.by_peer.insert((number, content.clone())) {
            *self.counts.entry(number).or_default() += 1;
        }
        if let Some(changes) = &mut self.changes {
            let content = content.info();
            let row = HolderRow {
                content,
                complete,
                order,
            };
            changes.push_back(Change::Holder(number, row));
        }
        Ok(())
    }

    /// The content under its key: others' words about the same bytes stand until they have gone; one's own may be
    /// corrected.
    fn corrected(&mut self, number: PeerNumber, known: Content, info: &ContentInfo) -> Content {
        let said = Content::new(info);
        let alone = self
            .contents
            .get(&known)
            .is_some_and(|entry| entry.all().iter().all(|holder| holder.peer == number));
        if said == known || !alone {
            return known;
        }
        self.by_peer.remove(&(number, known.clone()));
        if let Some(entry) = self.leave(&known) {
            self.by_peer.insert((number, said.clone()));
            self.enter(said.clone(), entry);
        }
        said
    }

    fn enter(&mut self, content: Content, entry: Entry) {
        if let Some(rfc) = content.number() {
            self.by_number.insert((rfc, content.clone()));
        }
        self.by_id.insert(ById(content.clone()));
        self.contents.insert(content, entry);
    }

    fn leave(&mut self, content: &Content) -> Option<Entry> {
        if let Some(rfc) = content.number() {
            self.by_number.remove(&(rfc, content.clone()));
        }
        self.by_id.remove(&ById(content.clone()));
        self.contents.remove(content)
    }

    /// Removes one record, if there is one.
    pub(super) fn deregister(&mut self, number: PeerNumber, key: &ContentKey) {
        let Some(content) = self.find(&key_bytes(key)).cloned() else {
            return;
        };
        if self.by_peer.remove(&(number, content.clone())) {
            self.remove(number, &content);
            if let Some(changes) = &mut self.changes {
                changes.push_back(Change::HolderGone(number, key.clone()));
            }
        }
    }

    /// Removes a record that is no longer listed under its peer.
    fn remove(&mut self, number: PeerNumber, content: &Content) {
        if let Some(count) = self.counts.get_mut(&number) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&number);
            }
        }
        if let Some(entry) = self.contents.get_mut(content)
            && !entry.remove(number)
        {
            self.leave(content);
        }
    }

    /// Removes every record of a peer.
    pub(super) fn deregister_all(&mut self, number: PeerNumber) {
        if !self.counts.contains_key(&number) {
            return;
        }
        let first = (number, Content::default());
        let after = (PeerNumber(number.0 + 1), Content::default());
        for (_, content) in self
            .by_peer
            .extract_if(first..after, |_| true)
            .collect::<Vec<_>>()
        {
            self.remove(number, &content);
        }
        if let Some(changes) = &mut self.changes {
            changes.push_back(Change::HoldersGone(number));
        }
    }

    fn find(&self, key: &[u8]) -> Option<&Content> {
        let from = (Bound::Included(key), Bound::Unbounded);
        let (content, _) = self.contents.range::<[u8], _>(from).next()?;
        (content.key() == key).then_some(content)
    }

    fn named<'c>(&'c self, name: &ContentName) -> impl Iterator<Item = (&'c Content, &'c Entry)> + use<'c> {
        // A name ends with a zero.
        let start = [name.as_str().as_bytes(), &[0]].concat();
        let from = (Bound::Included(&start[..]), Bound::Unbounded);
        let range = self.contents.range::<[u8], _>(from);
        range.take_while(move |(content, _)| content.starts_with(&start))
    }

    /// The contents that match, after a cursor, by rising key.
    pub(super) fn matching<'c>(
        &'c self,
        wanted: &Wanted,
        after: Option<&ContentKey>,
    ) -> Box<dyn Iterator<Item = (&'c Content, &'c Entry)> + 'c> {
        let from = after.map(Content::start_after);
        let follows = move |content: &Content| from.as_deref().is_none_or(|from| !content.is_before(from));
        let entry = |content| self.contents.get_key_value::<Content>(content);
        match *wanted {
            Wanted::Name(ref name) => Box::new(self.named(name).filter(move |(content, _)| follows(content))),
            Wanted::Id(id) => {
                let same = self.by_id.range(ById(Content::before_all_of(id))..);
                let same = same.map(|ById(content)| content);
                let same = same.take_while(move |content| content.id() == id.0);
                Box::new(same.filter(move |content| follows(content)).filter_map(entry))
            }
            Wanted::Number(number) => {
                let same = self.by_number.range((number, Content::default())..);
                let same = same.take_while(move |(other, _)| *other == number);
                let same = same.map(|(_, content)| content);
                Box::new(same.filter(move |content| follows(content)).filter_map(entry))
            }
        }
    }

    /// The contents of one kind after a cursor.
    pub(super) fn contents_after(
        &self,
        kind: ContentKind,
        after: Option<&ContentKey>,
    ) -> impl Iterator<Item = (&Content, &Entry)> {
        let from = after.map(Content::start_after);
        let from = from.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let range = self.contents.range::<[u8], _>((from, Bound::Unbounded));
        range.filter(move |(content, _)| content.kind() == kind)
    }

    /// A content's holders that may be handed out, in the policy's order.
    pub(super) fn holders<'r>(
        &self,
        entry: &Entry,
        registry: &'r Registry,
        now: Instant,
    ) -> Vec<(HolderRecord, &'r Peer)> {
        let alive = entry
            .all()
            .iter()
            .filter_map(|holder| Some((*holder, registry.listed(holder.peer, now)?)));
        let mut alive: Vec<_> = alive.collect();
        if alive.len() < 2 {
            return alive;
        }
        match self.policy {
            Policy::LeastUsed => alive.sort_by_key(|(holder, _)| (holder.uses, holder.order)),
            Policy::MostRecent => alive.sort_by_key(|(holder, _)| core::cmp::Reverse(holder.order)),
            Policy::Rotate => {
                alive.sort_by_key(|(holder, _)| holder.peer);
                let turn = entry.turns() as usize % alive.len();
                alive.rotate_left(turn);
            }
        }
        // Whoever has all of it before whoever has a part: a stable sort keeps the policy within both.
        alive.sort_by_key(|(holder, _)| !holder.complete);
        alive
    }

    /// Notes that a search named `first` first for this content: the policies go by it.
    pub(super) fn note_named(&mut self, content: &Content, first: PeerNumber) {
        let Some(entry) = self.contents.get_mut(content) else {
            return;
        };
        if let Entry::Shared(shared) = entry {
            shared.turns = shared.turns.wrapping_add(1);
        }
        if let Some(holder) = entry.of(first) {
            holder.uses = holder.uses.saturating_add(1);
        }
    }
}
