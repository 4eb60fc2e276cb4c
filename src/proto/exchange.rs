//! One request over datagrams, until it is answered: retransmission and address tokens.
//!
//! Invariant: every try carries the same request number, so the RS does the work once however many copies
//! arrive; and an answer to another request is never taken for this one's.

use crate::id::AddressToken;
use crate::limits::{DATAGRAM_BYTES_MAX, RETRY_FIRST, RETRY_MAX, TRIES_MAX};
use crate::time::{Instant, Span};
use crate::wire::{Message, datagram, decode_datagram_answer};

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeStep {
    /// Send this datagram, then wait for one until the deadline.
    Send(Vec<u8>),
    /// Wait for a datagram until the deadline.
    Wait,
    /// The request is longer than a datagram may be.
    TooLong,
    /// Nobody answered.
    Silence,
}

/// A request under way. The token outlives it: hand [`Exchange::token`] to the next one.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: Message,
    token: AddressToken,
    tries: u32,
    wait: Span,
    deadline: Instant,
    send_now: bool,
    challenged: bool,
}

impl Exchange {
    /// Begins to ask `request`, with the token of an earlier exchange (or none, all zero).
    pub const fn new(now: Instant, request: Message, token: AddressToken) -> Self {
        let challenged = false;
        Self { request, token, tries: 0, wait: RETRY_FIRST, deadline: now, send_now: true, challenged }
    }

    /// The token to use next.
    pub const fn token(&self) -> AddressToken {
        self.token
    }

    /// When [`Exchange::poll`] has to be called again, though nothing came.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to do now.
    pub fn poll(&mut self, now: Instant) -> ExchangeStep {
        if !self.send_now && now < self.deadline {
            return ExchangeStep::Wait;
        }
        if self.tries >= TRIES_MAX {
            return ExchangeStep::Silence;
        }
        let bytes = datagram(&self.request, self.token);
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return ExchangeStep::TooLong;
        }
        self.send_now = false;
        self.tries += 1;
        self.deadline = now.after(self.wait);
        self.wait = Span((self.wait.0 * 2).min(RETRY_MAX.0));
        ExchangeStep::Send(bytes)
    }

    /// A datagram came. Anything that is not an answer to this request is passed over.
    pub fn handle_datagram(&mut self, bytes: &[u8]) -> Option<Message> {
        let answer = decode_datagram_answer(bytes).ok()?;
        if answer.request() != self.request.request() {
            return None;
        }
        if let Message::Challenge(challenge) = answer {
            // A second challenge for the same token is a copy of the first: answering it would multiply.
            let fresh = challenge.token != self.token || !self.challenged;
            self.challenged = true;
            self.send_now |= fresh;
            self.token = challenge.token;
            return None;
        }
        Some(answer)
    }
}
