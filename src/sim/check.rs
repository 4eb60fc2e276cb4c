//! What must hold in a world with an RS, after every step and when the world has healed.
//!
//! The checks know the world from outside only: what was sent, what was wished, and what the RS would
//! answer now. They keep their own, naive account of it.

use super::{Actor, Datagram, Event, Step, World};
use crate::id::{AddressToken, RequestNumber};
use crate::limits::TOKEN_PERIOD;
use crate::proto::{Asker, changes_state};
use crate::time::{Instant, Span};
use crate::wire::{
    ContentKey, ContentKind, ListContents, Message, PQuery, PeerInfo, decode_datagram_answer,
    decode_datagram_request,
};
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A property that did not hold, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hold(holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(what())) }
}

/// What the RS would tell somebody who asks now.
struct View {
    peers: Vec<(SocketAddr, PeerInfo)>,
    held: BTreeMap<SocketAddr, BTreeMap<ContentKey, bool>>,
}

/// What one peer did, as seen from outside.
#[derive(Debug, Default)]
struct Account {
    /// The nonces of the Joins it sent: each stands for one Join that it meant.
    nonces: BTreeSet<u64>,
    /// Joins that it knows to be done.
    joined: u32,
    shared_ever: BTreeSet<ContentKey>,
    /// When a request that renews leases came through the gate under its address.
    renewed: Option<Instant>,
    /// The last state change that passed the gate, and whether it was acknowledged.
    last: Option<(Message, bool)>,
}

/// The account of a world.
#[derive(Debug)]
pub struct Check {
    rs: SocketAddr,
    lease: Span,
    served: u64,
    restarted: bool,
    challenges: BTreeMap<SocketAddr, Vec<(AddressToken, Instant)>>,
    accounts: BTreeMap<SocketAddr, Account>,
}

impl Check {
    /// The account of a world that begins, with an RS at this address.
    pub const fn new(rs: SocketAddr, lease: Span) -> Self {
        Self {
            rs,
            lease,
            served: 0,
            restarted: false,
            challenges: BTreeMap::new(),
            accounts: BTreeMap::new(),
        }
    }

    /// A peer was told to share something.
    pub fn note_shared(&mut self, peer: SocketAddr, key: ContentKey) {
        self.accounts.entry(peer).or_default().shared_ever.insert(key);
    }

    /// A peer learned that a Join of its own was done.
    pub fn note_joined(&mut self, peer: SocketAddr) {
        self.accounts.entry(peer).or_default().joined += 1;
    }

    /// The RS was started again: what it acknowledged before, it still knows.
    pub const fn note_restarted(&mut self) {
        self.restarted = true;
        // A new process counts from nothing.
        self.served = 0;
    }

    fn has_token(&self, now: Instant, from: SocketAddr, token: AddressToken) -> bool {
        let given = self.challenges.get(&from).into_iter().flatten();
        let mut valid = given.filter(|(_, at)| now.since(*at) < Span(2 * TOKEN_PERIOD.0));
        valid.any(|(given, _)| *given == token)
    }

    /// What must hold after every step.
    ///
    /// # Errors
    /// It does not.
    pub fn after(&mut self, world: &World<Actor>, step: &Step) -> Result<(), Broken> {
        let now = world.now().at;
        let rs = self.rs;
        for datagram in step.sent_before.iter().chain(&step.sent) {
            if datagram.to == rs {
                self.note_question(datagram)?;
            }
        }
        if let Event::Datagram(question) = &step.event
            && question.to == self.rs
            && step.heard
        {
            self.gate(world, now, question, step)?;
        }
        let from_rs = step.sent_before.iter().chain(&step.sent);
        for answer in from_rs.filter(|sent| sent.from == rs) {
            self.note_answer(answer);
        }
        if world.node(rs).is_none() {
            return Ok(());
        }
        let view = self.view(world)?;
        if core::mem::take(&mut self.restarted) {
            self.nothing_acknowledged_is_lost(&view)?;
        }
        self.leases(now, &view)?;
        self.counts(&view)?;
        self.nothing_never_shared(&view)
    }

