//! Opening what is to be shared, whatever lies there by now.

use std::fs::{File, OpenOptions};
use std::io;
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
