//! The world of a ring: nodes, a clock, and what is under way between them.
//!
//! Invariant: a live node that is asked answers before it is given up, as the protocol presumes: what is lost is lost on
//! the tries before the last. Time never goes back; of two events at one instant the one caused first comes first.

use super::planted::{Planted, PlantedRingFault};
use crate::id::RequestNumber;
use crate::limits::RING_TRIES_MAX;
use crate::proto::chord::{
    CommandNumber, Member, RingCommand, RingEvent, RingNode, RingOutput, RingSettings,
};
use crate::ring::NodeAddress;
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

/// Which node, in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeIndex(pub usize);

/// What the network does to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingNetwork {
    /// The shortest way.
    pub delay_min: Span,
    /// The longest way.
    pub delay_max: Span,
    /// A message is lost, once in so many times; 0 means never.
    pub lost_one_in: u64,
    /// True if a dead node's host says so; else there is silence.
    pub refuses: bool,
}

impl RingNetwork {
    /// Quick, and nothing is lost.
    pub const fn perfect() -> Self {
        Self {
            delay_min: Span::from_millis(1),
            delay_max: Span::from_millis(1),
            lost_one_in: 0,
            refuses: true,
        }
    }
}

/// Something under way.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Request {
        to: NodeAddress,
        from: NodeIndex,
        message: Message,
    },
    Answer {
        to: NodeIndex,
        from: NodeAddress,
        message: Message,
    },
    Refused {
        to: NodeIndex,
        request: RequestNumber,
    },
}

#[derive(Debug)]
struct Place {
    node: Option<RingNode>,
    address: NodeAddress,
    wake: Option<Instant>,
    side: u8,
    /// What the node was, when it has died.
    was: Option<Member>,
}

/// A world of ring nodes.
#[derive(Debug)]
pub struct RingWorld {
    now: Instant,
    network: RingNetwork,
    rng: Rng,
    places: Vec<Place>,
    at: BTreeMap<NodeAddress, NodeIndex>,
    wakes: BTreeSet<(Instant, NodeIndex)>,
    under_way: BTreeMap<(Instant, u64), Event>,
    lost: BTreeMap<(NodeIndex, RequestNumber), u32>,
    caused: u64,
    events: Vec<(NodeIndex, RingEvent)>,
    messages: u64,
    /// The nodes that something happened to, while somebody watches.
    touched: Option<BTreeSet<NodeIndex>>,
    planted: Planted,
}

/// The address of the node of a number: one node a host.
pub(super) fn address_of(number: usize) -> NodeAddress {
    address_with(number, 5_000)
}

pub(super) fn address_with(number: usize, port: u16) -> NodeAddress {
    let host = u32::try_from(number).unwrap_or(u32::MAX);
    let ip = Ipv4Addr::from((10_u32 << 24).saturating_add(host));
    SocketAddr::from((ip, port)).into()
}

impl RingWorld {
    /// A world without nodes.
    pub fn new(network: RingNetwork, rng: Rng) -> Self {
        Self {
            now: Instant::ZERO,
            network,
            rng,
            places: Vec::new(),
            at: BTreeMap::new(),
            wakes: BTreeSet::new(),
            under_way: BTreeMap::new(),
            lost: BTreeMap::new(),
            caused: 0,
            events: Vec::new(),
            messages: 0,
            touched: None,
            planted: Planted::default(),
        }
    }

    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// From now on the network is like this.
    pub const fn set_network(&mut self, network: RingNetwork) {
        self.network = network;
    }

    /// How many requests were sent.
    pub const fn messages(&self) -> u64 {
        self.messages
    }

    /// Adds a node that is in no ring, on a host of its own.
    pub fn add(&mut self, settings: RingSettings) -> NodeIndex {
        let address = address_of(self.places.len() + 1);
        self.add_at(settings, address)
    }

