//! The virtual network: carries the words of the machines and the bytes of the pieces, and nothing else.
//!
//! Belongs here: links, delays, comings and goings. Does not: any decision; those are the machines'.

use super::check::Ledger;
use super::events::{Ask, Chunk, Event, Events, Exchange, Nanos, PeerNumber, Tell};
use super::line::{DownLine, UpLine};
use super::report::{PeerReport, Report};
use super::setup::{PeerPlan, Setup};
use crate::id::PieceIndex;
use crate::limits::HOLDER_RETRY;
use crate::proto::transfer::{Departures, Giver, Pieces, Reader, Source, TakeOutput, Taker, Uplink};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};

/// A piece that a holder sends here.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) holder: PeerNumber,
    piece: PieceIndex,
    bytes: u64,
    first: bool,
}

/// One peer: its machines and its links.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) plan: PeerPlan,
    pub(super) here: bool,
    pub(super) giver: Giver,
    pub(super) taker: Taker,
    pub(super) uplink: Uplink,
    pub(super) departures: Departures,
    /// The numbers of the pieces it has promised.
    pub(super) promised: BTreeMap<(PeerNumber, PieceIndex), u64>,
    pub(super) up: UpLine,
    down: DownLine,
    /// The holders it takes from, and the getters it gives to.
    pub(super) holders: BTreeMap<PeerNumber, Exchange>,
    pub(super) getters: BTreeMap<PeerNumber, Exchange>,
    pub(super) incoming: BTreeMap<u64, Incoming>,
    /// Holders that sent it wrong bytes: it takes nothing from them any more.
    pub(super) liars: BTreeSet<PeerNumber>,
    wake: Option<Nanos>,
    pub(super) report: PeerReport,
}

/// The swarm.
#[derive(Debug)]
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) now: Nanos,
    pub(super) events: Events,
    pub(super) peers: Vec<Peer>,
    pub(super) rng: Rng,
    pub(super) ledger: Ledger,
    exchanges: u64,
    pub(super) transfers: u64,
    /// Peers that are to stay and have not everything yet.
    waiting: usize,
}

const fn nanos_of(at: Instant) -> Nanos {
    Nanos(at.0.saturating_mul(1_000))
}

impl World {
    pub(super) fn new(setup: Setup) -> Self {
        let mut rng = Rng::from_seed(setup.seed);
        let plans = core::iter::once(&setup.source).chain(&setup.peers);
        let peers: Vec<Peer> = plans
            .enumerate()
            .map(|(number, plan)| {
                let whole = number == 0;
                let pieces = |count| {
                    if whole {
                        Pieces::all(count)
                    } else {
                        Pieces::none(count)
                    }
                };
                let seed = (!whole).then(|| rng.next_u64());
                Peer {
                    plan: plan.clone(),
                    here: false,
                    giver: Giver::new(pieces(setup.pieces), seed),
                    taker: Taker::new(pieces(setup.pieces)),
                    uplink: Uplink::new(setup.turns, whole),
                    departures: Departures::default(),
                    promised: BTreeMap::new(),
                    up: UpLine::default(),
                    down: DownLine::default(),
                    holders: BTreeMap::new(),
                    getters: BTreeMap::new(),
                    incoming: BTreeMap::new(),
                    liars: BTreeSet::new(),
                    wake: None,
                    report: PeerReport::default(),
                }
            })
            .collect();
        let ledger = Ledger::new(&setup);
        let waiting = setup.peers.iter().filter(|plan| plan.leaves.is_none()).count();
        let mut world = Self {
            setup,
            now: Nanos(0),
            events: Events::default(),
            peers,
            rng,
            ledger,
            exchanges: 0,
            transfers: 0,
            waiting,
        };
        world.plan();
        world
    }

    fn plan(&mut self) {
        for (number, peer) in (0..).zip(&self.peers) {
            let joins = nanos_of(peer.plan.joins);
            self.events.put(joins, number, Event::Join);
            if let Some(leaves) = peer.plan.leaves {
                self.events.put(nanos_of(leaves).max(joins), number, Event::Leave);
            }
            for at in &peer.plan.cuts {
                self.events.put(nanos_of(*at), number, Event::Cut);
            }
            for (from, span) in &peer.plan.stalls {
                self.events.put(nanos_of(*from), number, Event::Stall(true));
                self.events
                    .put(nanos_of(from.after(*span)), number, Event::Stall(false));
            }
        }
    }

