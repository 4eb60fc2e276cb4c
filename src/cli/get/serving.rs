//! The peer that serves while a getter gets.
//!
//! It begins with the first content that comes by pieces, so that getting a small file costs no more than that, or
//! at once where somebody waits for it. Invariant: a get that was not asked to serve never fails because it cannot.

use crate::cli::failure::Failure;
use crate::cli::peer::{choose_name, open_state};
use p2pdi::fetch::Sharing;
use p2pdi::limits::PEER_CONNECTIONS;
use p2pdi::name::{HostPort, PeerName};
use p2pdi::net::{Clock, LinkTransport, Offer, Stop, Uplink};
use p2pdi::peer::{Peer, PeerSettings, RingWish};
use p2pdi::rate::Rate;
use p2pdi::storage::State;
use p2pdi::wire::ContentInfo;
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};

/// How to serve, and whether it has begun.
pub(super) struct Serving {
    pub(super) rs: Option<HostPort>,
    pub(super) transport: LinkTransport,
    pub(super) central: bool,
    /// The ring to tell of what is held here, as no member of it.
    pub(super) ring: Option<RingWish>,
    pub(super) listen: SocketAddr,
    pub(super) name: Option<PeerName>,
    /// The state directory the user has given; without one, the next free one of ours serves.
    pub(super) state: Mutex<Cell<Option<State>>>,
    pub(super) up_limit: Option<Rate>,
    pub(super) clock: Clock,
    pub(super) stop: Stop,
    pub(super) peer: OnceLock<Option<Arc<Peer>>>,
}

impl Serving {
    fn start(&self) -> Result<Arc<Peer>, Failure> {
        let given = self.state.lock().ok().and_then(|state| state.take());
        let mut state = given.map_or_else(|| open_state(None, "get"), Ok)?;
        let settings = PeerSettings {
            rs: self.rs.clone(),
            transport: self.transport,
            ring: self.ring.clone(),
            central: self.central,
            listen: self.listen,
            advertise: None,
            name: choose_name(self.name.clone(), &mut state)?,
            directories: Vec::new(),
            up_limit: self.up_limit,
            connections_max: PEER_CONNECTIONS,
        };
        let peer = Peer::start(settings, state, self.clock, &self.stop)
            .map_err(|error| Failure::io("listening", &error))?;
        if let Some(member) = peer.member() {
            member.want(true);
        }
        Ok(peer)
    }

    /// Begins at once.
    pub(super) fn begin_now(&self) -> Result<Arc<Peer>, Failure> {
        let peer = self.start()?;
        let _ = self.peer.set(Some(Arc::clone(&peer)));
        Ok(peer)
    }

    /// The peer, if it serves.
    pub(super) fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.get()?.as_ref()
    }

    fn by_now(&self) -> Option<&Arc<Peer>> {
        let begun = self.peer.get_or_init(|| {
            let begun = self.start();
            begun
                .inspect_err(|failure| log::info!("not serving meanwhile: {failure}"))
                .ok()
        });
        begun.as_ref()
    }
}

impl Sharing for Serving {
    fn port(&self) -> u16 {
        self.by_now().map_or(0, |peer| peer.address().port())
    }

    fn uplink(&self) -> Option<Arc<Uplink>> {
        self.by_now().map(|peer| Arc::clone(peer.uplink()))
    }

    fn begin(&self, info: &ContentInfo, offer: &Arc<Offer>) {
        if let Some(peer) = self.by_now() {
            peer.offer_part(info, offer);
        }
    }

    fn give_up(&self, info: &ContentInfo) {
        if let Some(peer) = self.peer() {
            peer.withdraw_part(info);
        }
    }
}
