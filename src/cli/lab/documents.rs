//! The sixty documents of a run: from a folder, or our own specifications and made-up ones.
//!
//! Belongs here: choosing them and knowing their sizes. Not here: who holds which (`deal`, `plan`).
//! Invariant: what [`take`] returns is in natural order, has distinct names that a peer can share, and
//! stays in place as the original that downloads are compared with.

#![allow(clippy::disallowed_types, reason = "it reads the documents")]

use super::{generated, natural};
use crate::cli::failure::Failure;
use p2pdi::id::ContentId;
use p2pdi::name::{ContentName, printable};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// How many documents a run shares.
pub(super) const DOCUMENTS: usize = 60;

/// The folder of the working directory whose documents come first when no folder is named.
const OWN_FOLDER: &str = "rfcs";

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// Its file name, which is also its name in the network.
    pub(super) name: ContentName,
    /// How long it is.
    pub(super) bytes: u64,
    /// The original.
    pub(super) path: PathBuf,
}

/// Takes the documents of `folder`, or makes them up below `scratch`.
///
/// # Errors
/// The folder cannot be read or has too few documents.
pub(super) fn take(folder: Option<&Path>, scratch: &Path) -> Result<Vec<Document>, Failure> {
    let Some(folder) = folder else {
        return own_and_generated(Path::new(OWN_FOLDER), scratch);
    };
    let mut found = regular_files(folder).map_err(|failure| Failure {
        text: format!("--docs {failure}"),
        ..failure
    })?;
    if found.len() < DOCUMENTS {
        return Err(Failure::usage(format!(
            "--docs {}: {} regular files, but a run needs {DOCUMENTS}; name a folder with more, or leave --docs out",
            folder.display(),
            found.len()
        )));
    }
    found.truncate(DOCUMENTS);
    Ok(found)
}

/// How many different contents the documents are: copies under several names count once.
///
/// # Errors
/// A document cannot be read.
pub(super) fn distinct_contents(documents: &[Document]) -> Result<usize, Failure> {
    let mut ids = BTreeSet::new();
    for document in documents {
        let mut hasher = blake3::Hasher::new();
        fs::File::open(&document.path)
            .and_then(|file| hasher.update_reader(file).map(|_| ()))
            .map_err(|error| Failure::io(document.path.display(), &error))?;
        ids.insert(ContentId(*hasher.finalize().as_bytes()));
    }
    Ok(ids.len())
}

fn own_and_generated(own: &Path, scratch: &Path) -> Result<Vec<Document>, Failure> {
    let mut documents = if own.is_dir() {
        regular_files(own)?
    } else {
        Vec::new()
    };
    documents.truncate(DOCUMENTS);
    for (name, text) in generated::documents(DOCUMENTS - documents.len()) {
        let path = scratch.join(&name);
        fs::write(&path, &text).map_err(|error| Failure::io(path.display(), &error))?;
        let name = content_name(&name, &path)?;
        documents.push(Document {
            name,
            bytes: text.len() as u64,
            path,
        });
    }
    documents.sort_by(|a, b| natural::compare(a.name.as_str(), b.name.as_str()));
    Ok(documents)
}

/// The regular files directly in `folder`, without hidden ones, in natural order.
fn regular_files(folder: &Path) -> Result<Vec<Document>, Failure> {
    let fault = |path: &Path, error: &std::io::Error| Failure::io(path.display(), error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Failure::usage(format!("--docs {}: there is no such folder", folder.display()))
        }
        _ => fault(folder, &error),
    })? {
        let path = entry.map_err(|error| fault(folder, &error))?.path();
        let meta = fs::metadata(&path).map_err(|error| fault(&path, &error))?;
        let Some(name) = path.file_name() else { continue };
        if !meta.is_file() || name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let Some(name) = name.to_str() else {
            let shown = printable(&path.to_string_lossy());
            return Err(Failure::usage(format!(
                "{shown}: its name is not UTF-8; rename it"
            )));
        };
        found.push(Document {
            name: content_name(name, &path)?,
            bytes: meta.len(),
            path,
        });
    }
    found.sort_by(|a, b| natural::compare(a.name.as_str(), b.name.as_str()));
    Ok(found)
}

fn content_name(name: &str, path: &Path) -> Result<ContentName, Failure> {
    ContentName::new(name).map_err(|fault| {
        let shown = printable(&path.to_string_lossy());
        Failure::usage(format!("{shown}: its name {fault}; rename it"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::failure::Exit;

    fn folder_of(count: usize) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..count {
            fs::write(folder.path().join(format!("rfc{}.txt", n * 7)), vec![b'x'; n]).unwrap();
        }
        folder
    }

    #[test]
    fn the_first_sixty_by_number() {
        let folder = folder_of(70);
        fs::create_dir(folder.path().join("a-folder")).unwrap();
        fs::write(folder.path().join(".hidden"), "no").unwrap();
        let documents = take(Some(folder.path()), Path::new("/nowhere")).unwrap();
        assert_eq!(documents.len(), DOCUMENTS);
        assert_eq!(documents[2].name.as_str(), "rfc14.txt");
        assert_eq!(documents[59].name.as_str(), "rfc413.txt");
        assert_eq!(documents[59].bytes, 59);
    }

    #[test]
    fn too_few_are_refused_with_their_number() {
        let folder = folder_of(59);
        let failure = take(Some(folder.path()), Path::new("/nowhere")).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(
            failure.text.contains("59 regular files") && failure.text.contains("60"),
            "{failure}"
        );
        let failure = take(Some(&folder.path().join("none")), Path::new("/nowhere")).unwrap_err();
        assert!(
            failure.text.starts_with("--docs ") && failure.text.contains("none"),
            "{failure}"
        );
    }

    #[test]
    fn generated_ones_fill_up_our_own() {
        let (own, scratch) = (folder_of(3), tempfile::tempdir().unwrap());
        let documents = own_and_generated(own.path(), scratch.path()).unwrap();
        assert_eq!(documents.len(), DOCUMENTS);
        assert_eq!(documents[0].name.as_str(), "generated-1.txt");
        assert_eq!(documents[56].name.as_str(), "generated-57.txt");
        assert_eq!(documents[57].name.as_str(), "rfc0.txt");
        assert!(
            documents
                .iter()
                .all(|d| fs::metadata(&d.path).unwrap().len() == d.bytes)
        );
        assert_eq!(distinct_contents(&documents).unwrap(), DOCUMENTS);
    }

    #[test]
    fn copies_count_once() {
        let folder = folder_of(60);
        fs::write(folder.path().join("rfc7.txt"), "").unwrap();
        let documents = take(Some(folder.path()), Path::new("/nowhere")).unwrap();
        assert_eq!(distinct_contents(&documents).unwrap(), 59);
    }
}