    /// Runs until everybody who stays has everything, and no longer than `limit`.
    pub(super) fn run(mut self, limit: Span) -> Report {
        let limit = nanos_of(Instant::ZERO.after(limit));
        while self.waiting > 0
            && let Some((at, peer, event)) = self.events.take()
            && at <= limit
        {
            self.now = at;
            let other = match &event {
                Event::Ask { from, .. } | Event::Tell { from, .. } | Event::Received { from, .. } => {
                    Some(*from)
                }
                _ => None,
            };
            self.handle(peer, event);
            self.check(peer, other);
        }
        let (trace, steps) = (self.events.trace(), self.events.steps());
        // What is still on its way comes too late.
        while let Some((.., event)) = self.events.take() {
            self.lose(&event);
        }
        self.check_all();
        let peers: Vec<PeerReport> = self.peers.into_iter().map(|peer| peer.report).collect();
        let everybody = self.waiting == 0 && peers.iter().all(|peer| peer.gave_up.is_none());
        Report::new(&self.setup, peers, everybody, trace, steps)
    }

    pub(super) fn peer(&mut self, number: PeerNumber) -> &mut Peer {
        &mut self.peers[number as usize]
    }

    fn handle(&mut self, number: PeerNumber, event: Event) {
        match event {
            Event::Join => {
                self.peer(number).here = true;
                self.peer(number).report.joined = self.now.instant();
                self.events.put(self.now, number, Event::Meet);
            }
            Event::Stall(stops) => {
                self.peer(number).up.stalled = stops;
                self.pump(number);
            }
            _ if !self.peer(number).here => {
                // Nobody listens there any more.
                if let Event::Ask {
                    from,
                    exchange,
                    ask: Ask::Open(_),
                } = &event
                {
                    self.tell(number, *from, *exchange, Tell::Close);
                }
                self.lose(&event);
            }
            Event::Meet => {
                self.meet(number);
                self.schedule(number);
            }
            Event::Leave => self.leave(number),
            Event::Cut => self.cut(number),
            Event::Sent => self.sent(number),
            Event::Ask { from, exchange, ask } => self.asked(number, from, exchange, ask),
            Event::Tell { from, exchange, tell } => self.told(number, from, exchange, tell),
            Event::Received {
                from,
                exchange,
                chunk,
            } => self.received(number, from, exchange, chunk),
            Event::Wake => self.wake(number),
            Event::Retry(holder) => self.connect(number, holder),
        }
    }

    /// What reaches a peer that has left.
    fn lose(&mut self, event: &Event) {
        self.ledger.lost(event.bytes());
    }

