//! The rows of an RS in a redb file.
//!
//! Invariant: the file is created whole or not at all, belongs to one process at a time, and is written to only after
//! everything in it could be read.

use super::boot::boot;
use super::sound::quietly;
use super::store::Store;
use super::trial::{HeldFile, Shared, Trial};
use crate::id::PeerNumber;
use crate::limits::RS_COMPACT_BYTES_MIN;
use crate::proto::{Change, HolderRow, LeaseRow, PeerRow, answer_kept, key_bytes};
use crate::wire::{ContentKey, DecodeError, Field, Reader};
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, StorageBackend, TableDefinition, TableError,
};
use std::cell::Cell;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

const FILE: &str = "registry.redb";
/// Its name while it is made.
const DRAFT: &str = "registry.redb.new";
/// The form of the rows.
const VERSION: u64 = 1;
/// A file so many times as large as its rows is mostly unused: half full pages and the room for the next commit
/// take a good part of the rest.
const UNUSED_FACTOR: u64 = 4;
/// Memory for pages: reading is done once, at the start.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const PEERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("peers");
const LEASES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("leases");
const HOLDERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("holders");

/// A store on disk.
pub struct DiskStore {
    path: PathBuf,
    /// None only after a failure.
    database: Option<Database>,
    /// Until everything could be read: opens the very file.
    accept: Option<Box<dyn FnOnce() -> io::Result<Database> + Send>>,
    same_boot: bool,
    /// Size of the file when it was last looked at.
    seen_bytes: u64,
}

impl core::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "DiskStore({})", self.path.display())
    }
}

/// Opens a file for this process alone.
fn hold(opened: io::Result<File>) -> io::Result<File> {
    let file = opened?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another RS uses this directory; give another --data",
        ),
        TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

/// Works on what may be damaged: the database panics where it cannot make sense of a page.
fn sound<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    quietly(work).unwrap_or_else(|| Err(damaged("its pages make no sense")))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn newer(version: u64) -> io::Error {
    let text = format!(
        "written by a newer p2pdi (form {version}, this one knows {VERSION}): use that one, or give another --data"
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn holder_key(number: PeerNumber, key: &ContentKey) -> Vec<u8> {
    let mut bytes = number.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&key_bytes(key));
    bytes
}

fn row<T: Field>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let row = T::take(&mut reader, "row")?;
    reader.finish("row")?;
    Ok(row)
}

fn bytes_of(row: &impl Field) -> Vec<u8> {
    let mut bytes = Vec::new();
    row.put(&mut bytes);
    bytes
}

