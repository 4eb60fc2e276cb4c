//! A peer as a process: what it shares, who it serves, where it is registered.
//!
//! Belongs here: the wiring of shares, index, connections and membership. Does not: fetching (`fetch.rs`) and
//! finding (`locate.rs`), which the face combines with a peer. Invariant: what is in the index and at the RS
//! follows what is in the shared directories.
#![allow(
    clippy::disallowed_types,
    reason = "a process is made of sockets, files and threads"
)]

mod exchange;
mod gossip;
mod look;
mod membership;
mod publish;
mod ring;
mod serve;
mod shares;

pub use membership::{JoinFault, RsMember};
pub use ring::{PlacedWord, RingPeer, RingWish};
pub use shares::{Share, ShareBody, Shares};

use look::Changes;

use crate::id::ContentId;
use crate::limits::{RESCAN, RESCAN_MAX, RESCAN_SPARING};
use crate::name::{Host, HostPort, PeerName};
use crate::net::{Clock, LinkTransport, Offer, Pacer, Stop, Uplink, bind, connections_within, local_address};
use crate::proto::transfer::Manifest;
use crate::proto::{Identity, Index};
use crate::rate::Rate;
use crate::rng::Rng;
use crate::storage::{HashCache, State};
use crate::time::{Instant, Span};
use crate::wire::{ContentInfo, ContentKey};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Weak};
use std::thread::JoinHandle;

/// What a user may set.
#[derive(Debug)]
pub struct PeerSettings {
    /// The RS, if there is one.
    pub rs: Option<HostPort>,
    /// What requests to it travel on.
    pub transport: LinkTransport,
    /// The ring to be a node of, if any.
    pub ring: Option<RingWish>,
    /// Register contents at the RS too (mode central), not only the peer.
    pub central: bool,
    /// Where to listen; port 0 picks one.
    pub listen: SocketAddr,
    /// The address others are given.
    pub advertise: Option<HostPort>,
    /// The peer's name.
    pub name: PeerName,
    /// Directories shared in place.
    pub directories: Vec<PathBuf>,
    /// Limit of what it sends.
    pub up_limit: Option<Rate>,
    /// Connections served at once.
    pub connections_max: usize,
}

/// How many looks through the directories have begun, and how many have ended.
#[derive(Debug, Default)]
struct Looks {
    begun: u64,
    ended: u64,
}

impl Looks {
    /// When so many have ended, one of them began after now: the one under way may have passed what is new.
    const fn enough(&self) -> u64 {
        self.begun + 1
    }
}

/// A running peer.
#[derive(Debug)]
pub struct Peer {
    clock: Clock,
    stop: Stop,
    address: SocketAddr,
    name: PeerName,
    index: Mutex<Index>,
    shares: Shares,
    member: Option<RsMember>,
    central: bool,
    ring: Option<Arc<RingPeer>>,
    up: Arc<Pacer>,
    uplink: Arc<Uplink>,
    /// Contents that getters take pieces of at present.
    offers: Mutex<BTreeMap<ContentId, Weak<Offer>>>,
    /// The last few of them, kept for whoever comes next.
    kept_offers: Mutex<VecDeque<(ContentId, Arc<Offer>)>>,
    connections_max: usize,
    looks: Mutex<Looks>,
    scanned: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held for as long as the peer runs, if no membership holds it.
    _state: Option<State>,
}

