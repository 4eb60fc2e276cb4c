//! What a TCP socket has sent that the other side has not acknowledged, for which no library asks the kernel.
//!
//! This file is the only `unsafe` of sockets.
#![allow(unsafe_code, reason = "an ioctl is called that no library wraps")]

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
}
