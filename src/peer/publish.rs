//! What the ring is told of this peer's shares: each is published, renewed, and withdrawn when it is gone.
//!
//! Belongs here: what was told and when it is due again. Does not: membership (`ring.rs`), finding owners (`chord/`).
//! Invariant: the ring is told of every share, and told again before it forgets it.

use super::ring::{PlacedWord, RingPeer};
use crate::id::ContentId;
use crate::limits::{LEASE_SECS, REJOIN_WAIT, RING_RENEW};
use crate::proto::chord::{LookupFault, RingCommand, RingEvent};
use crate::wire::{ContentInfo, ContentKey, GossipRecord, List, Refusal, RingKeyOf, RingRecord};
use std::time::{Duration, Instant};

/// How many contents are published at once.
const AT_ONCE: usize = 64;
/// How long taking everything back may take at the end.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(5);

/// What the ring is told of one content.
#[derive(Debug)]
pub(super) struct Told {
    info: ContentInfo,
    complete: bool,
    gone: bool,
    /// The ring may know of it.
    published: bool,
    due: Instant,
}

/// One thing to tell.
#[derive(Clone, Debug)]
struct Word {
    info: ContentInfo,
    complete: bool,
    withdrawn: bool,
}

/// What a content is found by, its name first: that is where it may be placed.
fn keys_of(info: &ContentInfo) -> impl Iterator<Item = RingKeyOf> {
    let number = info.number.map(|_| RingKeyOf::Number);
    [RingKeyOf::Name, RingKeyOf::Id].into_iter().chain(number)
}

impl RingPeer {
    /// From now on the ring knows that this peer holds a content.
    pub(super) fn share(&self, info: &ContentInfo, complete: bool) {
        let mut inner = self.inner.lock();
        let published = inner.told.get(&info.key()).is_some_and(|told| told.published);
        let told = Told {
            info: info.clone(),
            complete,
            gone: false,
            published,
            due: Instant::now(),
        };
        inner.told.insert(info.key(), told);
        self.changed.notify_all();
    }

    /// From now on it does not hold it.
    pub(super) fn unshare(&self, key: &ContentKey) {
        if let Some(told) = self.inner.lock().told.get_mut(key) {
            told.gone = true;
            told.due = Instant::now();
        }
    }

    /// Has a content that is shared here kept where its records are, too: the ring is told so at once.
    pub fn place(&self, id: ContentId) {
        let mut inner = self.inner.lock();
        inner.placed.insert(id);
        let now = Instant::now();
        let told = inner.told.values_mut();
        told.filter(|told| told.info.id == id)
            .for_each(|told| told.due = now);
        self.changed.notify_all();
    }

    /// The same of one that is here because the ring wants it, if that is news.
    pub fn keep_placed(&self, id: ContentId) {
        if !self.inner.lock().placed.contains(&id) {
            self.place(id);
        }
    }

    /// Has it kept here only.
    pub fn displace(&self, id: ContentId) {
        self.inner.lock().placed.remove(&id);
    }

    /// Tells those that put a content that it will not be kept here.
    pub fn decline(&self, info: &ContentInfo) {
        let word = Word {
            info: info.clone(),
            complete: false,
            withdrawn: true,
        };
        drop(self.driver.ask(self.publication(&word, RingKeyOf::Name)));
    }

    /// The ring is told of everything anew: it is another one, or may have forgotten.
    pub(super) fn all_due(&self) {
        let now = Instant::now();
        let mut inner = self.inner.lock();
        inner.told.values_mut().for_each(|told| told.due = now);
    }

    /// Tells the ring some of what is due; true if there is more.
    pub(super) fn publish_due(&self) -> bool {
        let now = Instant::now();
        let inner = self.inner.lock();
        let due = inner.told.values().filter(|told| told.due <= now);
        let mut due: Vec<Word> = due
            .take(AT_ONCE + 1)
            .map(|told| Word {
                info: told.info.clone(),
                complete: told.complete,
                withdrawn: told.gone,
            })
            .collect();
        drop(inner);
        let more = due.len() > AT_ONCE;
        due.truncate(AT_ONCE);
        for (word, stored) in due.iter().zip(self.publish(&due)) {
            self.note_published(now, word, stored);
        }
        more
    }

    fn note_published(&self, now: Instant, word: &Word, stored: bool) {
        let mut inner = self.inner.lock();
        let key = word.info.key();
        let Some(told) = inner.told.get_mut(&key) else {
            return;
        };
        told.published = true;
        if told.due > now || (told.complete, told.gone) != (word.complete, word.withdrawn) {
            return;
        }
        told.due = Instant::now() + if stored { RING_RENEW } else { REJOIN_WAIT }.to_std();
        if stored && word.withdrawn {
            inner.told.remove(&key);
        }
    }

    /// Takes back what was said, as far as there is time.
    pub(super) fn withdraw_all(&self) {
        let end = Instant::now() + WITHDRAW_PATIENCE;
        let inner = self.inner.lock();
        let said = inner.told.values().filter(|told| told.published);
        let words = said.map(|told| Word {
            info: told.info.clone(),
            complete: told.complete,
            withdrawn: true,
        });
        let words: Vec<Word> = words.collect();
        drop(inner);
        for words in words.chunks(AT_ONCE) {
            if Instant::now() < end {
                self.publish(words);
            }
        }
    }

