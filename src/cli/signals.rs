//! SIGINT and SIGTERM: the first stops cleanly, the second at once.

use super::failure::Failure;
use p2pdi::net::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
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
