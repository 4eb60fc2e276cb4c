//! Looking through shared directories, and what an index says of what is in them.

use super::unfinished::is_unfinished;
use super::{Stamp, read_heading};
use crate::id::{ContentId, RfcNumber};
use crate::name::ContentName;
use crate::wire::{ContentInfo, ContentKind, Text, Tree, TreeEntry, TreeFile, TreeNode};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What a look through a directory found.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Regular files by name.
    pub files: BTreeMap<ContentName, (PathBuf, Stamp)>,
    /// Directories with nothing in them.
    pub empty_directories: BTreeSet<ContentName>,
    /// What could not be shared, and why: one line each.
    pub skipped: Vec<String>,
}

/// Looks through a directory. Symbolic links are never followed, and what is not a regular file is passed over.
pub fn scan(directory: &Path) -> Scanned {
    let mut found = Scanned::default();
    for entry in WalkDir::new(directory).follow_links(false).min_depth(1) {
        match entry {
            Ok(entry) => look_at(directory, &entry, &mut found),
            Err(error) => found.skipped.push(error.to_string()),
        }
    }
    found
}

fn look_at(directory: &Path, entry: &walkdir::DirEntry, found: &mut Scanned) {
    let kind = entry.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return;
    }
    let path = entry.path();
    let Ok(relative) = path.strip_prefix(directory) else {
        return;
    };
    let Some(text) = relative.to_str() else {
        found
            .skipped
            .push(format!("{}: its name is not UTF-8", path.display()));
        return;
    };
    if is_unfinished(text) {
        return;
    }
    let name = match ContentName::new(text) {
        Ok(name) => name,
        Err(fault) => {
            found.skipped.push(format!(
                "{}: its name {fault}",
                crate::name::printable(&path.to_string_lossy())
            ));
            return;
        }
    };
    if kind.is_dir() {
        let empty = path.read_dir().is_ok_and(|mut inside| inside.next().is_none());
        if empty {
            found.empty_directories.insert(name);
        }
        return;
    }
    match entry.metadata() {
        Ok(metadata) => {
            found.files.insert(name, (path.to_owned(), Stamp::of(&metadata)));
        }
        // Gone between the listing and the look: as if it had never been there.
        Err(_) if !path.exists() => {}
        Err(error) => found.skipped.push(error.to_string()),
    }
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
