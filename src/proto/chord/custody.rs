//! Who is to keep which records: the owner of a key and the nodes after it, as nodes come and go.
//!
//! Invariant: what a node owns it owes to the nodes after it until they have said that they have it; what it owns no longer,
//! because a node came between, it owes to that node; and what it keeps without owning it, it now and then offers to the owner.

use super::answer::busy;
use super::asks::{Purpose, Reply};
use super::lookup::Aim;
use super::member::Member;
use super::node::{RingEvent, RingNode};
use super::records::{Keeping, RecordKey, Records};
use crate::limits::{FRAME_BYTES_MAX, RING_AUDIT, RING_AUDIT_KEYS, RING_PAGE_RECORDS_MAX, RING_STRAYS};
use crate::name::HostPort;
use crate::proto::page::Page;
use crate::proto::refusal;
use crate::ring::{NodeAddress, between_or_end};
use crate::time::Instant;
use crate::wire::{List, Message, Refusal, RingFetch, RingRecord, RingRecords, RingStore};
use std::collections::{BTreeMap, BTreeSet};

/// Ring, publisher and count before the records of a page.
const STORE_OVERHEAD_BYTES: usize = 64;

/// What one node is owed.
#[derive(Debug)]
struct Owed {
    to: Member,
    keys: BTreeSet<RecordKey>,
    /// The page that is under way.
    sent: Vec<RecordKey>,
}

/// The records of a node, and what is owed of them.
#[derive(Debug, Default)]
pub(super) struct Custody {
    pub(super) records: Records,
    owed: BTreeMap<NodeAddress, Owed>,
    /// Whose records this node kept the copies of when it last looked.
    before: Option<Member>,
    after: Vec<Member>,
    /// Who was owed something and could not be given it. The list says otherwise, so it is tried again in the next period.
    unreached: Vec<Member>,
    /// It has been in no ring since.
    adrift: bool,
    /// What came back to a ring with this node and may belong to others.
    strays: BTreeSet<RecordKey>,
    audited: Option<RecordKey>,
}

impl Custody {
    /// In no ring one owes nothing; what is kept finds its owners later.
    pub(super) fn drift(&mut self) {
        self.owed.clear();
        self.after.clear();
        self.unreached.clear();
        self.adrift = true;
    }

    fn owe(&mut self, to: Member, keys: impl IntoIterator<Item = RecordKey>) {
        let mut keys = keys.into_iter().peekable();
        if keys.peek().is_none() {
            return;
        }
        let owed = self.owed.entry(to.address).or_insert_with(|| Owed {
            to,
            keys: BTreeSet::new(),
            sent: Vec::new(),
        });
        owed.to = to;
        owed.keys.extend(keys);
    }
}

impl RingNode {
    /// How many records it keeps, and how many claims in them.
    pub fn records_kept(&self) -> (usize, usize) {
        self.custody
            .as_ref()
            .map_or((0, 0), |custody| custody.records.counts())
    }

    /// The nodes that are to have copies of what this one owns.
    fn keepers(&self) -> Vec<Member> {
        let others = self.settings.replicas.saturating_sub(1);
        self.near.successors().iter().take(others).copied().collect()
    }

    /// Looks who has come and gone since the last time, and what is owed to whom for it.
    pub(super) fn tend(&mut self, now: Instant) {
        if !self.is_member() {
            return;
        }
        let (mut keepers, before, me) = (self.keepers(), self.near.predecessor, self.near.me);
        let Some(custody) = &mut self.custody else {
            return;
        };
        keepers.retain(|keeper| !custody.unreached.contains(keeper));
        if custody.before == before && custody.after == keepers && !custody.adrift {
            return;
        }
        let owns = |key: &RecordKey, from: Option<Member>| {
            from.is_none_or(|from| between_or_end(from.id, key.at, me.id))
        };
        let own: Vec<RecordKey> = custody
            .records
            .keys()
            .filter(|key| owns(key, before))
            .cloned()
            .collect();
        for keeper in &keepers {
            if custody.after.contains(keeper) {
                // It has what was owned so far.
                let was = custody.before;
                custody.owe(*keeper, own.iter().filter(|key| !owns(key, was)).cloned());
            } else {
                custody.owe(*keeper, own.iter().cloned());
            }
        }
        if let Some(before) = before.filter(|before| Some(*before) != custody.before && !custody.adrift) {
            let was = custody.before;
            let lost = custody
                .records
                .keys()
                .filter(|key| owns(key, was) && !owns(key, Some(before)));
            let lost: Vec<RecordKey> = lost.cloned().collect();
            custody.owe(before, lost);
        }
        if custody.adrift {
            let strays = custody.records.keys().filter(|key| !owns(key, before));
            custody.strays = strays.cloned().collect();
            self.audit_at = Some(now.after(RING_STRAYS));
        }
        custody.before = before;
        custody.after = keepers;
        custody.adrift = false;
        self.send_owed(now);
    }

