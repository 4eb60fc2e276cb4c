//! `p2pdi rs`.

use super::failure::Failure;
use super::line::Line;
use super::status::status_line;
use super::{say, signals};
use p2pdi::limits::{LEASE_SECS, RS_WORKERS, RS_WORKERS_MAX};
use p2pdi::net::{PoolSettings, Stop};
use p2pdi::proto::{Policy, RegistrationSettings};
use p2pdi::rs::{Rs, RsSettings};
use p2pdi::time::Span;

/// The longest lease: a year. A peer that is silent for longer is gone.
const LEASE_SECS_MAX: u64 = 365 * 86_400;

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let listen = line.listen("0.0.0.0:65423")?;
    let workers = line.number("--workers", 1..=RS_WORKERS_MAX as u64)?;
    let lease_secs = line
        .number("--lease", 1..=LEASE_SECS_MAX)?
        .unwrap_or(u64::from(LEASE_SECS));
    let policies = [
        ("least-used", Policy::LeastUsed),
        ("most-recent", Policy::MostRecent),
        ("rotate", Policy::Rotate),
    ];
    let policy = line.word("--policy", &policies)?.pop().unwrap_or_default();
    let data = line.path("--data")?;
    let workers = workers.map_or(RS_WORKERS, |workers| {
        usize::try_from(workers).unwrap_or(RS_WORKERS)
    });

    say::start_log("info");
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let registration = RegistrationSettings {
        lease: Span::from_secs(lease_secs),
        policy,
    };
    let settings = RsSettings {
        listen,
        pool: PoolSettings::of_workers(workers),
        registration,
        data,
    };
    let rs = Rs::start(settings, &stop).map_err(|error| Failure::io("starting", &error))?;
    let tell = rs.teller();
    signals::on_hangup(&stop, move || log::info!("{}", status_line(&tell())))?;
    say::result(&format!("listening on {}", rs.address()));
    log::info!("serving at {} with {workers} workers", rs.address());
    stop.wait();
    log::info!("stopping");
    rs.join().map_err(|error| Failure::io("stopped", &error))
}
