//! The world: nodes with addresses, a clock, and what is under way between them, one event after the other.
//!
//! Invariant: time never goes back; of two events at one instant the one that was caused first comes first;
//! what a node wants done is taken right after it was told something.

use super::{Network, Node, Output, Trace};
use crate::limits::CONNECT_TIMEOUT;
use crate::time::{Instant, Now, Span, WallTime};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// The wall clock when a world begins.
const WALL_START: WallTime = WallTime(1_700_000_000);
/// More events at one instant than this are a node that does not let time pass.
const EVENTS_AT_ONCE_MAX: u32 = 100_000;

/// A datagram, and who is said to have sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sender's address, or one that was forged.
    pub from: SocketAddr,
    /// The receiver's.
    pub to: SocketAddr,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// What happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A datagram arrives.
    Datagram(Datagram),
    /// An attempt to open a stream ends.
    Connect {
        /// Who tried.
        by: SocketAddr,
        /// Its number for it.
        attempt: u64,
        /// Whether somebody was there.
        alive: bool,
    },
    /// Its deadline comes.
    Timeout(SocketAddr),
}

/// One event that happened, and the datagrams that its node sent in answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happened.
    pub event: Event,
    /// False if the node was not there: then nothing came of it.
    pub heard: bool,
    /// What the node sent, before the network had its way with it.
    pub sent: Vec<Datagram>,
    /// What nodes sent since the step before, because somebody outside had touched them.
    pub sent_before: Vec<Datagram>,
}

#[derive(Debug)]
struct Place<N> {
    /// None while the node is down.
    node: Option<N>,
    wake: Option<Instant>,
}

/// A world of nodes of one type.
#[derive(Debug)]
pub struct World<N> {
    now: Instant,
    /// How wrong the wall clock is, in seconds.
    pub wall_error_secs: i64,
    /// The network.
    pub network: Network,
    /// What happened so far.
    pub trace: Trace,
    places: BTreeMap<SocketAddr, Place<N>>,
    wakes: BTreeSet<(Instant, SocketAddr)>,
    under_way: BTreeMap<(Instant, u64), Event>,
    caused: u64,
    at_once: u32,
    sent_before: Vec<Datagram>,
}

impl<N: Node> World<N> {
    /// A world without nodes.
    pub const fn new(network: Network, trace: Trace) -> Self {
        Self {
            now: Instant::ZERO,
            wall_error_secs: 0,
            network,
            trace,
            places: BTreeMap::new(),
            wakes: BTreeSet::new(),
            under_way: BTreeMap::new(),
            caused: 0,
            at_once: 0,
            sent_before: Vec::new(),
        }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let secs = i64::try_from(Span(self.now.0).as_secs()).unwrap_or(i64::MAX);
        Now {
            at: self.now,
            wall: WallTime(
                WALL_START
                    .0
                    .saturating_add(secs)
                    .saturating_add(self.wall_error_secs),
            ),
        }
    }

    /// Puts a node at an address, or takes it away.
    pub fn put(&mut self, address: SocketAddr, node: Option<N>) {
        let up = node.is_some();
        self.trace.note(self.now, format_args!("{address} up {up}"), &[]);
        let wake = self.places.get(&address).and_then(|place| place.wake);
        self.places.insert(address, Place { node, wake });
        let sent = self.settle(address);
        self.sent_before.extend(sent);
    }

    /// The node at an address, while it is up.
    pub fn node(&self, address: SocketAddr) -> Option<&N> {
        self.places.get(&address)?.node.as_ref()
    }

    /// Does something with a node from outside; what it wants sent is sent.
    pub fn touch<T>(&mut self, address: SocketAddr, with: impl FnOnce(&mut N, Now) -> T) -> Option<T> {
        let now = self.now();
        let done = with(self.places.get_mut(&address)?.node.as_mut()?, now);
        let sent = self.settle(address);
        self.sent_before.extend(sent);
        Some(done)
    }

