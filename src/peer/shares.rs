//! What a peer shares: files in place, each hashed once for every state it is in.

use crate::id::ContentId;
use crate::name::ContentName;
use crate::net::Stop;
use crate::proto::transfer::Manifest;
use crate::storage::{HashFault, Scanned, Stamp, describe, hash_file, scan, tree_of};
use crate::wire::{ContentInfo, ContentKey, ContentKind, Text, Wanted};
use parking_lot::{Condvar, Mutex};
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

/// What a look through the directories changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Contents that are new.
    pub(super) new: Vec<ContentInfo>,
    /// Contents that are gone.
    pub(super) gone: Vec<ContentKey>,
}

#[derive(Debug, Default)]
struct Table {
    shares: BTreeMap<ContentKey, Share>,
    /// The piece values of every file hashed, as it was then.
    hashed: BTreeMap<PathBuf, (Stamp, Arc<Manifest>)>,
    /// Files seen once in their present state: hashed when they are still the same at the next look.
    unsettled: BTreeMap<PathBuf, Stamp>,
    /// Files shared one by one, and the names they are shared under.
    single: BTreeMap<PathBuf, ContentName>,
    /// Files a user has withdrawn though they lie in a shared directory.
    hidden: BTreeSet<PathBuf>,
    complained: BTreeSet<String>,
    /// Shares added while a look was under way, which cannot have seen them.
    added: BTreeSet<ContentKey>,
}

/// The shares of one peer.
#[derive(Debug)]
pub struct Shares {
    directories: Vec<PathBuf>,
    table: Mutex<Table>,
    wanted: Mutex<bool>,
    wake: Condvar,
}

