//! The RS's side of requests over UDP.
//!
//! Belongs here: the socket. Does not: who may ask (`proto/gate.rs`).

use super::{Clock, Service, Stop};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::proto::{AddressTokens, Asker, answer_datagram};
use crate::wire::Message;
use std::net::UdpSocket;

/// Answers requests on `socket` until the stop.
pub fn serve_datagrams(
    socket: &UdpSocket,
    service: &dyn Service,
    tokens: &AddressTokens,
    clock: Clock,
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
        let serve = |asker: &Asker, request: &Message| service.answer(asker, request);
        answer_datagram(tokens, clock.at(), from, &buffer[..bytes], serve, &mut out);
        if !out.is_empty() {
            let _ = socket.send_to(&out, from);
        }
    }
}
