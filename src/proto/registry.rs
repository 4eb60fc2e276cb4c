//! The peers of an RS: leases, cookies, registrations of the last 30 days (`rfcs/0002-registry.txt`).
//!
//! Belongs here: who is registered and alive. Does not: what they hold (`catalog.rs`), how requests are
//! answered (`registration.rs`). Invariant: a peer is handed out only while it is active, not hidden and its
//! lease runs; an inactive record is kept until its room is needed.

use super::change::{Activity, Change};
use crate::id::{Cookie, PeerNumber, RequestNumber};
use crate::limits::{
    OS_BYTES_MAX, PEERS_MAX, PROBE_INTERVAL_MIN, PROBES_WAITING_MAX, REGISTRATIONS_KEPT_MAX,
    SILENCE_BEFORE_PROBE,
};
use crate::name::{Host, HostPort, PeerName};
use crate::rng::Rng;
use crate::time::{Instant, Now, Span, WallTime};
use crate::wire::{Join, PeerInfo, Text};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wall::WallClock;

mod offline;
mod stored;
mod wall;

/// A peer's record.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: PeerName,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) os: Text<OS_BYTES_MAX>,
    pub(super) cookie: Cookie,
    /// Of the last Join.
    nonce: u64,
    /// Host and nonce of the first Join, the one that carried no cookie: a late copy of it makes no second peer.
    first_join: (Host, u64),
    pub(super) activity: Activity,
    pub(super) lease_ends: Instant,
    registrations: Vec<WallTime>,
    /// The last state change under the cookie, and the frame that answered it.
    pub(super) last: Option<(RequestNumber, Box<[u8]>)>,
    /// How many probes the RS had wanted when the peer last spoke: those say nothing about it any more.
    heard: u64,
    probed: Option<Instant>,
    wake: Instant,
}

impl Peer {
    fn address(&self) -> HostPort {
        HostPort {
            host: self.host.clone(),
            port: self.port,
        }
    }

    /// What others are told of it, reached at `host`.
    pub(super) fn info(&self, now: Now, number: PeerNumber, host: Host) -> PeerInfo {
        let left = match self.activity {
            Activity::Inactive => Span::ZERO,
            Activity::Active | Activity::Hidden => self.lease_ends.since(now.at),
        };
        PeerInfo {
            number,
            name: self.name.clone(),
            host,
            port: self.port,
            os: self.os.clone(),
            lease_secs: left.as_secs_u32(),
            registrations: self.registrations(now.wall),
            registered: self.registered(now.wall).0,
        }
    }
}

/// A peer to be probed: connect to its address and tell [`super::Registration::handle_probe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Which peer.
    pub peer: PeerNumber,
    /// Where it should answer.
    pub address: HostPort,
    /// Rising with every probe this RS wanted.
    order: u64,
}

/// What a Join came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// A registration, counted.
    Registered(PeerNumber),
    /// The Join just answered, again: nothing new happened.
    Repeated(PeerNumber),
    /// The cookie is not ours.
    UnknownCookie,
    /// No room, and nobody inactive to forget.
    Full,
}

/// All peers.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    lease: Span,
    peers_max: usize,
    rng: Rng,
    cookie_key: [u8; 32],
    peers: BTreeMap<PeerNumber, Box<Peer>>,
    last_number: PeerNumber,
    /// By keyed hash, so that looking one up tells nothing about the others by its time.
    by_cookie: BTreeMap<[u8; 16], PeerNumber>,
    by_first_join: BTreeMap<(Host, u64), PeerNumber>,
    by_address: BTreeSet<(HostPort, PeerNumber)>,
    wakes: BTreeSet<(Instant, PeerNumber)>,
    inactive: BTreeSet<(Instant, PeerNumber)>,
    hidden: BTreeSet<PeerNumber>,
    probes: VecDeque<Probe>,
    probes_wanted: u64,
    news: News,
    wall: Option<WallClock>,
}

/// What has changed since the store was told.
#[derive(Clone, Debug, Default)]
struct News {
    /// False without a store.
    kept: bool,
    numbered: bool,
    peers: BTreeSet<PeerNumber>,
    leases: BTreeSet<PeerNumber>,
    gone: Vec<PeerNumber>,
}

impl Registry {
    pub(super) fn new(lease: Span, mut rng: Rng) -> Self {
        let cookie_key = rng.bytes();
        Self {
            lease,
            peers_max: PEERS_MAX,
            rng,
            cookie_key,
            peers: BTreeMap::new(),
            last_number: PeerNumber(0),
            by_cookie: BTreeMap::new(),
            by_first_join: BTreeMap::new(),
            by_address: BTreeSet::new(),
            wakes: BTreeSet::new(),
            inactive: BTreeSet::new(),
            hidden: BTreeSet::new(),
            probes: VecDeque::new(),
            probes_wanted: 0,
            news: News::default(),
            wall: None,
        }
    }

