//! A peer that is nothing but its requests: it knows exactly what was acknowledged.

use super::process::run;
use super::raw::{Raw, frame};
use p2pdi::id::{Cookie, RequestNumber};
use p2pdi::name::PeerName;
pub(crate) use p2pdi::wire::samples::sample_file as content;
use p2pdi::wire::{Ack, Deregister, Join, Leave, Message, Register, Text};
use serde_json::Value;

pub(crate) struct Member {
    connection: Raw,
    name: String,
    cookie: Cookie,
    number: u64,
    nonce: u64,
    last: Option<(Message, Message)>,
    open: Option<Message>,
}

impl Member {
    /// A new peer, registered.
    pub(crate) fn join(address: &str, name: &str, nonce: u64) -> Self {
        let mut member = Self {
            connection: Raw::greeted(address),
            name: name.to_owned(),
            cookie: Cookie([0; 16]),
            number: 0,
            nonce,
            last: None,
            open: None,
        };
        let join = member.join_message(None);
        member.cookie = member.told(join).cookie.expect("a cookie");
        member
    }

    pub(crate) fn reconnect(&mut self, address: &str) {
        self.connection = Raw::greeted(address);
    }

    fn next(&mut self) -> RequestNumber {
        self.number += 1;
        RequestNumber(self.number)
    }

    fn join_message(&mut self, cookie: Option<Cookie>) -> Message {
        self.nonce += 1_000;
        Join {
            request: self.next(),
            nonce: self.nonce,
            cookie,
            name: PeerName::new(self.name.clone()).expect("a name"),
            host: None,
            port: 6_000,
            os: Text::cut("Linux"),
        }
        .into()
    }

    /// Asks, and gives the answer; none if the RS has gone.
    pub(crate) fn ask(&mut self, request: Message) -> Option<Message> {
        self.open = Some(request.clone());
        self.connection.send(&frame(&request)).ok()?;
        let answer = self.connection.receive()?;
        self.open = None;
        self.last = Some((request, answer.clone()));
        Some(answer)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Sends the request that nobody answered again; this time it is.
    pub(crate) fn ask_the_open_again(&mut self) {
        let open = self.open.clone().expect("an open request");
        self.told(open);
    }

    fn told(&mut self, request: Message) -> Ack {
        match self.ask(request) {
            Some(Message::Ack(ack)) => ack,
            other => panic!("not acknowledged: {other:?}"),
        }
    }

    pub(crate) fn join_again(&mut self) {
        let join = self.join_message(Some(self.cookie));
        self.told(join);
    }

    pub(crate) fn register_message(&mut self, name: &str) -> Message {
        Register {
            request: self.next(),
            cookie: self.cookie,
            content: content(name),
            complete: true,
        }
        .into()
    }

    pub(crate) fn register(&mut self, name: &str) {
        let register = self.register_message(name);
        self.told(register);
    }

    pub(crate) fn deregister_message(&mut self, name: &str) -> Message {
        Deregister {
            request: self.next(),
            cookie: self.cookie,
            key: content(name).key(),
        }
        .into()
    }

    pub(crate) fn deregister(&mut self, name: &str) {
        let gone = self.deregister_message(name);
        self.told(gone);
    }

    pub(crate) fn leave(&mut self) {
        let leave = Leave {
            request: self.next(),
            cookie: self.cookie,
        };
        self.told(leave.into());
    }

    /// Sends the last request again: the answer must be the same.
    pub(crate) fn repeat_the_last(&mut self) {
        let (request, answer) = self.last.clone().expect("a request");
        assert_eq!(self.ask(request), Some(answer));
    }
}

/// The names of all contents at an RS.
pub(crate) fn listed(address: &str) -> Vec<String> {
    let listed = run(&["list", "--rs", address, "--json"]).json();
    let names = listed.iter().filter_map(|content| content["name"].as_str());
    names.map(str::to_owned).collect()
}

/// The peers an RS hands out.
pub(crate) fn peers(address: &str) -> Vec<Value> {
    let asked = run(&["peers", "--rs", address, "--json"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    asked.json()
}
