//! What a peer shares: files in place, each hashed once for every state it is in.
//!
//! Belongs here: the table of shares, and what is asked of it and told to it. Does not: looking at the directories
//! and filling the table (`look.rs`). Invariant: a share's values are those of its file in the state of its stamp.

use crate::id::ContentId;
use crate::name::ContentName;
use crate::proto::transfer::Manifest;
use crate::storage::{HashCache, HashOrder, HashProgress, Hashed, Hashers, Sight, Stamp};
use crate::wire::{ContentInfo, ContentKey, Wanted};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Where a shared content's bytes are.
#[derive(Clone, Debug)]
pub enum ShareBody {
    /// In a file that must still be what it was; with the values of its pieces.
    File(PathBuf, Stamp, Arc<Manifest>),
    /// Here: the encoding of a tree.
    Tree(Arc<[u8]>),
}

/// A shared content.
#[derive(Clone, Debug)]
pub struct Share {
    /// What it is.
    pub info: ContentInfo,
    /// Where its bytes are.
    pub body: ShareBody,
}

/// The piece values of a file in one state.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) stamp: Stamp,
    pub(super) manifest: Arc<Manifest>,
    pub(super) kept: Kept,
}

/// How long the values of a file are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// While the peer runs: a change right after the file was read could hide behind its stamp.
    WhileRunning,
    /// Until the machine stops, and for good as soon as the file is surely on the disk.
    UntilBoot,
    /// For good.
    ForGood,
}

/// A file that is being hashed, or waits to be.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) stamp: Stamp,
    /// What it is shared as when it is done.
    pub(super) names: BTreeSet<ContentName>,
}

/// Contents by name and id, found as quickly by the id alone: getters of many ask by it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    by_key: BTreeMap<ContentKey, Arc<Share>>,
    names: BTreeMap<ContentId, BTreeSet<ContentName>>,
}

impl Listed {
    pub(super) fn of(shares: BTreeMap<ContentKey, Arc<Share>>) -> Self {
        let mut names: BTreeMap<ContentId, BTreeSet<ContentName>> = BTreeMap::new();
        for key in shares.keys() {
            names.entry(key.id).or_default().insert(key.name.clone());
        }
        Self {
            by_key: shares,
            names,
        }
    }

    pub(super) fn insert(&mut self, share: Share) {
        let key = share.info.key();
        self.names.entry(key.id).or_default().insert(key.name.clone());
        self.by_key.insert(key, Arc::new(share));
    }

    fn remove(&mut self, key: &ContentKey) -> Option<Arc<Share>> {
        if let Some(names) = self.names.get_mut(&key.id) {
            names.remove(&key.name);
            if names.is_empty() {
                self.names.remove(&key.id);
            }
        }
        self.by_key.remove(key)
    }

    fn of_id(&self, id: ContentId) -> impl Iterator<Item = &Arc<Share>> {
        let names = self.names.get(&id).into_iter().flatten();
        names.filter_map(move |name| {
            let name = name.clone();
            self.by_key.get(&ContentKey { name, id })
        })
    }
}

impl core::ops::Deref for Listed {
    type Target = BTreeMap<ContentKey, Arc<Share>>;

    fn deref(&self) -> &Self::Target {
        &self.by_key
    }
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) shares: Listed,
    /// The piece values of every file hashed, as it was then.
    pub(super) hashed: BTreeMap<PathBuf, Known>,
    /// Files seen once in their present state: hashed when they are still the same at the next look.
    pub(super) unsettled: BTreeMap<PathBuf, Stamp>,
    /// Files given to the hashing threads.
    pub(super) pending: BTreeMap<PathBuf, Pending>,
    /// Files that could not be read in their present state. They are tried again at every look.
    pub(super) unreadable: BTreeMap<PathBuf, Stamp>,
    /// True if the last look found nothing that is still to be hashed.
    pub(super) is_settled: bool,
    /// Files shared one by one, and the names they are shared under.
    pub(super) single: BTreeMap<PathBuf, ContentName>,
    /// Files a user has withdrawn though they lie in a shared directory.
    pub(super) hidden: BTreeSet<PathBuf>,
    pub(super) complained: BTreeSet<String>,
    /// Shares added while a look was under way, which cannot have seen them.
    pub(super) added: BTreeSet<ContentKey>,
    /// How often any of this was changed but by a look.
    pub(super) changed: u64,
    /// What the last look saw, if nothing was left to do.
    pub(super) quiet: Option<Quiet>,
}

/// What the shared directories were when nothing was left to do.
#[derive(Debug)]
pub(super) struct Quiet {
    pub(super) sights: Vec<(Option<ContentName>, Sight)>,
    /// What [`Table::changed`] was when that look began.
    pub(super) changed: u64,
    /// Until when a glance is enough.
    pub(super) until: Instant,
}

/// The shares of one peer.
#[derive(Debug)]
pub struct Shares {
    pub(super) directories: Mutex<Vec<PathBuf>>,
    pub(super) table: Mutex<Table>,
    pub(super) hashers: Hashers,
    pub(super) results: Receiver<Hashed>,
    /// None where it cannot be kept.
    pub(super) cache: Mutex<Option<HashCache>>,
    pub(super) wake: (Sender<()>, Receiver<()>),
}

