//! Opening what is to be shared, whatever lies there by now.

use super::Stamp;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Opens what is there, without waiting for anybody.
fn open_whatever(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.map_err(|error| match error.raw_os_error() {
        // A socket, or a device that is not there.
        Some(libc::ENXIO) => lost(),
        _ => error,
    })
}

pub(super) fn lost() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the shared file is no longer what was hashed",
    )
}

/// Opens a regular file to read it. Nothing else: opening a pipe would wait for somebody to write into it.
///
/// # Errors
/// The file system's; `InvalidData` if it is no regular file (any more).
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let file = open_whatever(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file"))
    }
}

/// A file so small that a map of it would cost more than a copy.
#[derive(Debug)]
pub struct SmallFile {
    file: File,
    stamp: Stamp,
}

impl SmallFile {
    /// Opens a file that must be what `stamp` says.
    ///
    /// # Errors
    /// The file system's; `InvalidData` if it has changed.
    pub fn open(path: &Path, stamp: Stamp) -> io::Result<Self> {
        let file = open_whatever(path)?;
        let small = Self { file, stamp };
        small.check()?;
        Ok(small)
    }

    /// Reads from `offset` until `into` is full.
    ///
    /// # Errors
    /// The file system's; `InvalidData` if there is not as much (any more).
    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_exact_at(into, offset);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => lost(),
            _ => error,
        })
    }

    /// What was read is of the state that was asked for if this says so afterwards.
    ///
    /// # Errors
    /// `InvalidData` if it has changed.
    pub fn check(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        if metadata.is_file() && Stamp::of(&metadata) == self.stamp {
            Ok(())
        } else {
            Err(lost())
        }
    }
}
