//! Fetching one content, from as many holders as there are, each piece verified before it counts.
//!
//! Belongs here: the wiring of connections, landing and verification. Does not: which piece comes from whom
//! (`proto/transfer`), finding holders (`locate.rs`), printing. Invariant: a file appears only if its bytes
//! have the id that was asked for, and every holder that was tried is accounted for.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets and files")]

mod account;
mod attendance;
mod lane;
mod links;
mod longer;
mod many;
mod oversee;
mod parts;
mod present;
mod source;
mod stopwatch;
mod swarm;
mod tell;
mod tree;
mod watch;

pub use account::{Account, HolderAccount, Weight};
pub use many::{Order, Receiving};
pub use watch::{Standing, Watcher};

use crate::limits::SMALL_BYTES_MAX;
use crate::name::HostPort;
use crate::net::{Offer, Pacer, Stop, Uplink};
use crate::proto::transfer::Manifest;
use crate::storage::{Found, Group, Landing};
use crate::wire::ContentInfo;
use account::Accounts;
use core::fmt;
use core::ops::Range;
use oversee::Brought;
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A content that has been fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it lies.
    pub path: PathBuf,
    /// The values of its pieces.
    pub manifest: Arc<Manifest>,
    /// How it went.
    pub account: Account,
}

/// A content that could not be fetched.
#[derive(Debug)]
pub struct Unfetched {
    /// Why.
    pub fault: FetchFault,
    /// How it went until then.
    pub account: Box<Account>,
}

/// Why a content could not be fetched.
#[derive(Debug)]
pub enum FetchFault {
    /// No holder is left. The heaviest of their failures.
    NoHolderLeft(Option<Weight>),
    /// Holders are left, and what is missing none of them has, nor hopes to get: these pieces, by rising index. The
    /// heaviest failure of the others.
    NobodyHas(Vec<Range<u32>>, Option<Weight>),
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
    /// Others than those tried, after everybody known has failed; empty if there is nobody left to ask.
    fn more(&mut self, tried: &BTreeSet<HostPort>) -> Vec<HostPort>;
}

/// A fixed list of holders.
impl HolderSource for Vec<HostPort> {
    fn known(&mut self) -> Vec<HostPort> {
        core::mem::take(self)
    }

    fn more(&mut self, _tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        Vec::new()
    }
}

/// Where pieces are offered to others while the rest is still coming.
pub trait Sharing: Sync {
    /// The port others reach us at.
    fn port(&self) -> u16;
    /// What our pieces are sent by; none if they are not.
    fn uplink(&self) -> Option<Arc<Uplink>>;
    /// A fetch has begun: these pieces can be had.
    fn begin(&self, info: &ContentInfo, offer: &Arc<Offer>);
    /// It ended without the whole content.
    fn give_up(&self, info: &ContentInfo);
}

/// How often a wait asks whether to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Fetches contents into one directory: large ones one after the other, small ones in numbers.
pub struct Fetcher<'a> {
    out: PathBuf,
    down: &'a Pacer,
    sharing: Option<&'a dyn Sharing>,
    strategy: Strategy,
    bytes_max: u64,
    stop: Stop,
}

