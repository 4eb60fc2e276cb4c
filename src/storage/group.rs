//! Files that land in numbers: each written whole when it is verified, and given their names together.
//!
//! Belongs here: what lies below `--out` when many files go there, directories and modes included. Does not: large
//! files, which come by pieces (`landing.rs`). Guarantee: a group's bytes are on the disk before the first of its
//! names is given (one `syncfs` for many files, an `fsync` each for few), and its names before it is told of.
//! Invariant: no symbolic link that lies in `--out` is followed; what is not finished has a hidden name, belongs to
//! one process and goes with its [`Part`], or is taken over by the next fetch if the process was killed.

use super::Stamp;
use super::replacing::{mark, refuse_to_replace};
use super::unfinished::{refuse_unfinished, unfinished};
use crate::id::ContentId;
use crate::name::ContentName;
use parking_lot::Mutex;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Up to so many files are synced one by one: a whole file system may have much more to write.
const ONE_BY_ONE: usize = 4;

/// A directory that files are put into.
#[derive(Debug)]
struct Parent {
    directory: File,
    device: u64,
    /// Nothing was in it when it was opened.
    was_empty: bool,
}

/// A directory that files land in, in numbers.
#[derive(Debug)]
pub struct Group {
    out: PathBuf,
    root: File,
    parents: Mutex<BTreeMap<String, Arc<Parent>>>,
}

/// A file that is written and has no name yet; dropped, it is removed.
#[derive(Debug)]
pub struct Part {
    parent: Arc<Parent>,
    part_name: String,
    final_name: String,
    path: PathBuf,
    file: File,
    is_named: bool,
}

/// What lies where a file is to land.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing does.
    Nothing,
    /// A regular file.
    File(Stamp),
    /// A link, a socket, ….
    Other,
}

/// Names the path an error is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

/// An error that is told of several files.
fn again(error: Option<i32>) -> io::Error {
    error.map_or_else(|| io::Error::other("not synced"), io::Error::from_raw_os_error)
}

fn in_the_way(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::AlreadyExists,
        format!("{what} is in the way; move it, or give another --out"),
    )
}

