//! The registration server as a process: the machine, behind a lock, between its transports.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets and threads")]

mod events;

use crate::id::RequestNumber;
use crate::limits::{PROBE_TIMEOUT, PROBES_WAITING_MAX, RS_HELD_ANSWERS_MAX, RS_PROBERS, RS_UDP_THREADS};
use crate::name::HostPort;
use crate::net::{
    Account, Clock, Conn, ConnError, Kept, PoolSettings, RsPool, Service, Stop, Turn, bind, bind_udp,
    local_address, send_held, serve_datagrams,
};
use crate::proto::{
    AddressTokens, Allowances, Asker, Probe, Registration, RegistrationSettings, Restoring, changes_state,
    refusal,
};
use crate::rng::Rng;
use crate::storage::{ChangeCount, Commits, DiskStore, Store as _, store_bytes};
use crate::time::{Instant, Now, Span};
use crate::wire::{List, Message, PeerInfo, Refusal, Status, features};
use crossbeam_channel::{Receiver, Sender, bounded};
use events::Events;
use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct RsSettings {
    /// Where to listen, over TCP and UDP; port 0 picks one.
    pub listen: SocketAddr,
    /// The pool.
    pub pool: PoolSettings,
    /// Leases and policy.
    pub registration: RegistrationSettings,
    /// Where to keep what must survive; without it, the end of the process is the end of all records.
    pub data: Option<PathBuf>,
}

/// A running RS.
#[derive(Debug)]
pub struct Rs {
    address: SocketAddr,
    pool: RsPool,
    threads: Vec<JoinHandle<()>>,
    core: Arc<Core>,
    writer: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug)]
struct Core {
    machine: Mutex<Registration>,
    allowances: Mutex<Allowances>,
    clock: Clock,
    probes: Sender<Probe>,
    commits: Commits,
    account: Account,
    events: Events,
    data: Option<PathBuf>,
    /// What was there when somebody last asked, and when that was: counting takes its time.
    kept: Mutex<Option<(Instant, Kept)>>,
}

impl Core {
    /// Hands on what the machine has decided, before anybody else asks it: changes, in their order, and probes.
    fn hand_on(&self, now: Now, machine: &mut Registration) -> ChangeCount {
        self.send_probes(machine);
        self.commits
            .hand_over(core::iter::from_fn(|| machine.poll_change(now)))
    }

    /// Hands out the probes that the machine wants. When the probers are behind, a report is dropped: whoever
    /// finds the holder dead reports it again.
    fn send_probes(&self, machine: &mut Registration) {
        while let Some(probe) = machine.poll_probe() {
            let _ = self.probes.try_send(probe);
        }
    }
}

/// What is there is counted no more often than this, however often it is asked for.
const COUNTED_EVERY: Span = Span::from_secs(1);

impl Core {
    fn kept(&self) -> Kept {
        let now = self.clock.now();
        let mut kept = self.kept.lock();
        if let Some((at, kept)) = &*kept
            && now.at.since(*at) < COUNTED_EVERY
        {
            return kept.clone();
        }
        let ((known, active, contents), offline) = {
            let mut machine = self.machine.lock();
            let there = (machine.counts(now), machine.offline(now));
            self.hand_on(now, &mut machine);
            there
        };
        let counted = Kept {
            peers_known: known as u64,
            peers_active: active as u64,
            contents: contents as u64,
            store_bytes: self.data.as_deref().and_then(store_bytes),
            offline,
        };
        *kept = Some((now.at, counted.clone()));
        counted
    }

    fn status(&self, request: RequestNumber) -> Status {
        self.account.tell(self.clock.at(), request, self.kept())
    }

    /// The same with addresses that the asker can use.
    fn status_for(&self, asker: &Asker, request: RequestNumber) -> Message {
        let mut status = self.status(request);
        let mut offline = List::new();
        for peer in core::mem::take(&mut status.offline).into_vec() {
            let Some(host) = asker.usable(&peer.host) else {
                return refusal(request, Refusal::UseTcp, "ask over TCP");
            };
            offline.push(PeerInfo { host, ..peer });
        }
        Status { offline, ..status }.into()
    }
}

impl Service for Core {
    fn turn(&self, now: Now) -> Box<dyn Turn + '_> {
        Box::new(CoreTurn {
            core: self,
            now,
            machine: None,
        })
    }

    fn account(&self) -> &Account {
        &self.account
    }

    fn settled(&self) -> ChangeCount {
        self.commits.settled()
    }

    fn tell_settled(&self, told: Box<dyn Fn() + Send + Sync>) {
        self.commits.tell(told);
    }
}

