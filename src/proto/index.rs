//! A peer's index: what it holds itself, and what others are said to hold (`rfcs/0003-index.txt` §3).
//!
//! Invariant: a claim about a holder is replaced only by one with a higher sequence number, which the holder
//! alone gives out; of equal ones the shorter life stands, and what was withdrawn is. So the order in which claims arrive does not
//! matter, and what a dead peer once said dies with its lease.

use super::asker::Asker;
use super::claim::Claim;
use super::page::Page;
use super::refusal;
use crate::id::Incarnation;
use crate::limits::{LEARNED_CONTENTS_MAX, LEARNED_HOLDERS_MAX, LEASE_SECS};
use crate::name::{HostPort, PeerName};
use crate::time::{Instant, Span};
use crate::wire::{
    ContentInfo, ContentKey, GossipRecord, Holder, Index as IndexPage, IndexEntry, IndexQuery, List, Message,
    Refusal, Wanted,
};
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

/// A content this peer holds itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalContent {
    /// What it is.
    pub info: ContentInfo,
    /// False while pieces are missing.
    pub complete: bool,
}

#[derive(Clone, Debug)]
struct Learned {
    info: ContentInfo,
    claims: BTreeMap<HostPort, Claim>,
}

/// A content and the holders a peer has heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundContent {
    /// The content.
    pub info: ContentInfo,
    /// Its holders, those with the longest life first, and the seconds each still has.
    pub holders: Vec<(Holder, u32)>,
}

/// The index of one peer.
#[derive(Debug)]
pub struct Index {
    name: PeerName,
    port: u16,
    incarnation: Incarnation,
    /// Addresses this peer is known by: claims about them are our own, come back.
    own: BTreeSet<HostPort>,
    local: BTreeMap<ContentKey, LocalContent>,
    withdrawn: BTreeMap<ContentKey, (ContentInfo, Instant)>,
    learned: BTreeMap<ContentKey, Learned>,
    ends: BTreeSet<(Instant, ContentKey, HostPort)>,
    learned_contents_max: usize,
}

const LIFE: Span = Span::from_secs(LEASE_SECS as u64);

impl Index {
    /// An empty index of the peer of this name that listens on this port.
    pub const fn new(name: PeerName, port: u16, incarnation: Incarnation) -> Self {
        Self {
            name,
            port,
            incarnation,
            own: BTreeSet::new(),
            local: BTreeMap::new(),
            withdrawn: BTreeMap::new(),
            learned: BTreeMap::new(),
            ends: BTreeSet::new(),
            learned_contents_max: LEARNED_CONTENTS_MAX,
        }
    }

    /// The same with room for fewer contents learned of.
    #[cfg(test)]
    pub(super) const fn with_room_for(mut self, learned_contents_max: usize) -> Self {
        self.learned_contents_max = learned_contents_max;
        self
    }

    /// The port others reach this peer by.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Notes an address others reach this peer by. What was heard about it is forgotten: we know better.
    pub fn add_own_address(&mut self, address: HostPort) {
        let keys: Vec<ContentKey> = self.learned.keys().cloned().collect();
        for key in keys {
            self.forget_claim(&key, &address);
        }
        self.own.insert(address);
    }

    /// Notes a content this peer holds.
    pub fn hold(&mut self, content: LocalContent) {
        let key = content.info.key();
        self.withdrawn.remove(&key);
        self.local.insert(key, content);
    }

    /// Notes that this peer holds it no longer; others are told so for as long as they might remember.
    pub fn withdraw(&mut self, now: Instant, key: &ContentKey) {
        if let Some(content) = self.local.remove(key) {
            self.withdrawn
                .insert(key.clone(), (content.info, now.after(LIFE)));
        }
    }

    /// What this peer holds.
    pub const fn local(&self) -> &BTreeMap<ContentKey, LocalContent> {
        &self.local
    }

    /// How many contents it has heard of from others, and how many claims.
    pub fn learned_counts(&self) -> (usize, usize) {
        (self.learned.len(), self.ends.len())
    }

    /// Our own sequence number: grows with every second and every restart.
    fn sequence(&self, now: Instant) -> u64 {
        (u64::from(self.incarnation.0) << 32) | u64::from(Span(now.0).as_secs_u32())
    }

