//! A peer's side in the world: its membership, its questions, and one exchange at a time.

use super::{Node, Output};
use crate::id::{AddressToken, RequestNumber};
use crate::proto::{Exchange, ExchangeStep, Membership, MembershipEvent};
use crate::time::{Instant, Now};
use crate::wire::{Message, PQuery, PeerAddress, Peers, ReportHolder};
use std::collections::VecDeque;
use std::net::SocketAddr;

/// Questions are numbered apart from state changes, so that an answer to one is never taken for the other's.
const QUESTIONS_FROM: u64 = 1 << 63;

/// A question that a peer asks besides its membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Who is active?
    Peers,
    /// This holder did not answer.
    Report(PeerAddress),
}

/// A peer.
#[derive(Debug)]
pub struct PeerNode {
    rs: SocketAddr,
    /// The machine; the world's driver speaks its wishes to it.
    pub membership: Membership,
    questions: VecDeque<Question>,
    asked: u64,
    /// The exchange under way, and whether it is a question.
    exchange: Option<(Exchange, bool)>,
    token: AddressToken,
    outputs: VecDeque<Output>,
    /// What happened to the membership, for the driver to take.
    pub events: Vec<MembershipEvent>,
    /// The last answer to [`Question::Peers`].
    pub last_peers: Option<Peers>,
}

impl PeerNode {
    /// A peer of the RS at this address.
    pub const fn new(rs: SocketAddr, membership: Membership) -> Self {
        Self {
            rs,
            membership,
            questions: VecDeque::new(),
            asked: 0,
            exchange: None,
            token: AddressToken([0; 8]),
            outputs: VecDeque::new(),
            events: Vec::new(),
            last_peers: None,
        }
    }

    /// Asks something when the line is free.
    pub fn ask(&mut self, now: Now, question: Question) {
        self.questions.push_back(question);
        self.drive(now);
    }

    /// Nothing is open and nothing is left to tell.
    pub fn is_settled(&self) -> bool {
        self.exchange.is_none() && self.questions.is_empty() && self.membership.is_settled()
    }

    fn next_request(&mut self, now: Now) -> Option<(Message, bool)> {
        if let Some(request) = self.membership.poll_request(now.at) {
            return Some((request, false));
        }
        let question = self.questions.pop_front()?;
        self.asked += 1;
        let request = RequestNumber(QUESTIONS_FROM + self.asked);
        let cookie = self.membership.cookie().filter(|_| self.membership.is_in());
        let message = match question {
            Question::Peers => PQuery {
                request,
                cookie,
                after: crate::id::PeerNumber(0),
            }
            .into(),
            Question::Report(holder) => ReportHolder { request, holder }.into(),
        };
        Some((message, true))
    }

    /// Does what is due, until there is nothing but to wait.
    pub fn drive(&mut self, now: Now) {
        loop {
            if self.exchange.is_none() {
                let Some((request, question)) = self.next_request(now) else {
                    break;
                };
                self.exchange = Some((Exchange::new(now.at, request, self.token), question));
            }
            let Some((exchange, question)) = &mut self.exchange else {
                break;
            };
            match exchange.poll(now.at) {
                ExchangeStep::Send(bytes) => {
                    let to = self.rs;
                    self.outputs.push_back(Output::Datagram { to, bytes });
                }
                ExchangeStep::Wait => break,
                ExchangeStep::TooLong | ExchangeStep::Silence => {
                    if !*question {
                        self.membership.handle_failure(now.at);
                    }
                    self.exchange = None;
                }
            }
        }
        while let Some(event) = self.membership.poll_event() {
            self.events.push(event);
        }
    }
}

impl Node for PeerNode {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        if from == self.rs
            && let Some((exchange, question)) = &mut self.exchange
            && let Some(answer) = exchange.handle_datagram(bytes)
        {
            self.token = exchange.token();
            if !*question {
                self.membership.handle_answer(now.at, &answer);
            } else if let Message::Peers(peers) = answer {
                self.last_peers = Some(peers);
            }
            self.exchange = None;
        }
        self.drive(now);
    }

    fn handle_connect(&mut self, _now: Now, _attempt: u64, _alive: bool) {}

    fn handle_timeout(&mut self, now: Now) {
        self.drive(now);
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.exchange {
            Some((exchange, _)) => Some(exchange.deadline()),
            None => self.membership.deadline(),
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
