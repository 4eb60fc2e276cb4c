//! What was hashed before: piece values by what a file was, kept in the state directory over restarts.
//!
//! One file: a magic, then records, each whole with its checksum and appended by one write. Belongs here: that
//! file. Does not: deciding what to hash. Invariant: values are told only for the very stamp they were computed
//! for, and only if no change of the file can hide behind that stamp. Everything in the file can be computed
//! anew, so whatever cannot be read as ours (a damaged end, a newer version, something foreign) is replaced and
//! never an error for the peer: left alone, it would make every start hash everything, and nobody would know why.

use super::Stamp;
use super::boot::boot;
use super::stamp::STAMP_BYTES;
use crate::limits::HASH_CACHE_BYTES_MAX;
use crate::proto::transfer::{Manifest, piece_count};
use byteorder::{BE, ByteOrder as _};
use core::ops::Range;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Its name in the state directory.
const FILE: &str = "hashes";
/// What it begins with, its kind and version.
const MAGIC: &[u8; 8] = b"P2PDIhc1";
/// Stamp and boot, before the values.
const HEAD_BYTES: usize = STAMP_BYTES + 8;
/// The checksum after them.
const SUM_BYTES: usize = 8;
/// Below this nothing is gained by writing it anew.
const REWRITE_BYTES_MIN: u64 = 64 * 1024;

/// Device and inode: what a file is whatever becomes of it.
type Place = [u8; 16];

#[derive(Clone, Debug)]
struct Entry {
    stamp: [u8; STAMP_BYTES],
    /// The boot within which it holds; 0 if it always does.
    boot: u64,
    at: Range<u64>,
    /// Asked for, or added, since this process began.
    is_used: bool,
}

/// The remembered hashes of one state directory.
#[derive(Debug)]
pub struct HashCache {
    path: PathBuf,
    file: File,
    /// Where the next record goes.
    end: u64,
    bytes_max: u64,
    /// This boot; none where the system does not say.
    boot: Option<u64>,
    entries: BTreeMap<Place, Entry>,
    is_full: bool,
}

fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn place_of(stamp: &[u8; STAMP_BYTES]) -> Place {
    let mut place = [0; 16];
    place.copy_from_slice(&stamp[..16]);
    place
}

fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    blake3::Hasher::new()
        .update(MAGIC)
        .update(bytes)
        .finalize_xof()
        .fill(&mut sum);
    sum
}

/// How long the record of a content of so many bytes is.
fn record_bytes(content_bytes: u64) -> u64 {
    (HEAD_BYTES + SUM_BYTES) as u64 + 32 * u64::from(piece_count(content_bytes))
}

impl HashCache {
    /// Opens the hashes of a state directory, which this process has for itself.
    ///
    /// # Errors
    /// The file system's; the peer does without.
    pub fn open(directory: &Path) -> io::Result<Self> {
        Self::open_within(directory, HASH_CACHE_BYTES_MAX, boot())
    }

