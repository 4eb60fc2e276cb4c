//! Looking through the shared directories, and bringing the table of shares up to what lies there.
//!
//! Belongs here: which files are new, settled, remembered, to be hashed, done, gone. Does not: telling the index
//! and the RS (`mod.rs`), hashing itself. Invariant: a look never waits for a file to be hashed, so what is gone
//! or changed is noticed at the next look whatever else goes on, and each file is shared as soon as it is done.

use super::shares::{Kept, Known, Listed, Pending, Quiet, Table};
use super::{Share, ShareBody, Shares};
use crate::id::ContentId;
use crate::limits::LOOK_WHOLE;
use crate::name::ContentName;
use crate::net::Stop;
use crate::proto::transfer::Manifest;
use crate::storage::{
    HashCache, HashFault, Hashed, Scanned, Sight, Stamp, describe, glance, glance_at, scan, tree_of,
};
use crate::wire::{ContentInfo, ContentKey, ContentKind, Text};
use crossbeam_channel::select;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a look, or the end of some hashing, changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Contents that are new.
    pub(super) new: Vec<ContentInfo>,
    /// Contents that are gone.
    pub(super) gone: Vec<ContentKey>,
}

/// Nothing waits longer than this without asking whether to stop.
const SLICE: Duration = Duration::from_millis(100);
/// When the last file is done a look follows at once, for the trees; but one that takes long is not all we do.
const LOOKS_APART: Duration = Duration::from_millis(100);

/// Files taken over at once: one write to what is remembered, and a look that is due does not wait for long.
const BATCH_FILES: usize = 256;

/// What one look has found.
#[derive(Debug, Default)]
struct Look {
    shared: BTreeMap<ContentKey, Arc<Share>>,
    seen: BTreeSet<PathBuf>,
    /// Files to hash, with the names they are shared under.
    to_hash: BTreeMap<PathBuf, Pending>,
    skipped: Vec<String>,
    /// Files remembered that can now be remembered for good.
    to_keep: Vec<(Stamp, Arc<Manifest>)>,
    /// Everything at a glance: each directory with its name, and the files by themselves.
    sights: Vec<(Option<ContentName>, Sight)>,
    /// What [`Table::changed`] was when it began.
    changed: u64,
}

impl Shares {
    /// Looks through everything shared, gives what is new and settled to the hashing threads, and says what
    /// changed.
    pub(super) fn rescan(&self) -> Changes {
        if self.is_unchanged() {
            return Changes::default();
        }
        let mut table = self.table.lock();
        table.added.clear();
        let mut look = Look {
            changed: table.changed,
            ..Look::default()
        };
        drop(table);
        let mut scans: Vec<(Option<ContentName>, Scanned)> = Vec::new();
        let directories = self.directories.lock().clone();
        for directory in &directories {
            let mut scanned = scan(directory);
            look.sights.push((directory_name(directory), scanned.sight));
            let hidden = self.table.lock().hidden.clone();
            scanned.files.retain(|_, (path, _)| !hidden.contains(path));
            scans.push((directory_name(directory), scanned));
        }
        look.sights.push((None, self.glance_at_single_files()));
        scans.extend(self.single_files().map(|scanned| (None, scanned)));
        for (tree_name, scanned) in scans {
            look.skipped.extend(scanned.skipped.iter().cloned());
            let mut ids = BTreeMap::new();
            for (name, (path, stamp)) in &scanned.files {
                look.seen.insert(path.clone());
                let Some(manifest) = self.manifest_of(name, path, *stamp, &mut look) else {
                    continue;
                };
                ids.insert(name.clone(), manifest.id());
                let share = self.share_of(name, path, *stamp, manifest);
                look.shared.insert(share.info.key(), Arc::new(share));
            }
            if let Some(share) = tree_name.and_then(|name| tree_share(name, &scanned, &ids)) {
                look.shared.insert(share.info.key(), Arc::new(share));
            }
        }
        self.keep(look.to_keep.iter().map(|(stamp, manifest)| (*stamp, &**manifest)));
        self.hand_over(&mut look);
        self.replace(look)
    }

    /// Waits for files to be hashed, and says what that changed; none when a look is due (which may become so
    /// earlier) or all is to stop.
    pub(super) fn hashed_before(&self, due: &mut Instant, stop: &Stop) -> Option<Changes> {
        while !stop.is_set() {
            let now = Instant::now();
            if now >= *due {
                break;
            }
            select! {
                recv(self.results) -> hashed => {
                    let more = self.results.try_iter().take(BATCH_FILES);
                    return Some(self.take_hashed(hashed.into_iter().chain(more)));
                }
                recv(self.wake.1) -> _ => *due = (*due).min(now + LOOKS_APART),
                default((*due - now).min(SLICE)) => {}
            }
        }
        None
    }

