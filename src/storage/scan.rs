//! Looking through shared directories, and what an index says of what is in them.

use super::unfinished::is_unfinished;
use super::{Stamp, read_heading};
use crate::id::{ContentId, RfcNumber};
use crate::name::ContentName;
use crate::wire::{ContentInfo, ContentKind, Text, Tree, TreeEntry, TreeFile, TreeNode};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// What a look through a directory found.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Regular files by name.
    pub files: BTreeMap<ContentName, (PathBuf, Stamp)>,
    /// Directories with nothing in them.
    pub empty_directories: BTreeSet<ContentName>,
    /// What could not be shared, and why: one line each.
    pub skipped: Vec<String>,
    /// All of it at a glance.
    pub sight: Sight,
}

/// What was seen at a glance: as long as nothing has changed, the same is seen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sight([u8; 32]);

/// One thing in a directory.
enum Seen<'a> {
    File(&'a Path, Stamp),
    EmptyDirectory(&'a Path),
    /// It could not be looked at, and this is why.
    Skipped(String),
}

/// What a glance takes in, one thing after another.
#[derive(Default)]
struct Glance(blake3::Hasher);

impl Glance {
    fn take_in(&mut self, seen: &Seen<'_>) {
        let (kind, text) = match seen {
            Seen::File(path, _) => (0, path.as_os_str().as_bytes()),
            Seen::EmptyDirectory(path) => (1, path.as_os_str().as_bytes()),
            Seen::Skipped(why) => (2, why.as_bytes()),
        };
        self.0.update(&[kind]).update(&(text.len() as u64).to_be_bytes());
        self.0.update(text);
        if let Seen::File(_, stamp) = seen {
            self.0
                .update(&stamp.to_bytes())
                .update(&[stamp.executable.into()]);
        }
    }

    fn sight(&self) -> Sight {
        Sight(*self.0.finalize().as_bytes())
    }
}

/// Looks through a directory. Symbolic links are never followed, and what is not a regular file is passed over.
pub fn scan(directory: &Path) -> Scanned {
    let (mut found, mut glance) = (Scanned::default(), Glance::default());
    walk(directory, |seen| {
        glance.take_in(&seen);
        found.add(directory, seen);
    });
    found.sight = glance.sight();
    found
}

/// Looks whether anything has changed in a directory, which is far less work than [`scan`].
pub fn glance(directory: &Path) -> Sight {
    let mut glance = Glance::default();
    walk(directory, |seen| glance.take_in(&seen));
    glance.sight()
}

/// The same, for files by themselves.
pub fn glance_at<'a>(files: impl Iterator<Item = &'a Path>) -> Sight {
    let mut glance = Glance::default();
    for path in files {
        let seen = match path.metadata() {
            Ok(metadata) => Seen::File(path, Stamp::of(&metadata)),
            Err(error) => Seen::Skipped(error.to_string()),
        };
        glance.take_in(&seen);
    }
    glance.sight()
}