impl Peer {
    /// Starts serving and sharing. It registers nowhere before [`RsMember::want`].
    ///
    /// # Errors
    /// The address cannot be had, or the operating system gives no thread or randomness.
    pub fn start(settings: PeerSettings, state: State, clock: Clock, stop: &Stop) -> io::Result<Arc<Self>> {
        let listener = bind(settings.listen)?;
        let address = local_address(&listener)?;
        let advertised_port = settings
            .advertise
            .as_ref()
            .map_or(address.port(), |advertise| advertise.port);
        let incarnation = state.incarnation;
        let identity = Identity {
            name: settings.name.clone(),
            host: advertised_host(settings.advertise.as_ref(), address),
            port: advertised_port,
            os: operating_system().to_owned(),
            cookie: settings.rs.as_ref().and_then(|rs| state.cookie(rs)),
            incarnation,
        };
        let mut index = Index::new(settings.name.clone(), advertised_port, incarnation);
        for own in [Some(HostPort::from(address)), settings.advertise.clone()]
            .into_iter()
            .flatten()
        {
            index.add_own_address(own);
        }
        let whole = !settings.directories.is_empty();
        let shares = Shares::new(settings.directories);
        match HashCache::open(state.directory()) {
            Ok(cache) => shares.remember(cache),
            Err(error) => {
                log::warn!("{error}: hashes are not remembered; remove it to remember them again");
            }
        }
        let ring = match &settings.ring {
            Some(wish) => {
                let (advertise, name) = (settings.advertise.as_ref(), settings.name.clone());
                let ring = RingPeer::start(wish, address, advertise, name, incarnation, clock)?;
                Some(Arc::new(ring))
            }
            None => None,
        };
        let (member, state) = match settings.rs {
            Some(rs) => {
                let (transport, rng) = (settings.transport, Rng::from_os()?);
                let member = RsMember::new(rs, transport, identity, rng, state, clock);
                (Some(member), None)
            }
            None => (None, Some(state)),
        };
        let up = Arc::new(Pacer::new(clock, settings.up_limit));
        let serving = ring.as_ref().map_or(stop, |ring| ring.stopped()).clone();
        let peer = Arc::new(Self {
            clock,
            stop: stop.clone(),
            address,
            name: settings.name,
            index: Mutex::new(index),
            shares,
            member,
            central: settings.central,
            ring,
            uplink: Uplink::new(Arc::clone(&up), whole, clock, serving),
            up,
            offers: Mutex::default(),
            kept_offers: Mutex::default(),
            // Each is a socket and the file that is sent.
            connections_max: connections_within(settings.connections_max, 2, serve::BUSY_THREADS_MAX),
            looks: Mutex::default(),
            scanned: Condvar::new(),
            threads: Mutex::new(Vec::new()),
            _state: state,
        });
        let (scanner, server) = (Arc::clone(&peer), Arc::clone(&peer));
        peer.spawn("scan", move || scanner.scan_until_stop())?;
        peer.spawn("accept", move || serve::accept_all(&server, listener))?;
        if let Some(ring) = peer.ring.clone() {
            let stop = peer.stop.clone();
            peer.spawn("ring", move || ring.run(&stop))?;
        }
        if peer.member.is_some() {
            let member = Arc::clone(&peer);
            peer.spawn("member", move || {
                if let Some(rs) = &member.member {
                    rs.run(&member.index, &member.stop);
                }
            })?;
        }
        Ok(peer)
    }