impl<'a> Fetcher<'a> {
    /// Fetches into `out`, no faster than `down` allows.
    pub fn new(out: PathBuf, down: &'a Pacer, stop: Stop) -> Self {
        Self {
            out,
            down,
            sharing: None,
            strategy: Strategy::Swarm,
            bytes_max: u64::MAX,
            stop,
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

    /// The same, for contents that come by pieces and have so many bytes at most, whatever was listed.
    pub const fn at_most(mut self, bytes: u64) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// Fetches a content from those of `holders` that deliver it.
    ///
    /// # Errors
    /// Nobody delivered it, our disk failed, or we were stopped.
    pub fn fetch(
        &self,
        content: &ContentInfo,
        holders: &mut dyn HolderSource,
        watcher: &mut dyn Watcher,
    ) -> Result<Fetched, Unfetched> {
        let known = holders.known();
        if content.bytes <= SMALL_BYTES_MAX {
            return self.fetch_small(content, known, holders, watcher);
        }
        self.fetch_large(content, known, holders, watcher)
    }

    /// Fetches a content by pieces, unless it is here.
    fn fetch_large(
        &self,
        content: &ContentInfo,
        known: Vec<HostPort>,
        more: &mut dyn HolderSource,
        watcher: &mut dyn Watcher,
    ) -> Result<Fetched, Unfetched> {
        let begun = Instant::now();
        let mut accounts = Accounts::default();
        if content.bytes > self.bytes_max {
            let (name, bytes, max) = (&content.name, content.bytes, self.bytes_max);
            let text = format!("{name} has {bytes} bytes, and {max} are the most that may be fetched");
            let fault = FetchFault::Disk(io::Error::new(io::ErrorKind::FileTooLarge, text));
            return Err(accounts.unfetched(fault, begun.elapsed()));
        }
        let here = self.already_here(content).and_then(|here| {
            match here {
                Some(_) => Landing::tidy(&self.out, content)?,
                None => Group::open(&self.out)?.refuse_to_replace(&content.name)?,
            }
            Ok(here)
        });
        match here {
            Err(error) => return Err(accounts.unfetched(FetchFault::Disk(error), begun.elapsed())),
            Ok(Some((path, manifest))) => {
                let account = accounts.settled(begun.elapsed());
                return Ok(Fetched {
                    path,
                    manifest,
                    account,
                });
            }
            Ok(None) => {}
        }
        let fetched = self.fetch_pieces(content, known.clone(), more, &mut accounts, watcher);
        match fetched {
            Ok(Brought::OtherSize(bytes)) => {
                let content = ContentInfo {
                    bytes,
                    ..content.clone()
                };
                if bytes <= SMALL_BYTES_MAX {
                    self.fetch_small(&content, known, more, watcher)
                } else {
                    self.fetch_large(&content, known, more, watcher)
                }
            }
            Ok(Brought::All(path, manifest)) => Ok(Fetched {
                path,
                manifest,
                account: accounts.settled(begun.elapsed()),
            }),
            Err(fault) => Err(accounts.unfetched(fault, begun.elapsed())),
        }
    }

    /// The content, if it lies under its name already. Only a regular file counts that no link leads to.
    fn already_here(&self, content: &ContentInfo) -> io::Result<Option<(PathBuf, Arc<Manifest>)>> {
        let group = Group::open(&self.out)?;
        let stamp = match group.find(&content.name)? {
            Found::File(stamp) if stamp.bytes == content.bytes => stamp,
            _ => return Ok(None),
        };
        let mut here = None;
        self.hash_here(vec![(group.path(&content.name), stamp)], |hashed| {
            let right = hashed.result.ok().filter(|manifest| manifest.id() == content.id);
            here = right.map(|manifest| (hashed.path, Arc::new(manifest)));
        })?;
        Ok(here)
    }

    /// Fetches one small content.
    fn fetch_small(
        &self,
        content: &ContentInfo,
        known: Vec<HostPort>,
        more: &mut dyn HolderSource,
        watcher: &mut dyn Watcher,
    ) -> Result<Fetched, Unfetched> {
        let order = Order {
            info: content.clone(),
            holders: known,
            executable: None,
        };
        let mut one = One {
            holders: more,
            watcher,
            ended: None,
        };
        self.fetch_many(&[order], &mut one);
        one.ended
            .unwrap_or_else(|| Err(Accounts::default().unfetched(FetchFault::Interrupted, Duration::ZERO)))
    }
}

/// A batch of one.
struct One<'o> {
    holders: &'o mut dyn HolderSource,
    watcher: &'o mut dyn Watcher,
    ended: Option<Result<Fetched, Unfetched>>,
}

impl Receiving for One<'_> {
    fn more(&mut self, _order: usize, tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        self.holders.more(tried)
    }

    fn failed(&mut self, holder: &HostPort, why: &str) {
        self.watcher.failed(holder, why);
    }

    fn advanced(&mut self, bytes: u64) {
        self.watcher.advanced(&Standing::of_bytes(bytes));
    }

    fn ended(&mut self, _order: usize, result: Result<Fetched, Unfetched>) {
        self.ended = Some(result);
    }
}

impl fmt::Debug for Fetcher<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetcher({})", self.out.display())
    }
}
