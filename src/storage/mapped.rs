//! A shared file as a memory map, sent straight to a socket.
//!
//! The file may be truncated by others at any moment, and then a load from the map would kill the process
//! (SIGBUS). Invariant: mapped bytes are only ever an argument of `sendmsg(2)` or `vmsplice(2)`, which report such
//! a page as an error or a short count; no slice of the map is ever made. This file is the only `unsafe` for maps.
#![allow(
    unsafe_code,
    reason = "system calls take raw pointers; each block gives its reason"
)]

use super::Stamp;
use super::open::{lost, open_regular};
use crate::limits::{CONDUIT_BYTES, SPLICE_BYTES_MIN};
use memmap2::{MmapOptions, MmapRaw};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
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

/// The pipe through which a thread hands mapped pages to sockets. It is made when it is first needed, and is empty
/// between two uses: what fails takes it along.
#[derive(Debug, Default)]
pub struct Conduit(Option<Pipe>);

#[derive(Debug)]
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

impl Conduit {
    /// The pipe; none where there are too many: then bytes are copied.
    fn take(&mut self) -> Option<Pipe> {
        self.0.take().or_else(|| {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC).ok()?;
            fcntl_setpipe_size(&into, CONDUIT_BYTES).ok()?;
            Some(Pipe { out, into })
        })
    }
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

    /// Sends `prefix`, then `bytes` of the file from `offset`: as pages where they are many and there is a conduit, which
    /// copies nothing. Before every system call that may wait `allow` may set the socket's time limit.
    ///
    /// # Errors
    /// The network's, `allow`'s, or `InvalidData` if the range is not (or no longer) in the file.
    pub fn send(
        &self,
        socket: BorrowedFd<'_>,
        conduit: Option<&mut Conduit>,
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
        let pipe = conduit
            .filter(|_| bytes >= SPLICE_BYTES_MIN)
            .and_then(|conduit| conduit.take().map(|pipe| (conduit, pipe)));
        let Some((conduit, pipe)) = pipe else {
            return self.send_copied(socket, prefix, start, bytes, libc::MSG_NOSIGNAL, &mut allow);
        };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_MORE;
        self.send_copied(socket, prefix, start, 0, flags, &mut allow)?;
        self.send_pages(socket, &pipe, start, bytes, &mut allow)?;
        conduit.0 = Some(pipe);
        Ok(())
    }

    /// Where a byte of the map is. The caller has checked that it is within, or one past the end for no bytes.
    fn address(&self, at: usize) -> *mut libc::c_void {
        let base = self.map.as_ref().map_or(core::ptr::null(), MmapRaw::as_ptr);
        base.wrapping_add(at).cast_mut().cast()
    }

    fn send_copied(
        &self,
        socket: BorrowedFd<'_>,
        prefix: &[u8],
        start: usize,
        bytes: usize,
        flags: libc::c_int,
        allow: &mut impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
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
                    iov_base: self.address(start + body_sent),
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
            let result = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
            sent += taken(result)?;
        }
        Ok(())
    }

    /// Sends pages of the map by reference, through an empty pipe.
    fn send_pages(
        &self,
        socket: BorrowedFd<'_>,
        pipe: &Pipe,
        start: usize,
        bytes: usize,
        allow: &mut impl FnMut() -> io::Result<()>,
    ) -> io::Result<()> {
        let (mut piped, mut sent) = (0, 0);
        while sent < bytes {
            if piped == sent {
                let part = libc::iovec {
                    iov_base: self.address(start + piped),
                    iov_len: bytes - piped,
                };
                // SAFETY: the part is within the map, which lives as long as `self`; the pages that the pipe takes
                // are the file's own and outlive the map. One that the file has lost is answered with EFAULT.
                let result = unsafe { libc::vmsplice(pipe.into.as_raw_fd(), &raw const part, 1, 0) };
                piped += taken(result)?;
                continue;
            }
            allow()?;
            let flags = if piped < bytes {
                SpliceFlags::MORE
            } else {
                SpliceFlags::empty()
            };
            match splice(&pipe.out, None, socket, None, piped - sent, flags) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => sent += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

/// What a system call says that it took of the map; nothing if it was interrupted.
fn taken(result: isize) -> io::Result<usize> {
    match usize::try_from(result) {
        Ok(0) => Err(lost()),
        Ok(count) => Ok(count),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error if matches!(error.raw_os_error(), Some(libc::EFAULT | libc::EIO)) => Err(lost()),
            error => Err(error),
        },
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
        let mut conduit = Conduit::default();
        let reader = std::thread::spawn(move || {
            let mut got = Vec::new();
            far.read_to_end(&mut got).map(|_| got)
        });
        mapped
            .send(
                near.as_fd(),
                Some(&mut conduit),
                b"label",
                5,
                2_999_990,
                || Ok(()),
            )
            .expect("sent");
        assert!(conduit.0.is_some(), "to be used again");
        for (offset, bytes) in [(7, SPLICE_BYTES_MIN - 1), (1 << 20, SPLICE_BYTES_MIN)] {
            let sent = mapped.send(
                near.as_fd(),
                Some(&mut conduit),
                b"more",
                offset,
                bytes,
                || Ok(()),
            );
            sent.expect("sent");
        }
        drop(near);
        let got = reader.join().expect("joined").expect("read");
        let expected = [
            &b"label"[..],
            &content[5..2_999_995],
            b"more",
            &content[7..SPLICE_BYTES_MIN + 6],
            b"more",
            &content[1 << 20..(1 << 20) + SPLICE_BYTES_MIN],
        ];
        assert!(got == expected.concat());
    }

    #[test]
    fn who_reads_nothing_costs_the_limit_and_the_pipe() {
        let (_file, mapped) = mapped(&vec![7; 64 << 20]);
        let (near, _far) = pair();
        let limit = std::time::Duration::from_millis(50);
        near.set_write_timeout(Some(limit)).expect("a limit");
        let mut conduit = Conduit::default();
        let sent = mapped.send(near.as_fd(), Some(&mut conduit), b"", 0, 64 << 20, || Ok(()));
        assert_eq!(sent.map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
        assert!(conduit.0.is_none(), "there are pages left in it");
    }

    #[test]
    fn a_truncated_file_is_lost_and_we_live() {
        let (file, mapped) = mapped(&vec![7; 4 << 20]);
        file.as_file().set_len(4_096).expect("truncated");
        assert_eq!(
            mapped.check().map_err(|error| error.kind()),
            Err(io::ErrorKind::InvalidData)
        );
        let (near, _far) = pair();
        for bytes in [4_096, SPLICE_BYTES_MIN] {
            let mut conduit = Conduit::default();
            let sent = mapped.send(near.as_fd(), Some(&mut conduit), b"", 8_192, bytes, || Ok(()));
            assert_eq!(
                sent.map_err(|error| error.kind()),
                Err(io::ErrorKind::InvalidData),
                "{bytes}"
            );
        }
    }

    #[test]
    fn ranges_outside_are_refused() {
        let (_file, mapped) = mapped(b"abc");
        let (near, _far) = pair();
        for (offset, bytes) in [(0, 4), (3, 1), (4, 0), (u64::MAX, 1)] {
            let sent = mapped.send(
                near.as_fd(),
                Some(&mut Conduit::default()),
                b"",
                offset,
                bytes,
                || Ok(()),
            );
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
