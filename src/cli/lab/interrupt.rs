//! Ctrl-C and its kind, as something that can be waited for.
//!
//! Belongs here: turning signals into a channel. Not here: what is cleaned up, which is what the owners of
//! processes and folders do when they are dropped.

use crate::cli::failure::{Exit, Failure};
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

/// Watches for signals until dropped; a run must begin with it, so that nothing is left behind.
pub(super) struct Interrupt {
    handle: Handle,
    arrived: Receiver<()>,
}

impl Interrupt {
    /// Begins to watch.
    ///
    /// # Errors
    /// The operating system refuses signal handlers or a thread.
    pub(super) fn watch() -> Result<Self, Failure> {
        let fault = |error| Failure::io("watching for signals", &error);
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(fault)?;
        let handle = signals.handle();
        let (sender, arrived) = bounded(1);
        let watcher = std::thread::Builder::new().name("lab-signals".to_owned());
        watcher
            .spawn(move || {
                for _ in signals.forever() {
                    // A second signal changes nothing: the first one is still to be heard.
                    let _ = sender.try_send(());
                }
            })
            .map_err(fault)?;
        Ok(Self { handle, arrived })
    }

    /// Where a signal arrives.
    pub(super) fn arrived(&self) -> &Receiver<()> {
        &self.arrived
    }

    /// Fails if a signal has come.
    ///
    /// # Errors
    /// One has.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.arrived.try_recv() {
            Err(TryRecvError::Empty) => Ok(()),
            Ok(()) | Err(TryRecvError::Disconnected) => Err(Self::failure()),
        }
    }

    /// What a signal ends a run with.
    pub(super) fn failure() -> Failure {
        Failure::new(
            Exit::Interrupted,
            "interrupted; every process is stopped and the run's folders are removed",
        )
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        self.handle.close();
    }
}