/// Makes the directory that files are to land in, if need be.
///
/// # Errors
/// The file system's, or a file has the name; the error names it.
pub(super) fn make_out(out: &Path) -> io::Result<()> {
    let made = std::fs::create_dir_all(out).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            in_the_way("a file, and no directory,")
        }
        _ => error,
    });
    at(out, made)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Group {
    /// Files are to land in `out`, which is created if need be.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(out: &Path) -> io::Result<Self> {
        make_out(out)?;
        Ok(Self {
            out: out.to_owned(),
            root: at(out, File::open(out))?,
            parents: Mutex::default(),
        })
    }

    /// Where a content of this name lies in the end.
    pub fn path(&self, name: &ContentName) -> PathBuf {
        self.out.join(name.as_str())
    }

    fn parent_of<'n>(&self, name: &'n ContentName, create: bool) -> io::Result<(Arc<Parent>, &'n str)> {
        let (directory, file) = name.as_str().rsplit_once('/').unwrap_or(("", name.as_str()));
        let mut parents = self.parents.lock();
        if let Some(known) = parents.get(directory) {
            return Ok((Arc::clone(known), file));
        }
        let opened = self.descend(directory, create)?;
        let device = opened.metadata()?.dev();
        let was_empty = is_empty(&opened)?;
        let parent = Arc::new(Parent {
            directory: opened,
            device,
            was_empty,
        });
        parents.insert(directory.to_owned(), Arc::clone(&parent));
        Ok((parent, file))
    }

    /// Opens a directory below the root, component by component, so that no link is followed.
    fn descend(&self, directory: &str, create: bool) -> io::Result<File> {
        let mut here = self.root.try_clone()?;
        for component in directory.split('/').filter(|component| !component.is_empty()) {
            let open = || rustix::fs::openat(&here, component, DIRECTORY, Mode::empty());
            let opened: OwnedFd = match open() {
                Err(Errno::NOENT) if create => {
                    match rustix::fs::mkdirat(&here, component, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => open()?,
                        Err(error) => return Err(error.into()),
                    }
                }
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    return Err(in_the_way(&format!("{component}, which is no directory,")));
                }
                other => other?,
            };
            here = opened.into();
        }
        Ok(here)
    }

    /// What has this name already: to be asked before anything is put here.
    ///
    /// # Errors
    /// A directory has the name, or something that is none is where a directory should be.
    pub fn find(&self, name: &ContentName) -> io::Result<Found> {
        let path = self.path(name);
        at(&path, refuse_unfinished(name))?;
        let missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let (parent, file) = match self.parent_of(name, false) {
            Err(error) if missing(&error) => return Ok(Found::Nothing),
            other => at(&path, other)?,
        };
        if parent.was_empty {
            return Ok(Found::Nothing);
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file: File = match rustix::fs::openat(&parent.directory, file, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(Found::Nothing),
            other => at(&path, other.map_err(Into::into))?.into(),
        };
        let metadata = at(&path, file.metadata())?;
        if metadata.is_dir() {
            return at(&path, Err(in_the_way("a directory")));
        }
        Ok(if metadata.is_file() {
            Found::File(Stamp::of(&metadata))
        } else {
            Found::Other
        })
    }

    /// Refuses a name that something has which is not to be replaced.
    ///
    /// # Errors
    /// `AlreadyExists` if so, or the file system's; the error names the file.
    pub fn refuse_to_replace(&self, name: &ContentName) -> io::Result<()> {
        let path = self.path(name);
        match self.parent_of(name, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => at(&path, Err(error)),
            Ok((parent, file)) => at(&path, refuse_to_replace(&parent.directory, file)),
        }
    }

    /// Makes a directory of this name, and those above it.
    ///
    /// # Errors
    /// The file system's, or something else has the name.
    pub fn make_directory(&self, name: &ContentName) -> io::Result<()> {
        let path = self.path(name);
        at(&path, refuse_unfinished(name))?;
        at(&path, self.descend(name.as_str(), true).map(drop))
    }

    /// Lets the owner of a file execute it, or not, and whoever else may read it with him.
    ///
    /// # Errors
    /// The file system's.
    pub fn set_executable(&self, name: &ContentName, executable: bool) -> io::Result<()> {
        let path = self.path(name);
        let (parent, file) = at(&path, self.parent_of(name, false))?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = rustix::fs::openat(&parent.directory, file, flags, Mode::empty());
        let file: File = at(&path, opened.map_err(Into::into))?.into();
        let mode = at(&path, file.metadata())?.mode() & 0o7777;
        let wanted = if executable {
            mode | (mode & 0o444) >> 2
        } else {
            mode & !0o111
        };
        if (mode & 0o100 != 0) == executable {
            return Ok(());
        }
        at(
            &path,
            rustix::fs::fchmod(&file, Mode::from_raw_mode(wanted)).map_err(Into::into),
        )
    }

    /// Writes a verified content under a hidden name.
    ///
    /// # Errors
    /// The file system's, or `ResourceBusy` while another fetch writes the same; the error names the file.
    pub fn put(&self, name: &ContentName, id: ContentId, executable: bool, bytes: &[u8]) -> io::Result<Part> {
        let path = self.path(name);
        at(&path, self.put_below(name, id, executable, bytes, path.clone()))
    }

    fn put_below(
        &self,
        name: &ContentName,
        id: ContentId,
        executable: bool,
        bytes: &[u8],
        path: PathBuf,
    ) -> io::Result<Part> {
        refuse_unfinished(name)?;
        let (parent, final_name) = self.parent_of(name, true)?;
        // One content may be wanted under two names in one directory.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&id.0).update(final_name.as_bytes());
        let part_name = unfinished(&hasher.finalize().to_hex()[..32]);
        let file = open_alone(&parent.directory, &part_name, executable)?;
        let mut part = Part {
            parent,
            part_name,
            final_name: final_name.to_owned(),
            path,
            file,
            is_named: false,
        };
        part.file.write_all(bytes)?;
        mark(&part.file);
        Ok(part)
    }

    /// Gives files their names, after their bytes have reached the disk; one that cannot have its name does not
    /// keep the others from theirs. Where each lies now, in order.
    pub fn name(parts: Vec<Part>) -> Vec<io::Result<PathBuf>> {
        let synced: Vec<Result<(), Option<i32>>> = if parts.len() <= ONE_BY_ONE {
            let sync = |part: &Part| part.file.sync_all().map_err(|error| error.raw_os_error());
            parts.iter().map(sync).collect()
        } else {
            let mut file_systems: BTreeMap<u64, Result<(), Option<i32>>> = BTreeMap::new();
            let sync = |part: &Part| {
                let once = || {
                    let synced = rustix::fs::syncfs(&part.parent.directory);
                    synced.map_err(|error| Some(error.raw_os_error()))
                };
                *file_systems.entry(part.parent.device).or_insert_with(once)
            };
            parts.iter().map(sync).collect()
        };
        let mut touched: BTreeMap<*const Parent, Arc<Parent>> = BTreeMap::new();
        let mut named: Vec<io::Result<PathBuf>> = Vec::new();
        for (mut part, synced) in parts.into_iter().zip(synced) {
            let result = synced.map_err(again).and_then(|()| part.rename());
            touched.insert(Arc::as_ptr(&part.parent), Arc::clone(&part.parent));
            named.push(at(&part.path, result).map(|()| part.path.clone()));
        }
        // The names themselves live in the directories.
        let lost = touched
            .into_values()
            .find_map(|parent| parent.directory.sync_all().err());
        if let Some(error) = lost.map(|error| error.raw_os_error()) {
            named.iter_mut().for_each(|result| *result = Err(again(error)));
        }
        named
    }
}

