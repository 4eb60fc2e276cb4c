//! The RS's gate for datagrams: who has shown that it receives where it writes from may ask.
//!
//! Invariant: whoever has not shown the token of its address has nothing done for it, and gets nothing longer
//! than what it sent.

use super::{AddressTokens, refusal};
use crate::id::RequestNumber;
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::time::Instant;
use crate::wire::{
    Challenge, DecodeError, Error, Fault, Message, Refusal, Text, decode_datagram_request, encode_frame,
};
use std::net::SocketAddr;

/// The answer to bytes that are no PDU of ours.
pub fn bad_bytes(error: DecodeError) -> Message {
    let code = if matches!(error.fault, Fault::Version(_)) {
        Refusal::BadVersion
    } else {
        Refusal::BadFrame
    };
    refusal(RequestNumber::default(), code, error.to_string())
}

/// How far a datagram got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateStep {
    /// It is no request of ours.
    Unreadable,
    /// It did not carry the token of its address, and was answered with that at most.
    Challenged,
    /// It may be served.
    Admitted(Message),
}

/// Looks at a datagram that came from `from`. For one that is not admitted it puts a datagram into `out`, or nothing.
pub fn admit_datagram(
    tokens: &AddressTokens,
    now: Instant,
    from: SocketAddr,
    question: &[u8],
    out: &mut Vec<u8>,
) -> GateStep {
    match decode_datagram_request(question) {
        Err(error) => {
            refuse_within(question.len(), error, out);
            GateStep::Unreadable
        }
        Ok(asked) => {
            if !tokens.check(now, from, asked.token) {
                let request = asked.message.request().unwrap_or_default();
                let token = tokens.issue(now, from);
                encode_frame(&Challenge { request, token }.into(), out);
                return GateStep::Challenged;
            }
            GateStep::Admitted(asked.message)
        }
    }
}

/// Puts an answer into an empty datagram, or that it does not fit into one.
pub fn encode_datagram_answer(answer: &Message, out: &mut Vec<u8>) {
    encode_frame(answer, out);
    if out.len() > DATAGRAM_BYTES_MAX {
        out.clear();
        let request = answer.request().unwrap_or_default();
        encode_frame(&refusal(request, Refusal::UseTcp, "ask over TCP"), out);
    }
}

/// A refusal that is no longer than the question: the text is cut, and a tiny question gets silence.
fn refuse_within(question_bytes: usize, error: DecodeError, out: &mut Vec<u8>) {
    let Message::Error(refusal) = bad_bytes(error) else {
        return;
    };
    let text = refusal.text.as_str();
    let cut = |room| Text::cut(&text[..text.floor_char_boundary(room)]);
    encode_frame(
        &Error {
            text: cut(0),
            ..refusal.clone()
        }
        .into(),
        out,
    );
    let room = question_bytes.checked_sub(out.len());
    out.clear();
    if let Some(room) = room {
        encode_frame(
            &Error {
                text: cut(room),
                ..refusal.clone()
            }
            .into(),
            out,
        );
    }
}
