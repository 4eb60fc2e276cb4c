//! The RS's worker pool: one thread accepts, a fixed number serves, each with its own readiness poll.
//!
//! Accepted connections go to the worker with the fewest over its crossbeam channel. Invariant: no worker
//! ever waits for one connection; with the cap reached, the connection that has been idle longest goes.

use super::descriptors::connections_within;
use super::places::{Place, Places};
use super::rs_session::{Progress, ReadBuffer, Session};
use super::socket::tune;
use super::{Clock, Dropped, Service, Stop};
use crate::limits::{
    CHUNK_BYTES_MAX, FRAME_BYTES_MAX, RS_CONNECTIONS_MAX, RS_CONNECTIONS_PER_ADDRESS_MAX, RS_HELD_BYTES_MAX,
};
use crate::proto::{Asker, refusal};
use crate::storage::ChangeCount;
use crate::time::{Instant, Now, Span};
use crate::wire::Refusal;
use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;

const _: () = assert!(
    FRAME_BYTES_MAX <= CHUNK_BYTES_MAX,
    "a session's input stays below one content frame"
);

/// What the pool is made of.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// How many threads serve.
    pub workers: usize,
    /// How many connections may be open.
    pub connections_max: usize,
    /// How many of them from one address that is not this machine's.
    pub connections_per_address_max: usize,
    /// How many bytes all of them together may leave unfinished.
    pub held_bytes_max: usize,
}

impl PoolSettings {
    /// So many workers, and as many connections as an RS holds by default.
    pub const fn of_workers(workers: usize) -> Self {
        Self {
            workers,
            connections_max: RS_CONNECTIONS_MAX,
            connections_per_address_max: RS_CONNECTIONS_PER_ADDRESS_MAX,
            held_bytes_max: RS_HELD_BYTES_MAX,
        }
    }
}

/// What the acceptor tells a worker.
enum Order {
    /// Serve a connection.
    Adopt(Accepted),
    /// Close the connection that was idle for longest: no descriptor is left to accept with.
    MakeRoom,
}

/// A connection on its way to a worker.
struct Accepted {
    stream: TcpStream,
    /// Its place among those of its address; none if there is no more.
    place: Option<Place>,
    /// The cap is reached: close the longest idle one for it.
    make_room: bool,
}

/// What the acceptor sees of a worker.
struct WorkerFace {
    orders: Sender<Order>,
    waker: Waker,
    load: AtomicUsize,
    /// The rank of its longest idle connection; the highest, if none is idle.
    idle_rank: AtomicU64,
}

impl WorkerFace {
    fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
        let _ = self.waker.wake();
    }
}

/// The running pool.
pub struct RsPool {
    threads: Vec<JoinHandle<()>>,
}

impl RsPool {
    /// Starts acceptor and workers on a listener.
    ///
    /// # Errors
    /// The operating system gives no poll or thread.
    pub fn start(
        listener: TcpListener,
        settings: PoolSettings,
        service: &Arc<dyn Service>,
        clock: Clock,
        stop: &Stop,
    ) -> io::Result<Self> {
        let own = settings.workers * WORKER_DESCRIPTORS;
        let connections_max = connections_within(settings.connections_max, 1, own);
        let held_bytes = Arc::new(AtomicUsize::new(0));
        let mut faces = Vec::new();
        let mut threads = Vec::new();
        for number in 0..settings.workers {
            let poll = Poll::new()?;
            let (orders, inbox) = unbounded();
            let face = Arc::new(WorkerFace {
                orders,
                waker: Waker::new(poll.registry(), WAKE)?,
                load: AtomicUsize::new(0),
                idle_rank: AtomicU64::new(u64::MAX),
            });
            faces.push(Arc::clone(&face));
            let told = Arc::clone(&face);
            service.tell_settled(Box::new(move || {
                let _ = told.waker.wake();
            }));
            let worker = Worker {
                poll,
                inbox,
                face,
                sessions: BTreeMap::new(),
                last_token: WAKE.0,
                again: VecDeque::new(),
                held: BTreeSet::new(),
                held_bytes: Arc::clone(&held_bytes),
                held_bytes_max: settings.held_bytes_max,
                per_address_max: settings.connections_per_address_max,
                settled: ChangeCount::default(),
                buffer: Box::new([0; size_of::<ReadBuffer>()]),
                service: Arc::clone(service),
                clock,
                stop: stop.clone(),
            };
            let builder = std::thread::Builder::new().name(format!("rs-worker-{number}"));
            threads.push(builder.spawn(move || worker.run())?);
        }
        let acceptor = Acceptor {
            listener: Arc::new(listener),
            faces,
            connections_max,
            per_address_max: settings.connections_per_address_max,
            places: Places::default(),
        };
        let stop = stop.clone();
        let builder = std::thread::Builder::new().name("rs-accept".to_owned());
        threads.push(builder.spawn(move || acceptor.run(&stop))?);
        Ok(Self { threads })
    }

