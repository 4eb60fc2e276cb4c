//! Fetching one content, from as many holders as there are, each piece verified before it counts.
//!
//! Belongs here: the wiring of connections, landing and verification. Does not: which piece comes from whom
//! (`proto/transfer`), finding holders (`locate.rs`), printing. Invariant: a file appears only if its bytes
//! have the id that was asked for, and every holder that was tried is accounted for.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets and files")]

mod account;
mod attendance;
mod links;
mod oversee;
mod parts;
mod single;
mod source;
mod stopwatch;
mod swarm;
mod watch;

pub use account::{HolderAccount, Weight};
pub use watch::{Standing, Watcher};

use crate::id::{ContentId, RequestNumber};
use crate::limits::HAVE_MAP_BYTES_MAX;
use crate::name::HostPort;
use crate::net::{Conn, Offer, Pacer, Stop, Uplink};
use crate::proto::transfer::{Bound, Manifest, piece_count};
use crate::storage::{Stamp, hash_file};
use crate::time::Span;
use crate::wire::ContentInfo;
use account::Accounts;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A content that has been fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it lies.
    pub path: PathBuf,
    /// How long it took.
    pub took: Duration,
    /// Everyone who was asked.
    pub holders: Vec<HolderAccount>,
    /// The values of its pieces.
    pub manifest: Arc<Manifest>,
    /// What bounded it; none if it was too small to tell.
    pub bound: Option<Bound>,
}

/// Why a content could not be fetched.
#[derive(Debug)]
pub enum FetchFault {
    /// No holder is left. The heaviest of their failures, and everyone who was tried.
    NoHolderLeft(Option<Weight>, Vec<HolderAccount>),
    /// Our own disk; the error names the file.
    Disk(io::Error),
    /// We were told to stop; what has come is kept.
    Interrupted,
}

/// Who sends what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Whoever is fast sends more; each piece is asked for when there is room for it.
    #[default]
    Swarm,
    /// Part i of n comes from holder i.
    Parts,
}

/// Where holders come from: those known, and whoever else can be found when they have failed.
pub trait HolderSource {
    /// Those known so far, the best first.
    fn known(&mut self) -> Vec<HostPort>;
    /// Others, after everybody known has failed; empty if there is nobody left to ask.
    fn more(&mut self) -> Vec<HostPort>;
}

/// A fixed list of holders.
impl HolderSource for Vec<HostPort> {
    fn known(&mut self) -> Vec<HostPort> {
        core::mem::take(self)
    }

    fn more(&mut self) -> Vec<HostPort> {
        Vec::new()
    }
}

/// Where pieces are offered to others while the rest is still coming.
pub trait Sharing: Sync {
    /// The port others reach us at.
    fn port(&self) -> u16;
    /// What our pieces are sent by.
    fn uplink(&self) -> Arc<Uplink>;
    /// A fetch has begun: these pieces can be had.
    fn begin(&self, info: &ContentInfo, offer: &Arc<Offer>);
    /// It ended without the whole content.
    fn give_up(&self, info: &ContentInfo);
}

/// Fetches contents one after the other, keeping connections to their holders.
pub struct Fetcher<'a> {
    out: PathBuf,
    down: &'a Pacer,
    sharing: Option<&'a dyn Sharing>,
    strategy: Strategy,
    stop: Stop,
    /// Connections kept for contents of one piece.
    conns: BTreeMap<HostPort, Conn>,
    request: RequestNumber,
    buffer: Vec<u8>,
}

impl<'a> Fetcher<'a> {
    /// Fetches into `out`, no faster than `down` allows.
    pub fn new(out: PathBuf, down: &'a Pacer, stop: Stop) -> Self {
        Self {
            out,
            down,
            sharing: None,
            strategy: Strategy::Swarm,
            stop,
            conns: BTreeMap::new(),
            request: RequestNumber(0),
            buffer: Vec::new(),
        }
    }

    /// The same, offering what has come to others.
    pub const fn sharing(mut self, sharing: &'a dyn Sharing) -> Self {
        self.sharing = Some(sharing);
        self
    }

    /// The same by another rule of who sends what.
    pub const fn by(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Fetches a content from those of `holders` that deliver it.
    ///
    /// # Errors
    /// Nobody delivered it, our disk failed, or we were stopped.
    pub fn fetch(
        &mut self,
        content: &ContentInfo,
        holders: &mut dyn HolderSource,
        watcher: &mut dyn Watcher,
    ) -> Result<Fetched, FetchFault> {
        let begun = Instant::now();
        let mut accounts = Accounts::default();
        if let Some(manifest) = self.already_here(content) {
            let path = self.out.join(content.name.as_str());
            return Ok(Fetched {
                path,
                took: begun.elapsed(),
                holders: Vec::new(),
                manifest,
                bound: None,
            });
        }
        if piece_count(content.bytes) as usize > HAVE_MAP_BYTES_MAX * 8 {
            let text = format!(
                "{}: {} bytes are more than this version can fetch",
                content.name, content.bytes
            );
            return Err(FetchFault::Disk(io::Error::new(
                io::ErrorKind::FileTooLarge,
                text,
            )));
        }
        let known = holders.known();
        let fetched = if piece_count(content.bytes) == 1 {
            self.fetch_whole(content, known, holders, &mut accounts, watcher)
        } else {
            self.fetch_pieces(content, known, holders, &mut accounts, watcher)
        };
        let (holders, took) = (accounts.heaviest(), begun.elapsed());
        match fetched {
            Ok((path, manifest)) => Ok(Fetched {
                path,
                took,
                bound: accounts.bound(Span(u64::try_from(took.as_micros()).unwrap_or(u64::MAX))),
                holders: accounts.into_all(),
                manifest,
            }),
            Err(FetchFault::NoHolderLeft(..)) => Err(FetchFault::NoHolderLeft(holders, accounts.into_all())),
            Err(fault) => Err(fault),
        }
    }

    /// True if the content lies under its name already. Only a regular file inside `out` counts.
    fn already_here(&self, content: &ContentInfo) -> Option<Arc<Manifest>> {
        let root = self.out.canonicalize().ok()?;
        let path = root.join(content.name.as_str());
        if path.canonicalize().ok()? != path {
            return None;
        }
        let metadata = path.symlink_metadata().ok()?;
        if !metadata.is_file() || metadata.len() != content.bytes {
            return None;
        }
        let manifest = hash_file(&path, Stamp::of(&metadata)).ok()?;
        (manifest.id() == content.id).then(|| Arc::new(manifest))
    }
}

impl core::fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "Fetcher({}, {} connections)",
            self.out.display(),
            self.conns.len()
        )
    }
}

/// True if the bytes hashed so far are the content's.
fn is_content(hasher: &blake3::Hasher, id: ContentId) -> bool {
    ContentId(*hasher.finalize().as_bytes()) == id
}
