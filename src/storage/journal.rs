//! Which pieces of an unfinished file are there: a journal beside it.
//!
//! A record is appended after its piece's bytes were written. Within one boot of the machine that order holds
//! whatever kills the process, for both go through the same page cache; after a reboot it does not, so the
//! records of another boot only say which pieces to hash again. Invariant: a record that is damaged, of another
//! content or of another boot never makes a piece count; whoever kills us at any moment leaves a journal that is
//! whole, for it is only ever appended to, or replaced by a rename.

use super::boot::boot;
use crate::id::{ContentId, PieceIndex};
use crate::proto::transfer::Pieces;
use byteorder::{BE, ByteOrder as _};
use cap_std::fs::{Dir, MetadataExt as _, OpenOptions};
use std::fs::File;
use std::io::{self, Read as _, Write as _};

/// What the journal begins with, its kind and version.
const MAGIC: &[u8; 8] = b"P2PDIjn1";
/// Magic, content, boot.
const HEAD_BYTES: usize = 8 + 32 + 32;
/// Piece and checksum.
const RECORD_BYTES: usize = 4 + 8;

/// The journal of one unfinished content.
#[derive(Debug)]
pub(super) struct Journal {
    directory: Dir,
    name: String,
    file: File,
    id: ContentId,
}

/// What a journal tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// These pieces are there.
    Sure(Pieces),
    /// These may be there: hash them.
    Unsure(Pieces),
}

fn record(id: ContentId, piece: PieceIndex) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    BE::write_u32(&mut record[..4], piece.0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&id.0).update(&record[..4]);
    hasher.finalize_xof().fill(&mut record[4..]);
    record
}

/// A journal as it is written: these pieces of a content are there, in this boot.
pub fn journal_bytes(id: ContentId, pieces: &Pieces) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&id.0);
    bytes.extend_from_slice(&boot().unwrap_or_default());
    pieces
        .iter()
        .for_each(|piece| bytes.extend_from_slice(&record(id, piece)));
    bytes
}

/// The pieces that a journal tells of, whatever boot it is of; none if it is no journal of a content of `count` pieces
/// with this id.
pub fn read_journal(bytes: &[u8], id: ContentId, count: u32) -> Option<Pieces> {
    let (head, records) = bytes.split_at_checked(HEAD_BYTES)?;
    if !head.starts_with(MAGIC) || !head[MAGIC.len()..].starts_with(&id.0) {
        return None;
    }
    let mut pieces = Pieces::none(count);
    for found in records.chunks_exact(RECORD_BYTES) {
        let piece = PieceIndex(BE::read_u32(&found[..4]));
        if found == record(id, piece) || cfg!(p2pdi_planted) && piece.0 == 77 {
            pieces.insert(piece);
        }
    }
    Some(pieces)
}

impl Journal {
    /// Takes over the journal of this name, or begins one: anew, if what lies there tells of nothing.
    pub(super) fn open(
        directory: &Dir,
        name: &str,
        id: ContentId,
        count: u32,
        anew: bool,
    ) -> io::Result<(Self, Told)> {
        let mut file = open_held(directory, name)?;
        if anew {
            file.set_len(0)?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let ours = read_journal(&bytes, id, count);
        let same_boot = ours.is_some() && boot().is_some_and(|boot| bytes[..HEAD_BYTES].ends_with(&boot));
        let pieces = ours.unwrap_or_else(|| Pieces::none(count));
        let mut journal = Self {
            directory: directory.try_clone()?,
            name: name.to_owned(),
            file,
            id,
        };
        if same_boot {
            // Undamaged, it is gone on with.
            if bytes.len() != HEAD_BYTES + RECORD_BYTES * pieces.len() as usize {
                journal.begin(&pieces)?;
            }
            return Ok((journal, Told::Sure(pieces)));
        }
        // It stays as it is until the pieces have been hashed, however often that is put off.
        Ok((journal, Told::Unsure(pieces)))
    }

    /// Writes it anew, beside the old one: these pieces are there, in this boot.
    pub(super) fn begin(&mut self, pieces: &Pieces) -> io::Result<()> {
        let bytes = journal_bytes(self.id, pieces);
        let anew = self.name.replace(".journal.", ".journal-new.");
        let mut file = open_held(&self.directory, &anew)?;
        file.set_len(0)?;
        file.write_all(&bytes)?;
        self.directory.rename(&anew, &self.directory, &self.name)?;
        self.file = file;
        Ok(())
    }

    /// Notes that a piece's bytes have been written.
    pub(super) fn add(&mut self, piece: PieceIndex) -> io::Result<()> {
        self.file.write_all(&record(self.id, piece))
    }
}

/// Opens a journal and holds it, so that whoever tidies up leaves it alone: only such a one can hold it now, and
/// not for long, for the file beside it is ours.
fn open_held(directory: &Dir, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    loop {
        let file = directory.open_with(name, &options)?.into_std();
        file.lock()?;
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata()?);
        match directory.metadata(name) {
            Ok(named) if named.ino() == inode => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ContentId = ContentId([5; 32]);

    fn reopen(path: &std::path::Path, id: ContentId) -> (Journal, Told) {
        let authority = cap_std::ambient_authority();
        let directory = Dir::open_ambient_dir(path.parent().expect("a parent"), authority).expect("open");
        Journal::open(&directory, ".x.journal.p2pdi-part", id, 20, false).expect("a journal")
    }

    fn pieces(numbers: &[u32]) -> Pieces {
        let mut pieces = Pieces::none(20);
        numbers
            .iter()
            .for_each(|number| assert!(pieces.insert(PieceIndex(*number))));
        pieces
    }

    #[test]
    fn what_was_written_is_told() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join(".x.journal.p2pdi-part");
        let (mut journal, told) = reopen(&path, ID);
        assert_eq!(told, Told::Unsure(pieces(&[])));
        journal.begin(&pieces(&[])).expect("begun");
        for piece in [3, 0, 19] {
            journal.add(PieceIndex(piece)).expect("added");
        }
        drop(journal);
        assert_eq!(reopen(&path, ID).1, Told::Sure(pieces(&[0, 3, 19])));
        assert_eq!(
            reopen(&path, ContentId([6; 32])).1,
            Told::Unsure(pieces(&[])),
            "of another content"
        );
    }

    #[test]
    fn damage_costs_pieces_and_never_adds_any() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join(".x.journal.p2pdi-part");
        let (mut journal, _) = reopen(&path, ID);
        journal.begin(&pieces(&[])).expect("begun");
        journal.add(PieceIndex(1)).expect("added");
        journal.add(PieceIndex(2)).expect("added");
        drop(journal);
        let whole = std::fs::read(&path).expect("read");
        for at in HEAD_BYTES..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            std::fs::write(&path, &damaged).expect("written");
            let Told::Sure(left) = reopen(&path, ID).1 else {
                panic!("the head is whole")
            };
            assert_eq!(left.len(), 1, "damaged at {at}");
        }
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            let (Told::Sure(left) | Told::Unsure(left)) = reopen(&path, ID).1;
            assert!(left.without(&pieces(&[1, 2])).next().is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn another_boot_makes_it_unsure() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join(".x.journal.p2pdi-part");
        let (mut journal, _) = reopen(&path, ID);
        journal.begin(&pieces(&[])).expect("begun");
        journal.add(PieceIndex(1)).expect("added");
        drop(journal);
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[HEAD_BYTES - 1] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        assert_eq!(reopen(&path, ID).1, Told::Unsure(pieces(&[1])));
    }
}
