//! What a file was when it was hashed: if any of it differs, it is another content.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

/// Device, inode, size and both times of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// The file's length.
    pub bytes: u64,
    modified_secs: i64,
    modified_nanos: i64,
    changed_secs: i64,
    changed_nanos: i64,
    /// True if its owner may execute it.
    pub executable: bool,
}

impl Stamp {
    /// The stamp of what `fstat` or `stat` told.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_secs: metadata.mtime(),
            modified_nanos: metadata.mtime_nsec(),
            changed_secs: metadata.ctime(),
            changed_nanos: metadata.ctime_nsec(),
            executable: metadata.mode() & 0o100 != 0,
        }
    }

    /// Last modification, seconds since 1970 UTC.
    pub const fn modified(&self) -> i64 {
        self.modified_secs
    }
}
