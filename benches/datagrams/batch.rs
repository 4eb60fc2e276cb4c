//! Many datagrams with one system call.

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;

/// Datagrams in one system call, and of a client under way.
pub(crate) const WINDOW: usize = 64;

/// Room for a window of datagrams.
pub(crate) struct Batch {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<[u8; 1_201]>,
    come: Vec<(usize, Option<SockaddrStorage>)>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(WINDOW, None),
            buffers: vec![[0; 1_201]; WINDOW],
            come: Vec::new(),
        }
    }

    /// Waits for a datagram and takes all that are there; none if the socket's patience is over.
    pub(crate) fn receive(&mut self, socket: &UdpSocket) {
        self.come.clear();
        let buffers = self.buffers.iter_mut();
        let mut slices: Vec<_> = buffers.map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        let fd = socket.as_raw_fd();
        if let Ok(come) = recvmmsg(fd, &mut self.headers, slices.iter_mut(), flags, None) {
            self.come.extend(come.map(|one| (one.bytes, one.address)));
        }
    }

    /// What came.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let come = self.buffers.iter().zip(&self.come);
        come.map(|(buffer, (bytes, _))| &buffer[..*bytes])
    }

    /// Where it came from.
    pub(crate) fn from(&self) -> Vec<Option<SockaddrStorage>> {
        self.come.iter().map(|(_, from)| *from).collect()
    }
}

/// Sends datagrams, each to its address or to where the socket is connected.
pub(crate) fn send(
    socket: &UdpSocket,
    headers: &mut MultiHeaders<SockaddrStorage>,
    datagrams: &[&[u8]],
    to: &[Option<SockaddrStorage>],
) {
    let slices: Vec<_> = datagrams.iter().map(|bytes| [IoSlice::new(bytes)]).collect();
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::empty());
    sendmmsg(fd, headers, slices.iter(), to, [], flags).expect("sent");
}