    /// The same with room for fewer peers.
    #[cfg(test)]
    pub(super) fn with_room_for(mut self, peers_max: usize) -> Self {
        self.peers_max = peers_max;
        self
    }

    fn cookie_digest(&self, cookie: Cookie) -> [u8; 16] {
        let mut digest = [0; 16];
        blake3::Hasher::new_keyed(&self.cookie_key)
            .update(&cookie.0)
            .finalize_xof()
            .fill(&mut digest);
        digest
    }

    /// The peer of a cookie.
    pub(super) fn peer_of(&self, cookie: Cookie) -> Option<PeerNumber> {
        let number = *self.by_cookie.get(&self.cookie_digest(cookie))?;
        self.peers
            .get(&number)
            .filter(|peer| peer.cookie == cookie)
            .map(|_| number)
    }

    pub(super) fn get(&self, number: PeerNumber) -> Option<&Peer> {
        self.peers.get(&number).map(|peer| &**peer)
    }

    /// Notes the answer of a state change.
    pub(super) fn remember(&mut self, number: PeerNumber, request: RequestNumber, answer: Box<[u8]>) {
        if let Some(peer) = self.peers.get_mut(&number) {
            peer.last = Some((request, answer));
            self.news_of(number);
        }
    }

    /// The peer, if it may be handed out.
    pub(super) fn listed(&self, number: PeerNumber, now: Instant) -> Option<&Peer> {
        self.peers
            .get(&number)
            .filter(|peer| peer.activity == Activity::Active && peer.lease_ends > now)
            .map(|peer| &**peer)
    }

    /// The peers that may be handed out, from the one after `after`.
    pub(super) fn listed_after(
        &self,
        after: PeerNumber,
        now: Instant,
    ) -> impl Iterator<Item = (PeerNumber, &Peer)> {
        let from = PeerNumber(after.0.saturating_add(1));
        self.peers
            .range(from..)
            .filter(move |(_, peer)| peer.activity == Activity::Active && peer.lease_ends > now)
            .map(|(number, peer)| (*number, &**peer))
    }

    /// The peer that a Join seen at `host` speaks for: the one of its cookie, or the one it made.
    pub(super) fn speaks_for(&self, host: &Host, join: &Join) -> Option<PeerNumber> {
        match join.cookie {
            Some(cookie) => self.peer_of(cookie),
            None => self.by_first_join.get(&(host.clone(), join.nonce)).copied(),
        }
    }

    /// Registers a peer seen at `host`, or revives the one of its cookie.
    pub(super) fn join(&mut self, now: Now, host: Host, join: &Join) -> Joined {
        let known = self.speaks_for(&host, join);
        if join.cookie.is_some() && known.is_none() {
            return Joined::UnknownCookie;
        }
        // The nonce of a Join whose answer the peer has not seen: still the same Join, however long that took.
        if let Some(number) = known
            && let Some(peer) = self.peers.get(&number)
            && peer.nonce == join.nonce
            && peer.port == join.port
        {
            self.renew(now.at, number);
            return Joined::Repeated(number);
        }
        let Some(number) = known.or_else(|| self.insert(now, host.clone(), join)) else {
            return Joined::Full;
        };
        self.unlink(number);
        if let Some(peer) = self.peers.get_mut(&number) {
            peer.name = join.name.clone();
            peer.host = host;
            peer.port = join.port;
            peer.os = join.os.clone();
            peer.nonce = join.nonce;
            if peer.registrations.len() >= REGISTRATIONS_KEPT_MAX {
                peer.registrations.remove(0);
            }
            // Most peers register once.
            peer.registrations.reserve_exact(1);
            peer.registrations.push(now.wall);
        }
        if self.news.kept {
            self.news.peers.insert(number);
        }
        self.link(number);
        self.renew(now.at, number);
        Joined::Registered(number)
    }

    fn insert(&mut self, now: Now, host: Host, join: &Join) -> Option<PeerNumber> {
        if self.peers.len() >= self.peers_max {
            let (_, oldest) = self.inactive.pop_first()?;
            self.forget(oldest);
        }
        self.last_number = PeerNumber(self.last_number.0 + 1);
        self.news.numbered = self.news.kept;
        let number = self.last_number;
        let cookie = Cookie(self.rng.bytes());
        let first_join = (host.clone(), join.nonce);
        let peer = Peer {
            name: join.name.clone(),
            host,
            first_join,
            port: join.port,
            os: Text::default(),
            cookie,
            nonce: join.nonce,
            activity: Activity::Inactive,
            lease_ends: now.at,
            registrations: Vec::new(),
            last: None,
            heard: 0,
            probed: None,
            wake: now.at,
        };
        self.by_cookie.insert(self.cookie_digest(peer.cookie), number);
        self.by_first_join.insert(peer.first_join.clone(), number);
        self.peers.insert(number, Box::new(peer));
        Some(number)
    }