    /// Sends everybody who is owed something the next page of it.
    pub(super) fn send_owed(&mut self, now: Instant) {
        let Some(custody) = &mut self.custody else {
            return;
        };
        let mut pages = Vec::new();
        custody.owed.retain(|_, owed| {
            if !owed.sent.is_empty() {
                return true;
            }
            let mut page =
                Page::<RingRecord, RING_PAGE_RECORDS_MAX>::new(FRAME_BYTES_MAX - STORE_OVERHEAD_BYTES);
            while let Some(key) = owed.keys.pop_first() {
                let parts = custody.records.parts(now, &key);
                let fit = parts.into_iter().all(|part| page.offer(part));
                if !fit && !owed.sent.is_empty() {
                    // What of it is in the page already does no harm.
                    owed.keys.insert(key);
                    break;
                }
                owed.sent.push(key);
            }
            match page.finish() {
                Some((_, records)) if !records.is_empty() => pages.push((owed.to, records)),
                _ => return false,
            }
            true
        });
        let sender = self.near.me.wire();
        for (to, records) in pages {
            self.ask(now, to, Purpose::Copy, |request, ring| {
                RingStore {
                    request,
                    ring,
                    sender,
                    copy: true,
                    records,
                }
                .into()
            });
        }
    }

    pub(super) fn copy_replied(&mut self, now: Instant, to: Member, reply: &Reply<'_>) {
        if let Some(custody) = &mut self.custody
            && let Some(owed) = custody.owed.get_mut(&to.address)
        {
            owed.sent.clear();
            if matches!(reply, Reply::Gone | Reply::Refused(Refusal::RingBusy, _)) {
                // If it is to have them it will be found to have come anew.
                custody.owed.remove(&to.address);
                custody.after.retain(|keeper| *keeper != to);
                custody.unreached.push(to);
                if self.leaving.is_some() {
                    self.bequeath(now);
                }
            }
        }
        self.send_owed(now);
        if self.leaving.is_some() && !self.owes() {
            self.depart(now);
        }
    }

    /// A period has passed: who could not be given anything is tried again.
    pub(super) fn try_again(&mut self) {
        if let Some(custody) = &mut self.custody {
            custody.unreached.clear();
        }
    }

    /// True while somebody is owed records.
    pub(super) fn owes(&self) -> bool {
        self.custody
            .as_ref()
            .is_some_and(|custody| !custody.owed.is_empty())
    }

    /// Before it goes, everything it keeps goes to the first after it that takes it.
    pub(super) fn bequeath(&mut self, now: Instant) {
        let Some(custody) = &mut self.custody else {
            return;
        };
        let mut after = self.near.successors().iter();
        if let Some(heir) = after.find(|heir| !custody.unreached.contains(heir)).copied() {
            let keys: Vec<RecordKey> = custody.records.keys().cloned().collect();
            custody.owe(heir, keys);
        }
        self.send_owed(now);
    }

    /// Keeps a record; if it is owned here and says something new, the nodes after this one are owed it.
    pub(super) fn keep(
        &mut self,
        now: Instant,
        publisher: Option<&HostPort>,
        record: &RingRecord,
    ) -> Keeping {
        let (keepers, before) = (self.keepers(), self.near.predecessor);
        let key = RecordKey::of(self.settings.space, record);
        let own = before.is_none_or(|before| between_or_end(before.id, key.at, self.near.me.id));
        let custody = self.custody.get_or_insert_with(|| {
            Box::new(Custody {
                before,
                after: keepers.clone(),
                ..Custody::default()
            })
        });
        let keeping = custody.records.keep(now, &self.settings, publisher, record);
        if keeping.changed && own {
            for keeper in keepers {
                custody.owe(keeper, [key.clone()]);
            }
        }
        if keeping.place {
            self.event(RingEvent::Place(Box::new(record.clone())));
        }
        if self.audit_at.is_none() {
            self.audit_at = Some(now.after(RING_AUDIT));
        }
        keeping
    }

