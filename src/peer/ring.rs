//! A peer as a node of a ring: where it stands, and what it says there of its shares.
//!
//! Belongs here: joining and leaving as it is wanted, and what the ring wants kept here. Does not: driving the node
//! (`net/ring.rs`), publishing shares (`publish.rs`), fetching what is to be kept (the face, which knows where it may lie).
//! Invariant: a node that leaves answers others until it has left.

use super::Peer;
use super::publish::Told;
use crate::id::{ContentId, Incarnation};
use crate::limits::{RING_LEAVE_WAIT, RING_PLACED_WAITING_MAX};
use crate::name::{HostPort, PeerName, printable};
use crate::net::{Clock, Conn, RingClient, RingDriver, Stop, resolve};
use crate::proto::chord::{Member, RingCommand, RingEvent, RingSettings, Standing};
use crate::ring::NodeAddress;
use crate::wire::{ContentInfo, ContentKey, Refusal, RingRecord, RingTable};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the publisher looks whether something is wanted.
const LOOK: Duration = Duration::from_millis(100);
/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Which ring to be in.
#[derive(Clone, Debug)]
pub struct RingWish {
    /// How it is made.
    pub settings: RingSettings,
    /// Who is in it; nobody if it is a new one.
    pub contacts: Vec<HostPort>,
    /// To be a node of it, and not only to tell it what is held here, by way of a contact.
    pub member: bool,
}

/// What the ring says of a content that it wants kept here, or that is.
#[derive(Clone, Debug)]
pub enum PlacedWord {
    /// It is to be kept here: whoever holds it is in the record.
    Wanted(RingRecord),
    /// It is rightly here, and the ring knows.
    Renewed,
    /// The ring would not keep its record.
    Unknown,
    /// Others are to keep it now.
    Elsewhere(ContentInfo, Vec<Member>),
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    wanted: bool,
    pub(super) told: BTreeMap<ContentKey, Told>,
    /// Contents that the ring wants where their records are.
    pub(super) placed: BTreeSet<ContentId>,
    /// What it wants kept here.
    places: VecDeque<RingRecord>,
    /// The last it said of each that is kept here.
    pub(super) said: BTreeMap<ContentKey, PlacedWord>,
    refused: Option<(Refusal, String)>,
}

/// A peer's part in a ring.
#[derive(Debug)]
pub struct RingPeer {
    pub(super) driver: Arc<RingDriver>,
    contacts: Vec<NodeAddress>,
    /// Who is asked, if this is to be no node of the ring.
    pub(super) via: Option<NodeAddress>,
    pub(super) name: PeerName,
    pub(super) incarnation: Incarnation,
    pub(super) clock: Clock,
    /// The node goes on after the peer's own stop, to leave.
    stop: Stop,
    pub(super) inner: Mutex<Inner>,
    pub(super) changed: Condvar,
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
            via: contacts.first().copied().filter(|_| !wish.member),
            contacts,
            name,
            incarnation,
            clock,
            stop,
            inner: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Set when the ring has been left, after the peer's own stop: until then others ask this node.
    pub(super) const fn stopped(&self) -> &Stop {
        &self.stop
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

    /// The next word about what is kept here for the ring; none if there is none within `wait`.
    pub fn next_placed(&self, wait: Duration) -> Option<(ContentKey, PlacedWord)> {
        let until = Instant::now() + wait;
        let mut inner = self.inner.lock();
        loop {
            if let Some(record) = inner.places.pop_front() {
                return Some((record.content.key(), PlacedWord::Wanted(record)));
            }
            let said = inner.said.pop_first();
            if said.is_some() || self.changed.wait_until(&mut inner, until).timed_out() {
                return said;
            }
        }
    }

    /// Is a member as long as that is wanted, and publishes what is shared, until the stop; then takes it back and leaves.
    pub(super) fn run(&self, stop: &Stop) {
        let mut more = false;
        while !stop.is_set() {
            if let Some(event) = self.driver.next_event(if more { Duration::ZERO } else { LOOK }) {
                self.note(event);
            }
            let wanted = self.inner.lock().wanted;
            more = match self.driver.standing() {
                Standing::Out if self.via.is_some() => self.publish_due(),
                Standing::Young | Standing::In if wanted => self.publish_due(),
                Standing::Out if wanted => {
                    self.enter();
                    false
                }
                Standing::Joining | Standing::Young | Standing::In if !wanted => {
                    self.depart();
                    false
                }
                _ => false,
            };
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
        if self.is_member() || self.via.is_some() {
            self.withdraw_all();
        }
        if self.via.is_some() {
            return;
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
                drop(inner);
                self.all_due();
            }
            RingEvent::Left => log::info!("left the ring"),
            RingEvent::Lost => log::warn!("every node listed is gone; looking for another"),
            RingEvent::NobodyThere => log::warn!("nobody of the ring answers; trying again"),
            RingEvent::Refused(code, text) => {
                log::warn!("the ring refuses us: {}", printable(&text));
                inner.wanted = false;
                inner.refused = Some((code, text));
            }
            RingEvent::Place(record) if inner.places.len() < RING_PLACED_WAITING_MAX => {
                inner.places.push_back(*record);
            }
            RingEvent::Place(record) => {
                log::warn!(
                    "{}: not kept for the ring: too much waits to be",
                    record.content.name
                );
            }
            // Whoever waits for these is told.
            RingEvent::Found(..) | RingEvent::Stored(..) | RingEvent::Fetched(..) | RingEvent::Failed(..) => {
            }
        }
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
            let tried: Vec<String> = contacts.iter().map(ToString::to_string).collect();
            let why = match tried.is_empty() {
                true => String::new(),
                false => format!(", and {} does not answer, which would tell", tried.join(", ")),
            };
            let text = format!(
                "a node of a ring must know its address{why}: give --listen or --advertise one that others reach"
            );
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
