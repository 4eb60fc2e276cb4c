//! Drives a ring node for real: its questions to others, theirs to it, and its timers.
//!
//! Belongs here: links to other nodes, and waiting for what became of a command. Does not: what is published and
//! fetched, and why (`peer/ring.rs`). Invariant: the node is locked for the time of one decision and never while a
//! socket is waited for; each link is one thread, which waits for the network alone.

use super::conn::{Conn, ConnError, Incoming};
use super::socket::resolve;
use super::{Clock, Stop};
use crate::id::RequestNumber;
use crate::limits::{
    ANSWER_TIMEOUT, RING_ANSWER, RING_COMMAND_WAIT, RING_LINK_IDLE, RING_LINK_QUEUE_MAX, RING_LINKS_MAX,
};
use crate::name::HostPort;
use crate::proto::chord::{
    CommandNumber, LookupFault, Member, Owner, RingCommand, RingEvent, RingNode, RingOutput, RingSettings,
    Standing,
};
use crate::proto::refusal;
use crate::ring::{NodeAddress, RingId};
use crate::rng::Rng;
use crate::time::Span;
use crate::wire::{List, Message, Refusal, RingLook, RingMember, RingRecord, RingStore, RingTable, Wanted};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a wait asks whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// The one question on a connection.
const LOOK_AT: RingLook = RingLook {
    request: RequestNumber(0),
};

#[derive(Debug)]
struct State {
    node: RingNode,
    links: BTreeMap<NodeAddress, Sender<Message>>,
    /// Questions that a link has in hand.
    under_way: usize,
    waited_for: BTreeSet<CommandNumber>,
    ended: BTreeMap<CommandNumber, RingEvent>,
    events: VecDeque<RingEvent>,
}

impl State {
    /// Keeps an event for whoever waits for it.
    fn note(&mut self, event: RingEvent) {
        let number = match &event {
            RingEvent::Found(number, _)
            | RingEvent::Stored(number, _)
            | RingEvent::Fetched(number, _)
            | RingEvent::Failed(number, _) => *number,
            _ => return self.events.push_back(event),
        };
        if self.waited_for.remove(&number) {
            self.ended.insert(number, event);
        }
    }
}

/// A ring node and what drives it.
#[derive(Debug)]
pub struct RingDriver {
    state: Mutex<State>,
    changed: Condvar,
    clock: Clock,
    stop: Stop,
}

