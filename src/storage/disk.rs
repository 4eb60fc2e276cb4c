//! The rows of an RS in a redb file.
//!
//! Invariant: the file is created whole or not at all, belongs to one process at a time, and is written to only after
//! everything in it could be read.

use super::boot::boot;
use super::store::Store;
use crate::id::PeerNumber;
use crate::proto::{Change, HolderRow, LeaseRow, PeerRow, answer_kept, key_bytes};
use crate::wire::{ContentKey, DecodeError, Field, Reader};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "registry.redb";
/// The form of the rows.
const VERSION: u64 = 1;
/// Memory for pages: reading is done once, at the start.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

const ABOUT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("about");
const PEERS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("peers");
const LEASES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("leases");
const HOLDERS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("holders");

/// A store on disk.
#[derive(Debug)]
pub struct DiskStore {
    path: PathBuf,
    database: Database,
    same_boot: bool,
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
        redb::Error::Io(error) => error,
        redb::Error::DatabaseAlreadyOpen => io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another RS uses this directory; give another --data",
        ),
        error @ (redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. }) => damaged(error),
        error => io::Error::other(error.to_string()),
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
        let path = directory.join(FILE);
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        std::fs::create_dir_all(directory)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", directory.display())))?;
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&path)
            .map_err(environment)
            .map_err(named)?;
        let mut store = Self {
            path: path.clone(),
            database,
            same_boot: false,
        };
        store.begin().map_err(named)?;
        Ok(store)
    }

    /// Looks what the file is, and notes that it is written in this boot.
    fn begin(&mut self) -> io::Result<()> {
        let boot = boot().unwrap_or_default();
        let transaction = self.database.begin_write().map_err(environment)?;
        {
            let mut about = transaction.open_table(ABOUT).map_err(environment)?;
            let version = about.get("version").map_err(environment)?;
            let version = version.map(|bytes| bytes.value().to_vec());
            match version {
                None => {
                    about
                        .insert("version", VERSION.to_be_bytes().as_slice())
                        .map_err(environment)?;
                }
                Some(bytes) => {
                    let version = bytes.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                    if version > VERSION {
                        return Err(io::Error::new(
                            io::ErrorKind::InvalidData,
                            "written by a newer p2pdi: use that one, or give another --data",
                        ));
                    }
                }
            }
            let last = about.get("boot").map_err(environment)?;
            let last = last.map(|last| last.value().to_vec());
            self.same_boot = boot != [0; 32] && last.is_some_and(|last| last == boot);
            about.insert("boot", boot.as_slice()).map_err(environment)?;
        }
        transaction.open_table(PEERS).map_err(environment)?;
        transaction.open_table(LEASES).map_err(environment)?;
        transaction.open_table(HOLDERS).map_err(environment)?;
        transaction.commit().map_err(environment)
    }

    fn write(&self, changes: &[Change]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
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

    fn read(&self, each: &mut dyn FnMut(Change)) -> Result<(), Unreadable> {
        let transaction = self.database.begin_read()?;
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

impl Store for DiskStore {
    fn commit(&mut self, changes: &[Change]) -> io::Result<()> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("writing {}: {error}", self.path.display()))
        };
        self.write(changes).map_err(environment).map_err(named)
    }

    fn load(&self, each: &mut dyn FnMut(Change)) -> io::Result<()> {
        let named =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        self.read(each).map_err(|error| match error {
            Unreadable::Redb(error) => named(environment(error)),
            Unreadable::Row(error) => named(damaged(error)),
            Unreadable::Missing => named(damaged("a row is missing")),
        })
    }

    fn is_of_this_boot(&self) -> bool {
        self.same_boot
    }
}
