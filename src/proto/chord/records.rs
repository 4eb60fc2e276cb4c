//! The records a node keeps: who holds which content, for how long yet.
//!
//! Belongs here: keeping, merging, expiring, bounds. Does not: whose they are and where they go (`custody.rs`).
//! Invariant: a claim is replaced by the rule of the index ([`Claim::joined`]), so copies may come in any order; and there
//! are never more of them than the bounds say, in all and of each holder.

use super::member::RingSettings;
use crate::limits::{HOLDERS_PER_LISTING_MAX, LEASE_SECS};
use crate::name::{Host, HostPort};
use crate::proto::claim::Claim;
use crate::ring::{RingId, RingSpace};
use crate::time::{Instant, Span};
use crate::wire::{ContentInfo, ContentKey, GossipRecord, List, RingKeyOf, RingRecord, Wanted};
use core::ops::Bound;
use std::collections::{BTreeMap, BTreeSet};

/// Which record: where on the ring, under which key, of which content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RecordKey {
    pub(super) at: RingId,
    of: RingKeyOf,
    /// None comes before every content, and is kept nowhere.
    content: Option<ContentKey>,
}

impl RecordKey {
    pub(super) fn of(space: RingSpace, record: &RingRecord) -> Self {
        let content = record.content.key();
        let at = match (record.key, record.content.number) {
            (RingKeyOf::Id, _) => space.key_of_content(&content.id),
            (RingKeyOf::Number, Some(number)) => space.key_of_number(number),
            (RingKeyOf::Name | RingKeyOf::Number, _) => space.key_of_name(content.name.as_str()),
        };
        Self {
            at,
            of: record.key,
            content: Some(content),
        }
    }

    /// Before all records of what is looked for.
    fn before(space: RingSpace, wanted: &Wanted) -> Self {
        let (at, of) = match wanted {
            Wanted::Name(name) => (space.key_of_name(name.as_str()), RingKeyOf::Name),
            Wanted::Id(id) => (space.key_of_content(id), RingKeyOf::Id),
            Wanted::Number(number) => (space.key_of_number(*number), RingKeyOf::Number),
        };
        Self {
            at,
            of,
            content: None,
        }
    }
}

/// Where on the ring something that is looked for is kept.
pub(super) fn key_of(space: RingSpace, wanted: &Wanted) -> RingId {
    RecordKey::before(space, wanted).at
}

#[derive(Debug)]
struct Kept {
    info: ContentInfo,
    place: bool,
    claims: BTreeMap<HostPort, Claim>,
}

/// What became of a record that was to be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Keeping {
    /// It says something new.
    pub(super) changed: bool,
    /// Its content is to be here too, and this is the first word of it, or there is one more to fetch it from.
    pub(super) place: bool,
    /// Somebody holds the content who was not known to, or says so again.
    renewed: bool,
    /// There was no room for some of it.
    pub(super) full: bool,
}

/// The records of one node.
#[derive(Debug, Default)]
pub(super) struct Records {
    kept: BTreeMap<RecordKey, Kept>,
    ends: BTreeSet<(Instant, RecordKey, HostPort)>,
    of_holder: BTreeMap<HostPort, usize>,
}