fn walk(directory: &Path, mut see: impl FnMut(Seen<'_>)) {
    let all = WalkDir::new(directory).follow_links(false).min_depth(1);
    let is_finished = |entry: &DirEntry| !entry.file_name().to_str().is_some_and(is_unfinished);
    for entry in all.into_iter().filter_entry(is_finished) {
        match entry {
            Ok(entry) => look_at(&entry, &mut see),
            Err(error) => see(Seen::Skipped(error.to_string())),
        }
    }
}

fn look_at(entry: &DirEntry, see: &mut impl FnMut(Seen<'_>)) {
    let (kind, path) = (entry.file_type(), entry.path());
    if kind.is_dir() {
        if path.read_dir().is_ok_and(|mut inside| inside.next().is_none()) {
            see(Seen::EmptyDirectory(path));
        }
    } else if kind.is_file() {
        match entry.metadata() {
            Ok(metadata) => see(Seen::File(path, Stamp::of(&metadata))),
            // Gone between the listing and the look: as if it had never been there.
            Err(_) if !path.exists() => {}
            Err(error) => see(Seen::Skipped(error.to_string())),
        }
    }
}

impl Scanned {
    fn add(&mut self, directory: &Path, seen: Seen<'_>) {
        let path = match &seen {
            Seen::File(path, _) | Seen::EmptyDirectory(path) => *path,
            Seen::Skipped(why) => return self.skipped.push(why.clone()),
        };
        match (name_below(directory, path), seen) {
            (Ok(name), Seen::File(_, stamp)) => {
                self.files.insert(name, (path.to_owned(), stamp));
            }
            (Ok(name), _) => {
                self.empty_directories.insert(name);
            }
            (Err(why), _) => self.skipped.push(why),
        }
    }
}

/// What a file of a directory is called, or why it has no name.
fn name_below(directory: &Path, path: &Path) -> Result<ContentName, String> {
    let relative = path.strip_prefix(directory).unwrap_or(path);
    let text = relative
        .to_str()
        .ok_or_else(|| format!("{}: its name is not UTF-8", path.display()))?;
    ContentName::new(text).map_err(|fault| {
        let path = crate::name::printable(&path.to_string_lossy());
        format!("{path}: its name {fault}")
    })
}

/// Everything an index says of a file.
pub fn describe(name: &ContentName, path: &Path, stamp: Stamp, id: ContentId) -> ContentInfo {
    let number = RfcNumber::of_name(name.as_str());
    let heading = number.and_then(|_| read_heading(path).ok()).unwrap_or_default();
    ContentInfo {
        kind: ContentKind::File,
        name: name.clone(),
        id,
        bytes: stamp.bytes,
        modified: stamp.modified(),
        media_type: Text::cut(
            mime_guess::from_path(name.as_str())
                .first_or_octet_stream()
                .to_string(),
        ),
        number: number.map(|of_name| heading.number.unwrap_or(of_name)),
        title: heading.title.map(Text::cut),
    }
}

/// The tree of a directory, once every file in it is hashed.
pub fn tree_of(scanned: &Scanned, id_of: impl Fn(&ContentName) -> Option<ContentId>) -> Option<Tree> {
    let mut entries = Vec::new();
    for (path, (_, stamp)) in &scanned.files {
        let file = TreeFile {
            bytes: stamp.bytes,
            id: id_of(path)?,
            executable: stamp.executable,
        };
        entries.push(TreeEntry {
            path: path.clone(),
            node: TreeNode::File(file),
        });
    }
    for path in &scanned.empty_directories {
        entries.push(TreeEntry {
            path: path.clone(),
            node: TreeNode::EmptyDirectory(false),
        });
    }
    Some(Tree::new(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn whatever_changes_is_seen_at_a_glance() {
        let place = tempfile::tempdir().expect("a directory");
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("full")).expect("made");
        fs::write(at("full/a"), b"a").expect("written");
        let mut before = scan(place.path()).sight;
        let mut differs = |what: &str| {
            let now = glance(place.path());
            assert_ne!(core::mem::replace(&mut before, now), now, "{what}");
            assert_eq!(scan(place.path()).sight, now, "{what}");
            assert_eq!(glance(place.path()), now, "{what}");
        };
        fs::write(at("b"), b"").expect("written");
        differs("a new file");
        fs::write(at("b"), b"b").expect("written");
        differs("bytes");
        fs::set_permissions(at("b"), Permissions::from_mode(0o755)).expect("set");
        differs("the executable bit");
        fs::rename(at("b"), at("c")).expect("renamed");
        differs("another name");
        fs::create_dir(at("empty")).expect("made");
        differs("an empty directory");
        fs::remove_file(at("full/a")).expect("removed");
        differs("a file that is gone");
    }

    #[test]
    fn what_is_not_finished_is_passed_over() {
        let place = tempfile::tempdir().expect("a directory");
        let before = glance(place.path());
        fs::create_dir(place.path().join("x.p2pdi-part")).expect("made");
        fs::write(place.path().join("x.p2pdi-part/inside"), b"x").expect("written");
        fs::write(place.path().join(".y.p2pdi-part"), b"y").expect("written");
        assert_eq!(glance(place.path()), before);
        assert!(scan(place.path()).files.is_empty());
    }

    #[test]
    fn files_by_themselves_are_seen_too() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("a");
        let seen = || glance_at([path.as_path()].into_iter());
        let missing = seen();
        fs::write(&path, b"a").expect("written");
        let there = seen();
        assert!(there != missing && there == seen());
    }
}