    /// Waits for every thread to end, after the stop.
    pub fn join(self) {
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl core::fmt::Debug for RsPool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RsPool({} threads)", self.threads.len())
    }
}

struct Acceptor {
    listener: Arc<TcpListener>,
    faces: Vec<Arc<WorkerFace>>,
    connections_max: usize,
    per_address_max: usize,
    places: Places,
}

impl Acceptor {
    fn run(&self, stop: &Stop) {
        let _guard = stop.watch(&self.listener);
        let mut warned: Option<std::time::Instant> = None;
        while !stop.is_set() {
            match self.listener.accept() {
                Ok((stream, from)) => {
                    self.hand_over(stream, from.ip());
                }
                Err(_) if stop.is_set() => break,
                Err(error) => {
                    if warned.is_none_or(|warned| warned.elapsed() >= WARNED_EVERY.to_std()) {
                        warned = Some(std::time::Instant::now());
                        log::warn!("accepting a connection: {error}; who is idle longest makes room");
                    }
                    // Out of descriptors, most likely: who is idle makes room. Waiting costs nothing, trying again at
                    // once would cost a core.
                    if let Some(face) = self.longest_idle() {
                        face.tell(Order::MakeRoom);
                    }
                    stop.wait_until(std::time::Instant::now() + ACCEPT_PAUSE.to_std());
                }
            }
        }
        for face in &self.faces {
            let _ = face.waker.wake();
        }
    }

    fn hand_over(&self, stream: TcpStream, ip: IpAddr) {
        let place = self.places.take(ip, self.per_address_max);
        let loads = || self.faces.iter().map(|face| face.load.load(Ordering::Relaxed));
        // Who is refused takes nobody's place.
        let make_room = place.is_some() && loads().sum::<usize>() >= self.connections_max;
        let chosen = if make_room {
            self.longest_idle()
        } else {
            self.faces
                .iter()
                .min_by_key(|face| face.load.load(Ordering::Relaxed))
        };
        if let Some(face) = chosen {
            face.load.fetch_add(1, Ordering::Relaxed);
            face.tell(Order::Adopt(Accepted {
                stream,
                place,
                make_room,
            }));
        }
    }

    /// The worker with the connection that goes first when room is needed.
    fn longest_idle(&self) -> Option<&Arc<WorkerFace>> {
        self.faces
            .iter()
            .min_by_key(|face| face.idle_rank.load(Ordering::Relaxed))
    }
}

/// A poll, its waker, and one to spare.
const WORKER_DESCRIPTORS: usize = 3;
const WAKE: Token = Token(0);
/// Between two looks for stuck connections.
const SWEEP: Span = Span::from_secs(1);
/// Failures to accept are logged no more often than this: there may be one for every connection.
const WARNED_EVERY: Span = Span::from_secs(60);
/// How long the acceptor rests after an error.
const ACCEPT_PAUSE: Span = Span::from_millis(20);

struct Worker {
    poll: Poll,
    inbox: Receiver<Order>,
    face: Arc<WorkerFace>,
    sessions: BTreeMap<usize, Session>,
    last_token: usize,
    /// Sessions that have more to do at once.
    again: VecDeque<usize>,
    /// Sessions with answers that wait for the store.
    held: BTreeSet<usize>,
    /// What the sessions of all workers hold.
    held_bytes: Arc<AtomicUsize>,
    held_bytes_max: usize,
    per_address_max: usize,
    settled: ChangeCount,
    buffer: Box<ReadBuffer>,
    service: Arc<dyn Service>,
    clock: Clock,
    stop: Stop,
}

impl Worker {
    fn run(mut self) {
        let mut events = Events::with_capacity(256);
        let mut swept = self.clock.at();
        while !self.stop.is_set() {
            let wait = if self.again.is_empty() { SWEEP } else { Span::ZERO };
            if let Err(error) = self.poll.poll(&mut events, Some(wait.to_std()))
                && error.kind() != io::ErrorKind::Interrupted
            {
                log::error!("waiting for connections: {error}");
                break;
            }
            let now = self.clock.now();
            for _ in 0..self.again.len() {
                if let Some(token) = self.again.pop_front() {
                    self.drive(token, now);
                }
            }
            let settled = self.service.settled();
            if settled != self.settled {
                self.settled = settled;
                for token in core::mem::take(&mut self.held) {
                    self.drive(token, now);
                }
            }
            for event in &events {
                let token = event.token().0;
                if event.is_read_closed()
                    && let Some(session) = self.sessions.get_mut(&token)
                {
                    session.hung_up = true;
                }
                // No session has the waker's token.
                self.drive(token, now);
            }
            // Who was served last waited longest.
            self.service.account().note_wait(self.clock.at().since(now.at));
            while let Ok(order) = self.inbox.try_recv() {
                match order {
                    Order::Adopt(accepted) => self.adopt(accepted, now),
                    Order::MakeRoom => {
                        self.close_longest_idle();
                        self.publish_idle();
                    }
                }
            }
            if now.at.since(swept) >= SWEEP {
                swept = now.at;
                self.sweep(now.at);
            }
        }
    }