impl RingDriver {
    /// Drives a node that is in no ring, until the stop.
    ///
    /// # Errors
    /// The operating system gives no thread or randomness.
    pub fn start(
        settings: RingSettings,
        address: NodeAddress,
        clock: Clock,
        stop: Stop,
    ) -> io::Result<Arc<Self>> {
        let state = State {
            node: RingNode::new(settings, address, Rng::from_os()?),
            links: BTreeMap::new(),
            under_way: 0,
            waited_for: BTreeSet::new(),
            ended: BTreeMap::new(),
            events: VecDeque::new(),
        };
        let driver = Arc::new(Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            clock,
            stop,
        });
        let timers = Arc::clone(&driver);
        std::thread::Builder::new()
            .name("ring-timers".to_owned())
            .spawn(move || timers.keep_time())?;
        Ok(driver)
    }

    /// How its ring is made.
    pub fn settings(&self) -> RingSettings {
        *self.state.lock().node.settings()
    }

    /// Where it is reached.
    pub fn address(&self) -> NodeAddress {
        self.state.lock().node.me().address
    }

    /// Where it stands.
    pub fn standing(&self) -> Standing {
        self.state.lock().node.standing()
    }

    /// The next thing that happened without being waited for; none if nothing has within `wait`.
    pub fn next_event(&self, wait: Duration) -> Option<RingEvent> {
        let until = Instant::now() + wait;
        let mut state = self.state.lock();
        loop {
            let event = state.events.pop_front();
            if event.is_some() || self.stop.is_set() || self.changed.wait_until(&mut state, until).timed_out()
            {
                return event;
            }
        }
    }

    /// Tells the node what is wanted, and waits for nothing.
    pub fn tell(self: &Arc<Self>, command: RingCommand) {
        let mut state = self.state.lock();
        state.node.command(self.clock.at(), command);
        self.settle(&mut state);
    }

    /// Tells the node what is wanted, and waits for what becomes of it; none if that takes too long.
    pub fn ask(self: &Arc<Self>, command: RingCommand) -> Option<RingEvent> {
        self.ask_all([command]).pop().flatten()
    }

    /// The same for many at once.
    pub fn ask_all(
        self: &Arc<Self>,
        commands: impl IntoIterator<Item = RingCommand>,
    ) -> Vec<Option<RingEvent>> {
        self.ask_within(commands, RING_COMMAND_WAIT)
    }

    fn ask_within(
        self: &Arc<Self>,
        commands: impl IntoIterator<Item = RingCommand>,
        wait: Span,
    ) -> Vec<Option<RingEvent>> {
        let until = Instant::now() + wait.to_std();
        let mut state = self.state.lock();
        let mut numbers = Vec::new();
        for command in commands {
            let number = state.node.command(self.clock.at(), command);
            state.waited_for.insert(number);
            numbers.push(number);
        }
        self.settle(&mut state);
        while numbers.iter().any(|number| state.waited_for.contains(number))
            && !self.stop.is_set()
            && Instant::now() < until
        {
            self.changed.wait_for(&mut state, LOOK);
        }
        let mut ended = |number: &CommandNumber| {
            state.waited_for.remove(number);
            state.ended.remove(number)
        };
        numbers.iter().map(&mut ended).collect()
    }

    /// Answers a request of the ring that came from a host.
    pub fn answer(self: &Arc<Self>, from: IpAddr, request: &Message) -> Message {
        let mut state = self.state.lock();
        if let Message::RingLook(look) = request {
            return table(&state.node, look);
        }
        let answer = state.node.handle_request(self.clock.at(), from, request);
        self.settle(&mut state);
        answer
    }

    /// How many records it keeps, and how many claims in them.
    pub fn records_kept(&self) -> (usize, usize) {
        self.state.lock().node.records_kept()
    }

    /// What this node knows of its ring.
    pub fn table(&self) -> Option<RingTable> {
        match table(&self.state.lock().node, &LOOK_AT) {
            Message::RingTable(table) => Some(table),
            _ => None,
        }
    }

    /// Waits until every question has been sent, or `wait` is over.
    pub fn wait_sent(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut state = self.state.lock();
        while state.under_way > 0 && !self.changed.wait_until(&mut state, until).timed_out() {}
    }

    fn keep_time(self: Arc<Self>) {
        let mut state = self.state.lock();
        while !self.stop.is_set() {
            let now = self.clock.at();
            match state.node.deadline() {
                Some(deadline) if deadline <= now => {
                    state.node.handle_timeout(now);
                    self.settle(&mut state);
                }
                deadline => {
                    let wait = deadline.map_or(LOOK, |deadline| deadline.since(now).to_std().min(LOOK));
                    self.changed.wait_for(&mut state, wait);
                }
            }
        }
        // Without senders the links end.
        state.links.clear();
    }

    /// Does what the node wants done.
    fn settle(self: &Arc<Self>, state: &mut State) {
        while let Some(output) = state.node.poll_output() {
            match output {
                RingOutput::Ask(to, message) => self.send(state, to, message),
                RingOutput::Event(event) => state.note(event),
            }
        }
        self.changed.notify_all();
    }

    /// Hands a question to the link it travels by. One for which there is no room is lost, as a datagram would be: the
    /// node asks again.
    fn send(self: &Arc<Self>, state: &mut State, to: NodeAddress, message: Message) {
        if self.stop.is_set() {
            return;
        }
        if !state.links.contains_key(&to) && state.links.len() < RING_LINKS_MAX {
            let (sender, messages) = bounded(RING_LINK_QUEUE_MAX);
            let driver = Arc::clone(self);
            let thread = std::thread::Builder::new().name("ring-link".to_owned());
            match thread.spawn(move || driver.run_link(to, &messages)) {
                Ok(_) => drop(state.links.insert(to, sender)),
                Err(error) => log::warn!("no thread for a link to {to}: {error}"),
            }
        }
        let link = state.links.get(&to);
        if link.is_some_and(|link| link.try_send(message).is_ok()) {
            state.under_way += 1;
        }
    }

    fn run_link(self: Arc<Self>, to: NodeAddress, messages: &Receiver<Message>) {
        let mut conn = None;
        loop {
            let Ok(message) = messages.recv_timeout(RING_LINK_IDLE.to_std()) else {
                // Under the lock, so that nothing is put into it meanwhile.
                let mut state = self.state.lock();
                if messages.is_empty() {
                    state.links.remove(&to);
                    return;
                }
                continue;
            };
            let answer = self.exchange(to, &mut conn, &message);
            let mut state = self.state.lock();
            state.under_way -= 1;
            let now = self.clock.at();
            match answer {
                Ok(answer) => state.node.handle_answer(now, to, &answer),
                Err(ConnError::Io(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    state
                        .node
                        .handle_failure(now, message.request().unwrap_or_default());
                }
                Err(error) => log::debug!("node {to}: {error}"),
            }
            self.settle(&mut state);
        }
    }

    /// One question and its answer, over the connection there is, or a new one if that has been closed.
    fn exchange(
        &self,
        to: NodeAddress,
        kept: &mut Option<Conn>,
        message: &Message,
    ) -> Result<Message, ConnError> {
        if let Some(mut conn) = kept.take() {
            match ask_one(&mut conn, message) {
                Ok(answer) => {
                    *kept = Some(conn);
                    return Ok(answer);
                }
                Err(ConnError::Io(error)) if super::is_silence(&error) => return Err(error.into()),
                Err(_) => {}
            }
        }
        let mut conn = Conn::connect(&SocketAddr::from(to).into(), 0, &self.stop)?;
        let answer = ask_one(&mut conn, message)?;
        *kept = Some(conn);
        Ok(answer)
    }
}

