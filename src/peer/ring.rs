//! A peer as a node of a ring: where it stands, and what it says there of its shares.
//!
//! Belongs here: joining and leaving as it is wanted, publishing shares, renewing and withdrawing them, and what the ring
//! wants kept here. Does not: driving the node (`net/ring.rs`), fetching what is to be kept (the face, which knows where it
//! may lie). Invariant: while it is a member the ring is told of every share, and told again before it forgets it.

use super::Peer;
use crate::id::{ContentId, Incarnation};
use crate::limits::{LEASE_SECS, REJOIN_WAIT, RING_LEAVE_WAIT, RING_RENEW};
use crate::name::{HostPort, PeerName, printable};
use crate::net::{Clock, Conn, RingClient, RingDriver, Stop, resolve};
use crate::proto::chord::{RingCommand, RingEvent, RingSettings, Standing};
use crate::ring::NodeAddress;
use crate::wire::{ContentInfo, ContentKey, GossipRecord, List, Refusal, RingKeyOf, RingRecord, RingTable};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the publisher looks whether something is wanted.
const LOOK: Duration = Duration::from_millis(100);
/// How many contents are published between two looks at what has happened.
const AT_ONCE: usize = 16;
/// How long taking everything back may take at the end.
const WITHDRAW_PATIENCE: Duration = Duration::from_secs(5);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which ring to be in.
#[derive(Clone, Debug)]
pub struct RingWish {
    /// How it is made.
    pub settings: RingSettings,
    /// Who is in it; nobody if it is a new one.
    pub contacts: Vec<HostPort>,
}

/// What the ring is told of one content.
#[derive(Debug)]
struct Told {
    info: ContentInfo,
    complete: bool,
    gone: bool,
    due: Instant,
}

#[derive(Debug, Default)]
struct Inner {
    wanted: bool,
    told: BTreeMap<ContentKey, Told>,
    /// Contents that the ring wants where their records are.
    placed: BTreeSet<ContentId>,
    /// What it wants kept here.
    places: VecDeque<RingRecord>,
    refused: Option<(Refusal, String)>,
}

/// A peer's part in a ring.
#[derive(Debug)]
pub struct RingPeer {
    driver: Arc<RingDriver>,
    contacts: Vec<NodeAddress>,
    name: PeerName,
    incarnation: Incarnation,
    clock: Clock,
    /// The node goes on after the peer's own stop, to leave.
    stop: Stop,
    inner: Mutex<Inner>,
    changed: Condvar,
}

