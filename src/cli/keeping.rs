//! What the ring wants kept here: fetched with the ordinary engine into the state directory, shared on, and given up when
//! the ring has no use for it here any more. How much there is room for is for [`Placed`] to say.
//!
//! Each content lies in a directory of its own id, so nothing of the user's is ever replaced by what others put.

use super::put::Said;
use super::say;
use p2pdi::fetch::{FetchFault, Fetcher, HolderSource, Standing, Unfetched, Watcher};
use p2pdi::id::ContentId;
use p2pdi::locate::holders_of;
use p2pdi::name::HostPort;
use p2pdi::net::{Clock, Pacer, RingClient, Stop};
use p2pdi::peer::{Peer, PlacedWord, RingPeer};
use p2pdi::proto::chord::Member;
use p2pdi::proto::{Placed, PlacedAttempt, PlacedBounds, PlacedStep};
use p2pdi::storage::{free_bytes, measure, scan};
use p2pdi::wire::{ContentInfo, ContentKey, RingRecord, Wanted};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long nothing may happen before it is looked whether something is due.
const LOOK: Duration = Duration::from_millis(500);

/// Shares what was kept before, and keeps what is to be, until the stop.
pub(super) fn start(
    peer: &Arc<Peer>,
    state: &Path,
    down: Pacer,
    clock: Clock,
    stop: &Stop,
) -> io::Result<Option<JoinHandle<()>>> {
    if peer.ring().is_none() {
        return Ok(None);
    }
    let mut keeping = Keeping {
        peer: Arc::clone(peer),
        directory: state.join("ring"),
        placed: Placed::new(PlacedBounds::USUAL),
        down,
        clock,
        stop: stop.clone(),
    };
    keeping.share_kept();
    let thread = std::thread::Builder::new().name("peer-keep".to_owned());
    thread.spawn(move || keeping.run()).map(Some)
}

struct Keeping {
    peer: Arc<Peer>,
    /// Below it lies what is kept.
    directory: PathBuf,
    placed: Placed,
    down: Pacer,
    clock: Clock,
    stop: Stop,
}

impl Keeping {
    fn ring(&self) -> Option<&RingPeer> {
        self.peer.ring()
    }

