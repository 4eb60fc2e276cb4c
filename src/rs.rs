//! The registration server as a process: the machine, behind a lock, between its transports.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets and threads")]

use crate::limits::{PROBE_TIMEOUT, PROBES_WAITING_MAX, RS_PROBERS};
use crate::name::HostPort;
use crate::net::{
    Clock, Conn, ConnError, PoolSettings, RsPool, Service, Stop, bind, bind_udp, local_address, serve_datagrams,
};
use crate::proto::{AddressTokens, Asker, Probe, Registration, RegistrationSettings};
use crate::rng::Rng;
use crate::time::Span;
use crate::wire::{Message, features};
use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct RsSettings {
    /// Where to listen, over TCP and UDP; port 0 picks one.
    pub listen: SocketAddr,
    /// The pool.
    pub pool: PoolSettings,
    /// Leases and policy.
    pub registration: RegistrationSettings,
}

/// A running RS.
#[derive(Debug)]
pub struct Rs {
    address: SocketAddr,
    pool: RsPool,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Core {
    machine: Mutex<Registration>,
    clock: Clock,
    probes: Sender<Probe>,
}

impl Core {
    /// Hands out the probes that the machine wants. When the probers are behind, a report is dropped: whoever
    /// finds the holder dead reports it again.
    fn send_probes(&self, machine: &mut Registration) {
        while let Some(probe) = machine.poll_probe() {
            let _ = self.probes.try_send(probe);
        }
    }
}

impl Service for Core {
    fn answer(&self, asker: &Asker, request: &Message) -> Message {
        let now = self.clock.now();
        let mut machine = self.machine.lock();
        let answer = machine.handle_request(now, asker, request);
        self.send_probes(&mut machine);
        answer
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
        let clock = Clock::start();
        let mut rng = Rng::from_os()?;
        let tokens = AddressTokens::new(&mut rng);
        let (probes, probes_out) = bounded(PROBES_WAITING_MAX);
        let machine = Mutex::new(Registration::new(settings.registration, rng));
        let core = Arc::new(Core { machine, clock, probes });
        let service: Arc<dyn Service> = Arc::<Core>::clone(&core);

        let mut threads = Vec::new();
        let mut spawn = |name: &str, work: Box<dyn FnOnce() + Send>| -> io::Result<()> {
            threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(work)?);
            Ok(())
        };
        let (udp_service, udp_stop) = (Arc::clone(&service), stop.clone());
        spawn("rs-udp", Box::new(move || {
            let datagrams = Arc::new(datagrams);
            let _guard = udp_stop.watch(&datagrams);
            serve_datagrams(&datagrams, &*udp_service, &tokens, clock, &udp_stop);
        }))?;
        for _ in 0..RS_PROBERS {
            let (core, probes, stop) = (Arc::clone(&core), probes_out.clone(), stop.clone());
            spawn("rs-probe", Box::new(move || probe_all(&core, &probes, &stop)))?;
        }
        let (timer, timer_stop) = (Arc::clone(&core), stop.clone());
        spawn("rs-timer", Box::new(move || run_timer(&timer, &timer_stop)))?;
        let pool = RsPool::start(listener, settings.pool, &service, clock, stop)?;
        Ok(Self { address, pool, threads })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end, after the stop.
    pub fn join(self) {
        self.pool.join();
        for thread in self.threads {
            let _ = thread.join();
        }
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

/// The longest the timer sleeps: a lease granted meanwhile may be shorter than the one it waits for.
const TIMER_STEP: Span = Span::from_millis(500);

fn run_timer(core: &Core, stop: &Stop) {
    loop {
        let now = core.clock.now();
        let deadline = {
            let mut machine = core.machine.lock();
            machine.handle_timeout(now);
            core.send_probes(&mut machine);
            machine.deadline()
        };
        let latest = now.at.after(TIMER_STEP);
        let wake = deadline.map_or(latest, |deadline| deadline.min(latest)).max(now.at.after(Span::from_millis(10)));
        if stop.wait_until(core.clock.std_instant(wake)) {
            return;
        }
    }
}

fn probe_all(core: &Core, probes: &Receiver<Probe>, stop: &Stop) {
    while !stop.is_set() {
        let Ok(probe) = probes.recv_timeout(TIMER_STEP.to_std()) else { continue };
        let alive = answers(&probe.address, stop);
        log::info!("probed {}: {}", probe.address, if alive { "alive" } else { "no answer, hidden" });
        core.machine.lock().handle_probe(&probe, alive);
    }
}

/// A peer that greets us, or says that it is busy, is alive.
fn answers(address: &HostPort, stop: &Stop) -> bool {
    const { assert!(PROBE_TIMEOUT.0 <= crate::limits::CONNECT_TIMEOUT.0) };
    matches!(Conn::connect(address, features::REGISTRATION, stop), Ok(_) | Err(ConnError::Refused(..)))
}