/// Asks, and waits no longer than the node does before it asks again.
fn ask_one(conn: &mut Conn, message: &Message) -> Result<Message, ConnError> {
    conn.send(message)?;
    match conn.receive(RING_ANSWER)? {
        Some(Incoming::Message(answer)) if answer.request() == message.request() => Ok(answer),
        Some(Incoming::Message(other)) => Err(conn.unexpected(&other)),
        Some(Incoming::Content(..)) => Err(ConnError::Unexpected("Content")),
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

fn table(node: &RingNode, look: &RingLook) -> Message {
    if !matches!(node.standing(), Standing::Young | Standing::In) {
        return refusal(look.request, Refusal::NotMember, "this node is in no ring");
    }
    RingTable {
        request: look.request,
        ring: node.settings().shape(),
        node: node.me().wire(),
        predecessor: node.predecessor().map(Member::wire),
        successors: List::first_of(node.successors().iter().map(|member| member.wire())),
        fingers: List::first_of(node.fingers().into_iter().map(|(_, member)| member.wire())),
    }
    .into()
}

/// Asks a node what it knows of its ring.
///
/// # Errors
/// The node was not reached, or is in no ring.
pub fn look_at_node(address: &HostPort, stop: &Stop) -> Result<RingTable, ConnError> {
    let mut conn = Conn::connect(address, 0, stop)?;
    match conn.call(&LOOK_AT.into())? {
        Message::RingTable(table) => Ok(table),
        other => Err(conn.unexpected(&other)),
    }
}

/// Finds owners and records, as a member or by way of one.
#[derive(Clone, Debug)]
pub struct RingClient {
    driver: Arc<RingDriver>,
    via: Option<NodeAddress>,
}

impl RingClient {
    /// Asks as the member that `driver` drives.
    pub const fn of_member(driver: Arc<RingDriver>) -> Self {
        Self { driver, via: None }
    }

    /// Asks by way of a node, without being one.
    ///
    /// # Errors
    /// The node was not reached, or is in no ring.
    pub fn by_way_of(node: &HostPort, clock: Clock, stop: &Stop) -> Result<Self, ConnError> {
        let ring = look_at_node(node, stop)?;
        let settings =
            RingSettings::of_shape(&ring.ring).ok_or(ConnError::Unexpected("a ring without bits"))?;
        // It is asked where it was reached: what it calls itself may be of use to its neighbours only.
        let via = resolve(node)?.remove(0).into();
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0)).into();
        let driver = RingDriver::start(settings, nowhere, clock, stop.clone())?;
        Ok(Self {
            driver,
            via: Some(via),
        })
    }

    /// How the ring is made.
    pub fn settings(&self) -> RingSettings {
        self.driver.settings()
    }

    /// The owner of a key.
    ///
    /// # Errors
    /// The lookup failed.
    pub fn look_up(&self, key: RingId) -> Result<Owner, LookupFault> {
        match self.driver.ask(RingCommand::Lookup(key, self.via)) {
            Some(RingEvent::Found(_, owner)) => Ok(owner),
            Some(RingEvent::Failed(_, fault)) => Err(fault),
            _ => Err(LookupFault::NobodyLeft),
        }
    }

    /// The records of a content.
    ///
    /// # Errors
    /// The lookup of its key failed.
    pub fn records(&self, wanted: &Wanted) -> Result<Vec<RingRecord>, LookupFault> {
        match self.driver.ask(RingCommand::Fetch(wanted.clone(), self.via)) {
            Some(RingEvent::Fetched(_, records)) => Ok(records),
            Some(RingEvent::Failed(_, fault)) => Err(fault),
            _ => Err(LookupFault::NobodyLeft),
        }
    }

    /// Gives a record to the owner of its key, for a publisher that need not be a member.
    ///
    /// # Errors
    /// The owner was not reached or refused.
    pub fn store(&self, owner: &Owner, publisher: NodeAddress, record: &RingRecord) -> Result<(), ConnError> {
        let address = SocketAddr::from(owner.owner.address).into();
        let mut conn = Conn::connect(&address, 0, &self.driver.stop)?;
        let store = RingStore {
            request: RequestNumber(0),
            ring: self.settings().shape(),
            sender: RingMember {
                address: publisher,
                incarnation: 0,
            },
            copy: false,
            records: List::first_of([record.clone()]),
        };
        conn.send(&store.into())?;
        match conn.receive(ANSWER_TIMEOUT)? {
            Some(Incoming::Message(Message::RingAck(_))) => Ok(()),
            Some(Incoming::Message(other)) => Err(conn.unexpected(&other)),
            _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