    fn adopt(&mut self, accepted: Accepted, now: Now) {
        let crowded = accepted.make_room && !self.close_longest_idle();
        if accepted.make_room {
            // Before the next sweep, or all that come until then crowd this one worker.
            self.publish_idle();
        }
        let refused = if accepted.place.is_none() {
            let text = format!(
                "this RS serves {} connections of one address: try again later",
                self.per_address_max
            );
            Some((Dropped::CrowdedAddress, text))
        } else if crowded {
            let text = "this RS has as many busy connections as it may: try again later".to_owned();
            Some((Dropped::Crowded, text))
        } else {
            None
        };
        self.last_token += 1;
        let token = self.last_token;
        match self.open(accepted, token, now.at) {
            Ok(mut session) => {
                self.service.account().note_opened();
                if let Some((why, text)) = refused {
                    self.service.account().note_dropped(why);
                    session.end_with(&refusal(crate::id::RequestNumber::default(), Refusal::Busy, text));
                }
                self.sessions.insert(token, session);
                self.drive(token, now);
            }
            Err(error) => {
                self.face.load.fetch_sub(1, Ordering::Relaxed);
                log::debug!("a connection that ended at once: {error}");
            }
        }
    }

    fn open(&self, accepted: Accepted, token: usize, now: Instant) -> io::Result<Session> {
        let Accepted { stream, place, .. } = accepted;
        tune(&stream);
        stream.set_nonblocking(true)?;
        let asker = Asker::over_tcp(stream.peer_addr()?.ip(), stream.local_addr()?.ip());
        let mut stream = mio::net::TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(token), interest)?;
        Ok(Session::new(stream, asker, place, now))
    }

    fn drive(&mut self, token: usize, now: Now) {
        let Some(session) = self.sessions.get_mut(&token) else {
            return;
        };
        match session.drive(now, &*self.service, &mut self.buffer) {
            Progress::Waiting => {}
            Progress::Again => self.again.push_back(token),
            Progress::Ended => return self.close(token),
        }
        let (before, after) = session.note_held_bytes();
        self.held_bytes.fetch_add(after, Ordering::Relaxed);
        let all = self.held_bytes.fetch_sub(before, Ordering::Relaxed) - before;
        if after > 0 && all > self.held_bytes_max {
            self.service.account().note_dropped(Dropped::Memory);
            return self.close(token);
        }
        if session.is_held() {
            self.held.insert(token);
        }
    }

    fn close(&mut self, token: usize) {
        if let Some(mut session) = self.sessions.remove(&token) {
            let _ = self.poll.registry().deregister(&mut session.stream);
            self.service.account().note_closed();
            self.held_bytes
                .fetch_sub(session.counted_bytes, Ordering::Relaxed);
            self.face.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The token and rank of the connection that goes first when room is needed.
    fn longest_idle(&self) -> Option<(usize, u64)> {
        let idle = self.sessions.iter().filter(|(_, session)| session.is_idle());
        idle.map(|(token, session)| (*token, session.idle_rank()))
            .min_by_key(|(_, rank)| *rank)
    }

    fn close_longest_idle(&mut self) -> bool {
        let found = self.longest_idle();
        if let Some((token, _)) = found {
            self.service.account().note_dropped(Dropped::MadeRoom);
            self.close(token);
        }
        found.is_some()
    }

    fn sweep(&mut self, now: Instant) {
        let overdue = |(token, session): (&usize, &Session)| Some((*token, session.overdue(now)?));
        let overdue: Vec<(usize, Dropped)> = self.sessions.iter().filter_map(overdue).collect();
        for (token, why) in overdue {
            self.service.account().note_dropped(why);
            self.close(token);
        }
        self.publish_idle();
    }

    fn publish_idle(&self) {
        let rank = self.longest_idle().map_or(u64::MAX, |(_, rank)| rank);
        self.face.idle_rank.store(rank, Ordering::Relaxed);
    }
}
