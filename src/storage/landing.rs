//! Where a download lands: under a name of its own until it is whole, verified and on disk.
//!
//! Invariant: every path goes through the sandboxed directory handle, so no name and no symbolic link that
//! lies in `--out` leads out of it; the final name is only ever given by a rename of a synced file.

use super::group::make_out;
use super::journal::{Journal, Told};
use super::replacing::{mark, refuse_to_replace};
use super::unfinished::{refuse_unfinished, unfinished};
use crate::id::PieceIndex;
use crate::limits::CHUNK_BYTES_MAX;
use crate::proto::transfer::{Manifest, PieceHasher, Pieces, piece_count, piece_span};
use crate::wire::ContentInfo;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use parking_lot::Mutex;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// One content on its way into a directory. Threads may write different parts of it at once.
#[derive(Debug)]
pub struct Landing {
    parent: Dir,
    part_name: String,
    journal_name: String,
    final_name: String,
    /// The final path, for messages.
    path: PathBuf,
    file: File,
    bytes: u64,
    journal: Mutex<Journal>,
    told: Told,
}

/// Names the path an error is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl Landing {
    /// Opens the unfinished file of a content below `out`, which is created if need be. What an earlier run
    /// has left of the same content is kept: [`Landing::present`] says what.
    ///
    /// # Errors
    /// The file system's, or `ResourceBusy` while another fetch writes the same content; the error names it.
    pub fn open(out: &Path, content: &ContentInfo) -> io::Result<Self> {
        make_out(out)?;
        let root = at(out, Dir::open_ambient_dir(out, ambient_authority()))?;
        let path = out.join(content.name.as_str());
        at(&path, Self::open_below(root, content, path.clone()))
    }

    fn open_below(root: Dir, content: &ContentInfo, path: PathBuf) -> io::Result<Self> {
        refuse_unfinished(&content.name)?;
        let (id, bytes) = (content.id, content.bytes);
        let parent = match Path::new(content.name.as_str()).parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                root.create_dir_all(parent).and_then(|()| root.open_dir(parent))?
            }
            _ => root,
        };
        let [part_name, journal_name, _] = hidden_names(content);
        let file = open_alone(&parent, &part_name)?;
        // Without its file, or with one of another length, a journal tells of nothing.
        let fresh = file.metadata()?.len() != bytes;
        file.set_len(bytes)?;
        let (journal, told) = Journal::open(&parent, &journal_name, id, piece_count(bytes), fresh)?;
        let journal = Mutex::new(journal);
        let final_name = content.name.file_name().to_owned();
        Ok(Self {
            parent,
            part_name,
            journal_name,
            final_name,
            path,
            file,
            bytes,
            journal,
            told,
        })
    }

    /// Removes what a fetch has left that was killed when the content had its name already. Nothing is created, and
    /// what another fetch is at work on is left alone.
    ///
    /// # Errors
    /// The file system's.
    pub fn tidy(out: &Path, content: &ContentInfo) -> io::Result<()> {
        let path = out.join(content.name.as_str());
        let Some(above) = path.parent() else { return Ok(()) };
        let parent = at(above, Dir::open_ambient_dir(above, ambient_authority()))?;
        let [part, journal, anew] = hidden_names(content);
        let mut held = Vec::new();
        for name in [&part, &journal, &anew] {
            let mut options = OpenOptions::new();
            match parent.open_with(name, options.read(true)) {
                Ok(file) => {
                    let file = file.into_std();
                    if file.try_lock().is_err() {
                        return Ok(());
                    }
                    held.push((name, file));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return at(&path, Err(error)),
            }
        }
        // Whoever begins now waits for the lock, and then finds that what it has locked has no name.
        held.iter()
            .try_for_each(|(name, _)| at(&path, parent.remove_file(name)))
    }

    /// The final path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The pieces an earlier run has left. Those it is not sure of are hashed again, as long as it may `go_on`.
    ///
    /// # Errors
    /// The file system's; `Interrupted` if it may not go on.
    pub fn present(&self, manifest: &Manifest, go_on: impl Fn() -> bool) -> io::Result<Pieces> {
        let claimed = match &self.told {
            Told::Sure(pieces) => return Ok(pieces.clone()),
            Told::Unsure(pieces) => pieces,
        };
        let mut present = Pieces::none(claimed.count());
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        for piece in claimed.iter() {
            let mut hasher = PieceHasher::new(self.bytes, piece);
            let span = piece_span(self.bytes, piece);
            let mut offset = span.start;
            while offset < span.end {
                if !go_on() {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let step =
                    usize::try_from(span.end - offset).map_or(buffer.len(), |left| left.min(buffer.len()));
                at(&self.path, self.file.read_exact_at(&mut buffer[..step], offset))?;
                hasher.update(&buffer[..step]);
                offset += step as u64;
            }
            if manifest.value(piece) == Some(hasher.finish()) {
                present.insert(piece);
            }
        }
        at(&self.path, self.journal.lock().begin(&present))?;
        Ok(present)
    }

    /// Writes bytes at their place.
    ///
    /// # Errors
    /// A full disk or the like; the error names the file.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        at(&self.path, self.file.write_all_at(bytes, offset))
    }

    /// Notes that all bytes of a piece were written and are right.
    ///
    /// # Errors
    /// The file system's; the error names the file.
    pub fn piece_done(&self, piece: PieceIndex) -> io::Result<()> {
        at(&self.path, self.journal.lock().add(piece))
    }

    /// The unfinished file, to serve its pieces from; it stays the same file under the final name.
    ///
    /// # Errors
    /// The file system's.
    pub fn share(&self) -> io::Result<File> {
        at(&self.path, self.file.try_clone())
    }

    /// Gives the file its final name, after its bytes have reached the disk.
    ///
    /// # Errors
    /// The file system's, or `AlreadyExists` if something else has come to have the name; it is then what it was before.
    pub fn finish(&self) -> io::Result<PathBuf> {
        mark(&self.file);
        if let Err(error) = self.file.sync_all() {
            // What the disk has is unknown now, and a later look through the cache would not tell: begin anew.
            self.discard();
            return at(&self.path, Err(error));
        }
        at(&self.path, refuse_to_replace(&self.parent, &self.final_name))?;
        at(
            &self.path,
            self.parent
                .rename(&self.part_name, &self.parent, &self.final_name),
        )?;
        at(&self.path, self.parent.remove_file(&self.journal_name))?;
        // The rename itself lives in the directory.
        at(
            &self.path,
            self.parent.open(".").and_then(|directory| directory.sync_all()),
        )?;
        Ok(self.path.clone())
    }

    /// Removes what was written.
    pub fn discard(&self) {
        let _ = self.parent.remove_file(&self.journal_name);
        let _ = self.parent.remove_file(&self.part_name);
    }
}