    fn forget(&mut self, number: PeerNumber) {
        self.unlink(number);
        if let Some(peer) = self.peers.remove(&number) {
            self.wakes.remove(&(peer.wake, number));
            let digest = self.cookie_digest(peer.cookie);
            self.by_cookie.remove(&digest);
            self.by_first_join.remove(&peer.first_join);
            self.news.forget(number);
        }
    }

    /// Takes a peer out of the tables keyed by what a Join may change.
    fn unlink(&mut self, number: PeerNumber) {
        let Some(peer) = self.peers.get(&number) else {
            return;
        };
        self.by_address.remove(&(peer.address(), number));
    }

    fn link(&mut self, number: PeerNumber) {
        let Some(peer) = self.peers.get(&number) else {
            return;
        };
        self.by_address.insert((peer.address(), number));
    }

    /// A full lease from now.
    pub(super) fn renew(&mut self, now: Instant, number: PeerNumber) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        if peer.activity == Activity::Inactive {
            self.inactive.remove(&(peer.lease_ends, number));
        }
        peer.activity = Activity::Active;
        peer.lease_ends = now.after(self.lease);
        self.hear(now, number);
    }

    /// The own word of a peer whose lease runs: out of hiding, and no probe of before counts.
    pub(super) fn hear(&mut self, now: Instant, number: PeerNumber) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        peer.activity = Activity::Active;
        self.hidden.remove(&number);
        peer.heard = self.probes_wanted;
        peer.probed = None;
        let wake = peer.lease_ends.min(now.after(SILENCE_BEFORE_PROBE));
        self.wake_at(number, wake);
        self.news_of(number);
    }

    /// Makes a peer inactive; its record stays.
    pub(super) fn retire(&mut self, now: Instant, number: PeerNumber) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        if peer.activity != Activity::Inactive {
            peer.activity = Activity::Inactive;
            peer.lease_ends = now;
            self.inactive.insert((now, number));
            self.hidden.remove(&number);
        }
        self.wakes.remove(&(peer.wake, number));
        self.news_of(number);
    }

    fn wake_at(&mut self, number: PeerNumber, wake: Instant) {
        if let Some(peer) = self.peers.get_mut(&number) {
            self.wakes.remove(&(peer.wake, number));
            peer.wake = wake;
            self.wakes.insert((wake, number));
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.wakes.first().map(|(wake, _)| *wake)
    }

    /// Ends leases and probes the silent; returns the peers that became inactive.
    pub(super) fn handle_timeout(&mut self, now: Now) -> Vec<PeerNumber> {
        self.look_at_wall(now);
        let now = now.at;
        let mut ended = Vec::new();
        while let Some(&(wake, number)) = self.wakes.first()
            && wake <= now
        {
            self.wakes.pop_first();
            let Some(peer) = self.peers.get(&number) else {
                continue;
            };
            if peer.lease_ends <= now {
                self.retire(now, number);
                ended.push(number);
            } else {
                let next = peer.lease_ends.min(now.after(SILENCE_BEFORE_PROBE));
                self.probe(now, number);
                self.wake_at(number, next);
            }
        }
        ended
    }

    /// Wants every registered peer at this address probed; says how many there are.
    pub(super) fn report(&mut self, now: Instant, address: &HostPort) -> usize {
        let range = (address.clone(), PeerNumber(0))..=(address.clone(), PeerNumber(u64::MAX));
        let there: Vec<PeerNumber> = self.by_address.range(range).map(|(_, number)| *number).collect();
        there.iter().for_each(|number| self.probe(now, *number));
        there.len()
    }

    fn probe(&mut self, now: Instant, number: PeerNumber) {
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        let recently = peer
            .probed
            .is_some_and(|probed| now.since(probed) < PROBE_INTERVAL_MIN);
        if peer.activity == Activity::Active && !recently && self.probes.len() < PROBES_WAITING_MAX {
            peer.probed = Some(now);
            self.probes_wanted += 1;
            self.probes.push_back(Probe {
                peer: number,
                address: peer.address(),
                order: self.probes_wanted,
            });
        }
    }

    pub(super) fn poll_probe(&mut self) -> Option<Probe> {
        self.probes.pop_front()
    }

    /// A probe's end. One that was wanted before the peer last spoke says nothing about it.
    pub(super) fn handle_probe(&mut self, probe: &Probe, alive: bool) {
        let Some(peer) = self.peers.get_mut(&probe.peer) else {
            return;
        };
        let outdated = probe.order <= peer.heard || peer.address() != probe.address;
        if !alive && !outdated && peer.activity == Activity::Active {
            peer.activity = Activity::Hidden;
            self.hidden.insert(probe.peer);
            self.news_of(probe.peer);
        }
    }
}