/// Answers with one look at the clock and one lock, for both cost as much as a decision.
struct CoreTurn<'a> {
    core: &'a Core,
    now: Now,
    /// Locked by the first request that needs it.
    machine: Option<MutexGuard<'a, Registration>>,
}

impl Turn for CoreTurn<'_> {
    fn answer(&mut self, asker: &Asker, request: &Message) -> (Message, ChangeCount) {
        let (answer, after) = self.decide(asker, request);
        self.core.account.note_answer(request, &answer);
        self.core.events.note(self.now.at, asker, request, &answer);
        (answer, after)
    }
}

impl CoreTurn<'_> {
    fn decide(&mut self, asker: &Asker, request: &Message) -> (Message, ChangeCount) {
        let allowances = &self.core.allowances;
        if Allowances::counts(asker, request)
            && let Some(text) = allowances.lock().refuses(self.now.at, asker, request)
        {
            // Not a bound that stays reached: whoever waits is served.
            let no = refusal(request.request().unwrap_or_default(), Refusal::Busy, text);
            return (no, ChangeCount::default());
        }
        let (answer, after) = self.serve(asker, request);
        if Allowances::counts_answer(asker, &answer) {
            allowances.lock().note_answer(asker, &answer);
        }
        (answer, after)
    }

    fn serve(&mut self, asker: &Asker, request: &Message) -> (Message, ChangeCount) {
        let (core, now) = (self.core, self.now);
        if let Message::StatusQuery(query) = request {
            // What is there is counted under the lock.
            self.machine = None;
            return (core.status_for(asker, query.request), ChangeCount::default());
        }
        let changes_state = changes_state(request);
        if changes_state && core.commits.is_full() {
            let text = "the disk of this RS does not keep up: try again later";
            let answer = refusal(request.request().unwrap_or_default(), Refusal::Busy, text);
            return (answer, ChangeCount::default());
        }
        let machine = self.machine.get_or_insert_with(|| core.machine.lock());
        let answer = machine.handle_request(now, asker, request);
        let changes = core.hand_on(now, machine);
        // Also a repeated request waits: what it asks for may have been done and not be kept yet.
        let after = if changes_state {
            changes
        } else {
            ChangeCount::default()
        };
        (answer, after)
    }
}