impl RingPeer {
    /// A node that is in no ring yet.
    ///
    /// # Errors
    /// Others would not know how to reach it, a contact has no address, or the operating system gives no thread.
    pub(super) fn start(
        wish: &RingWish,
        listening: SocketAddr,
        advertise: Option<&HostPort>,
        name: PeerName,
        incarnation: Incarnation,
        clock: Clock,
    ) -> io::Result<Self> {
        let mut contacts: Vec<NodeAddress> = Vec::new();
        for contact in &wish.contacts {
            contacts.extend(resolve(contact)?.into_iter().map(NodeAddress::from));
        }
        let stop = Stop::new();
        let address = own_address(listening, advertise, &wish.contacts, &stop)?;
        Ok(Self {
            driver: RingDriver::start(wish.settings, address, clock, stop.clone())?,
            contacts,
            name,
            incarnation,
            clock,
            stop,
            inner: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// To be in the ring, or not to be.
    pub fn want(&self, wanted: bool) {
        let mut inner = self.inner.lock();
        inner.wanted = wanted;
        inner.refused = None;
        self.changed.notify_all();
    }

    /// The node itself.
    pub const fn driver(&self) -> &Arc<RingDriver> {
        &self.driver
    }

    /// Finds owners and records as this node.
    pub fn client(&self) -> RingClient {
        RingClient::of_member(Arc::clone(&self.driver))
    }

    /// What it knows of its ring; none if it is in none.
    pub fn table(&self) -> Option<RingTable> {
        self.driver.table()
    }

    /// Waits until it is where it is wanted; false if stopped before.
    ///
    /// # Errors
    /// The ring would not have it.
    pub fn wait_settled(&self, stop: &Stop) -> Result<bool, (Refusal, String)> {
        let mut inner = self.inner.lock();
        loop {
            if let Some(refused) = inner.refused.clone() {
                return Err(refused);
            }
            if self.is_member() == inner.wanted && (inner.wanted || self.driver.standing() == Standing::Out) {
                return Ok(true);
            }
            if stop.is_set() {
                return Ok(false);
            }
            self.changed.wait_for(&mut inner, LOOK);
        }
    }

    /// Waits for the stop, or until the ring refuses to have this node; what it said.
    pub fn wait_refused(&self, stop: &Stop) -> Option<(Refusal, String)> {
        let mut inner = self.inner.lock();
        while inner.refused.is_none() && !stop.is_set() {
            self.changed.wait_for(&mut inner, LOOK);
        }
        inner.refused.clone()
    }

    fn is_member(&self) -> bool {
        matches!(self.driver.standing(), Standing::Young | Standing::In)
    }

    /// From now on the ring knows that this peer holds a content.
    pub(super) fn share(&self, info: &ContentInfo, complete: bool) {
        let told = Told {
            info: info.clone(),
            complete,
            gone: false,
            due: Instant::now(),
        };
        self.inner.lock().told.insert(info.key(), told);
        self.changed.notify_all();
    }

    /// From now on it does not hold it.
    pub(super) fn unshare(&self, key: &ContentKey) {
        if let Some(told) = self.inner.lock().told.get_mut(key) {
            told.gone = true;
            told.due = Instant::now();
        }
    }

    /// Has a content that is shared here kept where its records are, too.
    pub fn place(&self, id: ContentId) {
        let mut inner = self.inner.lock();
        inner.placed.insert(id);
        let now = Instant::now();
        let told = inner.told.values_mut();
        told.filter(|told| told.info.id == id)
            .for_each(|told| told.due = now);
    }

    /// A content that the ring wants kept here; none if stopped.
    pub fn next_place(&self, stop: &Stop) -> Option<RingRecord> {
        let mut inner = self.inner.lock();
        loop {
            if stop.is_set() {
                return None;
            }
            if let Some(record) = inner.places.pop_front() {
                return Some(record);
            }
            self.changed.wait_for(&mut inner, LOOK);
        }
    }

    /// Is a member as long as that is wanted, and publishes what is shared, until the stop; then takes it back and leaves.
    pub(super) fn run(&self, stop: &Stop) {
        while !stop.is_set() {
            if let Some(event) = self.driver.next_event(LOOK) {
                self.note(event);
            }
            let wanted = self.inner.lock().wanted;
            match self.driver.standing() {
                Standing::Out if wanted => self.enter(),
                Standing::Joining | Standing::Young | Standing::In if !wanted => self.depart(),
                Standing::Young | Standing::In => self.publish_due(stop),
                Standing::Out | Standing::Joining => {}
            }
            self.changed.notify_all();
        }
        self.depart();
        self.stop.trigger();
    }

    fn enter(&self) {
        self.driver.tell(if self.contacts.is_empty() {
            RingCommand::Found
        } else {
            RingCommand::Join(self.contacts.clone())
        });
    }

    /// Takes back what it said, gives away what it keeps, and goes.
    fn depart(&self) {
        let end = Instant::now() + WITHDRAW_PATIENCE;
        if self.is_member() {
            let inner = self.inner.lock();
            let infos: Vec<ContentInfo> = inner.told.values().map(|told| told.info.clone()).collect();
            drop(inner);
            for info in infos {
                if Instant::now() < end {
                    self.publish(&info, false, true);
                }
            }
        }
        self.driver.tell(RingCommand::Leave);
        let end = Instant::now() + RING_LEAVE_WAIT.to_std() + LAST_WORDS;
        while self.driver.standing() != Standing::Out && Instant::now() < end {
            drop(self.driver.next_event(LOOK));
        }
        self.driver.wait_sent(LAST_WORDS);
    }

    fn note(&self, event: RingEvent) {
        let mut inner = self.inner.lock();
        match event {
            RingEvent::Joined => {
                log::info!("in the ring, as {}", self.driver.address());
                let now = Instant::now();
                inner.told.values_mut().for_each(|told| told.due = now);
            }
            RingEvent::Left => log::info!("left the ring"),
            RingEvent::Lost => log::warn!("every node listed is gone; looking for another"),
            RingEvent::NobodyThere => log::warn!("nobody of the ring answers; trying again"),
            RingEvent::Refused(code, text) => {
                log::warn!("the ring refuses us: {}", printable(&text));
                inner.wanted = false;
                inner.refused = Some((code, text));
            }
            RingEvent::Place(record) => {
                inner.placed.insert(record.content.id);
                inner.places.push_back(*record);
            }
            // Whoever waits for these is told.
            RingEvent::Found(..) | RingEvent::Stored(..) | RingEvent::Fetched(..) | RingEvent::Failed(..) => {
            }
        }
    }

    fn publish_due(&self, stop: &Stop) {
        let now = Instant::now();
        let inner = self.inner.lock();
        let due = inner.told.values().filter(|told| told.due <= now);
        let due: Vec<(ContentInfo, bool, bool)> = due
            .take(AT_ONCE)
            .map(|told| (told.info.clone(), told.complete, told.gone))
            .collect();
        drop(inner);
        for (info, complete, gone) in due {
            if stop.is_set() {
                return;
            }
            let stored = self.publish(&info, complete, gone);
            let mut inner = self.inner.lock();
            let key = info.key();
            if let Some(told) = inner
                .told
                .get_mut(&key)
                .filter(|told| told.due <= now && (told.complete, told.gone) == (complete, gone))
            {
                told.due = Instant::now() + if stored { RING_RENEW } else { REJOIN_WAIT }.to_std();
                if stored && gone {
                    inner.told.remove(&key);
                }
            }
        }
    }

    /// Tells the owners of the content's keys; true if all keep it.
    fn publish(&self, info: &ContentInfo, complete: bool, withdrawn: bool) -> bool {
        let placed = !withdrawn && self.inner.lock().placed.contains(&info.id);
        let tell = |key: RingKeyOf| {
            let claim = GossipRecord {
                name: self.name.clone(),
                host: None,
                port: self.driver.address().port,
                sequence: self.sequence(),
                remaining_secs: LEASE_SECS,
                withdrawn,
                complete,
            };
            let record = RingRecord {
                key,
                place: placed && key == RingKeyOf::Name,
                content: info.clone(),
                holders: List::first_of([claim]),
            };
            match self.driver.ask(RingCommand::Publish(Box::new(record))) {
                Some(RingEvent::Stored(..)) => true,
                Some(RingEvent::Failed(_, fault)) => {
                    log::info!("{}: telling the ring of it: {fault}", info.name);
                    false
                }
                _ => false,
            }
        };
        let number = info.number.map(|_| RingKeyOf::Number);
        let keys = [RingKeyOf::Name, RingKeyOf::Id].into_iter().chain(number);
        // All are told, though one be not reached.
        keys.filter(|key| !tell(*key)).count() == 0
    }

    /// A number that only grows, and does so over restarts.
    fn sequence(&self) -> u64 {
        let millis = self.clock.at().0 / 1_000;
        (u64::from(self.incarnation.0) << 40) | (millis & ((1 << 40) - 1))
    }
}

/// Where others reach this node: as it is told, where it listens if that is one address, or else by the address that it
/// has towards the others.
fn own_address(
    listening: SocketAddr,
    advertise: Option<&HostPort>,
    contacts: &[HostPort],
    stop: &Stop,
) -> io::Result<NodeAddress> {
    if let Some(advertise) = advertise {
        return Ok(resolve(advertise)?.remove(0).into());
    }
    if !listening.ip().is_unspecified() {
        return Ok(listening.into());
    }
    let towards = contacts.iter().find_map(|contact| {
        let conn = Conn::connect(contact, 0, stop).ok()?;
        Some(conn.local().ip())
    });
    towards
        .map(|ip| SocketAddr::new(ip, listening.port()).into())
        .ok_or_else(|| {
            let text =
                "a node of a ring must know its address: give --listen or --advertise one that others reach";
            io::Error::new(io::ErrorKind::InvalidInput, text)
        })
}

impl Peer {
    /// Its part in a ring.
    pub fn ring(&self) -> Option<&RingPeer> {
        self.ring.as_deref()
    }

    /// Tells the ring that a content is held here.
    pub(super) fn tell_ring(&self, info: &ContentInfo, complete: bool) {
        if let Some(ring) = &self.ring {
            ring.share(info, complete);
        }
    }
}