    /// Adds a node at an address.
    pub fn add_at(&mut self, settings: RingSettings, address: NodeAddress) -> NodeIndex {
        let node = RingNode::new(settings, address, Rng::from_seed(self.rng.next_u64()));
        self.put(node)
    }

    /// Adds a node that was made elsewhere.
    pub fn put(&mut self, node: RingNode) -> NodeIndex {
        let index = NodeIndex(self.places.len());
        let address = node.me().address;
        self.at.insert(address, index);
        self.places.push(Place {
            node: Some(node),
            address,
            wake: None,
            side: 0,
            was: None,
        });
        self.settle(index);
        index
    }

    /// A node, while it is alive.
    pub fn node(&self, index: NodeIndex) -> Option<&RingNode> {
        self.places.get(index.0)?.node.as_ref()
    }

    /// All live nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &RingNode)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(index, place)| Some((NodeIndex(index), place.node.as_ref()?)))
    }

    /// How many nodes there have been.
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// True before the first node.
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A node dies, with all it knows.
    pub fn kill(&mut self, index: NodeIndex) {
        if let Some(place) = self.places.get_mut(index.0) {
            place.was = place.node.take().map(|node| node.me());
        }
        self.settle(index);
    }

    /// A node starts anew at its address, in no ring.
    pub fn restart(&mut self, index: NodeIndex, settings: RingSettings) {
        let seed = self.rng.next_u64();
        if let Some(place) = self.places.get_mut(index.0) {
            place.node = Some(RingNode::new(settings, place.address, Rng::from_seed(seed)));
        }
        self.settle(index);
    }

    /// Puts a node on a side; between two sides nothing passes.
    pub fn part(&mut self, index: NodeIndex, side: u8) {
        if let Some(place) = self.places.get_mut(index.0) {
            place.side = side;
        }
    }

    /// Tells a node what is wanted of it.
    pub fn command(&mut self, index: NodeIndex, command: RingCommand) -> Option<CommandNumber> {
        let now = self.now;
        let number = self.places.get_mut(index.0)?.node.as_mut()?.command(now, command);
        self.settle(index);
        Some(number)
    }

    /// Asks one node something from the host of another, as whoever is there might; nobody waits for the answer.
    pub fn ask(&mut self, from: NodeIndex, to: NodeIndex, message: Message) {
        if let Some(to) = self.places.get(to.0).map(|place| place.address) {
            self.send(from, to, message);
        }
    }

    /// From now on something is done wrong.
    pub const fn plant(&mut self, fault: PlantedRingFault) {
        self.planted.plant(fault);
    }

    /// How the rings of this world are made, if there is a node.
    pub fn any_settings(&self) -> Option<RingSettings> {
        self.nodes().next().map(|(_, node)| *node.settings())
    }

    /// The nodes that something happened to since the last time.
    pub fn take_touched(&mut self) -> BTreeSet<NodeIndex> {
        let all = || {
            self.places
                .iter()
                .enumerate()
                .map(|(index, _)| NodeIndex(index))
                .collect()
        };
        let touched = self.touched.take().unwrap_or_else(all);
        self.touched = Some(BTreeSet::new());
        touched
    }

    /// What nodes had to tell since the last time.
    pub fn take_events(&mut self) -> Vec<(NodeIndex, RingEvent)> {
        core::mem::take(&mut self.events)
    }

    /// What is under way.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Event> {
        self.under_way.values()
    }

    /// The next event until `end`; false if there is none, and time has passed to there.
    pub fn step(&mut self, end: Instant) -> bool {
        let wake = self.wakes.first().copied();
        let arrival = self.under_way.first_key_value().map(|((at, _), _)| *at);
        let next = [wake.map(|(at, _)| at), arrival].into_iter().flatten().min();
        let Some(at) = next.filter(|at| *at <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        self.now = self.now.max(at);
        if arrival.is_some_and(|arrives| arrives <= at) {
            if let Some((_, event)) = self.under_way.pop_first() {
                self.happen(event);
            }
        } else if let Some((_, index)) = wake {
            let now = self.now;
            if let Some(node) = self.places[index.0].node.as_mut() {
                node.handle_timeout(now);
            }
            self.settle(index);
        }
        true
    }

    /// Everything that happens until `end`.
    pub fn run(&mut self, end: Instant) {
        while self.step(end) {}
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Request { to, from, message } => self.deliver(to, from, &message),
            Event::Answer { to, from, message } => {
                if let Some(node) = self.places[to.0].node.as_mut() {
                    node.handle_answer(now, from, &message);
                }
                self.settle(to);
            }
            Event::Refused { to, request } => {
                if let Some(node) = self.places[to.0].node.as_mut() {
                    node.handle_failure(now, request);
                }
                self.settle(to);
            }
        }
    }

    fn deliver(&mut self, to: NodeAddress, from: NodeIndex, message: &Message) {
        let (now, asker) = (self.now, self.places[from.0].address);
        let index = self.at.get(&to).copied();
        let joined = index.filter(|index| self.places[index.0].side == self.places[from.0].side);
        let was = index.and_then(|index| self.places[index.0].was);
        let node = joined.and_then(|index| self.places[index.0].node.as_mut());
        let request = message.request().unwrap_or_default();
        if let Some(message) = self.planted.answer(node.as_deref(), was, message) {
            let delay = self.delay();
            let answer = Event::Answer {
                to: from,
                from: to,
                message,
            };
            self.arrive(delay, answer);
            return;
        }
        let Some(node) = node else {
            // A host that is cut off is silent.
            if self.network.refuses && (joined.is_some() || index.is_none()) {
                let delay = self.delay();
                self.arrive(delay, Event::Refused { to: from, request });
            }
            return;
        };
        let answer = node.handle_request(now, asker.ip(), message);
        if let Some(index) = joined {
            self.settle(index);
        }
        if !self.loses(from, request) {
            let delay = self.delay();
            let answer = Event::Answer {
                to: from,
                from: to,
                message: answer,
            };
            self.arrive(delay, answer);
        }
    }

    /// Takes what a node wants done, and when it wants to be woken.
    fn settle(&mut self, index: NodeIndex) {
        if let Some(touched) = &mut self.touched {
            touched.insert(index);
        }
        let Some(place) = self.places.get_mut(index.0) else {
            return;
        };
        if let Some(wake) = place.wake.take() {
            self.wakes.remove(&(wake, index));
        }
        let Some(node) = &mut place.node else {
            return;
        };
        let mut outputs = Vec::new();
        while let Some(output) = node.poll_output() {
            outputs.push(output);
        }
        place.wake = node.deadline().map(|deadline| deadline.max(self.now));
        self.wakes.extend(place.wake.map(|wake| (wake, index)));
        for output in outputs {
            match output {
                RingOutput::Event(event) => self.events.push((index, event)),
                RingOutput::Ask(to, message) => self.send(index, to, message),
            }
        }
    }

    fn send(&mut self, from: NodeIndex, to: NodeAddress, message: Message) {
        self.messages += 1;
        if !self.loses(from, message.request().unwrap_or_default()) {
            let delay = self.delay();
            self.arrive(delay, Event::Request { to, from, message });
        }
    }

    /// Whether a message of this exchange is lost: never on the last try.
    fn loses(&mut self, asker: NodeIndex, request: RequestNumber) -> bool {
        let odds = self.network.lost_one_in;
        if odds == 0 || !self.rng.one_in(odds) {
            return false;
        }
        let lost = self.lost.entry((asker, request)).or_default();
        *lost += 1;
        *lost < RING_TRIES_MAX
    }

    fn delay(&mut self) -> Span {
        let (min, max) = (self.network.delay_min.0, self.network.delay_max.0);
        Span(min + self.rng.below(max.saturating_sub(min) + 1))
    }

    fn arrive(&mut self, delay: Span, event: Event) {
        self.caused += 1;
        self.under_way.insert((self.now.after(delay), self.caused), event);
    }
}
