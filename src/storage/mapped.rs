//! A shared file as a memory map, sent straight to a socket.
//!
//! The file may be truncated by others at any moment, and then a load from the map would kill the process
//! (SIGBUS). Invariant: mapped bytes are only ever an argument of `sendmsg(2)`, which reports such a page
//! as an error or a short count; no slice of the map is ever made. This file is the only `unsafe` for maps.
#![allow(
    unsafe_code,
    reason = "sendmsg(2) from a raw pointer; each block gives its reason"
)]

use super::Stamp;
use super::open::open_regular;
use memmap2::{MmapOptions, MmapRaw};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::Path;
use std::sync::OnceLock;

/// A file, open and mapped, as it was when it was hashed.
#[derive(Debug)]
pub struct Mapped {
    file: File,
    /// None for an empty file, which cannot be mapped.
    map: Option<MmapRaw>,
    bytes: u64,
    /// None yet for a file that we are still writing ourselves.
    stamp: OnceLock<Stamp>,
}

fn lost() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the shared file is no longer what was hashed",
    )
}

impl Mapped {
    /// Opens and maps a file that must still be what `stamp` says.
    ///
    /// # Errors
    /// It cannot be opened, or has changed (`InvalidData`).
    pub fn open(path: &Path, stamp: Stamp) -> io::Result<Self> {
        Self::of(open_regular(path)?, stamp.bytes, stamp.into())
    }

    /// Maps a file of our own that is still being written: only its finished pieces may be sent.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub fn of_part(file: File, bytes: u64) -> io::Result<Self> {
        Self::of(file, bytes, OnceLock::new())
    }

    fn of(file: File, bytes: u64, stamp: OnceLock<Stamp>) -> io::Result<Self> {
        let mapped = Self {
            map: None,
            file,
            bytes,
            stamp,
        };
        mapped.check()?;
        let map = if bytes == 0 {
            None
        } else {
            Some(MmapOptions::new().map_raw_read_only(&mapped.file)?)
        };
        Ok(Self { map, ..mapped })
    }

    /// The file's length.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A file of our own is finished, verified, and as the stamp says: from now on it must stay so.
    pub fn seal(&self, stamp: Stamp) {
        let _ = self.stamp.set(stamp);
    }

    /// Compares the open file with what was hashed.
    ///
    /// # Errors
    /// `InvalidData` if it differs.
    pub fn check(&self) -> io::Result<()> {
        let Some(stamp) = self.stamp.get() else {
            return Ok(());
        };
        if Stamp::of(&self.file.metadata()?) == *stamp {
            Ok(())
        } else {
            Err(lost())
        }
    }

    /// Sends `prefix`, then `bytes` of the file from `offset`, without copying them. Before every system call
    /// `allow` may set the socket's time limit.
    ///
    /// # Errors
    /// The network's, `allow`'s, or `InvalidData` if the range is not (or no longer) in the file.
    pub fn send(
        &self,
        socket: BorrowedFd<'_>,
        prefix: &[u8],
        offset: u64,
        bytes: usize,
        mut allow: impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let map_bytes = self.map.as_ref().map_or(0, MmapRaw::len);
        let start = usize::try_from(offset)
            .ok()
            .filter(|start| *start <= map_bytes)
            .ok_or_else(lost)?;
        if bytes > map_bytes - start {
            return Err(lost());
        }
        let base = self.map.as_ref().map_or(core::ptr::null(), MmapRaw::as_ptr);
        let total = prefix.len() + bytes;
        let mut sent = 0;
        while sent < total {
            allow()?;
            let prefix_left = &prefix[sent.min(prefix.len())..];
            let body_sent = sent.saturating_sub(prefix.len());
            let mut parts = [
                libc::iovec {
                    iov_base: prefix_left.as_ptr().cast_mut().cast(),
                    iov_len: prefix_left.len(),
                },
                libc::iovec {
                    // Within the map (or one past its end, with length 0): checked above.
                    iov_base: base.wrapping_add(start + body_sent).cast_mut().cast(),
                    iov_len: bytes - body_sent,
                },
            ];
            // SAFETY: an all-zero msghdr is a valid one without address, control data or flags.
            let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
            message.msg_iov = parts.as_mut_ptr();
            message.msg_iovlen = parts.len();
            // SAFETY: both parts are valid for reads of their lengths as far as the process's own memory goes:
            // the prefix is a live slice, the map lives as long as `self`. A page the file has lost is the
            // kernel's to find: it answers EFAULT or sends less, and raises no signal.
            let result = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
            match usize::try_from(result) {
                Ok(0) => return Err(lost()),
                Ok(count) => sent += count,
                Err(_) => match io::Error::last_os_error() {
                    error if error.kind() == io::ErrorKind::Interrupted => {}
                    error if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => {
                        return Err(lost());
                    }
                    error => return Err(error),
                },
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd as _;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        (near, listener.accept().expect("accepted").0)
    }

    fn mapped(bytes: &[u8]) -> (tempfile::NamedTempFile, Mapped) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        let stamp = Stamp::of(&file.path().metadata().expect("metadata"));
        let mapped = Mapped::open(file.path(), stamp).expect("mapped");
        (file, mapped)
    }

    #[test]
    fn prefix_and_bytes_arrive_in_order() {
        let content: Vec<u8> = (0..3_000_000_u32)
            .map(|i| i.to_le_bytes()[i as usize % 3])
            .collect();
        let (_file, mapped) = mapped(&content);
        let (near, mut far) = pair();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            far.read_to_end(&mut got).map(|_| got)
        });
        mapped
            .send(near.as_fd(), b"label", 5, 2_999_990, || Ok(()))
            .expect("sent");
        drop(near);
        let got = reader.join().expect("joined").expect("read");
        assert!(got.starts_with(b"label"));
        assert!(got[5..] == content[5..2_999_995]);
    }

    #[test]
    fn a_truncated_file_is_lost_and_we_live() {
        let (file, mapped) = mapped(&vec![7; 1 << 20]);
        file.as_file().set_len(4_096).expect("truncated");
        assert_eq!(
            mapped.check().map_err(|error| error.kind()),
            Err(io::ErrorKind::InvalidData)
        );
        let (near, _far) = pair();
        let sent = mapped.send(near.as_fd(), b"", 8_192, 4_096, || Ok(()));
        assert_eq!(
            sent.map_err(|error| error.kind()),
            Err(io::ErrorKind::InvalidData)
        );
    }

    #[test]
    fn ranges_outside_are_refused() {
        let (_file, mapped) = mapped(b"abc");
        let (near, _far) = pair();
        for (offset, bytes) in [(0, 4), (3, 1), (4, 0), (u64::MAX, 1)] {
            let sent = mapped.send(near.as_fd(), b"", offset, bytes, || Ok(()));
            assert_eq!(
                sent.map_err(|error| error.kind()),
                Err(io::ErrorKind::InvalidData),
                "{offset}+{bytes}"
            );
        }
    }

    #[test]
    fn a_part_may_change_until_it_is_sealed() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(9).expect("made");
        let mapped = Mapped::of_part(file.reopen().expect("opened"), 9).expect("mapped");
        std::fs::write(file.path(), b"its bytes").expect("written");
        assert!(mapped.check().is_ok());
        mapped.seal(Stamp::of(&file.path().metadata().expect("metadata")));
        assert!(mapped.check().is_ok());
        file.as_file().set_len(8).expect("truncated");
        assert!(mapped.check().is_err());
    }
}
