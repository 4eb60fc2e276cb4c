//! Hashing a file as it is on disk: all of it, or a stretch of its pieces.
//!
//! Belongs here: reading and hashing, by whoever calls. Does not: which file comes first (`hashers.rs`), and what
//! was hashed before (`hash_cache.rs`). Invariant: values come only from a file that was what its stamp says
//! before its first byte was read and after its last.

use super::Stamp;
use super::open::open_regular;
use crate::id::PieceIndex;
use crate::proto::transfer::{Manifest, PieceHasher, piece_count, piece_span};
use core::ops::Range;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Why a file has no id.
#[derive(Debug)]
pub enum HashFault {
    /// It changed while it was read: look again later.
    Changed,
    /// It cannot be read.
    Io(io::Error),
}

impl From<io::Error> for HashFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Read at a time: large enough for the hash to use its widest form.
const HASH_STEP_BYTES: usize = 1 << 20;

/// The piece values (and so the id) of a file that is what `stamp` says, before and after it is read.
///
/// # Errors
/// It changed meanwhile, or cannot be read.
pub fn hash_file(path: &Path, stamp: Stamp) -> Result<Manifest, HashFault> {
    let pieces = 0..piece_count(stamp.bytes);
    let values = hash_pieces(path, stamp, pieces, &mut Vec::new(), || true)?;
    Ok(Manifest::of_values(stamp.bytes, values))
}

/// The values of some pieces of a file, read into `buffer` by and by; before each step it asks whether to `go_on`.
///
/// # Errors
/// The file is not what `stamp` says, or cannot be read; `Interrupted` if it may not go on.
pub(super) fn hash_pieces(
    path: &Path,
    stamp: Stamp,
    pieces: Range<u32>,
    buffer: &mut Vec<u8>,
    go_on: impl Fn() -> bool,
) -> Result<Vec<[u8; 32]>, HashFault> {
    let file = open_regular(path)?;
    check(&file, stamp)?;
    let step = usize::try_from(stamp.bytes).map_or(HASH_STEP_BYTES, |bytes| bytes.min(HASH_STEP_BYTES));
    if buffer.len() < step {
        buffer.resize(step, 0);
    }
    let mut values = Vec::new();
    for piece in pieces.map(PieceIndex) {
        let mut hasher = PieceHasher::new(stamp.bytes, piece);
        let mut left = piece_span(stamp.bytes, piece);
        while !left.is_empty() {
            if !go_on() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            let want =
                usize::try_from(left.end - left.start).map_or(buffer.len(), |left| left.min(buffer.len()));
            match file.read_at(&mut buffer[..want], left.start) {
                // Shorter than it was: it changes under our hands.
                Ok(0) => return Err(HashFault::Changed),
                Ok(bytes) => {
                    hasher.update(&buffer[..bytes]);
                    left.start += bytes as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        values.push(hasher.finish());
    }
    check(&file, stamp)?;
    Ok(values)
}

fn check(file: &File, stamp: Stamp) -> Result<(), HashFault> {
    if Stamp::of(&file.metadata()?) == stamp {
        Ok(())
    } else {
        Err(HashFault::Changed)
    }
}
