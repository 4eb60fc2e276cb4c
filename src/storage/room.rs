//! How much lies in a directory, and how much would still fit on its disk.

use super::unfinished::is_unfinished;
use std::io;
use std::path::Path;
use walkdir::WalkDir;

/// The finished files below a directory, and the bytes of all there are: each counts with its length, however little of
/// it is there yet.
pub fn measure(directory: &Path) -> (usize, u64) {
    let files = WalkDir::new(directory).into_iter().filter_map(Result::ok);
    let files = files.filter(|file| file.file_type().is_file());
    files.fold((0, 0), |(count, bytes), file| {
        let finished = !is_unfinished(&file.file_name().to_string_lossy());
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        (count + usize::from(finished), bytes + length)
    })
}

/// The bytes that are free for this user on the disk of a directory.
///
/// # Errors
/// The directory is not there; the error names it.
pub fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory).map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
    })?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