impl Shares {
    /// Shares these directories.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        let (hashers, results) = Hashers::new(HashOrder::SmallestFirst);
        Self {
            directories: Mutex::new(directories),
            table: Mutex::default(),
            hashers,
            results,
            cache: Mutex::default(),
            wake: bounded(1),
        }
    }

    /// The directory downloads are put into, so that they are shared at once.
    pub fn first_directory(&self) -> Option<PathBuf> {
        self.directories.lock().first().cloned()
    }

    /// Shares a directory that was fetched, from the next look on; what is known of its files is not hashed again.
    pub(super) fn add_directory(&self, directory: PathBuf, known: Vec<(PathBuf, Arc<Manifest>)>) {
        let mut table = self.table.lock();
        table.changed += 1;
        for (path, manifest) in known {
            let Ok(metadata) = path.metadata() else { continue };
            let (stamp, kept) = (Stamp::of(&metadata), Kept::WhileRunning);
            if stamp.bytes == manifest.bytes() {
                let known = Known {
                    stamp,
                    manifest,
                    kept,
                };
                table.hashed.insert(path, known);
            }
        }
        drop(table);
        self.directories.lock().push(directory);
        self.wake();
    }

    /// The shares that match.
    pub fn find(&self, wanted: &Wanted) -> Vec<Arc<Share>> {
        let table = self.table.lock();
        let all = table.shares.values();
        match wanted {
            Wanted::Id(id) => table.shares.of_id(*id).cloned().collect(),
            Wanted::Name(name) => all.filter(|share| share.info.name == *name).cloned().collect(),
            Wanted::Number(number) => {
                let numbered = all.filter(|share| share.info.number == Some(*number));
                numbered.cloned().collect()
            }
        }
    }

    /// Everything shared.
    pub fn all(&self) -> Vec<ContentInfo> {
        self.table
            .lock()
            .shares
            .values()
            .map(|share| share.info.clone())
            .collect()
    }

    /// Shares one file under a name, from the next look on.
    pub fn add_file(&self, path: PathBuf, name: ContentName) {
        let mut table = self.table.lock();
        table.changed += 1;
        table.hidden.remove(&path);
        if !self
            .directories
            .lock()
            .iter()
            .any(|directory| path.starts_with(directory))
        {
            table.single.insert(path, name);
        }
    }

    /// Shares a file that was shared by itself no longer, from the next look on, which begins now.
    pub fn remove_file(&self, path: &Path) {
        let mut table = self.table.lock();
        table.changed += 1;
        table.single.remove(path);
        drop(table);
        self.wake();
    }

    /// Shares a file just fetched and verified, at once and without hashing it again. What is known of it
    /// afterwards, with its state, unless it has changed already.
    pub(super) fn add_verified(
        &self,
        path: &Path,
        info: &ContentInfo,
        manifest: Arc<Manifest>,
    ) -> Option<(ContentInfo, Stamp)> {
        self.add_file(path.to_owned(), info.name.clone());
        let stamp = Stamp::of(&path.metadata().ok()?);
        if stamp.bytes != manifest.bytes() {
            return None;
        }
        // Its length may have been listed wrong.
        let info = ContentInfo {
            bytes: stamp.bytes,
            modified: stamp.modified(),
            ..info.clone()
        };
        let mut table = self.table.lock();
        table.changed += 1;
        let known = Known {
            stamp,
            manifest: Arc::clone(&manifest),
            kept: Kept::WhileRunning,
        };
        table.hashed.insert(path.to_owned(), known);
        let body = ShareBody::File(path.to_owned(), stamp, manifest);
        table.added.insert(info.key());
        table.shares.insert(Share {
            info: info.clone(),
            body,
        });
        Some((info, stamp))
    }

    /// True when every file that the last look saw has been hashed, or cannot be.
    pub(super) fn is_settled(&self) -> bool {
        self.table.lock().is_settled
    }

    /// True while files are hashed, or wait to be.
    pub(super) fn is_hashing(&self) -> bool {
        self.table.lock().is_waiting()
    }

    /// Shares the files of this name no longer; false if there is none.
    pub fn hide(&self, name: &ContentName) -> bool {
        let mut table = self.table.lock();
        let named = table.shares.values().filter(|share| share.info.name == *name);
        let paths: Vec<PathBuf> = named
            .filter_map(|share| match &share.body {
                ShareBody::File(path, _, _) => Some(path.clone()),
                ShareBody::Tree(_) => None,
            })
            .collect();
        table.changed += 1;
        for path in &paths {
            table.single.remove(path);
            table.hidden.insert(path.clone());
        }
        !paths.is_empty()
    }

    /// Takes a share away until the next look; false if it was gone already.
    pub(super) fn withdraw(&self, key: &ContentKey) -> bool {
        let mut table = self.table.lock();
        table.changed += 1;
        let share = table.shares.remove(key);
        if let Some(ShareBody::File(path, _, _)) = share.as_ref().map(|share| &share.body) {
            table.hashed.remove(path);
        }
        share.is_some()
    }

    /// Makes the next look begin now.
    pub(super) fn wake(&self) {
        // One that is wanted already is enough.
        let _ = self.wake.0.try_send(());
    }

    /// Where to put values for the next start, when a file has been hashed.
    pub(super) fn remember(&self, cache: HashCache) {
        *self.cache.lock() = Some(cache);
    }

    /// Ends the hashing at once.
    pub(super) fn end_hashing(&self) {
        self.hashers.end();
    }

    /// How far the hashing is; none if there is nothing to hash.
    pub fn progress(&self) -> Option<HashProgress> {
        self.hashers.progress()
    }
}