/// What is not finished goes by these: the file, its journal, and a journal that is written anew. Hidden, unique by
/// content, and short enough whatever its name is.
fn hidden_names(content: &ContentInfo) -> [String; 3] {
    let short = &content.id.to_string()[..32];
    ["", ".journal", ".journal-new"].map(|what| unfinished(&format!("{short}{what}")))
}

/// Opens a file that no other process writes. One that was given its final name while we waited for the lock is
/// not ours to write to: the name is looked up again.
fn open_alone(parent: &Dir, name: &str) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    let busy = || io::Error::new(io::ErrorKind::ResourceBusy, "another fetch is writing it");
    for _ in 0..8 {
        let file = parent.open_with(name, &options)?.into_std();
        file.try_lock().map_err(|_| busy())?;
        let inode = std::os::unix::fs::MetadataExt::ino(&file.metadata()?);
        match parent.metadata(name) {
            Ok(named) if cap_std::fs::MetadataExt::ino(&named) == inode => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(busy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &str, bytes: u64) -> ContentInfo {
        ContentInfo {
            kind: crate::wire::ContentKind::File,
            name: crate::name::ContentName::new(name).expect("a name"),
            id: ID,
            bytes,
            modified: 0,
            media_type: crate::wire::Text::cut("text/plain"),
            number: None,
            title: None,
        }
    }

    const ID: crate::id::ContentId = crate::id::ContentId([3; 32]);

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let out = tempfile::tempdir().expect("a directory");
        let bytes: Vec<u8> = (0..200_000_u32)
            .map(|at| u8::try_from(at % 251).unwrap_or(0))
            .collect();
        let open = || {
            let info = content("a/b.txt", bytes.len() as u64);
            Landing::open(out.path(), &info).expect("open")
        };
        let values = vec![[0; 32]; 4];
        let manifest = Manifest::of_values(bytes.len() as u64, values);
        let landing = open();
        assert!(landing.present(&manifest, || true).expect("present").is_empty());
        landing
            .write_at(65_536, &bytes[65_536..131_072])
            .expect("written");
        landing.piece_done(PieceIndex(1)).expect("noted");
        landing.write_at(0, &bytes[..100]).expect("written");
        assert!(!out.path().join("a/b.txt").exists());
        drop(landing);
        let landing = open();
        let present = landing.present(&manifest, || true).expect("present");
        assert_eq!(
            present.iter().collect::<Vec<_>>(),
            [PieceIndex(1)],
            "kept from the run before"
        );
        landing.write_at(0, &bytes[..65_536]).expect("written");
        landing.write_at(131_072, &bytes[131_072..]).expect("written");
        landing.finish().expect("finished");
        assert!(std::fs::read(out.path().join("a/b.txt")).expect("read") == bytes);
        assert_eq!(
            std::fs::read_dir(out.path().join("a")).expect("listed").count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn whoever_hashes_what_was_left_can_be_stopped() {
        let out = tempfile::tempdir().expect("a directory");
        let info = content("b.bin", 200_000);
        let zeros = vec![0; 65_536];
        let value = |piece| {
            let mut hasher = PieceHasher::new(info.bytes, PieceIndex(piece));
            let span = piece_span(info.bytes, PieceIndex(piece));
            hasher.update(&zeros[..usize::try_from(span.end - span.start).expect("small")]);
            hasher.finish()
        };
        let manifest = Manifest::of_values(info.bytes, (0..4).map(value).collect());
        let landing = Landing::open(out.path(), &info).expect("open");
        assert!(landing.present(&manifest, || true).expect("present").is_empty());
        (0..4).for_each(|piece| landing.piece_done(PieceIndex(piece)).expect("noted"));
        drop(landing);
        // As if the machine had been started again since.
        let journal = out.path().join(&hidden_names(&info)[1]);
        let mut told = std::fs::read(&journal).expect("read");
        told[8 + 32] ^= 1;
        std::fs::write(&journal, told).expect("written");
        let asked = core::cell::Cell::new(0);
        let twice = || asked.replace(asked.get() + 1) < 2;
        let landing = Landing::open(out.path(), &info).expect("open");
        let stopped = landing.present(&manifest, twice).map_err(|error| error.kind());
        assert_eq!(stopped, Err(io::ErrorKind::Interrupted));
        drop(landing);
        let landing = Landing::open(out.path(), &info).expect("open");
        let present = landing.present(&manifest, || true).expect("present");
        assert!(present.is_all(), "nothing is lost by it");
    }

    #[test]
    fn links_do_not_lead_out() {
        let out = tempfile::tempdir().expect("a directory");
        let elsewhere = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(elsewhere.path(), out.path().join("a")).expect("a link");
        assert!(Landing::open(out.path(), &content("a/b.txt", 9)).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).expect("listed").count(), 0);
    }

    #[test]
    fn two_fetches_do_not_write_one_file() {
        let out = tempfile::tempdir().expect("a directory");
        let _first = Landing::open(out.path(), &content("a", 9)).expect("open");
        let second = Landing::open(out.path(), &content("a", 9))
            .map(|_| ())
            .map_err(|error| error.kind());
        assert_eq!(second, Err(io::ErrorKind::ResourceBusy));
    }
}
