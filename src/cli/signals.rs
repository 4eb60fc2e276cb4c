//! SIGINT and SIGTERM: the first stops cleanly, the second at once. SIGHUP: see [`on_hangup`].

use super::failure::Failure;
use p2pdi::net::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// True once a signal has come.
#[derive(Clone, Debug, Default)]
pub(super) struct Signalled(Arc<AtomicBool>);

impl Signalled {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Triggers `stop` at the first signal.
pub(super) fn stop_on_signals(stop: &Stop) -> Result<Signalled, Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(|error| Failure::io("signals", &error))?;
    let signalled = Signalled::default();
    let (flag, stop) = (signalled.clone(), stop.clone());
    let spawned = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if flag.0.swap(true, Ordering::Relaxed) {
                    std::process::exit(128 + signal);
                }
                stop.trigger();
            }
        });
    spawned.map_err(|error| Failure::io("a thread for signals", &error))?;
    Ok(signalled)
}

/// What a daemon does at SIGHUP, again and again. In a terminal it means that the terminal is gone: then it stops.
pub(super) fn on_hangup(stop: &Stop, work: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGHUP]).map_err(|error| Failure::io("signals", &error))?;
    let in_terminal = std::io::stdin().is_terminal();
    let stop = stop.clone();
    let spawned = std::thread::Builder::new()
        .name("hangups".to_owned())
        .spawn(move || {
            for _ in signals.forever() {
                if in_terminal {
                    stop.trigger();
                } else {
                    work();
                }
            }
        });
    spawned.map_err(|error| Failure::io("a thread for signals", &error))?;
    Ok(())
}
