//! The RS's side of requests over UDP.
//!
//! Belongs here: the socket. Does not: who may ask (`proto/gate.rs`).

use super::{Clock, Dropped, Service, Stop};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::proto::{AddressTokens, Asker, GateStep, answer_datagram};
use crate::storage::ChangeCount;
use crate::time::Span;
use crate::wire::Message;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::net::{SocketAddr, UdpSocket};

/// An answer that waits for the store.
#[derive(Debug)]
pub struct HeldAnswer {
    after: ChangeCount,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// Answers requests on `socket` until the stop; answers that have to wait go to `held`.
pub fn serve_datagrams(
    socket: &UdpSocket,
    service: &dyn Service,
    tokens: &AddressTokens,
    clock: Clock,
    held: &Sender<HeldAnswer>,
    stop: &Stop,
) {
    let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
    let mut out = Vec::new();
    while !stop.is_set() {
        // An error here is the echo of an answer to a port that is gone; it says nothing about the next datagram.
        let Ok((bytes, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if bytes == 0 {
            continue;
        }
        out.clear();
        let mut after = ChangeCount::default();
        let serve = |asker: &Asker, request: &Message| {
            let (answer, wait) = service.answer(asker, request);
            after = wait;
            answer
        };
        match answer_datagram(tokens, clock.at(), from, &buffer[..bytes], serve, &mut out) {
            GateStep::Unreadable => service.account().note_dropped(Dropped::UnreadableDatagram),
            GateStep::Challenged => service.account().note_dropped(Dropped::NoToken),
            GateStep::Served => {}
        }
        if out.is_empty() {
            continue;
        }
        if after > service.settled() {
            // With the queue full the client asks again: its answer is kept.
            let _ = held.try_send(HeldAnswer {
                after,
                to: from,
                bytes: out.clone(),
            });
        } else {
            let _ = socket.send_to(&out, from);
        }
    }
}

/// Sends answers that have waited, until the stop.
pub fn send_held(socket: &UdpSocket, service: &dyn Service, held: &Receiver<HeldAnswer>, stop: &Stop) {
    let (told, more_settled) = bounded(1);
    service.tell_settled(Box::new(move || {
        let _ = told.try_send(());
    }));
    while !stop.is_set() {
        let Ok(answer) = held.recv_timeout(LOOK.to_std()) else {
            continue;
        };
        while answer.after > service.settled() {
            if stop.is_set() {
                return;
            }
            let _ = more_settled.recv_timeout(LOOK.to_std());
        }
        let _ = socket.send_to(&answer.bytes, answer.to);
    }
}

/// Between two looks at the stop.
const LOOK: Span = Span::from_millis(200);