impl Records {
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many records, and how many claims.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.kept.len(), self.ends.len())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &RecordKey> {
        self.kept.keys()
    }

    /// So many keys after `after`, from the beginning again when the end is reached.
    pub(super) fn keys_after(&self, after: Option<&RecordKey>, count: usize) -> Vec<RecordKey> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.kept.range((from, Bound::Unbounded)).map(|(key, _)| key);
        later
            .chain(self.kept.keys())
            .take(count.min(self.kept.len()))
            .cloned()
            .collect()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends.first().map(|(ends, ..)| *ends)
    }

    pub(super) fn forget_ended(&mut self, now: Instant) {
        while self.deadline().is_some_and(|ends| ends <= now)
            && let Some((_, key, holder)) = self.ends.pop_first()
        {
            if let Some(kept) = self.kept.get_mut(&key) {
                kept.claims.remove(&holder);
                if kept.claims.is_empty() {
                    self.kept.remove(&key);
                }
            }
            if let Some(count) = self.of_holder.get_mut(&holder) {
                *count -= 1;
                if *count == 0 {
                    self.of_holder.remove(&holder);
                }
            }
        }
    }

    /// Keeps a record as far as there is room. A claim without a host is about `publisher`.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        settings: &RingSettings,
        publisher: Option<&HostPort>,
        record: &RingRecord,
    ) -> Keeping {
        self.forget_ended(now);
        let key = RecordKey::of(settings.space, record);
        let mut keeping = Keeping::default();
        for said in record.holders.iter() {
            let Some(host) = said.host.as_ref().or(publisher.map(|at| &at.host)) else {
                continue;
            };
            self.keep_claim(now, settings, &key, record, host.clone(), said, &mut keeping);
        }
        if let Some(kept) = self.kept.get_mut(&key) {
            keeping.place = record.place && (keeping.renewed || !kept.place);
            kept.place |= record.place;
        }
        keeping
    }

    #[expect(clippy::too_many_arguments, reason = "one claim and what it came with")]
    fn keep_claim(
        &mut self,
        now: Instant,
        settings: &RingSettings,
        key: &RecordKey,
        record: &RingRecord,
        host: Host,
        said: &GossipRecord,
        keeping: &mut Keeping,
    ) {
        let life = Span::from_secs(u64::from(said.remaining_secs.min(LEASE_SECS)));
        if life == Span::ZERO {
            return;
        }
        let holder = HostPort {
            host,
            port: said.port,
        };
        let claim = Claim {
            name: said.name.clone(),
            sequence: said.sequence,
            ends: now.after(life),
            withdrawn: said.withdrawn,
            complete: said.complete,
            unreachable: false,
        };
        let known = self
            .kept
            .get_mut(key)
            .and_then(|kept| kept.claims.get_mut(&holder));
        if let Some(known) = known {
            let joined = known.joined(claim);
            if joined != *known {
                // A life that is shorter by what the way took is no news.
                let changed = joined.sequence != known.sequence
                    || (joined.withdrawn, joined.complete) != (known.withdrawn, known.complete);
                keeping.changed |= changed;
                keeping.renewed |= changed && !joined.withdrawn;
                self.ends.remove(&(known.ends, key.clone(), holder.clone()));
                self.ends.insert((joined.ends, key.clone(), holder));
                *known = joined;
            }
            return;
        }
        let of_holder = self.of_holder.get(&holder).copied().unwrap_or(0);
        if self.ends.len() >= settings.claims_max || of_holder >= settings.claims_per_holder_max {
            keeping.full = true;
            return;
        }
        let kept = self.kept.entry(key.clone()).or_insert_with(|| Kept {
            info: record.content.clone(),
            place: false,
            claims: BTreeMap::new(),
        });
        keeping.changed = true;
        keeping.renewed |= !claim.withdrawn;
        self.ends.insert((claim.ends, key.clone(), holder.clone()));
        *self.of_holder.entry(holder.clone()).or_default() += 1;
        kept.claims.insert(holder, claim);
    }

    /// A record as it is told to whoever asks for it: if not all holders fit, then those that have the content.
    pub(super) fn record(&self, now: Instant, key: &RecordKey) -> Option<RingRecord> {
        let mut claims = self.claims(now, key);
        claims.sort_by_key(|claim| (claim.withdrawn, !claim.complete));
        self.told(key, List::first_of(claims))
    }

    /// A record with all its holders, as it is told to nodes that are to keep it.
    pub(super) fn parts(&self, now: Instant, key: &RecordKey) -> Vec<RingRecord> {
        let claims = self.claims(now, key);
        let parts = claims.chunks(HOLDERS_PER_LISTING_MAX);
        parts
            .filter_map(|part| self.told(key, List::first_of(part.iter().cloned())))
            .collect()
    }

    fn claims(&self, now: Instant, key: &RecordKey) -> Vec<GossipRecord> {
        let claims = self.kept.get(key).into_iter().flat_map(|kept| &kept.claims);
        let claims = claims.map(|(holder, claim)| GossipRecord {
            name: claim.name.clone(),
            host: Some(holder.host.clone()),
            port: holder.port,
            sequence: claim.sequence,
            remaining_secs: claim.ends.since(now).as_secs_u32(),
            withdrawn: claim.withdrawn,
            complete: claim.complete,
        });
        claims.filter(|claim| claim.remaining_secs > 0).collect()
    }

    fn told(
        &self,
        key: &RecordKey,
        holders: List<GossipRecord, HOLDERS_PER_LISTING_MAX>,
    ) -> Option<RingRecord> {
        let kept = self.kept.get(key).filter(|_| !holders.is_empty())?;
        Some(RingRecord {
            key: key.of,
            place: kept.place,
            content: kept.info.clone(),
            holders,
        })
    }

    /// The keys of what is looked for, after `after`.
    pub(super) fn matching(
        &self,
        space: RingSpace,
        wanted: &Wanted,
        after: Option<&ContentKey>,
    ) -> impl Iterator<Item = &RecordKey> {
        let before = RecordKey::before(space, wanted);
        let from = RecordKey {
            content: after.cloned(),
            ..before.clone()
        };
        let keys = self
            .kept
            .range((Bound::Excluded(from), Bound::Unbounded))
            .map(|(key, _)| key);
        let there = keys.take_while(move |key| (key.at, key.of) == (before.at, before.of));
        // On a small circle others lie at the same point.
        there.filter(move |key| {
            let info = self.kept.get(*key).map(|kept| &kept.info);
            info.is_some_and(|info| match wanted {
                Wanted::Name(name) => info.name == *name,
                Wanted::Id(id) => info.id == *id,
                Wanted::Number(number) => info.number == Some(*number),
            })
        })
    }
}