    /// True if the last look left nothing to do, and would find the same again: with many files that is far less work.
    fn is_unchanged(&self) -> bool {
        let table = self.table.lock();
        let quiet = table.quiet.as_ref();
        let Some(quiet) = quiet.filter(|quiet| quiet.changed == table.changed) else {
            return false;
        };
        if Instant::now() >= quiet.until {
            return false;
        }
        let seen = quiet.sights.clone();
        drop(table);
        let directories = self.directories.lock().clone();
        let look_at = |directory: &PathBuf| (directory_name(directory), glance(directory));
        let mut sights: Vec<_> = directories.iter().map(look_at).collect();
        sights.push((None, self.glance_at_single_files()));
        sights == seen
    }

    fn glance_at_single_files(&self) -> Sight {
        let single = self.table.lock().single.clone();
        glance_at(single.keys().map(PathBuf::as_path))
    }

    /// Each by itself: two that differ may have one name.
    fn single_files(&self) -> impl Iterator<Item = Scanned> {
        let single = self.table.lock().single.clone();
        single.into_iter().filter_map(|(path, name)| {
            let stamp = Stamp::of(&path.metadata().ok()?);
            let mut scanned = Scanned::default();
            scanned.files.insert(name, (path, stamp));
            Some(scanned)
        })
    }

    fn share_of(&self, name: &ContentName, path: &Path, stamp: Stamp, manifest: Arc<Manifest>) -> Share {
        let id = manifest.id();
        let key = ContentKey {
            name: name.clone(),
            id,
        };
        let known = self.table.lock().shares.get(&key).map(|share| share.info.clone());
        Share {
            info: known.unwrap_or_else(|| describe(name, path, stamp, id)),
            body: ShareBody::File(path.to_owned(), stamp, manifest),
        }
    }

    /// The piece values of a file, if they are known; otherwise it is to be hashed, when it has stopped changing.
    fn manifest_of(
        &self,
        name: &ContentName,
        path: &Path,
        stamp: Stamp,
        look: &mut Look,
    ) -> Option<Arc<Manifest>> {
        let mut table = self.table.lock();
        if let Some(known) = table.hashed.get_mut(path).filter(|known| known.stamp == stamp) {
            if known.kept == Kept::UntilBoot && stamp.is_written_out() {
                known.kept = Kept::ForGood;
                look.to_keep.push((stamp, Arc::clone(&known.manifest)));
            }
            return Some(Arc::clone(&known.manifest));
        }
        let is_old = stamp.is_old();
        if !is_old && table.unsettled.get(path) != Some(&stamp) {
            table.unsettled.insert(path.to_owned(), stamp);
            return None;
        }
        table.unsettled.remove(path);
        if let Some((manifest, kept)) = self.remembered(stamp).filter(|_| is_old) {
            let manifest = Arc::new(manifest);
            let known = Known {
                stamp,
                manifest: Arc::clone(&manifest),
                kept,
            };
            table.hashed.insert(path.to_owned(), known);
            return Some(manifest);
        }
        let names = BTreeSet::new();
        let pending = look.to_hash.entry(path.to_owned());
        pending
            .or_insert(Pending { stamp, names })
            .names
            .insert(name.clone());
        None
    }

    fn remembered(&self, stamp: Stamp) -> Option<(Manifest, Kept)> {
        let mut cache = self.cache.lock();
        let cache = cache.as_mut()?;
        let manifest = cache.find(&stamp)?;
        let kept = if cache.is_for_good(&stamp) {
            Kept::ForGood
        } else {
            Kept::UntilBoot
        };
        Some((manifest, kept))
    }

