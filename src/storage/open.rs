//! Opening what is to be shared, whatever lies there by now.

use super::Stamp;
use core::ops::Range;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a regular file to read it. Nothing else: opening a pipe would wait for somebody to write into it.
///
/// # Errors
/// The file system's; `InvalidData` if it is no regular file (any more).
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidData, "not a regular file");
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(|error| {
        // A socket, or a device that is not there.
        if error.raw_os_error() == Some(libc::ENXIO) {
            no_file()
        } else {
            error
        }
    })?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(no_file())
    }
}

/// Appends a file that must be what `stamp` says, before it is read and after: for one so small that a map of it
/// would cost more than a copy.
///
/// # Errors
/// The file system's; `InvalidData` if it has changed.
pub fn read_small(path: &Path, stamp: Stamp, into: &mut Vec<u8>) -> io::Result<Range<usize>> {
    let lost = || io::Error::new(io::ErrorKind::InvalidData, "no longer what was hashed");
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)?;
    let is_same = || {
        opened
            .metadata()
            .map(|metadata| metadata.is_file() && Stamp::of(&metadata) == stamp)
    };
    if !is_same()? {
        return Err(lost());
    }
    let start = into.len();
    into.resize(start + usize::try_from(stamp.bytes).map_err(|_| lost())?, 0);
    (&opened)
        .read_exact(&mut into[start..])
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => lost(),
            _ => error,
        })?;
    if is_same()? {
        Ok(start..into.len())
    } else {
        Err(lost())
    }
}