    fn latency(&self, one: PeerNumber, other: PeerNumber) -> u64 {
        // The same for both directions and the whole run, so that words stay in order.
        let spread = self.setup.latency_spread.0;
        let pair = u64::from(one.min(other)) << 32 | u64::from(one.max(other));
        let mixed = (pair ^ self.setup.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        (self.setup.latency.0 + if spread == 0 { 0 } else { mixed % spread }) * 1_000
    }

    pub(super) fn ask(&mut self, getter: PeerNumber, holder: PeerNumber, exchange: Exchange, ask: Ask) {
        let at = self.now.after(self.latency(getter, holder));
        let from = getter;
        self.events.put(at, holder, Event::Ask { from, exchange, ask });
    }

    pub(super) fn tell(&mut self, holder: PeerNumber, getter: PeerNumber, exchange: Exchange, tell: Tell) {
        let at = self.now.after(self.latency(getter, holder));
        let from = holder;
        self.events.put(at, getter, Event::Tell { from, exchange, tell });
    }

    /// A getter opens an exchange with a holder.
    pub(super) fn connect(&mut self, getter: PeerNumber, holder: PeerNumber) {
        let serves = self.peers[holder as usize].plan.gives;
        let here = self.peers[holder as usize].here;
        if getter == holder || !serves || !here || self.peer(getter).taker.verified().is_all() {
            return;
        }
        self.exchanges += 1;
        let exchange = Exchange(self.exchanges);
        let now = self.now.instant();
        let peer = self.peer(getter);
        if peer.holders.contains_key(&holder) || peer.liars.contains(&holder) {
            return;
        }
        peer.holders.insert(holder, exchange);
        let settled = peer.taker.settled();
        peer.taker.open(now, Source(u64::from(holder)));
        self.ask(getter, holder, exchange, Ask::Open(settled));
        self.follow(getter);
    }

    /// A getter's word at its holder.
    fn asked(&mut self, holder: PeerNumber, getter: PeerNumber, exchange: Exchange, ask: Ask) {
        let reader = Reader(u64::from(getter));
        let peer = &mut self.peers[holder as usize];
        if let Ask::Open(settled) = ask {
            peer.giver.open(reader, settled);
            peer.uplink.open(reader, 0);
            peer.getters.insert(getter, exchange);
            self.ledger.opened(holder, getter);
            return;
        }
        if peer.getters.get(&getter) != Some(&exchange) {
            return;
        }
        match ask {
            Ask::Open(_) => {}
            Ask::Credit(more) => {
                peer.giver.credit(reader, u32::from(more));
                self.ledger.credited(holder, getter, u32::from(more));
            }
            Ask::Settled(piece) => {
                let witness = peer.giver.settle(reader, piece);
                if let Some(witness) = witness {
                    peer.uplink.gave(witness);
                }
                if peer.up.cancel(getter, piece) {
                    peer.departures.end(reader);
                    self.tell(holder, getter, exchange, Tell::Cancel(piece));
                } else if peer.departures.cancel(reader, piece) {
                    peer.promised.remove(&(getter, piece));
                    self.tell(holder, getter, exchange, Tell::Cancel(piece));
                }
            }
            Ask::Want(piece) => peer.giver.want(reader, piece),
            Ask::Close => self.hang_up(holder, getter),
        }
        self.pump(holder);
    }

    /// A holder's word at its getter.
    fn told(&mut self, getter: PeerNumber, holder: PeerNumber, exchange: Exchange, tell: Tell) {
        let now = self.now;
        let peer = self.peer(getter);
        if let Tell::Chunk { chunk, line_nanos } = tell {
            let passed = peer.down.pass(now, line_nanos, chunk.bytes, peer.plan.down);
            if passed > now {
                let from = holder;
                let event = Event::Received {
                    from,
                    exchange,
                    chunk,
                };
                self.events.put(passed, getter, event);
            } else {
                self.received(getter, holder, exchange, chunk);
            }
            return;
        }
        if peer.holders.get(&holder) != Some(&exchange) {
            return;
        }
        let source = Source(u64::from(holder));
        match tell {
            Tell::Choice {
                transfer,
                piece,
                first,
            } => {
                if peer.taker.handle_choice(now.instant(), source, piece) {
                    let incoming = Incoming {
                        holder,
                        piece,
                        bytes: 0,
                        first,
                    };
                    peer.incoming.insert(transfer, incoming);
                } else {
                    peer.report.refused += 1;
                }
            }
            Tell::Cancel(piece) => {
                peer.taker.handle_cancel(source, piece);
                peer.incoming
                    .retain(|_, incoming| (incoming.holder, incoming.piece) != (holder, piece));
            }
            Tell::Dry(hoped_before) => peer.taker.handle_dry(now.instant(), source, hoped_before),
            Tell::Chunk { .. } => {}
            Tell::Close => {
                peer.taker.close(now.instant(), source);
                peer.holders.remove(&holder);
                peer.incoming.retain(|_, incoming| incoming.holder != holder);
                self.events.put(now, getter, Event::Meet);
            }
        }
        self.follow(getter);
    }

    /// A chunk is here.
    fn received(&mut self, getter: PeerNumber, holder: PeerNumber, exchange: Exchange, chunk: Chunk) {
        let (now, piece_bytes) = (self.now.instant(), self.setup.piece_bytes);
        let source = Source(u64::from(holder));
        let wrong = self.peers[holder as usize].plan.lies;
        let peer = &mut self.peers[getter as usize];
        peer.report.received_bytes += chunk.bytes;
        self.ledger.received(chunk.bytes);
        let open = peer.holders.get(&holder) == Some(&exchange);
        let Some(incoming) = peer.incoming.get_mut(&chunk.transfer).filter(|_| open) else {
            return;
        };
        incoming.bytes += chunk.bytes;
        let (piece, first) = (incoming.piece, incoming.first);
        peer.taker.handle_progress(now, source);
        if !chunk.last {
            return;
        }
        assert_eq!(incoming.bytes, piece_bytes, "a piece came in full");
        peer.incoming.remove(&chunk.transfer);
        if wrong {
            self.expose(getter, holder);
            return;
        }
        if peer.taker.handle_piece(now, source, piece) {
            peer.giver.gain(now, piece, first);
            peer.report.pieces += 1;
            peer.uplink.gave(Reader(u64::from(holder)));
            self.ledger.gained(getter, holder, piece);
        }
        self.follow(getter);
        self.pump(getter);
    }

    fn wake(&mut self, number: PeerNumber) {
        let now = self.now;
        let peer = self.peer(number);
        if peer.wake != Some(now) {
            // It was put off or done earlier.
            return;
        }
        peer.wake = None;
        if peer.taker.deadline().is_some_and(|due| due <= now.instant()) {
            peer.taker.handle_timeout(now.instant());
        }
        if number != 0 {
            peer.giver.hope(peer.taker.hoped(now.instant()));
        }
        peer.giver.handle_timeout(now.instant());
        while let Some((reader, hoped_before)) = self.peer(number).giver.poll_dry() {
            if let Some((getter, exchange)) = self.exchange_of(number, reader) {
                self.tell(number, getter, exchange, Tell::Dry(hoped_before));
            }
        }
        if number != 0 && self.peer(number).taker.is_hopeless(now.instant()) {
            return self.give_up(number);
        }
        self.follow(number);
        self.pump(number);
    }

    /// Does what a getter's machine wants done.
    pub(super) fn follow(&mut self, number: PeerNumber) {
        while let Some(output) = self.peer(number).taker.poll_output() {
            let (source, ask) = match output {
                TakeOutput::Credit(source, more) => (source, Ask::Credit(more)),
                TakeOutput::Settled(source, piece) | TakeOutput::Refuse(source, piece) => {
                    (source, Ask::Settled(piece))
                }
                TakeOutput::Want(source, piece) => (source, Ask::Want(piece)),
                TakeOutput::Drop(source) => (source, Ask::Close),
                TakeOutput::Finished => {
                    self.finished(number);
                    continue;
                }
            };
            let holder = PeerNumber::try_from(source.0).unwrap_or(PeerNumber::MAX);
            let Some(exchange) = self.peer(number).holders.get(&holder).copied() else {
                continue;
            };
            if matches!(ask, Ask::Close) {
                let peer = self.peer(number);
                peer.holders.remove(&holder);
                peer.incoming.retain(|_, incoming| incoming.holder != holder);
                let again = self.now.after(HOLDER_RETRY.0 * 1_000);
                self.events.put(again, number, Event::Retry(holder));
            }
            self.ask(number, holder, exchange, ask);
        }
        self.schedule(number);
    }

    /// Has a peer woken when one of its machines wants to be.
    pub(super) fn schedule(&mut self, number: PeerNumber) {
        let peer = &mut self.peers[number as usize];
        let departures = peer.departures.deadline(self.now.instant());
        let due = [peer.taker.deadline(), peer.giver.deadline(), departures];
        if peer.here
            && let Some(due) = due.into_iter().flatten().min().map(nanos_of)
            && peer.wake.is_none_or(|wake| due < wake)
        {
            let due = due.max(self.now);
            peer.wake = Some(due);
            self.events.put(due, number, Event::Wake);
        }
    }

    /// A getter concludes that what it lacks is nowhere, and goes.
    fn give_up(&mut self, number: PeerNumber) {
        self.check_hopeless(number);
        let now = self.now.instant();
        let peer = self.peer(number);
        peer.report.gave_up = Some(now);
        if peer.plan.leaves.is_none() {
            self.waiting -= 1;
        }
        self.leave(number);
    }

    /// A getter has everything: it needs no holder any more.
    fn finished(&mut self, number: PeerNumber) {
        let now = self.now.instant();
        let peer = self.peer(number);
        peer.report.done = Some(now);
        peer.incoming.clear();
        let stays = peer.plan.leaves.is_none();
        for (holder, exchange) in core::mem::take(&mut peer.holders) {
            self.peer(number).taker.close(now, Source(u64::from(holder)));
            self.ask(number, holder, exchange, Ask::Close);
        }
        if stays {
            self.waiting -= 1;
        }
        if self.setup.leaves_when_done {
            self.events.put(self.now, number, Event::Leave);
        }
    }
}