    fn open_within(directory: &Path, bytes_max: u64, boot: Option<[u8; 32]>) -> io::Result<Self> {
        let path = directory.join(FILE);
        // 0 is for what holds in every boot.
        let boot = boot.map(|boot| BE::read_u64(&boot[..8]).max(1));
        let found = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&path);
        let mut cache = Self {
            file: match found {
                Ok(file) if at(&path, file.metadata())?.is_file() => file,
                // Whatever has our name there, it is in our directory and not ours to read.
                Ok(_) | Err(_) => at(&path, begin(directory, &path))?,
            },
            path,
            end: 0,
            bytes_max,
            boot,
            entries: BTreeMap::new(),
            is_full: false,
        };
        let outcome = cache.take_over(directory);
        at(&cache.path, outcome)?;
        Ok(cache)
    }

    fn take_over(&mut self, directory: &Path) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let known = length <= self.bytes_max && self.read_records(length)?;
        if !known {
            log::info!(
                "{}: not remembered hashes of this version; begun anew",
                self.path.display()
            );
            self.file = begin(directory, &self.path)?;
            self.entries.clear();
            self.end = MAGIC.len() as u64;
            return Ok(());
        }
        let live: u64 = self
            .entries
            .values()
            .map(|entry| entry.at.end - entry.at.start)
            .sum();
        if self.end > REWRITE_BYTES_MIN && live < self.end / 2 {
            return self.rewrite();
        }
        if self.end < length {
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    /// Reads what is whole; false if it is not such a file at all.
    fn read_records(&mut self, length: u64) -> io::Result<bool> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::with_capacity(1 << 18, &self.file);
        let mut magic = [0; MAGIC.len()];
        if input.read_exact(&mut magic).is_err() || magic != *MAGIC {
            return Ok(false);
        }
        let mut end = magic.len() as u64;
        let mut record = Vec::new();
        loop {
            record.resize(HEAD_BYTES, 0);
            if length - end < HEAD_BYTES as u64 {
                break;
            }
            input.read_exact(&mut record)?;
            // A damaged length must not cost memory.
            let bytes = record_bytes(BE::read_u64(&record[16..24]));
            let Some(bytes) = usize::try_from(bytes).ok().filter(|_| bytes <= length - end) else {
                break;
            };
            record.resize(bytes, 0);
            input.read_exact(&mut record[HEAD_BYTES..])?;
            let (body, checksum) = record.split_at(bytes - SUM_BYTES);
            if checksum != sum(body) {
                break;
            }
            let mut stamp = [0; STAMP_BYTES];
            stamp.copy_from_slice(&body[..STAMP_BYTES]);
            let entry = Entry {
                stamp,
                boot: BE::read_u64(&body[STAMP_BYTES..HEAD_BYTES]),
                at: end..end + bytes as u64,
                is_used: false,
            };
            end = entry.at.end;
            self.entries.insert(place_of(&stamp), entry);
        }
        self.end = end;
        Ok(true)
    }

    /// Writes anew what is not superseded, and takes the place of the old file only when it is whole.
    fn rewrite(&mut self) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or_else(|| Path::new("."));
        let mut fresh = tempfile::Builder::new()
            .prefix(".hashes")
            .tempfile_in(directory)?;
        let mut end = MAGIC.len() as u64;
        fresh.write_all(MAGIC)?;
        let mut record = Vec::new();
        for entry in self.entries.values_mut() {
            let bytes = entry.at.end - entry.at.start;
            record.resize(usize::try_from(bytes).unwrap_or_default(), 0);
            self.file.read_exact_at(&mut record, entry.at.start)?;
            fresh.write_all(&record)?;
            entry.at = end..end + bytes;
            end += bytes;
        }
        fresh.as_file().sync_all()?;
        self.file = fresh.persist(&self.path).map_err(|error| error.error)?;
        self.end = end;
        Ok(())
    }

    /// Forgets what nobody has asked for, if there is so much that room becomes scarce: it is of files that are
    /// gone, or of a disk that is away. To be called when everything shared has been looked for.
    ///
    /// # Errors
    /// The file system's; it names the file.
    pub fn forget_unused(&mut self) -> io::Result<()> {
        let used = self.entries.values().filter(|entry| entry.is_used);
        let used: u64 = used.map(|entry| entry.at.end - entry.at.start).sum();
        if self.end <= self.bytes_max / 2 || used > self.end / 2 {
            return Ok(());
        }
        self.entries.retain(|_, entry| entry.is_used);
        self.is_full = false;
        let outcome = self.rewrite();
        at(&self.path, outcome)
    }

    /// The values of a file that is what it was when they were computed.
    pub fn find(&mut self, stamp: &Stamp) -> Option<Manifest> {
        let entry = self.entry(stamp)?.clone();
        let mut record = vec![0; usize::try_from(entry.at.end - entry.at.start).ok()?];
        self.file.read_exact_at(&mut record, entry.at.start).ok()?;
        let (body, checksum) = record.split_at(record.len() - SUM_BYTES);
        if checksum != sum(body) || body[..STAMP_BYTES] != entry.stamp {
            return None;
        }
        if let Some(entry) = self.entries.get_mut(&place_of(&entry.stamp)) {
            entry.is_used = true;
        }
        let (values, _) = body[HEAD_BYTES..].as_chunks::<32>();
        Some(Manifest::of_values(stamp.bytes, values.to_vec()))
    }

    fn entry(&self, stamp: &Stamp) -> Option<&Entry> {
        let stamp = stamp.to_bytes();
        let entry = self.entries.get(&place_of(&stamp))?;
        let holds = entry.boot == 0 || Some(entry.boot) == self.boot;
        (holds && entry.stamp == stamp).then_some(entry)
    }

    /// True if its values are remembered for good, and not only until the machine stops: there what was written
    /// last may be lost, though the file's times say that it was.
    pub fn is_for_good(&self, stamp: &Stamp) -> bool {
        self.entry(stamp).is_some_and(|entry| entry.boot == 0)
    }

    /// Remembers the values of files, hashed while they were what their stamps say, and when those were old.
    ///
    /// # Errors
    /// The file system's; it names the file.
    pub fn add<'a>(&mut self, hashed: impl IntoIterator<Item = (Stamp, &'a Manifest)>) -> io::Result<()> {
        let mut records = Vec::new();
        let mut added = Vec::new();
        for (stamp, manifest) in hashed {
            let start = self.end + records.len() as u64;
            let end = start + record_bytes(stamp.bytes);
            if end > self.bytes_max {
                if !core::mem::replace(&mut self.is_full, true) {
                    log::warn!(
                        "{}: full at {} bytes; what is hashed from now on is hashed again after a restart \
                         (several peers, each with a --state of its own, remember more)",
                        self.path.display(),
                        self.bytes_max
                    );
                }
                continue;
            }
            let boot = if stamp.is_written_out() {
                0
            } else {
                match self.boot {
                    Some(boot) => boot,
                    None => continue,
                }
            };
            let entry = Entry {
                stamp: stamp.to_bytes(),
                boot,
                at: start..end,
                is_used: true,
            };
            let first = records.len();
            records.extend_from_slice(&entry.stamp);
            records.extend_from_slice(&boot.to_be_bytes());
            records.extend_from_slice(manifest.values().as_flattened());
            let sum = sum(&records[first..]);
            records.extend_from_slice(&sum);
            debug_assert_eq!(self.end + records.len() as u64, end, "one value a piece");
            added.push(entry);
        }
        // At its place and not at the file's end: half a record of a full disk is written over by the next.
        at(&self.path, self.file.write_all_at(&records, self.end))?;
        self.end += records.len() as u64;
        for entry in added {
            self.entries.insert(place_of(&entry.stamp), entry);
        }
        Ok(())
    }
}

/// An empty one in the place of whatever was there.
fn begin(directory: &Path, path: &Path) -> io::Result<File> {
    let mut fresh = tempfile::Builder::new()
        .prefix(".hashes")
        .tempfile_in(directory)?;
    fresh.write_all(MAGIC)?;
    fresh.persist(path).map_err(|error| error.error)
}

#[cfg(test)]
#[path = "hash_cache_tests.rs"]
mod tests;
