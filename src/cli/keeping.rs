//! What the ring wants kept here: fetched with the ordinary engine into the state directory, and shared on.
//!
//! Each content lies in a directory of its own id, so nothing of the user's is ever replaced by what others put.

use super::say;
use p2pdi::fetch::{Fetcher, HolderSource, Standing, Watcher};
use p2pdi::id::ContentId;
use p2pdi::limits::REJOIN_WAIT;
use p2pdi::locate::holders_of;
use p2pdi::name::{ContentName, HostPort};
use p2pdi::net::{Pacer, RingClient, Stop};
use p2pdi::peer::{Peer, RingPeer};
use p2pdi::wire::{RingRecord, Wanted};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// How often a content is tried to be fetched before it is left to others.
const TRIES_MAX: u32 = 20;

/// Shares what was kept before, and keeps what is to be, until the stop.
pub(super) fn start(
    peer: &Arc<Peer>,
    state: &Path,
    down: Pacer,
    stop: &Stop,
) -> io::Result<Option<JoinHandle<()>>> {
    let directory = state.join("ring");
    let Some(ring) = peer.ring() else { return Ok(None) };
    share_kept(peer, ring, &directory);
    let (peer, stop) = (Arc::clone(peer), stop.clone());
    let thread = std::thread::Builder::new().name("peer-keep".to_owned());
    thread
        .spawn(move || {
            while let Some(record) = peer.ring().and_then(|ring| ring.next_place(&stop)) {
                keep(&peer, &directory, &record, &down, &stop);
            }
        })
        .map(Some)
}

fn share_kept(peer: &Peer, ring: &RingPeer, directory: &Path) {
    for kept in directory.read_dir().into_iter().flatten().filter_map(Result::ok) {
        let Some(id) = kept.file_name().to_str().and_then(ContentId::parse) else {
            continue;
        };
        ring.place(id);
        for name in names_below(&kept.path(), "") {
            peer.shares().add_file(kept.path().join(name.as_str()), name);
        }
    }
}

/// The files below a directory that can be shared, by their paths there.
fn names_below(directory: &Path, prefix: &str) -> Vec<ContentName> {
    let mut names = Vec::new();
    for entry in directory.read_dir().into_iter().flatten().filter_map(Result::ok) {
        let file_name = entry.file_name();
        let (Some(name), Ok(kind)) = (file_name.to_str(), entry.file_type()) else {
            continue;
        };
        let name = format!("{prefix}{name}");
        if kind.is_dir() {
            names.extend(names_below(&entry.path(), &format!("{name}/")));
        } else if kind.is_file() && !file_name.as_encoded_bytes().starts_with(b".") {
            names.extend(ContentName::new(name));
        }
    }
    names
}

/// Fetches one content, if it is not here under that name already.
fn keep(peer: &Arc<Peer>, directory: &Path, record: &RingRecord, down: &Pacer, stop: &Stop) {
    let info = &record.content;
    let Some(ring) = peer.ring() else { return };
    let mut holders = RingHolders {
        client: ring.client(),
        own: SocketAddr::from(ring.driver().address()).into(),
        wanted: Wanted::Name(info.name.clone()),
        id: info.id,
        named: Vec::new(),
    };
    let out: PathBuf = directory.join(info.id.to_string());
    let fetcher = Fetcher::new(out, down, stop.clone());
    for _ in 0..TRIES_MAX {
        let here = peer.shares().find(&Wanted::Id(info.id));
        if here.iter().any(|share| share.info.key() == info.key()) {
            ring.place(info.id);
            return;
        }
        match fetcher.fetch(info, &mut holders, &mut Unwatched) {
            Ok(fetched) => {
                peer.add_fetched(&fetched.path, info, &fetched.manifest);
                say::note(&format!("keeping {} for the ring", info.name));
                return;
            }
            Err(fault) => {
                log::info!("{}: not kept here yet: {fault:?}", info.name);
                if stop.wait_until(std::time::Instant::now() + REJOIN_WAIT.to_std()) {
                    return;
                }
            }
        }
    }
    log::warn!("{}: the ring wants it kept here, but nobody serves it", info.name);
}

/// Whoever the ring says holds a content.
struct RingHolders {
    client: RingClient,
    own: HostPort,
    wanted: Wanted,
    id: ContentId,
    /// Those named already in this fetch.
    named: Vec<HostPort>,
}

impl RingHolders {
    fn found(&self) -> Vec<HostPort> {
        let records = self.client.records(&self.wanted).unwrap_or_default();
        let records = records.iter().filter(|record| record.content.id == self.id);
        let holders = records.flat_map(holders_of);
        holders.filter(|holder| *holder != self.own).collect()
    }
}

impl HolderSource for RingHolders {
    fn known(&mut self) -> Vec<HostPort> {
        self.named = self.found();
        self.named.clone()
    }

    fn more(&mut self) -> Vec<HostPort> {
        let mut more = self.found();
        more.retain(|holder| !self.named.contains(holder));
        self.named.extend(more.iter().cloned());
        more
    }
}

/// Nobody looks on.
struct Unwatched;

impl Watcher for Unwatched {
    fn advanced(&mut self, _standing: &Standing) {}

    fn failed(&mut self, holder: &HostPort, why: &str) {
        log::debug!("{holder}: {why}");
    }
}