impl Part {
    fn rename(&mut self) -> io::Result<()> {
        let (parent, part, name) = (&self.parent.directory, &self.part_name, &self.final_name);
        let renamed = match rustix::fs::renameat_with(parent, part, parent, name, RenameFlags::NOREPLACE) {
            // Something is there, or the file system knows no such rename.
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                refuse_to_replace(parent, name)?;
                rustix::fs::renameat(parent, part, parent, name)
            }
            renamed => renamed,
        };
        match renamed {
            Err(Errno::ISDIR) => Err(in_the_way("a directory")),
            Err(error) => Err(error.into()),
            Ok(()) => {
                self.is_named = true;
                Ok(())
            }
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_named {
            let _ = rustix::fs::unlinkat(&self.parent.directory, &self.part_name, AtFlags::empty());
        }
    }
}

fn is_empty(directory: &File) -> io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Opens a file that no other process writes, empty. What a killed one has left is taken over.
fn open_alone(parent: &File, name: &str, executable: bool) -> io::Result<File> {
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another fetch is writing it");
    let mode = Mode::from_raw_mode(if executable { 0o777 } else { 0o666 });
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for _ in 0..8 {
        let (opened, is_new) = match rustix::fs::openat(parent, name, flags | OFlags::EXCL, mode) {
            Err(Errno::EXIST) => match rustix::fs::openat(parent, name, flags, mode) {
                Err(Errno::LOOP) => return Err(in_the_way(&format!("{name}, a link,"))),
                other => (other?, false),
            },
            other => (other?, true),
        };
        rustix::fs::flock(opened.as_fd(), FlockOperation::NonBlockingLockExclusive).map_err(|_| busy())?;
        let file = File::from(opened);
        if is_new {
            return Ok(file);
        }
        // It may have been given its name, or been removed, while we waited: then it is not ours to write to.
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) if named.st_ino == file.metadata()?.ino() => {
                file.set_len(0)?;
                let mode = if executable { 0o111 } else { 0 };
                let was = file.metadata()?.mode() & 0o666;
                rustix::fs::fchmod(&file, Mode::from_raw_mode(was | mode & ((was & 0o444) >> 2)))?;
                return Ok(file);
            }
            Ok(_) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(busy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ContentName {
        ContentName::new(text).expect("a name")
    }

    #[test]
    fn what_was_there_is_found_and_what_came_since_is_not_replaced() {
        let place = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(place.path().join("full")).expect("made");
        std::fs::write(place.path().join("full/a"), b"the user's").expect("written");
        std::fs::create_dir(place.path().join("empty")).expect("made");
        let group = Group::open(place.path()).expect("opened");
        let found = |text: &str| group.find(&name(text)).expect("looked");
        assert!(matches!(found("full/a"), Found::File(stamp) if stamp.bytes == 10));
        assert_eq!(found("full/b"), Found::Nothing);
        assert_eq!(found("empty/a"), Found::Nothing);
        assert_eq!(found("none/a"), Found::Nothing);

        let put = |text: &str| {
            group
                .put(&name(text), ContentId([0; 32]), false, b"fetched")
                .expect("written")
        };
        let parts = vec![put("empty/a"), put("empty/b"), put("full/a")];
        std::fs::write(place.path().join("empty/a"), b"the user's").expect("written");
        let named: Vec<bool> = Group::name(parts).iter().map(Result::is_ok).collect();
        assert_eq!(named, [false, true, false]);
        let read = |text: &str| std::fs::read(place.path().join(text)).expect("read");
        assert_eq!(read("empty/a"), b"the user's");
        assert_eq!(read("empty/b"), b"fetched");
        assert_eq!(read("full/a"), b"the user's");
    }
}
