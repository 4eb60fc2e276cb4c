//! Publishing and fetching: records to the owner of their key, and back.

use super::asks::{Purpose, Reply};
use super::lookup::{Aim, LookupFault, Owner};
use super::member::Member;
use super::node::{CommandNumber, RingEvent, RingNode};
use super::records::{RecordKey, key_of};
use crate::limits::{RING_FETCH_PAGES_MAX, RING_STORE_TRIES_MAX};
use crate::name::HostPort;
use crate::ring::NodeAddress;
use crate::time::Instant;
use crate::wire::{ContentKey, List, Message, Refusal, RingFetch, RingRecord, RingStore, Wanted};
use std::net::SocketAddr;

/// A record on its way to its owner.
#[derive(Debug)]
pub(super) struct Publishing {
    record: Box<RingRecord>,
    /// By way of whom its owner is found, if this node is no member.
    via: Option<NodeAddress>,
    tries: u32,
    /// Who is asked to keep it now.
    owner: Option<Owner>,
}

/// Records on their way here.
#[derive(Debug)]
pub(super) struct Fetching {
    wanted: Wanted,
    replicas: usize,
    /// Whom to ask, the next one last.
    keepers: Vec<Member>,
    records: Vec<RingRecord>,
    pages: u32,
}

impl Fetching {
    fn after(&self) -> Option<ContentKey> {
        self.records.last().map(|record| record.content.key())
    }
}

impl RingNode {
    fn own_host_port(&self) -> HostPort {
        SocketAddr::from(self.near.me.address).into()
    }

    pub(super) fn publish(
        &mut self,
        now: Instant,
        number: CommandNumber,
        record: Box<RingRecord>,
        via: Option<NodeAddress>,
    ) {
        let publishing = Publishing {
            record,
            via,
            tries: 0,
            owner: None,
        };
        self.publish_on(now, number, publishing);
    }

    fn publish_on(&mut self, now: Instant, number: CommandNumber, mut publishing: Publishing) {
        publishing.tries += 1;
        let key = RecordKey::of(self.settings.space, &publishing.record).at;
        let via = publishing.via;
        self.publishing.insert(number, publishing);
        self.begin_lookup(now, key, Aim::Publish(number), via);
    }

    /// The owner of the record's key is known.
    pub(super) fn publish_to(&mut self, now: Instant, number: CommandNumber, owner: Owner) {
        let Some(publishing) = self.publishing.get_mut(&number) else {
            return;
        };
        let to = owner.owner;
        publishing.owner = Some(owner);
        let record = publishing.record.as_ref().clone();
        if to == self.near.me {
            let publisher = self.own_host_port();
            let full = self.keep(now, Some(&publisher), &record).full;
            self.send_owed(now);
            self.published(number, (!full).then_some(()).ok_or(Refusal::LimitReached));
            return;
        }
        let sender = self.near.me.wire();
        self.ask(now, to, Purpose::Publish(number), |request, ring| {
            RingStore {
                request,
                ring,
                sender,
                copy: false,
                records: List::first_of([record]),
            }
            .into()
        });
    }

    fn published(&mut self, number: CommandNumber, outcome: Result<(), Refusal>) {
        let publishing = self.publishing.remove(&number);
        if let Some(owner) = publishing.and_then(|publishing| publishing.owner) {
            self.event(match outcome {
                Ok(()) => RingEvent::Stored(number, owner),
                Err(code) => RingEvent::Failed(number, LookupFault::Refused(code)),
            });
        }
    }

    pub(super) fn publish_replied(&mut self, now: Instant, number: CommandNumber, reply: &Reply<'_>) {
        let again = match reply {
            Reply::Answer(_) => {
                self.published(number, Ok(()));
                return;
            }
            Reply::Refused(Refusal::NotOwner, _) | Reply::Gone => Refusal::NotOwner,
            Reply::Refused(code, _) => {
                self.published(number, Err(*code));
                return;
            }
        };
        match self.publishing.remove(&number) {
            Some(publishing) if publishing.tries < RING_STORE_TRIES_MAX => {
                self.publish_on(now, number, publishing);
            }
            Some(publishing) => {
                self.publishing.insert(number, publishing);
                self.published(number, Err(again));
            }
            None => {}
        }
    }

    pub(super) fn fetch(
        &mut self,
        now: Instant,
        number: CommandNumber,
        wanted: Wanted,
        via: Option<NodeAddress>,
    ) {
        let key = key_of(self.settings.space, &wanted);
        let fetching = Fetching {
            wanted,
            replicas: self.settings.replicas,
            keepers: Vec::new(),
            records: Vec::new(),
            pages: 0,
        };
        self.fetching.insert(number, fetching);
        self.begin_lookup(now, key, Aim::Fetch(number), via);
    }

    /// The owner of the key is known, and those who keep copies.
    pub(super) fn fetch_from(&mut self, now: Instant, number: CommandNumber, owner: &Owner) {
        let Some(mut fetching) = self.fetching.remove(&number) else {
            return;
        };
        let keepers = core::iter::once(owner.owner).chain(owner.next.iter().copied());
        fetching.keepers = keepers.take(fetching.replicas).collect();
        fetching.keepers.reverse();
        self.fetch_on(now, number, fetching);
    }

    fn fetch_on(&mut self, now: Instant, number: CommandNumber, mut fetching: Fetching) {
        let Some(keeper) = fetching.keepers.last().copied() else {
            self.event(RingEvent::Fetched(number, fetching.records));
            return;
        };
        fetching.pages += 1;
        let (wanted, after) = (fetching.wanted.clone(), fetching.after());
        if keeper == self.near.me {
            let fetch = RingFetch {
                request: self.asks.next_number(),
                ring: self.shape(),
                wanted,
                after,
            };
            let answer = self.answer_fetch(now, &fetch);
            self.fetching.insert(number, fetching);
            self.fetch_replied(now, number, &Reply::Answer(&answer));
            return;
        }
        self.fetching.insert(number, fetching);
        self.ask(now, keeper, Purpose::Fetch(number), |request, ring| {
            RingFetch {
                request,
                ring,
                wanted,
                after,
            }
            .into()
        });
    }

    pub(super) fn fetch_replied(&mut self, now: Instant, number: CommandNumber, reply: &Reply<'_>) {
        let Some(mut fetching) = self.fetching.remove(&number) else {
            return;
        };
        match reply {
            Reply::Answer(Message::RingRecords(page)) => {
                let after = fetching.after();
                let fresh = page
                    .records
                    .iter()
                    .filter(|record| after.as_ref().is_none_or(|after| record.content.key() > *after));
                fetching.records.extend(fresh.cloned());
                let more = page.more && fetching.after() != after && fetching.pages < RING_FETCH_PAGES_MAX;
                if !more && !fetching.records.is_empty() {
                    fetching.keepers.clear();
                } else if !more {
                    // A new owner may not have been given it yet; those after it have it.
                    fetching.keepers.pop();
                }
            }
            _ => {
                fetching.keepers.pop();
            }
        }
        self.fetch_on(now, number, fetching);
    }
}
