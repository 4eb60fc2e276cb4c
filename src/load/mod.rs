//! The load generator: many clients of one RS from a few threads, and how long each request took.
//!
//! Belongs here: making and measuring the load. Does not: how it is shown (`cli/load.rs`). Invariant: a latency
//! counts from the moment the request was meant to be sent. With a rate, that moment does not wait for earlier
//! answers (an open loop), so an RS that stalls cannot hide it; without one, a client asks again when it has
//! its answer (a closed loop), and a stall is seen by as many requests as there are clients.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets and threads")]

mod carrier;
mod mix;
mod plan;
mod tally;
mod timer;
mod worker;
mod world;

pub use mix::{Kind, Mix};
pub use tally::{Latencies, Tally};

use crate::limits::{LOAD_DRAIN, LOAD_SETUP};
use crate::name::HostPort;
use crate::net::{Clock, ConnError, LinkTransport, Stop, connections_within};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use plan::{Measuring, Preparing, Schedule, Withdrawing};
use worker::{Losses, Worker};
use world::World;

/// What a load is.
#[derive(Clone, Debug)]
pub struct LoadSettings {
    /// The RS.
    pub rs: HostPort,
    /// What requests travel on.
    pub transport: LinkTransport,
    /// Threads that ask.
    pub threads: usize,
    /// Connections (over UDP: sockets) of all threads.
    pub connections: usize,
    /// Clients on each connection: each has one request under way at a time.
    pub window: usize,
    /// How long is measured.
    pub span: Span,
    /// Requests a second that are meant to be sent, whatever the answers do; none for a closed loop.
    pub rate: Option<u64>,
    /// Which requests.
    pub mix: Mix,
    /// Contents registered before, for requests to find.
    pub contents: u64,
    /// Leave everything registered at the end.
    pub keep: bool,
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct LoadReport {
    /// What was measured.
    pub tally: Tally,
    /// For how long requests were meant to be sent.
    pub span: Span,
    /// How long it took to register what the requests find.
    pub prepared_in: Span,
}

/// Runs a load.
///
/// # Errors
/// The RS is not reached, or refuses what comes before anything is measured.
pub fn run(settings: &LoadSettings, stop: &Stop) -> Result<LoadReport, ConnError> {
    let clock = Clock::start();
    let threads = settings.threads.min(settings.connections);
    // Each thread has a poll, its timer and one to spare.
    let connections = connections_within(settings.connections, 1, threads * 3);
    if connections < settings.connections {
        let text = format!(
            "{} connections need more open files than the {connections} allowed: raise ulimit -n",
            settings.connections
        );
        return Err(std::io::Error::other(text).into());
    }
    let world = World {
        run: Rng::from_os()?.next_u64(),
        clients: settings.connections * settings.window,
        contents: settings.contents,
    };
    let mut workers = each(0..threads, |thread| {
        let begin = |thread| settings.connections * thread / threads;
        let connections = begin(thread)..begin(thread + 1);
        Worker::open(settings, connections, clock)
    })?;
    let begun = clock.at();
    if settings.mix.needs_peers() {
        prepare(&world, &mut workers, clock, stop)?;
    }
    let prepared_in = clock.at().since(begun);
    let measured = measure(settings, &world, &mut workers, clock, stop)?;
    if !settings.keep {
        withdraw(&mut workers, clock, stop)?;
    }
    Ok(LoadReport {
        prepared_in,
        ..measured
    })
}

/// Does the same for each at the same time; gives the results in order, or the first error.
fn each<T: Send, R: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> Result<R, ConnError> + Sync,
) -> Result<Vec<R>, ConnError> {
    std::thread::scope(|scope| {
        let work = &work;
        let items = items.into_iter();
        let threads: Vec<_> = items.map(|item| scope.spawn(move || work(item))).collect();
        let ended = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

fn prepare(world: &World, workers: &mut [Worker], clock: Clock, stop: &Stop) -> Result<(), ConnError> {
    let gives_up_at = clock.at().after(LOAD_SETUP);
    let lost = each(workers, |worker| {
        let mut plan = Preparing {
            world,
            rng: Rng::from_os()?,
            gives_up_at,
        };
        worker.drive(&mut plan, stop)
    })?;
    if stop.is_set() {
        return Err(std::io::Error::from(std::io::ErrorKind::Interrupted).into());
    }
    match lost.iter().map(|losses| losses.unanswered + losses.closed).sum() {
        0 => Ok(()),
        lost => {
            let text = format!("{lost} of the joins and registrations before the load were not answered");
            Err(std::io::Error::other(text).into())
        }
    }
}

/// Between the moment the threads are told to begin and the first request: time for all of them to start.
const HEAD_START: Span = Span::from_millis(20);

fn measure(
    settings: &LoadSettings,
    world: &World,
    workers: &mut [Worker],
    clock: Clock,
    stop: &Stop,
) -> Result<LoadReport, ConnError> {
    let start = clock.at().after(HEAD_START);
    let end = start.after(settings.span);
    let step = workers.len() as u64;
    let numbered = (0..).zip(workers);
    let tallies = each(numbered, |(thread, worker)| {
        let schedule = settings.rate.map_or(Schedule::Closed, |per_sec| Schedule::Open {
            per_sec,
            next: thread,
            step,
        });
        measure_thread(settings, world, worker, schedule, (start, end), stop)
    })?;
    let mut tally = Tally::default();
    tallies.iter().for_each(|one| tally.add(one));
    // An operator's stop ends it early: then the rate is that of the time there was.
    let span = clock.at().min(end).since(start);
    Ok(LoadReport {
        tally,
        span,
        prepared_in: Span::ZERO,
    })
}

fn measure_thread(
    settings: &LoadSettings,
    world: &World,
    worker: &mut Worker,
    schedule: Schedule,
    (start, end): (Instant, Instant),
    stop: &Stop,
) -> Result<Tally, ConnError> {
    let mut tally = Tally::default();
    let mut joined = core::mem::take(&mut worker.joined);
    let mut plan = Measuring {
        world,
        mix: &settings.mix,
        rng: Rng::from_os()?,
        schedule,
        start,
        end,
        gives_up_at: end.after(LOAD_DRAIN),
        tally: &mut tally,
        joined: &mut joined,
    };
    let Losses {
        unanswered,
        repeats,
        closed,
    } = worker.drive(&mut plan, stop)?;
    let unsent = if stop.is_set() { 0 } else { plan.unsent() };
    worker.joined = joined;
    Ok(Tally {
        unanswered,
        repeats,
        closed,
        unsent,
        ..tally
    })
}

fn withdraw(workers: &mut [Worker], clock: Clock, stop: &Stop) -> Result<(), ConnError> {
    let gives_up_at = clock.at().after(LOAD_SETUP);
    each(workers, |worker| {
        let mut joined = core::mem::take(&mut worker.joined);
        let mut plan = Withdrawing {
            joined: &mut joined,
            gives_up_at,
        };
        worker.drive(&mut plan, stop)
    })?;
    Ok(())
}
