//! The RS's worker pool: one thread accepts, a fixed number serves, each with its own readiness poll.
//!
//! Accepted connections go to the worker with the fewest over its crossbeam channel. Invariant: no worker
//! ever waits for one connection; with the cap reached, the connection that has been idle longest goes.

use super::descriptors::connections_within;
use super::rs_session::{Progress, Session};
use super::socket::tune;
use super::{Clock, Dropped, Service, Stop};
use crate::limits::{CHUNK_BYTES_MAX, FRAME_BYTES_MAX, RS_CONNECTIONS_MAX};
use crate::proto::{Asker, refusal};
use crate::storage::ChangeCount;
use crate::time::{Instant, Span};
use crate::wire::Refusal;
use crossbeam_channel::{Receiver, Sender, unbounded};
use mio::{Events, Interest, Poll, Token, Waker};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{TcpListener, TcpStream};
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
}

impl PoolSettings {
    /// So many workers, and as many connections as an RS holds by default.
    pub const fn of_workers(workers: usize) -> Self {
        Self {
            workers,
            connections_max: RS_CONNECTIONS_MAX,
        }
    }
}

/// A connection on its way to a worker.
struct Accepted {
    stream: TcpStream,
    /// The cap is reached: close the longest idle one for it.
    make_room: bool,
}

/// What the acceptor sees of a worker.
struct WorkerFace {
    accepted: Sender<Accepted>,
    waker: Waker,
    load: AtomicUsize,
    /// When its longest idle connection last asked; never, if none is idle.
    idle_since: AtomicU64,
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
        let mut faces = Vec::new();
        let mut threads = Vec::new();
        for number in 0..settings.workers {
            let poll = Poll::new()?;
            let (accepted, inbox) = unbounded();
            let face = Arc::new(WorkerFace {
                accepted,
                waker: Waker::new(poll.registry(), WAKE)?,
                load: AtomicUsize::new(0),
                idle_since: AtomicU64::new(u64::MAX),
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
                settled: ChangeCount::default(),
                service: Arc::clone(service),
                clock,
                stop: stop.clone(),
            };
            let builder = std::thread::Builder::new().name(format!("rs-worker-{number}"));
            threads.push(builder.spawn(move || worker.run())?);
        }
        let stop = stop.clone();
        let acceptor = std::thread::Builder::new().name("rs-accept".to_owned());
        threads.push(acceptor.spawn(move || accept_all(listener, &faces, connections_max, &stop))?);
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

fn accept_all(listener: TcpListener, faces: &[Arc<WorkerFace>], connections_max: usize, stop: &Stop) {
    let listener = Arc::new(listener);
    let _guard = stop.watch(&listener);
    while !stop.is_set() {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(_) if stop.is_set() => break,
            Err(error) => {
                log::warn!("accepting a connection: {error}");
                // Out of descriptors: waiting costs nothing, trying again at once costs a core.
                stop.wait_until(std::time::Instant::now() + ACCEPT_PAUSE.to_std());
                continue;
            }
        };
        let open: usize = faces.iter().map(|face| face.load.load(Ordering::Relaxed)).sum();
        let make_room = open >= connections_max;
        let chosen = if make_room {
            faces
                .iter()
                .min_by_key(|face| face.idle_since.load(Ordering::Relaxed))
        } else {
            faces.iter().min_by_key(|face| face.load.load(Ordering::Relaxed))
        };
        if let Some(face) = chosen {
            face.load.fetch_add(1, Ordering::Relaxed);
            let _ = face.accepted.send(Accepted { stream, make_room });
            let _ = face.waker.wake();
        }
    }
    for face in faces {
        let _ = face.waker.wake();
    }
}

/// A poll, its waker, and one to spare.
const WORKER_DESCRIPTORS: usize = 3;
const WAKE: Token = Token(0);
/// Between two looks for stuck connections.
const SWEEP: Span = Span::from_secs(1);
/// How long the acceptor rests after an error.
const ACCEPT_PAUSE: Span = Span::from_millis(100);

struct Worker {
    poll: Poll,
    inbox: Receiver<Accepted>,
    face: Arc<WorkerFace>,
    sessions: BTreeMap<usize, Session>,
    last_token: usize,
    /// Sessions that have more to do at once.
    again: VecDeque<usize>,
    /// Sessions with answers that wait for the store.
    held: BTreeSet<usize>,
    settled: ChangeCount,
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
            let now = self.clock.at();
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
                if event.token() != WAKE {
                    self.drive(event.token().0, now);
                }
            }
            while let Ok(accepted) = self.inbox.try_recv() {
                self.adopt(accepted, now);
            }
            if now.since(swept) >= SWEEP {
                swept = now;
                self.sweep(now);
            }
        }
    }

    fn adopt(&mut self, accepted: Accepted, now: Instant) {
        let crowded = accepted.make_room && !self.close_longest_idle();
        if accepted.make_room {
            // Before the next sweep, or all that come until then crowd this one worker.
            self.publish_idle();
        }
        self.last_token += 1;
        let token = self.last_token;
        match self.open(accepted.stream, token, now) {
            Ok(session) => {
                self.service.account().note_opened();
                self.sessions.insert(token, session);
                if crowded {
                    self.service.account().note_dropped(Dropped::Crowded);
                    let text = "this RS has as many busy connections as it may: try again later";
                    if let Some(session) = self.sessions.get_mut(&token) {
                        session.end_with(&refusal(crate::id::RequestNumber::default(), Refusal::Busy, text));
                    }
                }
                self.drive(token, now);
            }
            Err(error) => {
                self.face.load.fetch_sub(1, Ordering::Relaxed);
                log::debug!("a connection that ended at once: {error}");
            }
        }
    }

    fn open(&self, stream: TcpStream, token: usize, now: Instant) -> io::Result<Session> {
        tune(&stream);
        stream.set_nonblocking(true)?;
        let asker = Asker::over_tcp(stream.peer_addr()?.ip(), stream.local_addr()?.ip());
        let mut stream = mio::net::TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(token), interest)?;
        Ok(Session::new(stream, asker, now))
    }

    fn drive(&mut self, token: usize, now: Instant) {
        let Some(session) = self.sessions.get_mut(&token) else {
            return;
        };
        match session.drive(now, &*self.service) {
            Progress::Waiting => {}
            Progress::Again => self.again.push_back(token),
            Progress::Ended => return self.close(token),
        }
        if session.is_held() {
            self.held.insert(token);
        }
    }

    fn close(&mut self, token: usize) {
        if let Some(mut session) = self.sessions.remove(&token) {
            let _ = self.poll.registry().deregister(&mut session.stream);
            self.service.account().note_closed();
            self.face.load.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn longest_idle(&self) -> Option<(usize, Instant)> {
        let idle = self.sessions.iter().filter(|(_, session)| session.is_idle());
        idle.map(|(token, session)| (*token, session.active_at))
            .min_by_key(|(_, since)| *since)
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
        let since = self.longest_idle().map_or(u64::MAX, |(_, since)| since.0);
        self.face.idle_since.store(since, Ordering::Relaxed);
    }
}
