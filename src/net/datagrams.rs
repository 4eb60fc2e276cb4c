//! The RS's side of requests over UDP: in batches, one system call for many datagrams each way.
//!
//! Belongs here: the socket. Does not: who may ask (`proto/gate.rs`).

use super::{Clock, Dropped, Service, Stop};
use crate::limits::{DATAGRAM_BYTES_MAX, RS_UDP_BATCH_MAX};
use crate::proto::{AddressTokens, Asker, GateStep, admit_datagram, encode_datagram_answer};
use crate::storage::ChangeCount;
use crate::time::{Instant, Span};
use crossbeam_channel::{Receiver, Sender, bounded};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

/// An answer that waits for the store.
#[derive(Debug)]
pub struct HeldAnswer {
    after: ChangeCount,
    /// When the request came.
    came: Instant,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// One byte more than a datagram of ours has: a longer one is noticed.
type Buffer = [u8; DATAGRAM_BYTES_MAX + 1];

/// Datagrams as they come.
struct Inbox {
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Vec<Buffer>,
    come: Vec<(usize, Option<SocketAddr>)>,
}

impl Inbox {
    fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(RS_UDP_BATCH_MAX, None),
            buffers: vec![[0; DATAGRAM_BYTES_MAX + 1]; RS_UDP_BATCH_MAX],
            come: Vec::new(),
        }
    }

    /// Waits for a datagram, and takes all that are there.
    fn receive(&mut self, socket: &UdpSocket) {
        self.come.clear();
        let slices = self.buffers.iter_mut();
        let mut slices: Vec<_> = slices.map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let flags = MsgFlags::MSG_WAITFORONE;
        // An error here is the echo of an answer to a port that is gone; it says nothing about the next datagram.
        if let Ok(come) = recvmmsg(
            socket.as_raw_fd(),
            &mut self.headers,
            slices.iter_mut(),
            flags,
            None,
        ) {
            self.come
                .extend(come.map(|one| (one.bytes, one.address.and_then(|address| of_storage(&address)))));
        }
    }
}

fn of_storage(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address
        .as_sockaddr_in()
        .map(|address| SocketAddr::V4((*address).into()));
    four.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| SocketAddr::V6((*address).into()))
    })
}

/// Answers on their way; their memory is used again.
struct Outbox {
    headers: MultiHeaders<SockaddrStorage>,
    to: Vec<Option<SockaddrStorage>>,
    answers: Vec<Vec<u8>>,
}

impl Outbox {
    fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(RS_UDP_BATCH_MAX, None),
            to: Vec::new(),
            answers: vec![Vec::new(); RS_UDP_BATCH_MAX],
        }
    }

    /// Where the next answer is put.
    fn next(&mut self) -> &mut Vec<u8> {
        let next = &mut self.answers[self.to.len()];
        next.clear();
        next
    }

    /// The next answer goes to this address.
    fn address(&mut self, to: SocketAddr) {
        self.to.push(Some(to.into()));
    }

    fn is_full(&self) -> bool {
        self.to.len() >= self.answers.len()
    }

    fn send(&mut self, socket: &UdpSocket) {
        let mut sent = 0;
        while sent < self.to.len() {
            let slices: Vec<_> = self.answers[sent..self.to.len()]
                .iter()
                .map(|answer| [IoSlice::new(answer)])
                .collect();
            let done = sendmmsg(
                socket.as_raw_fd(),
                &mut self.headers,
                slices.iter(),
                &self.to[sent..],
                [],
                // A forged neighbour that is looked for in vain would make a blocking thread wait for seconds.
                MsgFlags::MSG_DONTWAIT,
            );
            sent += match done {
                Ok(done) => done.count(),
                Err(Errno::EINTR) => 0,
                // This one cannot be sent; the others can.
                Err(_) => 1,
            };
        }
        self.to.clear();
    }
}

/// Answers requests on `socket` until the stop; answers that have to wait go to `held`. Several threads may do so.
pub fn serve_datagrams(
    socket: &UdpSocket,
    service: &dyn Service,
    tokens: &AddressTokens,
    clock: Clock,
    held: &Sender<HeldAnswer>,
    stop: &Stop,
) {
    let (mut inbox, mut outbox) = (Inbox::new(), Outbox::new());
    while !stop.is_set() {
        inbox.receive(socket);
        let now = clock.now();
        let mut turn = service.turn(now);
        for (buffer, (bytes, from)) in inbox.buffers.iter().zip(&inbox.come) {
            let (Some(from), 1..) = (*from, *bytes) else {
                continue;
            };
            let mut after = ChangeCount::default();
            let out = outbox.next();
            match admit_datagram(tokens, now.at, from, &buffer[..*bytes], out) {
                GateStep::Unreadable => service.account().note_dropped(Dropped::UnreadableDatagram),
                GateStep::Challenged => service.account().note_dropped(Dropped::NoToken),
                GateStep::Admitted(request) => {
                    let (answer, wait) = turn.answer(&Asker::over_udp(from.ip()), &request);
                    encode_datagram_answer(&answer, out);
                    after = wait;
                }
            }
            if out.is_empty() {
                continue;
            }
            if after > service.settled() {
                let held_answer = HeldAnswer {
                    after,
                    came: now.at,
                    to: from,
                    bytes: out.clone(),
                };
                // With the queue full the client asks again: its answer is kept.
                let _ = held.try_send(held_answer);
            } else {
                outbox.address(from);
            }
        }
        drop(turn);
        outbox.send(socket);
        service.account().note_wait(clock.at().since(now.at));
    }
}

/// Sends answers that have waited, until the stop.
pub fn send_held(
    socket: &UdpSocket,
    service: &dyn Service,
    clock: Clock,
    held: &Receiver<HeldAnswer>,
    stop: &Stop,
) {
    let (told, more_settled) = bounded(1);
    service.tell_settled(Box::new(move || {
        let _ = told.try_send(());
    }));
    let mut outbox = Outbox::new();
    while !stop.is_set() {
        let Ok(first) = held.recv_timeout(LOOK.to_std()) else {
            continue;
        };
        let mut next = Some(first);
        while let Some(answer) = next {
            while answer.after > service.settled() {
                outbox.send(socket);
                if stop.is_set() {
                    return;
                }
                let _ = more_settled.recv_timeout(LOOK.to_std());
            }
            service.account().note_wait(clock.at().since(answer.came));
            outbox.next().extend_from_slice(&answer.bytes);
            outbox.address(answer.to);
            if outbox.is_full() {
                outbox.send(socket);
            }
            next = held.try_recv().ok();
        }
        outbox.send(socket);
    }
}

/// Between two looks at the stop.
const LOOK: Span = Span::from_millis(200);