    /// What ends its serving: a node of a ring answers others until it has left.
    fn serving_stop(&self) -> &Stop {
        self.ring.as_ref().map_or(&self.stop, |ring| ring.stopped())
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = std::thread::Builder::new()
            .name(format!("peer-{name}"))
            .spawn(work)?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The time its index goes by.
    pub fn now(&self) -> Instant {
        self.clock.at()
    }

    /// Its name.
    pub const fn name(&self) -> &PeerName {
        &self.name
    }

    /// Its index.
    pub const fn index(&self) -> &Mutex<Index> {
        &self.index
    }

    /// What it shares.
    pub const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// What its offers are sent by.
    pub const fn uplink(&self) -> &Arc<Uplink> {
        &self.uplink
    }

    /// Its membership at the RS.
    pub const fn member(&self) -> Option<&RsMember> {
        self.member.as_ref()
    }

    /// Waits until a look through the directories, begun after this call, is over and every file is hashed.
    pub fn wait_for_scan(&self) {
        let mut looks = self.looks.lock();
        let enough = looks.enough();
        self.shares.wake();
        while (looks.ended < enough || !self.shares.is_settled()) && !self.stop.is_set() {
            let is_late = self.scanned.wait_for(&mut looks, RESCAN.to_std()).timed_out();
            // What was not settled at that look is at the next, which may be long in coming. The end of hashing brings one.
            if is_late && !self.shares.is_hashing() {
                self.shares.wake();
            }
        }
    }

    /// True when the last look through the directories is over and found every file hashed.
    pub fn has_settled(&self) -> bool {
        self.looks.lock().ended > 0 && self.shares.is_settled()
    }

    /// Shares a content that was fetched and verified.
    pub fn add_fetched(&self, path: &Path, info: &ContentInfo, manifest: &Arc<Manifest>) {
        match self.shares.add_verified(path, info, Arc::clone(manifest)) {
            Some((info, stamp)) => {
                self.seal_part(info.id, stamp);
                self.list(info);
            }
            // It has changed already: the next look sees what it is now.
            None => self.unlist(&info.key()),
        }
    }

    /// Shares a directory that was fetched, as whoever has it by `--dir` does.
    pub fn add_directory(&self, directory: PathBuf, known: Vec<(PathBuf, Arc<Manifest>)>) {
        self.shares.add_directory(directory, known);
    }

    fn scan_until_stop(&self) {
        while !self.stop.is_set() {
            self.looks.lock().begun += 1;
            let begun = self.clock.at();
            self.follow(self.shares.rescan());
            self.looks.lock().ended += 1;
            self.scanned.notify_all();
            let ended = self.clock.at();
            let mut due = self
                .clock
                .std_instant(ended.after(pause_after(ended.since(begun))));
            while let Some(changes) = self.shares.hashed_before(&mut due, &self.stop) {
                self.follow(changes);
            }
        }
        self.shares.end_hashing();
        self.scanned.notify_all();
    }

    /// Brings the index and the RS up to what has changed.
    fn follow(&self, changes: Changes) {
        for key in changes.gone {
            self.unlist(&key);
        }
        for info in changes.new {
            self.list(info);
        }
    }

    fn list(&self, info: ContentInfo) {
        self.tell_ring(&info, true);
        self.index.lock().hold(crate::proto::LocalContent {
            info: info.clone(),
            complete: true,
        });
        if let Some(member) = self.member.as_ref().filter(|_| self.central) {
            member.share(info, true);
        }
    }

    fn unlist(&self, key: &ContentKey) {
        self.kept_offers.lock().retain(|(id, _)| *id != key.id);
        self.index.lock().withdraw(self.clock.at(), key);
        if let Some(ring) = &self.ring {
            ring.unshare(key);
        }
        if let Some(member) = self.member.as_ref().filter(|_| self.central) {
            member.unshare(key);
        }
    }

    /// A share is not what it was: withdraw it at once, and let the next scan see what is there now.
    fn lost(&self, key: &ContentKey) {
        log::warn!("{}: changed while it was shared; withdrawn", key.name);
        if self.shares.withdraw(key) {
            self.unlist(key);
        }
        self.shares.wake();
    }

    /// Waits for every thread to end, after the stop: registrations are withdrawn on the way.
    pub fn join(&self) {
        // The stop does not wake the thread that looks at shares.
        self.shares.wake();
        if let Some(member) = &self.member {
            member.end_in_time();
        }
        let threads = core::mem::take(&mut *self.threads.lock());
        for thread in threads {
            let _ = thread.join();
        }
        self.uplink.join();
    }
}

/// The host others are given: what the user says, or the one listened on. An unspecified or loopback one is
/// left to the RS, which sees where we come from.
fn advertised_host(advertise: Option<&HostPort>, listening: SocketAddr) -> Option<Host> {
    let specific = !listening.ip().is_unspecified() && !listening.ip().to_canonical().is_loopback();
    advertise
        .map(|advertise| advertise.host.clone())
        .or_else(|| specific.then(|| Host::of(listening.ip())))
}

/// The operating system's name and release, as others are told.
pub fn operating_system() -> &'static str {
    static SYSTEM: LazyLock<String> = LazyLock::new(|| {
        let uname = rustix::system::uname();
        format!(
            "{} {}",
            uname.sysname().to_string_lossy(),
            uname.release().to_string_lossy()
        )
    });
    &SYSTEM
}

/// How long to leave the directories alone after a look that took so long.
fn pause_after(look: Span) -> Span {
    Span(look.0.saturating_mul(RESCAN_SPARING)).clamp(RESCAN, RESCAN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_that_take_long_are_rare() {
        assert_eq!(pause_after(Span::from_millis(3)), RESCAN);
        assert_eq!(pause_after(Span::from_secs(1)), Span::from_secs(RESCAN_SPARING));
        assert_eq!(pause_after(Span(u64::MAX)), RESCAN_MAX);
    }

    #[test]
    fn a_look_that_has_begun_already_is_not_waited_for() {
        let first_under_way = Looks { begun: 1, ended: 0 };
        assert_eq!(first_under_way.enough(), 2);
        let at_rest = Looks { begun: 3, ended: 3 };
        assert_eq!(at_rest.enough(), 4);
        assert_eq!(Looks::default().enough(), 1, "the first has yet to begin");
    }
}
