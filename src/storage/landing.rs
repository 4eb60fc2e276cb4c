//! Where a download lands: under a name of its own until it is whole, verified and on disk.
//!
//! Invariant: every path goes through the sandboxed directory handle, so no name and no symbolic link that
//! lies in `--out` leads out of it; the final name is only ever given by a rename of a synced file.

use crate::id::ContentId;
use crate::name::ContentName;
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// One content on its way into a directory.
#[derive(Debug)]
pub struct Landing {
    parent: Dir,
    part_name: String,
    final_name: String,
    /// The final path, for messages.
    path: PathBuf,
    file: File,
    written: u64,
}

/// Names the path an error is about.
fn at<T>(path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl Landing {
    /// Opens the unfinished file of a content below `out`, which is created if need be. What an earlier run
    /// has left of the same content is kept: [`Landing::written`] says how much.
    ///
    /// # Errors
    /// The file system's, or `ResourceBusy` while another fetch writes the same content; the error names it.
    pub fn open(out: &Path, name: &ContentName, id: ContentId) -> io::Result<Self> {
        at(out, std::fs::create_dir_all(out))?;
        let root = at(out, Dir::open_ambient_dir(out, ambient_authority()))?;
        let path = out.join(name.as_str());
        let parent = at(&path, match Path::new(name.as_str()).parent() {
            Some(parent) if !parent.as_os_str().is_empty() => {
                root.create_dir_all(parent).and_then(|()| root.open_dir(parent))
            }
            _ => Ok(root),
        })?;
        let final_name = name.file_name().to_owned();
        // Unique by content, hidden, and short enough whatever the name is.
        let part_name = format!(".{}.p2pdi-part", &id.to_string()[..32]);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let mut file = at(&path, parent.open_with(&part_name, &options))?.into_std();
        at(&path, file.try_lock().map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "another fetch is writing it")))?;
        let written = at(&path, file.seek(SeekFrom::End(0)))?;
        Ok(Self { parent, part_name, final_name, path, file, written })
    }

    /// Bytes there are already.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// The final path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The unfinished file, to hash what an earlier run has left.
    ///
    /// # Errors
    /// The file system's.
    pub fn hash_written(&mut self, hasher: &mut blake3::Hasher) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        at(&self.path, hasher.update_reader(&self.file).map(|_| ()))?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(())
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// A full disk or the like; the error names the file.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        at(&self.path, self.file.write_all(bytes))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything written: it was wrong.
    ///
    /// # Errors
    /// The file system's.
    pub fn restart(&mut self) -> io::Result<()> {
        at(&self.path, self.file.set_len(0))?;
        self.file.seek(SeekFrom::Start(0))?;
        self.written = 0;
        Ok(())
    }

    /// Gives the file its final name, after its bytes have reached the disk.
    ///
    /// # Errors
    /// The file system's; the final name is then what it was before.
    pub fn finish(self) -> io::Result<PathBuf> {
        at(&self.path, self.file.sync_all())?;
        at(&self.path, self.parent.rename(&self.part_name, &self.parent, &self.final_name))?;
        // The rename itself lives in the directory.
        at(&self.path, self.parent.open(".").and_then(|directory| directory.sync_all()))?;
        Ok(self.path)
    }

    /// Removes what was written.
    pub fn discard(self) {
        let _ = self.parent.remove_file(&self.part_name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ContentName {
        ContentName::new(text).expect("a name")
    }

    const ID: ContentId = ContentId([3; 32]);

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let out = tempfile::tempdir().expect("a directory");
        let mut landing = Landing::open(out.path(), &name("a/b.txt"), ID).expect("open");
        landing.write(b"half").expect("written");
        assert!(!out.path().join("a/b.txt").exists());
        drop(landing);
        let mut landing = Landing::open(out.path(), &name("a/b.txt"), ID).expect("open");
        assert_eq!(landing.written(), 4, "kept from the run before");
        landing.write(b" whole").expect("written");
        landing.finish().expect("finished");
        assert_eq!(std::fs::read(out.path().join("a/b.txt")).expect("read"), b"half whole");
        assert_eq!(std::fs::read_dir(out.path().join("a")).expect("listed").count(), 1, "nothing else is left");
    }

    #[test]
    fn links_do_not_lead_out() {
        let out = tempfile::tempdir().expect("a directory");
        let elsewhere = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::symlink(elsewhere.path(), out.path().join("a")).expect("a link");
        assert!(Landing::open(out.path(), &name("a/b.txt"), ID).is_err());
        assert_eq!(std::fs::read_dir(elsewhere.path()).expect("listed").count(), 0);
    }

    #[test]
    fn two_fetches_do_not_write_one_file() {
        let out = tempfile::tempdir().expect("a directory");
        let _first = Landing::open(out.path(), &name("a"), ID).expect("open");
        let second = Landing::open(out.path(), &name("a"), ID).map(|_| ()).map_err(|error| error.kind());
        assert_eq!(second, Err(io::ErrorKind::ResourceBusy));
    }
}