impl Rs {
    /// Starts serving.
    ///
    /// # Errors
    /// The address cannot be had, or the operating system gives no thread or randomness.
    pub fn start(settings: RsSettings, stop: &Stop) -> io::Result<Self> {
        let (listener, datagrams) = bind_both(settings.listen)?;
        let address = local_address(&listener)?;
        let clock = Clock::since_boot();
        let mut rng = Rng::from_os()?;
        let tokens = AddressTokens::new(&mut rng);
        let (probes, probes_out) = bounded(PROBES_WAITING_MAX);
        let (machine, store) = match &settings.data {
            Some(directory) => {
                let (machine, store) = restored(directory, settings.registration, rng, clock.now())?;
                (machine, Some(store))
            }
            None => (Registration::new(settings.registration, rng), None),
        };
        let core = Arc::new(Core {
            machine: Mutex::new(machine),
            allowances: Mutex::default(),
            clock,
            probes,
            commits: Commits::default(),
            account: Account::new(clock.at()),
            events: Events::default(),
            data: settings.data,
            kept: Mutex::default(),
        });
        let service: Arc<dyn Service> = Arc::<Core>::clone(&core);

        let mut threads = Vec::new();
        let mut writer = None;
        let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| -> io::Result<()> {
            threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(work)?);
            Ok(())
        };
        let (held, held_out) = bounded(RS_HELD_ANSWERS_MAX);
        let datagrams = Arc::new(datagrams);
        for _ in 0..RS_UDP_THREADS {
            let (udp, service, stop) = (Arc::clone(&datagrams), Arc::clone(&service), stop.clone());
            let (tokens, held) = (tokens.clone(), held.clone());
            let serve = move || {
                let _guard = stop.watch(&udp);
                serve_datagrams(&udp, &*service, &tokens, clock, &held, &stop);
            };
            spawn("rs-udp", Box::new(serve))?;
        }
        if let Some(mut store) = store {
            let (udp_service, udp_stop) = (Arc::clone(&service), stop.clone());
            let send = move || send_held(&datagrams, &*udp_service, clock, &held_out, &udp_stop);
            spawn("rs-udp-held", Box::new(send))?;
            let (core, stop) = (Arc::clone(&core), stop.clone());
            let keep = move || {
                let ended = core.commits.run(&mut store);
                // Nobody may be told of what is not kept.
                stop.trigger();
                ended
            };
            writer = Some(
                std::thread::Builder::new()
                    .name("rs-store".to_owned())
                    .spawn(keep)?,
            );
        }
        for _ in 0..RS_PROBERS {
            let (core, probes, stop) = (Arc::clone(&core), probes_out.clone(), stop.clone());
            spawn("rs-probe", Box::new(move || probe_all(&core, &probes, &stop)))?;
        }
        let (timer, timer_stop) = (Arc::clone(&core), stop.clone());
        spawn("rs-timer", Box::new(move || run_timer(&timer, &timer_stop)))?;
        let pool = RsPool::start(listener, settings.pool, &service, clock, stop)?;
        Ok(Self {
            address,
            pool,
            threads,
            core,
            writer,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What gives its own account, for as long as it runs.
    pub fn teller(&self) -> impl Fn() -> Status + Send + 'static {
        let core = Arc::clone(&self.core);
        move || core.status(RequestNumber::default())
    }

    /// Waits for the end, after the stop.
    ///
    /// # Errors
    /// The store could not be written: then it stopped by itself.
    pub fn join(self) -> io::Result<()> {
        self.pool.join();
        for thread in self.threads {
            let _ = thread.join();
        }
        // Nobody asks any more: what is left to write is written.
        self.core.commits.close();
        self.writer
            .and_then(|writer| writer.join().ok())
            .unwrap_or(Ok(()))
    }
}

/// Both transports on one port. With port 0 another may be tried: the one free for TCP need not be for UDP.
fn bind_both(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut tries_left = if listen.port() == 0 { 20 } else { 1 };
    loop {
        tries_left -= 1;
        let listener = bind(listen)?;
        match bind_udp(local_address(&listener)?) {
            Ok(datagrams) => return Ok((listener, datagrams)),
            Err(error) if tries_left == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// The machine made of what is stored in a directory, and the store.
fn restored(
    directory: &Path,
    settings: RegistrationSettings,
    rng: Rng,
    now: Now,
) -> io::Result<(Registration, DiskStore)> {
    let mut store = DiskStore::open(directory)?;
    let mut restoring = Restoring::new(settings, rng, now, store.is_of_this_boot());
    store.load(&mut |row| restoring.take(row))?;
    let mut machine = restoring.finish();
    let (known, active, contents) = machine.counts(now);
    log::info!(
        "{}: {known} peers, of them {active} active, and {contents} contents",
        directory.display()
    );
    Ok((machine, store))
}

/// The longest the timer sleeps: a lease granted meanwhile may be shorter than the one it waits for.
const TIMER_STEP: Span = Span::from_millis(500);

fn run_timer(core: &Core, stop: &Stop) {
    loop {
        let now = core.clock.now();
        core.account.take_sample(now.at);
        let deadline = {
            let mut machine = core.machine.lock();
            machine.handle_timeout(now);
            core.hand_on(now, &mut machine);
            machine.deadline()
        };
        let latest = now.at.after(TIMER_STEP);
        let wake = deadline
            .map_or(latest, |deadline| deadline.min(latest))
            .max(now.at.after(Span::from_millis(10)));
        if stop.wait_until(core.clock.std_instant(wake)) {
            return;
        }
    }
}

fn probe_all(core: &Core, probes: &Receiver<Probe>, stop: &Stop) {
    while !stop.is_set() {
        let Ok(probe) = probes.recv_timeout(TIMER_STEP.to_std()) else {
            continue;
        };
        let alive = answers(&probe.address, stop);
        log::info!(
            "probed {}: {}",
            probe.address,
            if alive { "alive" } else { "no answer, hidden" }
        );
        let mut machine = core.machine.lock();
        machine.handle_probe(&probe, alive);
        core.hand_on(core.clock.now(), &mut machine);
    }
}

/// A peer that greets us, or says that it is busy, is alive.
fn answers(address: &HostPort, stop: &Stop) -> bool {
    const { assert!(PROBE_TIMEOUT.0 <= crate::limits::CONNECT_TIMEOUT.0) };
    matches!(
        Conn::connect(address, features::REGISTRATION, stop),
        Ok(_) | Err(ConnError::Refused(..))
    )
}