    /// Tells the owners of each content's keys; true where all keep it.
    fn publish(&self, words: &[Word]) -> Vec<bool> {
        let commands = words
            .iter()
            .flat_map(|word| keys_of(&word.info).map(|key| self.publication(word, key)));
        let mut outcomes = self.driver.ask_all(commands.collect::<Vec<_>>()).into_iter();
        let stored = words.iter().map(|word| {
            let outcomes: Vec<_> = outcomes.by_ref().take(keys_of(&word.info).count()).collect();
            if let Some(Some(by_name)) = outcomes.first()
                && !word.withdrawn
            {
                self.note_placed(&word.info, by_name);
            }
            if let Some(Some(RingEvent::Failed(_, fault))) = outcomes
                .iter()
                .find(|end| matches!(end, Some(RingEvent::Failed(..))))
            {
                log::info!("{}: telling the ring of it: {fault}", word.info.name);
            }
            outcomes
                .iter()
                .all(|end| matches!(end, Some(RingEvent::Stored(..))))
        });
        stored.collect()
    }

    /// Whether the ring has a use for a content that is kept here for it.
    fn note_placed(&self, info: &ContentInfo, told: &RingEvent) {
        let word = match told {
            RingEvent::Stored(_, owner) => {
                let keepers = owner.keepers(self.driver.settings().replicas);
                let own = self.driver.address();
                if keepers.iter().any(|keeper| keeper.address == own) {
                    PlacedWord::Renewed
                } else {
                    PlacedWord::Elsewhere(info.clone(), keepers)
                }
            }
            RingEvent::Failed(_, LookupFault::Refused(Refusal::LimitReached)) => PlacedWord::Unknown,
            _ => return,
        };
        let mut inner = self.inner.lock();
        if inner.placed.contains(&info.id) {
            inner.said.insert(info.key(), word);
        }
    }

    fn publication(&self, word: &Word, key: RingKeyOf) -> RingCommand {
        let placed = self.inner.lock().placed.contains(&word.info.id);
        let claim = GossipRecord {
            name: self.name.clone(),
            host: None,
            port: self.driver.address().port,
            sequence: self.sequence(),
            remaining_secs: LEASE_SECS,
            withdrawn: word.withdrawn,
            complete: word.complete,
        };
        let record = Box::new(RingRecord {
            key,
            place: placed && key == RingKeyOf::Name && !word.withdrawn,
            content: word.info.clone(),
            holders: List::first_of([claim]),
        });
        match self.via {
            None => RingCommand::Publish(record),
            Some(via) => RingCommand::PublishBy(record, via),
        }
    }

    /// A number that only grows, and does so over restarts.
    fn sequence(&self) -> u64 {
        let millis = self.clock.at().0 / 1_000;
        (u64::from(self.incarnation.0) << 40) | (millis & ((1 << 40) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Incarnation;
    use crate::name::{ContentName, PeerName};
    use crate::net::{Clock, Stop};
    use crate::peer::RingWish;
    use crate::proto::chord::RingSettings;
    use crate::ring::{RingHash, RingSpace};
    use crate::wire::{ContentKind, Text};

    #[test]
    fn shares_are_renewed_before_the_ring_forgets_them() {
        assert!(
            RING_RENEW.as_secs() * 3 <= u64::from(LEASE_SECS),
            "two may be lost"
        );
        let space = RingSpace::new(160, RingHash::Sha1).expect("bits");
        let wish = RingWish {
            settings: RingSettings::usual(space),
            contacts: Vec::new(),
            member: true,
        };
        // Alone in its ring it asks nobody.
        let listening = ([127, 0, 0, 1], 1).into();
        let name = PeerName::new("p").expect("a name");
        let peer =
            RingPeer::start(&wish, listening, None, name, Incarnation(1), Clock::start()).expect("started");
        let info = ContentInfo {
            kind: ContentKind::File,
            id: ContentId([1; 32]),
            name: ContentName::new("song").expect("a name"),
            bytes: 1,
            modified: 0,
            media_type: Text::cut("x/y"),
            number: None,
            title: None,
        };
        let stop = Stop::new();
        let due_in = || {
            let inner = peer.inner.lock();
            let told = inner.told.get(&info.key())?;
            told.published
                .then(|| told.due.saturating_duration_since(Instant::now()))
        };
        let until = |what: &str, is_so: &dyn Fn() -> bool| {
            let deadline = Instant::now() + Duration::from_secs(40);
            while !is_so() {
                assert!(Instant::now() < deadline, "waited too long for {what}");
                std::thread::park_timeout(Duration::from_millis(20));
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| peer.run(&stop));
            peer.want(true);
            peer.share(&info, true);
            let renew = RING_RENEW.to_std();
            until("it to be published", &|| {
                due_in().is_some_and(|due| !due.is_zero())
            });
            let due = due_in().expect("told");
            assert!(due <= renew && due + Duration::from_secs(40) > renew, "{due:?}");
            assert_eq!(peer.driver().records_kept(), (2, 2), "by name and by id");
            peer.unshare(&info.key());
            until("it to be withdrawn", &|| due_in().is_none());
            stop.trigger();
        });
    }
}
