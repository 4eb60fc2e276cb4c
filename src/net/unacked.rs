//! What a TCP socket has sent that the other side has not acknowledged, and how long that takes at least, for which no
//! library asks the kernel.
//!
//! This file is the only `unsafe` of sockets.
#![allow(unsafe_code, reason = "the kernel is asked what no library asks it")]

use crate::time::Span;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes in a socket that are not acknowledged, sent or not (`SIOCOUTQ`, `man 7 tcp`).
///
/// # Errors
/// It is no socket.
pub(super) fn unacked_bytes(socket: BorrowedFd<'_>) -> io::Result<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes one `int`, which is ours.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 {
        Ok(u64::try_from(bytes).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `struct tcp_info` up to where the kernel has `tcpi_min_rtt` (Linux 4.6 on), which is more than libc knows of.
#[repr(C)]
struct TcpInfo {
    before: [u32; 37],
    min_rtt_micros: u32,
}

/// The least time that an acknowledgement took; nothing as long as that is not known.
pub(super) fn round_trip(socket: BorrowedFd<'_>) -> Span {
    let mut info = TcpInfo {
        before: [0; 37],
        min_rtt_micros: u32::MAX,
    };
    let mut length = libc::socklen_t::try_from(size_of::<TcpInfo>()).unwrap_or(0);
    // SAFETY: the descriptor is open as long as it is borrowed; the kernel writes no more than `length` bytes, which are
    // ours, and any bytes are a valid value of them.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    match info.min_rtt_micros {
        micros if result == 0 && micros != u32::MAX => Span(u64::from(micros)),
        _ => Span::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    #[test]
    fn what_nobody_reads_is_not_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut sender = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let (_receiver, _) = listener.accept().expect("accepted");
        assert_eq!(unacked_bytes(sender.as_fd()).expect("a socket"), 0);
        sender.set_nonblocking(true).expect("not blocking");
        while sender.write(&[0; 65_536]).is_ok() {}
        assert!(unacked_bytes(sender.as_fd()).expect("a socket") > 0);
        let file = tempfile::tempfile().expect("a file");
        assert!(unacked_bytes(file.as_fd()).is_err(), "not a socket");
    }

    #[test]
    fn the_way_there_and_back_is_known_once_something_was_acknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut sender = TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
        let (_receiver, _) = listener.accept().expect("accepted");
        sender.write_all(b"bytes").expect("sent");
        while unacked_bytes(sender.as_fd()).expect("a socket") > 0 {
            std::thread::yield_now();
        }
        let way = round_trip(sender.as_fd());
        assert!(way > Span::ZERO && way < Span::from_secs(5), "{way:?}");
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(round_trip(file.as_fd()), Span::ZERO, "not a socket");
    }
}