    fn note_question(&mut self, datagram: &Datagram) -> Result<(), Broken> {
        let asked = decode_datagram_request(&datagram.bytes)
            .map_err(|error| Broken(format!("{} sent what cannot be read: {error}", datagram.from)))?;
        if let Message::Join(join) = asked.message {
            let account = self.accounts.entry(datagram.from).or_default();
            account.nonces.insert(join.nonce);
        }
        Ok(())
    }

    /// Nothing is done without a token that the very address was given, and nothing longer comes back.
    fn gate(
        &mut self,
        world: &World<Actor>,
        now: Instant,
        question: &Datagram,
        step: &Step,
    ) -> Result<(), Broken> {
        let served = self.rs_served(world);
        let passed = served != core::mem::replace(&mut self.served, served);
        let asked = decode_datagram_request(&question.bytes).ok();
        let changed = asked
            .as_ref()
            .map(|asked| asked.message.clone())
            .filter(changes_state);
        let token = asked.as_ref().map(|asked| asked.token);
        let may = token.is_some_and(|token| self.has_token(now, question.from, token));
        hold(may || !passed, || {
            format!(
                "a request from {} passed without a token of its own",
                question.from
            )
        })?;
        for answer in &step.sent {
            hold(answer.to == question.from, || {
                format!("{} asked and {} was answered", question.from, answer.to)
            })?;
            hold(passed || answer.bytes.len() <= question.bytes.len(), || {
                format!(
                    "{} bytes without a token were answered by {}",
                    question.bytes.len(),
                    answer.bytes.len()
                )
            })?;
            if let Ok(Message::Challenge(challenge)) = decode_datagram_answer(&answer.bytes) {
                let given = self.challenges.entry(answer.to).or_default();
                given.retain(|(_, at)| now.since(*at) < Span(2 * TOKEN_PERIOD.0));
                given.push((challenge.token, now));
            }
        }
        let renews = matches!(
            asked.map(|asked| asked.message),
            Some(Message::Join(_) | Message::KeepAlive(_) | Message::PQuery(_))
        );
        if passed && renews {
            self.accounts.entry(question.from).or_default().renewed = Some(now);
        }
        if let Some(message) = changed.filter(|_| passed) {
            let last = &mut self.accounts.entry(question.from).or_default().last;
            // A copy of one that was acknowledged changes nothing.
            if last.as_ref().is_none_or(|(known, _)| *known != message) {
                *last = Some((message, false));
            }
        }
        Ok(())
    }

    fn note_answer(&mut self, answer: &Datagram) {
        if let Ok(Message::Ack(ack)) = decode_datagram_answer(&answer.bytes)
            && let Some(account) = self.accounts.get_mut(&answer.to)
            && let Some((last, acknowledged)) = &mut account.last
            && last.request() == Some(ack.request)
        {
            *acknowledged = true;
        }
    }

    /// The last thing that each peer was told to be done is done. A peer that is not handed out is hidden, or its
    /// lease was over; then nothing of it is shown.
    fn nothing_acknowledged_is_lost(&self, view: &View) -> Result<(), Broken> {
        let none = BTreeMap::new();
        for (address, account) in &self.accounts {
            let Some((last, true)) = &account.last else {
                continue;
            };
            let listed = view.peers.iter().any(|(at, _)| at == address);
            let held = view.held.get(address).unwrap_or(&none);
            let is_so = match last {
                Message::Register(register) => {
                    !listed || held.get(&register.content.key()) == Some(&register.complete)
                }
                Message::Deregister(gone) => !held.contains_key(&gone.key),
                Message::Leave(_) => !listed,
                _ => true,
            };
            hold(is_so, || {
                format!("{address} was told that this is done, and after a restart it is not: {last:?}")
            })?;
        }
        Ok(())
    }

    fn rs_served(&self, world: &World<Actor>) -> u64 {
        match world.node(self.rs) {
            Some(Actor::Rs(rs)) => rs.served(),
            _ => 0,
        }
    }

