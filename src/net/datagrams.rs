//! The RS's side of requests over UDP.
//!
//! Invariant: whoever has not shown the token of its address gets nothing longer than what it sent.

use super::conn::bad_bytes;
use super::{Clock, Service, Stop};
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::proto::{AddressTokens, Asker, refusal};
use crate::wire::{
    Challenge, DecodeError, Error, Message, Refusal, Text, decode_datagram_request, encode_frame,
};
use std::net::{SocketAddr, UdpSocket};

/// Answers requests on `socket` until the stop.
pub fn serve_datagrams(socket: &UdpSocket, service: &dyn Service, tokens: &AddressTokens, clock: Clock, stop: &Stop) {
    let mut buffer = [0; DATAGRAM_BYTES_MAX + 1];
    let mut out = Vec::new();
    while !stop.is_set() {
        // An error here is the echo of an answer to a port that is gone; it says nothing about the next datagram.
        let Ok((bytes, from)) = socket.recv_from(&mut buffer) else { continue };
        if bytes == 0 {
            continue;
        }
        out.clear();
        answer(&buffer[..bytes], from, service, tokens, clock, &mut out);
        if !out.is_empty() {
            let _ = socket.send_to(&out, from);
        }
    }
}

fn answer(
    question: &[u8],
    from: SocketAddr,
    service: &dyn Service,
    tokens: &AddressTokens,
    clock: Clock,
    out: &mut Vec<u8>,
) {
    match decode_datagram_request(question) {
        Err(error) => refuse_within(question.len(), error, out),
        Ok(asked) => {
            let request = asked.message.request().unwrap_or_default();
            if !tokens.check(clock.at(), from, asked.token) {
                let token = tokens.issue(clock.at(), from);
                encode_frame(&Challenge { request, token }.into(), out);
                return;
            }
            encode_frame(&service.answer(&Asker::over_udp(from.ip()), &asked.message), out);
            if out.len() > DATAGRAM_BYTES_MAX {
                out.clear();
                encode_frame(&refusal(request, Refusal::UseTcp, "ask over TCP"), out);
            }
        }
    }
}

/// A refusal that is no longer than the question: the text is cut, and a tiny question gets silence.
fn refuse_within(question_bytes: usize, error: DecodeError, out: &mut Vec<u8>) {
    let Message::Error(refusal) = bad_bytes(error) else { return };
    let text = refusal.text.as_str();
    let cut = |room| Text::cut(&text[..text.floor_char_boundary(room)]);
    encode_frame(&Error { text: cut(0), ..refusal.clone() }.into(), out);
    let room = question_bytes.checked_sub(out.len());
    out.clear();
    if let Some(room) = room {
        encode_frame(&Error { text: cut(room), ..refusal.clone() }.into(), out);
    }
}
