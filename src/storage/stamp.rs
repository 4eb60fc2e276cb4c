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

    /// A file that was changed at a time, in seconds since 1970.
    #[cfg(test)]
    pub(super) const fn changed_at(inode: u64, bytes: u64, secs: i64) -> Self {
        Self {
            device: 1,
            inode,
            bytes,
            modified_secs: secs,
            modified_nanos: 0,
            changed_secs: secs,
            changed_nanos: 0,
            executable: false,
        }
    }

    /// Last modification, seconds since 1970 UTC.
    pub const fn modified(&self) -> i64 {
        self.modified_secs
    }
}

/// What a stamp is to a file that remembers it: everything but the executable bit, a change of which shows in the
/// time of change.
pub(super) const STAMP_BYTES: usize = 7 * 8;

impl Stamp {
    /// Its bytes, the device and the inode first.
    pub(super) fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let fields = [
            self.device.to_be_bytes(),
            self.inode.to_be_bytes(),
            self.bytes.to_be_bytes(),
            self.modified_secs.to_be_bytes(),
            self.modified_nanos.to_be_bytes(),
            self.changed_secs.to_be_bytes(),
            self.changed_nanos.to_be_bytes(),
        ];
        let mut bytes = [0; STAMP_BYTES];
        bytes.copy_from_slice(fields.as_flattened());
        bytes
    }

    /// True if the file has been left alone for so long that what was written is on the disk as well, and not
    /// only in memory.
    pub fn is_written_out(&self) -> bool {
        self.has_rested(WRITTEN_OUT)
    }
}

/// Linux writes out what has been dirty for 30 s, and looks every 5 s.
const WRITTEN_OUT: std::time::Duration = std::time::Duration::from_secs(120);

/// A file untouched for this long is taken as written to its end.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(1);

impl Stamp {
    /// True if the file has been left alone for a while. One from the future tells nothing.
    pub fn is_old(&self) -> bool {
        self.has_rested(SETTLED)
    }

    fn has_rested(&self, span: std::time::Duration) -> bool {
        let secs = u64::try_from(self.changed_secs).unwrap_or(0);
        let nanos = u32::try_from(self.changed_nanos).unwrap_or(0);
        let changed = std::time::UNIX_EPOCH + std::time::Duration::new(secs, nanos);
        std::time::SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age >= span)
    }
}