    /// Takes over what a peer reached at `from` says. Returns how many claims changed anything.
    pub fn merge(&mut self, now: Instant, from: &HostPort, entry: &IndexEntry) -> usize {
        entry
            .holders
            .iter()
            .filter(|record| self.merge_record(now, from, &entry.content, record))
            .count()
    }

    fn merge_record(
        &mut self,
        now: Instant,
        from: &HostPort,
        info: &ContentInfo,
        record: &GossipRecord,
    ) -> bool {
        let host = record.host.clone().unwrap_or_else(|| from.host.clone());
        let address = HostPort {
            host,
            port: record.port,
        };
        // A loopback address from elsewhere would mean our own machine: nobody honest tells one.
        let foreign_loopback = address.host.is_loopback() && !from.host.is_loopback();
        // Nobody speaks for us.
        if self.own.contains(&address) || foreign_loopback || record.remaining_secs == 0 {
            return false;
        }
        // What is over must not outrank news, however late the timer is.
        self.forget_ended(now);
        // No life is longer than a lease.
        let life = Span::from_secs(u64::from(record.remaining_secs.min(LEASE_SECS)));
        let claim = Claim {
            name: record.name.clone(),
            sequence: record.sequence,
            ends: now.after(life),
            withdrawn: record.withdrawn,
            complete: record.complete,
            unreachable: false,
        };
        let key = info.key();
        if !self.learned.contains_key(&key) && self.learned.len() >= self.learned_contents_max {
            self.forget_first();
        }
        let learned = self.learned.entry(key.clone()).or_insert_with(|| Learned {
            info: info.clone(),
            claims: BTreeMap::new(),
        });
        if let Some(known) = learned.claims.get_mut(&address) {
            let joined = known.joined(claim);
            if joined == *known {
                return false;
            }
            self.ends.remove(&(known.ends, key.clone(), address.clone()));
            self.ends.insert((joined.ends, key, address));
            *known = joined;
            return true;
        }
        if learned.claims.len() >= LEARNED_HOLDERS_MAX {
            return false;
        }
        self.ends.insert((claim.ends, key, address.clone()));
        learned.claims.insert(address, claim);
        true
    }

    fn forget_claim(&mut self, key: &ContentKey, address: &HostPort) {
        if let Some(learned) = self.learned.get_mut(key)
            && let Some(claim) = learned.claims.remove(address)
        {
            self.ends.remove(&(claim.ends, key.clone(), address.clone()));
            if learned.claims.is_empty() {
                self.learned.remove(key);
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key, _)) = self.ends.first().cloned()
            && let Some(learned) = self.learned.remove(&key)
        {
            for (address, claim) in learned.claims {
                self.ends.remove(&(claim.ends, key.clone(), address));
            }
        }
    }

    /// Notes that a holder did not answer: it is not named again until it gives word of itself.
    pub fn mark_unreachable(&mut self, address: &HostPort) {
        for learned in self.learned.values_mut() {
            if let Some(claim) = learned.claims.get_mut(address) {
                claim.unreachable = true;
            }
        }
    }