    pub(super) fn answer_store(&mut self, now: Instant, store: &RingStore) -> Message {
        let request = store.request;
        let sender = Member::of(self.settings.space, &store.sender);
        if store.copy && !self.vouches_for(now, sender) {
            return busy(request);
        }
        let publisher =
            (!store.copy).then(|| HostPort::from(core::net::SocketAddr::from(store.sender.address)));
        if let Some(refused) = publisher.as_ref().and_then(|by| self.not_for_us(by, store)) {
            return refused;
        }
        let mut full = false;
        for record in store.records.iter() {
            full |= self.keep(now, publisher.as_ref(), record).full;
            if store.copy {
                self.note_stray(now, sender, record);
            }
        }
        self.send_owed(now);
        if full {
            let text = format!(
                "this node keeps {} claims at most, and {} of one holder",
                self.settings.claims_max, self.settings.claims_per_holder_max
            );
            return refusal(request, Refusal::LimitReached, text);
        }
        self.ack(request)
    }

    /// The refusal of what a publisher may not say, or not here; nothing of it is kept.
    fn not_for_us(&self, publisher: &HostPort, store: &RingStore) -> Option<Message> {
        let request = store.request;
        for record in store.records.iter() {
            let of_another = record.holders.iter().any(|claim| {
                claim.port != publisher.port
                    || claim.host.as_ref().is_some_and(|host| *host != publisher.host)
            });
            if of_another {
                let text = "nobody speaks for another holder";
                return Some(refusal(request, Refusal::BadCookie, text));
            }
            let key = RecordKey::of(self.settings.space, record);
            if !self.near.owns(key.at) {
                let text = "another node owns this key";
                return Some(refusal(request, Refusal::NotOwner, text));
            }
        }
        None
    }

    /// A copy that came back from beyond the key, and is not for this node: as after a split, when several nodes have come
    /// between at once.
    fn note_stray(&mut self, now: Instant, from: Member, record: &RingRecord) {
        let key = RecordKey::of(self.settings.space, record);
        let owner_is_before = !self.near.owns(key.at) && between_or_end(key.at, self.near.me.id, from.id);
        if owner_is_before && let Some(custody) = &mut self.custody {
            custody.strays.insert(key);
            let soon = now.after(RING_STRAYS);
            self.audit_at = Some(self.audit_at.map_or(soon, |at| at.min(soon)));
        }
    }

    pub(super) fn answer_fetch(&self, now: Instant, fetch: &RingFetch) -> Message {
        let (more, records) = self.page_of(now, fetch).unwrap_or_default();
        RingRecords {
            request: fetch.request,
            more,
            records,
        }
        .into()
    }

    fn page_of(
        &self,
        now: Instant,
        fetch: &RingFetch,
    ) -> Option<(bool, List<RingRecord, RING_PAGE_RECORDS_MAX>)> {
        let custody = self.custody.as_ref()?;
        let space = self.settings.space;
        let mut page = Page::new(FRAME_BYTES_MAX);
        for key in custody
            .records
            .matching(space, &fetch.wanted, fetch.after.as_ref())
        {
            if let Some(record) = custody.records.record(now, key)
                && !page.offer(record)
            {
                break;
            }
        }
        page.finish()
    }

    /// Now and then: are the records that others own with their owners, and is this the only ring?
    pub(super) fn audit(&mut self, now: Instant) {
        let pause = self.about(RING_AUDIT);
        self.audit_at = Some(now.after(pause));
        if let Some(custody) = &mut self.custody {
            custody.records.forget_ended(now);
            if custody.records.is_empty() && custody.owed.is_empty() {
                self.custody = None;
            }
        }
        if !self.is_member() {
            return;
        }
        let Some(custody) = &mut self.custody else {
            self.look_for_another_ring(now);
            return;
        };
        let strays = !custody.strays.is_empty();
        let keys: Vec<RecordKey> = if strays {
            self.audit_at = Some(now.after(RING_STRAYS));
            let next = core::iter::from_fn(|| custody.strays.pop_first());
            next.take(RING_AUDIT_KEYS).collect()
        } else {
            let after = custody.audited.as_ref();
            custody.records.keys_after(after, RING_AUDIT_KEYS)
        };
        custody.audited = keys.last().cloned();
        if !strays {
            self.look_for_another_ring(now);
        }
        for key in keys {
            if !self.near.owns(key.at) {
                self.begin_lookup(now, key.at, Aim::Audit(Box::new(key)), None);
            }
        }
    }

    /// The owner of a key was found: it is offered what is kept for it here.
    pub(super) fn audited(&mut self, now: Instant, owner: Member, key: RecordKey) {
        if owner != self.near.me
            && let Some(custody) = &mut self.custody
        {
            custody.owe(owner, [key]);
            self.send_owed(now);
        }
    }
}
