//! What a fetched file may replace: nothing but what an earlier fetch has put there, as long as nobody has changed it.
//!
//! A fetched file carries a mark, an extended attribute with its length and date. Whoever writes to it changes its
//! date, and whoever replaces it takes the mark away, so the mark speaks of the file as it was fetched. Belongs here:
//! the mark. Invariant: what has no mark that is true is never replaced; where a file system keeps no marks, nothing is.

use rustix::fs::{Mode, OFlags, XattrFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;

/// The attribute's name.
const MARK: &str = "user.p2pdi.fetched";

fn mark_of(file: &File) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    let (secs, nanos) = (metadata.mtime(), metadata.mtime_nsec());
    Ok(format!("{} {secs}.{nanos}", metadata.len()).into_bytes())
}

/// Marks a file that is written. Without one it is fetched all the same, and stays when another is to have its name.
pub(super) fn mark(file: &File) {
    let marked = mark_of(file).and_then(|mark| {
        let flags = XattrFlags::empty();
        rustix::fs::fsetxattr(file, MARK, &mark, flags).map_err(io::Error::from)
    });
    if let Err(error) = marked {
        log::debug!("a fetched file gets no mark: {error}");
    }
}

fn is_marked(file: &File) -> bool {
    let mut mark = [0; 128];
    let found = rustix::fs::fgetxattr(file, MARK, &mut mark[..]);
    found.is_ok_and(|bytes| mark_of(file).is_ok_and(|is| mark.get(..bytes) == Some(is.as_slice())))
}

/// Refuses to put a file where something lies that is not to be replaced.
///
/// # Errors
/// `AlreadyExists` if so, or the file system's.
pub(super) fn refuse_to_replace(directory: impl AsFd, name: &str) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let in_the_way = || {
        let text = "another file of this name is in the way; move it, or give another --out";
        io::Error::new(io::ErrorKind::AlreadyExists, text)
    };
    match rustix::fs::openat(directory, name, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => Ok(()),
        Ok(opened) => {
            let file = File::from(opened);
            let ours = file.metadata()?.is_file() && is_marked(&file);
            if ours { Ok(()) } else { Err(in_the_way()) }
        }
        // A link, a socket, or nothing we may read.
        Err(_) => Err(in_the_way()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn only_what_was_fetched_and_left_alone_is_replaced() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = File::open(place.path()).expect("opened");
        let path = place.path().join("a");
        let refused = || refuse_to_replace(&directory, "a").map_err(|error| error.kind());
        assert_eq!(refused(), Ok(()), "there is nothing");
        let mut file = File::create(&path).expect("created");
        file.write_all(b"bytes").expect("written");
        assert_eq!(refused(), Err(io::ErrorKind::AlreadyExists), "somebody's file");
        mark(&file);
        if !is_marked(&file) {
            println!("skipped: this file system keeps no marks");
            return;
        }
        assert_eq!(refused(), Ok(()), "ours");
        file.set_len(4).expect("truncated");
        assert_eq!(
            refused(),
            Err(io::ErrorKind::AlreadyExists),
            "no longer as it was"
        );
        std::fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("elsewhere", &path).expect("a link");
        assert_eq!(refused(), Err(io::ErrorKind::AlreadyExists), "a link");
    }
}