impl Shares {
    /// Shares these directories.
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self {
            directories,
            table: Mutex::default(),
            wanted: Mutex::new(false),
            wake: Condvar::new(),
        }
    }

    /// The directory downloads are put into, so that they are shared at once.
    pub fn first_directory(&self) -> Option<&Path> {
        self.directories.first().map(PathBuf::as_path)
    }

    /// The shares that match.
    pub fn find(&self, wanted: &Wanted) -> Vec<Share> {
        let table = self.table.lock();
        let matching = table.shares.values().filter(|share| match wanted {
            Wanted::Id(id) => share.info.id == *id,
            Wanted::Name(name) => share.info.name == *name,
            Wanted::Number(number) => share.info.number == Some(*number),
        });
        matching.cloned().collect()
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
        table.hidden.remove(&path);
        if !self
            .directories
            .iter()
            .any(|directory| path.starts_with(directory))
        {
            table.single.insert(path, name);
        }
    }

    /// Shares a file just fetched and verified, at once and without hashing it again. What is known of it
    /// afterwards, unless it has changed already.
    pub(super) fn add_verified(
        &self,
        path: &Path,
        info: &ContentInfo,
        manifest: Arc<Manifest>,
    ) -> Option<ContentInfo> {
        self.add_file(path.to_owned(), info.name.clone());
        let stamp = Stamp::of(&path.metadata().ok()?);
        if stamp.bytes != manifest.bytes() {
            return None;
        }
        let info = ContentInfo {
            modified: stamp.modified(),
            ..info.clone()
        };
        let mut table = self.table.lock();
        table
            .hashed
            .insert(path.to_owned(), (stamp, Arc::clone(&manifest)));
        let body = ShareBody::File(path.to_owned(), stamp, manifest);
        table.added.insert(info.key());
        table.shares.insert(
            info.key(),
            Share {
                info: info.clone(),
                body,
            },
        );
        Some(info)
    }

    /// True when every file seen has been hashed, or cannot be.
    pub(super) fn is_settled(&self) -> bool {
        self.table.lock().unsettled.is_empty()
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
        for path in &paths {
            table.single.remove(path);
            table.hidden.insert(path.clone());
        }
        !paths.is_empty()
    }

    /// Takes a share away until the next look; false if it was gone already.
    pub(super) fn withdraw(&self, key: &ContentKey) -> bool {
        let mut table = self.table.lock();
        let share = table.shares.remove(key);
        if let Some(Share {
            body: ShareBody::File(path, _, _),
            ..
        }) = &share
        {
            table.hashed.remove(path);
        }
        share.is_some()
    }

    /// Makes the next look begin now.
    pub(super) fn wake(&self) {
        *self.wanted.lock() = true;
        self.wake.notify_all();
    }

    /// Rests until a look is wanted, or `until`; true if stopped.
    pub(super) fn rest(&self, until: Instant, stop: &Stop) -> bool {
        let mut wanted = self.wanted.lock();
        while !*wanted && !stop.is_set() && Instant::now() < until {
            let slice = Instant::now() + std::time::Duration::from_millis(100);
            self.wake.wait_until(&mut wanted, slice.min(until));
        }
        *wanted = false;
        stop.is_set()
    }

    /// Looks through everything shared, hashes what is new and settled, and says what changed.
    pub(super) fn rescan(&self, stop: &Stop) -> Changes {
        self.table.lock().added.clear();
        let mut now_shared: BTreeMap<ContentKey, Share> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        let mut skipped = Vec::new();
        let mut scans: Vec<(Option<ContentName>, Scanned)> = Vec::new();
        for directory in &self.directories {
            let mut scanned = scan(directory);
            let hidden = self.table.lock().hidden.clone();
            scanned.files.retain(|_, (path, _)| !hidden.contains(path));
            scans.push((directory_name(directory), scanned));
        }
        scans.push((None, self.single_files()));
        for (tree_name, scanned) in scans {
            skipped.extend(scanned.skipped.iter().cloned());
            let mut ids = BTreeMap::new();
            for (name, (path, stamp)) in &scanned.files {
                seen.insert(path.clone());
                if let Some(manifest) = self.manifest_of(path, *stamp, &mut skipped, stop) {
                    let id = manifest.id();
                    ids.insert(name.clone(), id);
                    let info = self
                        .known_info(name, id)
                        .unwrap_or_else(|| describe(name, path, *stamp, id));
                    let body = ShareBody::File(path.clone(), *stamp, manifest);
                    now_shared.insert(info.key(), Share { info, body });
                }
            }
            if let Some(share) = tree_name.and_then(|name| tree_share(name, &scanned, &ids)) {
                now_shared.insert(share.info.key(), share);
            }
        }
        self.replace(now_shared, &seen, skipped)
    }

    fn known_info(&self, name: &ContentName, id: ContentId) -> Option<ContentInfo> {
        let key = ContentKey {
            name: name.clone(),
            id,
        };
        self.table.lock().shares.get(&key).map(|share| share.info.clone())
    }

    fn single_files(&self) -> Scanned {
        let mut scanned = Scanned::default();
        for (path, name) in &self.table.lock().single {
            if let Ok(metadata) = path.metadata() {
                scanned
                    .files
                    .insert(name.clone(), (path.clone(), Stamp::of(&metadata)));
            }
        }
        scanned
    }

    /// The piece values of a file, hashed if need be and if it has stopped changing.
    fn manifest_of(
        &self,
        path: &Path,
        stamp: Stamp,
        skipped: &mut Vec<String>,
        stop: &Stop,
    ) -> Option<Arc<Manifest>> {
        {
            let mut table = self.table.lock();
            if let Some((_, manifest)) = table.hashed.get(path).filter(|(hashed, _)| *hashed == stamp) {
                return Some(Arc::clone(manifest));
            }
            let settled = stamp.is_old() || table.unsettled.get(path) == Some(&stamp);
            if !settled {
                table.unsettled.insert(path.to_owned(), stamp);
                return None;
            }
        }
        if stop.is_set() {
            return None;
        }
        match hash_file(path, stamp) {
            Ok(manifest) => {
                let manifest = Arc::new(manifest);
                let mut table = self.table.lock();
                table.unsettled.remove(path);
                table
                    .hashed
                    .insert(path.to_owned(), (stamp, Arc::clone(&manifest)));
                Some(manifest)
            }
            Err(HashFault::Changed) => None,
            Err(HashFault::Io(error)) => {
                skipped.push(format!("{}: {error}", path.display()));
                None
            }
        }
    }

    fn replace(
        &self,
        mut now_shared: BTreeMap<ContentKey, Share>,
        seen: &BTreeSet<PathBuf>,
        skipped: Vec<String>,
    ) -> Changes {
        let mut table = self.table.lock();
        let table = &mut *table;
        let mut kept = BTreeSet::new();
        for key in &table.added {
            if let Some(share) = table.shares.get(key) {
                if let ShareBody::File(path, _, _) = &share.body {
                    kept.insert(path.clone());
                }
                now_shared.entry(key.clone()).or_insert_with(|| share.clone());
            }
        }
        let new = now_shared
            .iter()
            .filter(|(key, _)| !table.shares.contains_key(key));
        let gone = table.shares.keys().filter(|key| !now_shared.contains_key(key));
        let changes = Changes {
            new: new.map(|(_, share)| share.info.clone()).collect(),
            gone: gone.cloned().collect(),
        };
        table.shares = now_shared;
        table
            .hashed
            .retain(|path, _| seen.contains(path) || kept.contains(path));
        table.unsettled.retain(|path, _| seen.contains(path));
        for complaint in skipped {
            if table.complained.insert(complaint.clone()) {
                log::warn!("not shared: {complaint}");
            }
        }
        changes
    }
}

/// The name of a shared directory's tree: its own name, wherever it lies.
fn directory_name(directory: &Path) -> Option<ContentName> {
    let whole = directory.canonicalize().ok()?;
    ContentName::new(whole.file_name()?.to_str()?).ok()
}

/// The tree of a directory, when every file in it has its id.
fn tree_share(name: ContentName, scanned: &Scanned, ids: &BTreeMap<ContentName, ContentId>) -> Option<Share> {
    let tree = tree_of(scanned, |path| ids.get(path).copied())?;
    let bytes: Arc<[u8]> = tree.encode().into();
    let modified = scanned
        .files
        .values()
        .map(|(_, stamp)| stamp.modified())
        .max()
        .unwrap_or_default();
    let info = ContentInfo {
        kind: ContentKind::Tree,
        name,
        id: ContentId(*blake3::hash(&bytes).as_bytes()),
        bytes: bytes.len() as u64,
        modified,
        media_type: Text::cut("application/x-p2pdi-tree"),
        number: None,
        title: None,
    };
    Some(Share {
        info,
        body: ShareBody::Tree(bytes),
    })
}