    fn share_kept(&mut self) {
        for kept in self
            .directory
            .read_dir()
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let Some(id) = kept.file_name().to_str().and_then(ContentId::parse) else {
                continue;
            };
            if let Some(ring) = self.ring() {
                ring.place(id);
            }
            for (name, (path, _)) in scan(&kept.path()).files {
                self.peer.shares().add_file(path, name);
            }
            self.measure(id);
        }
    }

    fn place_of(&self, id: ContentId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    fn measure(&mut self, id: ContentId) {
        let (files, bytes) = measure(&self.place_of(id));
        self.placed.measured(self.clock.at(), id, files, bytes);
    }

    fn run(&mut self) {
        while !self.stop.is_set() {
            let Some(ring) = self.ring() else { return };
            if let Some((key, word)) = ring.next_placed(LOOK) {
                self.heed(&key, word);
            }
            for id in self.placed.expired(self.clock.at()) {
                log::info!("{id}: the ring has no use for it any more");
                self.give_up(id, &self.place_of(id));
            }
            // A directory that is not there yet will be on the disk of the one above.
            let free = free_bytes(&self.directory)
                .or_else(|_| free_bytes(self.directory.parent().unwrap_or(&self.directory)));
            let free = free.unwrap_or_else(|error| {
                log::warn!("{error}: nothing is kept for the ring");
                0
            });
            match self.placed.next(self.clock.at(), free) {
                Some(PlacedStep::Fetch(attempt)) => self.keep(attempt),
                Some(PlacedStep::Refuse(record, why)) => {
                    self.refuse(&record.content, &why.to_string());
                }
                None => {}
            }
        }
    }

    fn heed(&mut self, key: &ContentKey, word: PlacedWord) {
        let now = self.clock.at();
        match word {
            PlacedWord::Wanted(record) if self.is_here(&record) => {}
            PlacedWord::Wanted(record) => {
                if !self.placed.want(now, record) {
                    log::warn!("{}: not kept for the ring: too much waits to be", key.name);
                }
            }
            PlacedWord::Renewed => self.placed.renewed(now, key.id, true),
            PlacedWord::Unknown => self.placed.renewed(now, key.id, false),
            PlacedWord::Elsewhere(info, keepers) => {
                self.placed.renewed(now, key.id, true);
                self.leave_to(&info, &keepers);
            }
        }
    }

    /// True if a content is here under that name already; then the ring learns that it is.
    fn is_here(&self, record: &RingRecord) -> bool {
        let id = record.content.id;
        let here = self.peer.shares().find(&Wanted::Id(id));
        let is_here = here.iter().any(|share| share.info.key() == record.content.key());
        if let Some(ring) = self.ring().filter(|_| is_here) {
            ring.keep_placed(id);
        }
        is_here
    }

    /// Others are to keep a content now: when they do, it is given up here.
    fn leave_to(&mut self, info: &ContentInfo, keepers: &[Member]) {
        let path = self.place_of(info.id).join(info.name.as_str());
        let Some(ring) = self.ring().filter(|_| path.is_file()) else {
            return;
        };
        if Said::of(&ring.client(), info).all_keep(keepers) {
            log::info!("{}: others keep it for the ring now", info.name);
            self.give_up(info.id, &path);
        }
    }

    /// Removes what is kept under an id, or one file of it.
    fn give_up(&mut self, id: ContentId, what: &Path) {
        let place = self.place_of(id);
        for (_, (path, _)) in scan(&place).files {
            if path.starts_with(what) {
                self.peer.shares().remove_file(&path);
            }
        }
        let removed = if what.is_dir() {
            std::fs::remove_dir_all(what)
        } else {
            std::fs::remove_file(what)
        };
        if let Err(error) = removed {
            log::warn!("{}: {error}", what.display());
        }
        self.measure(id);
        if measure(&place).1 == 0 {
            // Empty directories, if anything.
            let _ = std::fs::remove_dir_all(&place);
            if let Some(ring) = self.ring() {
                ring.displace(id);
            }
        }
    }

    fn refuse(&self, info: &ContentInfo, why: &str) {
        log::warn!("{}: not kept for the ring: {why}", info.name);
        if let Some(ring) = self.ring() {
            ring.decline(info);
        }
    }

    /// Fetches one content.
    fn keep(&mut self, attempt: PlacedAttempt) {
        let info = attempt.record.content.clone();
        let Some(ring) = self.ring().filter(|_| !self.is_here(&attempt.record)) else {
            return;
        };
        let mut holders = RingHolders {
            client: ring.client(),
            own: SocketAddr::from(ring.driver().address()).into(),
            wanted: Wanted::Name(info.name.clone()),
            id: info.id,
        };
        let fetcher = Fetcher::new(self.place_of(info.id), &self.down, self.stop.clone());
        let fetched = fetcher
            .at_most(attempt.bytes_max)
            .fetch(&info, &mut holders, &mut Unwatched);
        self.measure(info.id);
        match fetched {
            Ok(fetched) => {
                if let Some(ring) = self.ring() {
                    ring.keep_placed(info.id);
                }
                self.peer.add_fetched(&fetched.path, &info, &fetched.manifest);
                say::note(&format!("keeping {} for the ring", info.name));
            }
            Err(Unfetched {
                fault: FetchFault::Disk(error),
                ..
            }) => self.refuse(&info, &error.to_string()),
            Err(unfetched) if !self.stop.is_set() => {
                log::info!("{}: not kept here yet: {:?}", info.name, unfetched.fault);
                if !self.placed.failed(self.clock.at(), attempt) {
                    log::warn!("{}: the ring wants it kept here, but nobody serves it", info.name);
                }
            }
            Err(_) => {}
        }
    }
}

/// Whoever the ring says holds a content.
struct RingHolders {
    client: RingClient,
    own: HostPort,
    wanted: Wanted,
    id: ContentId,
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
        self.found()
    }

    fn more(&mut self, tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        let mut more = self.found();
        more.retain(|holder| !tried.contains(holder));
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