    /// The next event until `end`; if there is none, time passes to there.
    pub fn step(&mut self, end: Instant) -> Option<Step> {
        let wake = self.wakes.first().copied();
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let next = [wake.map(|(at, _)| at), arrival].into_iter().flatten().min();
        let Some(at) = next.filter(|at| *at <= end) else {
            self.pass(end);
            return None;
        };
        self.pass(at);
        let event = match (wake, arrival) {
            // What arrives comes before what is given up at the same instant.
            (_, Some(arrives)) if arrives <= at => self.under_way.pop_first()?.1,
            (Some((_, address)), _) => Event::Timeout(address),
            (None, _) => return None,
        };
        Some(self.happen(event))
    }

    fn pass(&mut self, at: Instant) {
        if at > self.now {
            self.now = at;
            self.at_once = 0;
        }
        self.at_once += 1;
        assert!(
            self.at_once < EVENTS_AT_ONCE_MAX,
            "time stands still at {:?}",
            self.now
        );
    }

    fn happen(&mut self, event: Event) -> Step {
        let now = self.now();
        let address = match &event {
            Event::Datagram(datagram) => datagram.to,
            Event::Connect { by, .. } => *by,
            Event::Timeout(address) => *address,
        };
        match &event {
            Event::Datagram(Datagram { from, to, bytes }) => {
                self.trace.note(now.at, format_args!("{from} > {to}"), bytes);
            }
            other => self.trace.note(now.at, format_args!("{other:?}"), &[]),
        }
        let node = self
            .places
            .get_mut(&address)
            .and_then(|place| place.node.as_mut());
        let heard = node.is_some();
        if let Some(node) = node {
            match &event {
                Event::Datagram(datagram) => node.handle_datagram(now, datagram.from, &datagram.bytes),
                Event::Connect { attempt, alive, .. } => node.handle_connect(now, *attempt, *alive),
                Event::Timeout(_) => node.handle_timeout(now),
            }
        }
        let sent = self.settle(address);
        let sent_before = core::mem::take(&mut self.sent_before);
        Step {
            event,
            heard,
            sent,
            sent_before,
        }
    }

    /// Takes what a node wants done, and when it wants to be woken.
    fn settle(&mut self, address: SocketAddr) -> Vec<Datagram> {
        let mut outputs = Vec::new();
        let Some(place) = self.places.get_mut(&address) else {
            return Vec::new();
        };
        if let Some(wake) = place.wake.take() {
            self.wakes.remove(&(wake, address));
        }
        if let Some(node) = &mut place.node {
            while let Some(output) = node.poll_output() {
                outputs.push(output);
            }
            place.wake = node.deadline().map(|deadline| deadline.max(self.now));
            self.wakes.extend(place.wake.map(|wake| (wake, address)));
        }
        let mut sent = Vec::new();
        for output in outputs {
            match output {
                Output::Datagram { to, bytes } => {
                    let datagram = Datagram {
                        from: address,
                        to,
                        bytes,
                    };
                    self.send(datagram.clone());
                    sent.push(datagram);
                }
                Output::Connect { to, attempt } => self.connect(address, to, attempt),
            }
        }
        sent
    }

    fn send(&mut self, datagram: Datagram) {
        for delay in self.network.carry(datagram.from, datagram.to) {
            self.arrive(delay, Event::Datagram(datagram.clone()));
        }
        let others: Vec<SocketAddr> = self
            .places
            .keys()
            .copied()
            .filter(|at| *at != datagram.to)
            .collect();
        if let Some(from) = self.network.forge(&others) {
            let delay = self.network.delay();
            self.arrive(delay, Event::Datagram(Datagram { from, ..datagram }));
        }
    }

    /// Streams are not lost: somebody is there, or nobody answers in time.
    fn connect(&mut self, by: SocketAddr, to: SocketAddr, attempt: u64) {
        let alive = self.network.joins(by.ip(), to.ip()) && self.node(to).is_some();
        let delay = if alive {
            self.network.delay().min(CONNECT_TIMEOUT)
        } else {
            CONNECT_TIMEOUT
        };
        self.arrive(delay, Event::Connect { by, attempt, alive });
    }

    fn arrive(&mut self, delay: Span, event: Event) {
        self.caused += 1;
        self.under_way.insert((self.now.after(delay), self.caused), event);
    }
}