    /// When [`Index::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.ends.first().map(|(ends, _, _)| *ends)
    }

    /// Forgets claims whose life is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.forget_ended(now);
        self.withdrawn.retain(|_, (_, ends)| *ends > now);
    }

    fn forget_ended(&mut self, now: Instant) {
        while self.deadline().is_some_and(|ends| ends <= now)
            && let Some((_, key, address)) = self.ends.pop_first()
        {
            self.forget_claim(&key, &address);
        }
    }

    /// The first key after `after` of which anything is known.
    fn key_after(&self, after: Option<&ContentKey>) -> Option<&ContentKey> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let local = self
            .local
            .range::<ContentKey, _>(range)
            .next()
            .map(|(key, _)| key);
        let gone = self
            .withdrawn
            .range::<ContentKey, _>(range)
            .next()
            .map(|(key, _)| key);
        let learned = self
            .learned
            .range::<ContentKey, _>(range)
            .next()
            .map(|(key, _)| key);
        [local, gone, learned].into_iter().flatten().min()
    }

    /// Answers an index query: local contents, withdrawn ones, learned ones, by rising key.
    pub fn handle_query(&self, now: Instant, asker: &Asker, query: &IndexQuery) -> Message {
        let first = self.key_after(query.after.as_ref());
        let keys = core::iter::successors(first, |key| self.key_after(Some(key)));
        let mut page = Page::new(asker.answer_bytes_max);
        for key in keys {
            if let Some(entry) = self.entry(now, asker, key)
                && !page.offer(entry)
            {
                break;
            }
        }
        match page.finish() {
            Some((more, contents)) => IndexPage {
                request: query.request,
                more,
                contents,
            }
            .into(),
            None => refusal(
                query.request,
                Refusal::UseTcp,
                "one entry is longer than the answer may be",
            ),
        }
    }

    fn entry(&self, now: Instant, asker: &Asker, key: &ContentKey) -> Option<IndexEntry> {
        let mut holders = List::new();
        let own = |withdrawn, complete, ends: Instant| GossipRecord {
            name: self.name.clone(),
            host: None,
            port: self.port,
            sequence: self.sequence(now),
            remaining_secs: ends.since(now).as_secs_u32(),
            withdrawn,
            complete,
        };
        let mut info = None;
        if let Some(local) = self.local.get(key) {
            info = Some(&local.info);
            holders.push(own(false, local.complete, now.after(LIFE)));
        } else if let Some((gone, ends)) = self.withdrawn.get(key).filter(|(_, ends)| *ends > now) {
            info = Some(gone);
            holders.push(own(true, false, *ends));
        }
        if let Some(learned) = self.learned.get(key) {
            info = info.or(Some(&learned.info));
            for (address, claim) in &learned.claims {
                let remaining_secs = claim.ends.since(now).as_secs_u32();
                let Some(host) = asker.usable(&address.host) else {
                    continue;
                };
                if remaining_secs == 0 || claim.unreachable {
                    continue;
                }
                let record = GossipRecord {
                    name: claim.name.clone(),
                    host: Some(host),
                    port: address.port,
                    sequence: claim.sequence,
                    remaining_secs,
                    withdrawn: claim.withdrawn,
                    complete: claim.complete,
                };
                if !holders.push(record) {
                    break;
                }
            }
        }
        if holders.is_empty() {
            None
        } else {
            Some(IndexEntry {
                content: info?.clone(),
                holders,
            })
        }
    }

    /// The contents that match, with the holders learned of that may be asked.
    pub fn find(&self, now: Instant, wanted: &Wanted) -> Vec<FoundContent> {
        let matches = |info: &ContentInfo| match wanted {
            Wanted::Name(name) => info.name == *name,
            Wanted::Id(id) => info.id == *id,
            Wanted::Number(number) => info.number == Some(*number),
        };
        self.found(now, matches).collect()
    }

    /// Every content learned of, with the holders that may be asked.
    pub fn all(&self, now: Instant) -> impl Iterator<Item = FoundContent> {
        self.found(now, |_| true)
    }

    fn found(
        &self,
        now: Instant,
        matches: impl Fn(&ContentInfo) -> bool,
    ) -> impl Iterator<Item = FoundContent> {
        let learned = self.learned.values();
        let found = learned
            .filter(move |learned| matches(&learned.info))
            .map(move |learned| {
                let mut holders: Vec<(Holder, u32)> = learned
                    .claims
                    .iter()
                    .filter(|(_, claim)| !claim.withdrawn && !claim.unreachable && claim.ends > now)
                    .map(|(address, claim)| {
                        let (name, HostPort { host, port }) = (claim.name.clone(), address.clone());
                        (
                            Holder {
                                name,
                                host,
                                port,
                                complete: claim.complete,
                            },
                            claim.ends.since(now).as_secs_u32(),
                        )
                    })
                    .collect();
                holders.sort_by_key(|(holder, remaining)| (!holder.complete, core::cmp::Reverse(*remaining)));
                FoundContent {
                    info: learned.info.clone(),
                    holders,
                }
            });
        found.filter(|content| !content.holders.is_empty())
    }

    /// Every content learned of that somebody is said to hold.
    pub fn known(&self, now: Instant) -> impl Iterator<Item = &ContentInfo> {
        self.learned
            .values()
            .filter(move |learned| {
                learned
                    .claims
                    .values()
                    .any(|claim| !claim.withdrawn && claim.ends > now)
            })
            .map(|learned| &learned.info)
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