    fn keep<'a>(&self, hashed: impl Iterator<Item = (Stamp, &'a Manifest)>) {
        self.with_cache(|cache| cache.add(hashed));
    }

    /// A cache that fails is given up: it would fail at every file, and all it saves is time.
    fn with_cache(&self, work: impl FnOnce(&mut HashCache) -> io::Result<()>) {
        let mut cache = self.cache.lock();
        if let Some(Err(error)) = cache.as_mut().map(work) {
            log::warn!("{error}: hashes are no longer remembered; make room there and start again");
            *cache = None;
        }
    }

    /// Gives the hashing threads what they have not yet, and takes from them what is gone or has changed.
    fn hand_over(&self, look: &mut Look) {
        let mut table = self.table.lock();
        let mut before = core::mem::take(&mut table.pending);
        let to_hash = core::mem::take(&mut look.to_hash);
        let mut new = Vec::new();
        for (path, pending) in &to_hash {
            match before.remove(path) {
                Some(same) if same.stamp == pending.stamp => {}
                other => {
                    if other.is_some() {
                        self.hashers.forget(path);
                    }
                    new.push((path.clone(), pending.stamp));
                }
            }
        }
        before.keys().for_each(|gone| self.hashers.forget(gone));
        table.pending = to_hash;
        if let Err(error) = self.hashers.hash(new) {
            look.skipped.push(format!("hashing: {error}; trying again"));
            table.pending.keys().for_each(|path| self.hashers.forget(path));
            table.pending.clear();
            // The next look does not pass over them.
            table.changed += 1;
        }
    }

    fn take_hashed(&self, all: impl Iterator<Item = Hashed>) -> Changes {
        let mut changes = Changes::default();
        let mut to_keep = Vec::new();
        for hashed in all {
            let Hashed {
                path,
                stamp,
                is_sure,
                result,
            } = hashed;
            let mut table = self.table.lock();
            let is_wanted = table
                .pending
                .get(&path)
                .is_some_and(|pending| pending.stamp == stamp);
            let Some(pending) = table.pending.remove(&path).filter(|_| is_wanted) else {
                continue;
            };
            table.unreadable.remove(&path);
            match result {
                Ok(manifest) => {
                    let manifest = Arc::new(manifest);
                    let kept = match (is_sure, stamp.is_written_out()) {
                        (false, _) => Kept::WhileRunning,
                        (true, false) => Kept::UntilBoot,
                        (true, true) => Kept::ForGood,
                    };
                    if is_sure {
                        to_keep.push((stamp, Arc::clone(&manifest)));
                    }
                    let known = Known {
                        stamp,
                        manifest: Arc::clone(&manifest),
                        kept,
                    };
                    table.hashed.insert(path.clone(), known);
                    let is_hidden = table.hidden.contains(&path);
                    drop(table);
                    for name in pending.names.iter().filter(|_| !is_hidden) {
                        let share = self.share_of(name, &path, stamp, Arc::clone(&manifest));
                        changes.new.push(share.info.clone());
                        self.table.lock().shares.insert(share);
                    }
                }
                // The next look sees what it is now.
                Err(HashFault::Changed) => {}
                Err(HashFault::Io(error)) => {
                    let path_shown = path.display();
                    table.complain(format!(
                        "{path_shown}: {error}; until it can be read, no directory is shared as a whole that it lies in"
                    ));
                    table.unreadable.insert(path, stamp);
                }
            }
        }
        self.keep(to_keep.iter().map(|(stamp, manifest)| (*stamp, &**manifest)));
        if !changes.new.is_empty() && !self.table.lock().is_waiting() {
            self.wake();
        }
        changes
    }

    fn replace(&self, look: Look) -> Changes {
        let mut table = self.table.lock();
        let table = &mut *table;
        let Look {
            shared: mut now_shared,
            seen,
            skipped,
            sights,
            changed,
            ..
        } = look;
        let mut kept = BTreeSet::new();
        for key in &table.added {
            if let Some(share) = table.shares.get(key) {
                if let ShareBody::File(path, _, _) = &share.body {
                    kept.insert(path.clone());
                }
                now_shared.entry(key.clone()).or_insert_with(|| Arc::clone(share));
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
        table.shares = Listed::of(now_shared);
        table
            .hashed
            .retain(|path, _| seen.contains(path) || kept.contains(path));
        table.unsettled.retain(|path, _| seen.contains(path));
        table.unreadable.retain(|path, _| seen.contains(path));
        let is_quiet = table.unsettled.is_empty() && table.pending.is_empty();
        table.quiet = is_quiet.then(|| Quiet {
            sights,
            changed,
            until: Instant::now() + LOOK_WHOLE.to_std(),
        });
        let is_settled = table.unsettled.is_empty() && !table.is_waiting();
        if !core::mem::replace(&mut table.is_settled, is_settled) && is_settled {
            self.with_cache(HashCache::forget_unused);
        }
        skipped
            .into_iter()
            .for_each(|complaint| table.complain(complaint));
        changes
    }
}

impl Table {
    /// True if files are to be hashed that may well be readable.
    pub(super) fn is_waiting(&self) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|(path, pending)| self.unreadable.get(path) != Some(&pending.stamp))
    }

    /// Says once why something is not shared.
    fn complain(&mut self, complaint: String) {
        if !self.complained.contains(&complaint) {
            log::warn!("not shared: {complaint}");
            self.complained.insert(complaint);
        }
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

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