fn damaged(error: impl core::fmt::Display) -> io::Error {
    let text = format!(
        "damaged ({error}): nothing was changed; move the file away to begin anew (peers register again), or bring it \
         back from a copy"
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn environment(error: impl Into<redb::Error>) -> io::Error {
    match error.into() {
        // Nothing of the file system's is of this kind.
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => damaged(error),
        redb::Error::Io(error) => error,
        error @ (redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. }) => damaged(error),
        error => io::Error::other(error.to_string()),
    }
}

fn no_store() -> io::Error {
    damaged("it is no store of an RS")
}

fn failed_before() -> io::Error {
    io::Error::other("it failed before, and has to be opened anew")
}

/// The database in a file, and whether it had to be repaired, which looks at every checksum.
fn database(file: impl StorageBackend) -> io::Result<(Database, bool)> {
    let repaired = Rc::new(Cell::new(false));
    let told = Rc::clone(&repaired);
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(move |_| told.set(true));
    let database = builder.create_with_backend(file).map_err(environment)?;
    Ok((database, repaired.get()))
}

/// The same, with every checksum right.
fn checked(file: impl StorageBackend) -> io::Result<Database> {
    let (mut database, repaired) = database(file)?;
    if repaired || database.check_integrity().map_err(environment)? {
        Ok(database)
    } else {
        Err(damaged("its checksums are wrong"))
    }
}

/// Size of the store in a directory.
pub fn store_bytes(directory: &Path) -> Option<u64> {
    std::fs::metadata(directory.join(FILE))
        .ok()
        .map(|file| file.len())
}

impl DiskStore {
    /// Opens the store in a directory, or makes both.
    ///
    /// # Errors
    /// `ResourceBusy` while another process has it; `InvalidData` if it is damaged or of a newer version; the file
    /// system's.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(|error| named(directory, &error))?;
        let path = directory.join(FILE);
        if path.exists() {
            let file = hold(OpenOptions::new().read(true).write(true).open(&path));
            return file
                .and_then(|file| match file.metadata()?.len() {
                    0 => Err(damaged("it is empty")),
                    _ => Self::on(HeldFile(file), &path),
                })
                .map_err(|error| named(&path, &error));
        }
        // Under its name it is whole, or it is not there.
        let draft = directory.join(DRAFT);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).mode(0o600);
        let made = hold(options.open(&draft)).and_then(|file| {
            file.set_len(0)?;
            let store = Self::on(HeldFile(file), &path)?;
            std::fs::rename(&draft, &path)?;
            File::open(directory)?.sync_all()?;
            Ok(store)
        });
        made.map_err(|error| named(&draft, &error))
    }

    /// A store on a file, or on anything like it; `path` is its name in errors. A new one is ready, another on trial.
    pub(super) fn on(file: impl StorageBackend, path: &Path) -> io::Result<Self> {
        let is_new = file.len()? == 0;
        let trial = Trial::new(file)?;
        let mut store = Self {
            path: path.to_owned(),
            database: None,
            accept: None,
            same_boot: false,
            seen_bytes: 0,
        };
        if is_new {
            trial.end();
            store.database = Some(sound(|| database(Shared(trial)))?.0);
            store.begin(is_new)?;
            return Ok(store);
        }
        store.database = Some(sound(|| checked(Shared(Arc::clone(&trial))))?);
        store.same_boot = sound(|| store.is_ours())?;
        store.accept = Some(Box::new(move || {
            trial.end();
            sound(|| Ok(database(Shared(trial))?.0))
        }));
        Ok(store)
    }

    fn database(&self) -> io::Result<&Database> {
        self.database.as_ref().ok_or_else(failed_before)
    }

    /// Closes the database, which is another walk through its pages.
    fn close(&mut self) {
        let database = self.database.take();
        let _ = quietly(|| drop(database));
    }

    /// All of it could be read: from now on the file itself is written. What was repaired on trial is repaired again,
    /// for the database does that so that the power may go at any moment.
    fn accept(&mut self) -> io::Result<()> {
        let Some(accept) = self.accept.take() else {
            return Ok(());
        };
        self.close();
        self.database = Some(accept()?);
        self.begin(false)
    }

    /// Looks what the file is, and whether it was last written in this boot.
    fn is_ours(&self) -> io::Result<bool> {
        let transaction = self.database()?.begin_read().map_err(environment)?;
        let about = match transaction.open_table(ABOUT) {
            Err(TableError::TableDoesNotExist(_)) => return Err(no_store()),
            other => other.map_err(environment)?,
        };
        let value = |key| -> io::Result<Option<Vec<u8>>> {
            let value = about.get(key).map_err(environment)?;
            Ok(value.map(|bytes| bytes.value().to_vec()))
        };
        let version = value("version")?;
        let version: [u8; 8] = version
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(no_store)?;
        match u64::from_be_bytes(version) {
            VERSION => {
                Ok(boot().is_some_and(|boot| value("boot").is_ok_and(|last| last.as_deref() == Some(&boot))))
            }
            other => Err(newer(other)),
        }
    }

    /// Notes that it is written in this boot.
    fn begin(&self, is_new: bool) -> io::Result<()> {
        let boot = boot().unwrap_or_default();
        let transaction = self.database()?.begin_write().map_err(environment)?;
        {
            let mut about = transaction.open_table(ABOUT).map_err(environment)?;
            if is_new {
                let version = VERSION.to_be_bytes();
                about.insert("version", version.as_slice()).map_err(environment)?;
            }
            about.insert("boot", boot.as_slice()).map_err(environment)?;
        }
        transaction.open_table(PEERS).map_err(environment)?;
        transaction.open_table(LEASES).map_err(environment)?;
        transaction.open_table(HOLDERS).map_err(environment)?;
        transaction.commit().map_err(environment)
    }

    /// Compacts the file if it is large and most of it is unused. Looked at when it was opened, and whenever it has
    /// doubled: looking reads all of it.
    fn tidy(&mut self) -> io::Result<()> {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let now_bytes = bytes(&self.path);
        if now_bytes < RS_COMPACT_BYTES_MIN || now_bytes < self.seen_bytes.saturating_mul(2) {
            return Ok(());
        }
        let database = self.database.as_mut().ok_or_else(failed_before)?;
        let transaction = database.begin_write().map_err(environment)?;
        let used_bytes = transaction.stats().map_err(environment)?.stored_bytes();
        transaction.abort().map_err(environment)?;
        if now_bytes > used_bytes.saturating_mul(UNUSED_FACTOR) {
            database.compact().map_err(environment)?;
        }
        self.seen_bytes = bytes(&self.path);
        Ok(())
    }

    fn write(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        {
            let mut about = transaction.open_table(ABOUT)?;
            let mut peers = transaction.open_table(PEERS)?;
            let mut leases = transaction.open_table(LEASES)?;
            let mut holders = transaction.open_table(HOLDERS)?;
            for change in changes {
                match change {
                    Change::Numbered(number) => {
                        about.insert("numbered", number.0.to_be_bytes().as_slice())?;
                    }
                    Change::Peer(number, row) => {
                        peers.insert(number.0, bytes_of(row).as_slice())?;
                    }
                    Change::Lease(number, row) => {
                        leases.insert(number.0, bytes_of(row).as_slice())?;
                    }
                    Change::PeerGone(number) => {
                        peers.remove(number.0)?;
                        leases.remove(number.0)?;
                    }
                    Change::Holder(number, row) => {
                        let key = holder_key(*number, &row.content.key());
                        holders.insert(key.as_slice(), bytes_of(row).as_slice())?;
                    }
                    Change::HolderGone(number, key) => {
                        holders.remove(holder_key(*number, key).as_slice())?;
                    }
                    Change::HoldersGone(number) => {
                        let first = number.0.to_be_bytes();
                        let after = (number.0 + 1).to_be_bytes();
                        holders.retain_in(first.as_slice()..after.as_slice(), |_, _| false)?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn read(database: &Database, each: &mut dyn FnMut(Change)) -> Result<(), Unreadable> {
        let transaction = database.begin_read()?;
        let about = transaction.open_table(ABOUT)?;
        if let Some(numbered) = about.get("numbered")? {
            each(Change::Numbered(row(numbered.value())?));
        }
        let leases = transaction.open_table(LEASES)?;
        for entry in transaction.open_table(PEERS)?.iter()? {
            let (key, value) = entry?;
            let number = PeerNumber(key.value());
            let peer: PeerRow = row(value.value())?;
            let lease = leases.get(key.value())?;
            let lease: LeaseRow = row(lease.ok_or(Unreadable::Missing)?.value())?;
            if lease.last_request.is_some() {
                answer_kept(&lease.last_answer.0)?;
            }
            each(Change::Peer(number, peer));
            each(Change::Lease(number, lease));
        }
        for entry in transaction.open_table(HOLDERS)?.iter()? {
            let (key, value) = entry?;
            let number = key.value().first_chunk().ok_or(Unreadable::Missing)?;
            let number = PeerNumber(u64::from_be_bytes(*number));
            let row: HolderRow = row(value.value())?;
            each(Change::Holder(number, row));
        }
        Ok(())
    }
}

/// Why a file gives no rows.
enum Unreadable {
    Redb(redb::Error),
    Row(DecodeError),
    /// A row without the other that belongs to it.
    Missing,
}

impl<E: Into<redb::Error>> From<E> for Unreadable {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

impl From<DecodeError> for Unreadable {
    fn from(error: DecodeError) -> Self {
        Self::Row(error)
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Store for DiskStore {
    fn commit(&mut self, changes: &[Change]) -> io::Result<()> {
        if self.accept.is_some() {
            return Err(io::Error::other("a store is loaded before it is written"));
        }
        let written = sound(|| {
            Self::write(self.database()?, changes).map_err(environment)?;
            self.tidy()
        });
        written.map_err(|error| named(&self.path, &error))
    }

    fn load(&mut self, each: &mut dyn FnMut(Change)) -> io::Result<()> {
        let read = sound(|| {
            Self::read(self.database()?, each).map_err(|error| match error {
                Unreadable::Redb(error) => environment(error),
                Unreadable::Row(error) => damaged(error),
                Unreadable::Missing => damaged("a row is missing"),
            })
        });
        read.and_then(|()| sound(|| self.accept()))
            .and_then(|()| sound(|| self.tidy()))
            .map_err(|error| named(&self.path, &error))
    }

    fn is_of_this_boot(&self) -> bool {
        self.same_boot
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