    /// Asks a copy of the RS, so that looking changes nothing.
    fn view(&self, world: &World<Actor>) -> Result<View, Broken> {
        let Some(Actor::Rs(rs)) = world.node(self.rs) else {
            return Err(Broken("there is no RS".to_owned()));
        };
        let mut machine = rs.machine().clone();
        let now = rs.time(world.now());
        let asker = Asker::over_tcp(IpAddr::V4(Ipv4Addr::new(10, 255, 0, 1)), self.rs.ip());
        let request = RequestNumber(0);
        let query = PQuery {
            request,
            cookie: None,
            after: crate::id::PeerNumber(0),
        };
        let list = ListContents {
            request,
            kind: ContentKind::File,
            after: None,
        };
        let peers = machine.handle_request(now, &asker, &query.into());
        let contents = machine.handle_request(now, &asker, &list.into());
        let (Message::Peers(peers), Message::Contents(contents)) = (peers, contents) else {
            return Err(Broken("the RS does not say what it knows".to_owned()));
        };
        hold(!peers.more && !contents.more, || {
            "this world is too large for one page".to_owned()
        })?;
        let address = |host: &crate::name::Host, port| {
            host.ip()
                .map(|ip| SocketAddr::new(ip, port))
                .ok_or_else(|| Broken(format!("{host} is nobody's address here")))
        };
        let mut view = View {
            peers: Vec::new(),
            held: BTreeMap::new(),
        };
        for peer in peers.peers.into_vec() {
            view.peers.push((address(&peer.host, peer.port)?, peer));
        }
        for listing in contents.contents.into_vec() {
            for holder in listing.holders.iter() {
                let held = view.held.entry(address(&holder.host, holder.port)?).or_default();
                held.insert(listing.content.key(), holder.complete);
            }
        }
        Ok(view)
    }

    /// Nobody is handed out whose lease is over, counted from what it last sent that could renew it.
    fn leases(&self, now: Instant, view: &View) -> Result<(), Broken> {
        let listed = view.peers.iter().map(|(address, _)| address);
        for address in listed.chain(view.held.keys()) {
            let renewed = self.accounts.get(address).and_then(|account| account.renewed);
            let silent = renewed.map(|renewed| now.since(renewed));
            hold(silent.is_some_and(|silent| silent < self.lease), || {
                format!("{address} is handed out, silent for {silent:?}")
            })?;
        }
        Ok(())
    }

    fn counted(view: &View, address: SocketAddr) -> u32 {
        let records = view.peers.iter().filter(|(at, _)| *at == address);
        records.map(|(_, peer)| peer.registrations).sum()
    }

    /// However many copies of its Joins arrived: what is counted is what the peer meant.
    fn counts(&self, view: &View) -> Result<(), Broken> {
        for (address, account) in &self.accounts {
            let counted = Self::counted(view, *address);
            let meant = account.nonces.len();
            hold(
                usize::try_from(counted).is_ok_and(|counted| counted <= meant),
                || format!("{address} meant {meant} Joins and {counted} are counted"),
            )?;
        }
        Ok(())
    }

    fn nothing_never_shared(&self, view: &View) -> Result<(), Broken> {
        for (address, held) in &view.held {
            let account = self.accounts.get(address);
            for key in held.keys() {
                hold(
                    account.is_some_and(|account| account.shared_ever.contains(key)),
                    || format!("{address} never shared {}", key.name),
                )?;
            }
        }
        Ok(())
    }

    /// What must hold when nothing has gone wrong for long enough: everybody is known, for exactly what it
    /// shares, and counted for what it meant.
    ///
    /// # Errors
    /// It does not.
    pub fn healed(
        &self,
        world: &World<Actor>,
        shared: &BTreeMap<SocketAddr, BTreeMap<ContentKey, bool>>,
    ) -> Result<(), Broken> {
        let view = self.view(world)?;
        for (address, shares) in shared {
            hold(view.peers.iter().any(|(at, _)| at == address), || {
                format!("{address} is not handed out")
            })?;
            let none = BTreeMap::new();
            let held = view.held.get(address).unwrap_or(&none);
            hold(held == shares, || {
                format!("{address} shares {shares:?}, registered is {held:?}")
            })?;
            let joined = self.accounts.get(address).map_or(0, |account| account.joined);
            let counted = Self::counted(&view, *address);
            hold(counted >= joined, || {
                format!("{address} had {joined} Joins acknowledged and {counted} are counted")
            })?;
        }
        Ok(())
    }
}
