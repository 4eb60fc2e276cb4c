//! How everything ends: one flag, and whatever blocks is woken.

use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::time::Instant;

type Socket = dyn AsFd + Send + Sync;

#[derive(Default)]
struct State {
    stopped: bool,
    next: u64,
    sockets: BTreeMap<u64, Weak<Socket>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The wish to stop, shared by all threads of a process.
#[derive(Clone, Default)]
pub struct Stop(Arc<Shared>);

impl Stop {
    /// Not stopped.
    pub fn new() -> Self {
        Self::default()
    }

    /// True once [`Stop::trigger`] was called.
    pub fn is_set(&self) -> bool {
        self.0.state.lock().stopped
    }

    /// Stops: every wait ends and every watched socket is shut down.
    pub fn trigger(&self) {
        let sockets = {
            let mut state = self.0.state.lock();
            state.stopped = true;
            core::mem::take(&mut state.sockets)
        };
        self.0.changed.notify_all();
        sockets.into_values().for_each(|socket| shut(&socket));
    }

    /// Waits until `deadline` or the stop; true if stopped.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        let mut state = self.0.state.lock();
        while !state.stopped && !self.0.changed.wait_until(&mut state, deadline).timed_out() {}
        state.stopped
    }

    /// Waits for the stop.
    pub fn wait(&self) {
        let mut state = self.0.state.lock();
        while !state.stopped {
            self.0.changed.wait(&mut state);
        }
    }

    /// Shuts this socket down when the stop comes (at once if it has come), until the guard is dropped.
    pub fn watch<S: AsFd + Send + Sync + 'static>(&self, socket: &Arc<S>) -> StopGuard {
        let weak: Weak<Socket> = Arc::downgrade(&(Arc::clone(socket) as Arc<Socket>));
        let mut state = self.0.state.lock();
        let number = state.next;
        if state.stopped {
            drop(state);
            shut(&weak);
        } else {
            state.next += 1;
            state.sockets.insert(number, weak);
        }
        StopGuard { shared: Arc::clone(&self.0), number }
    }
}

/// A socket watched by [`Stop::watch`].
pub struct StopGuard {
    shared: Arc<Shared>,
    number: u64,
}

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.shared.state.lock().sockets.remove(&self.number);
    }
}

/// Ends both directions. A socket that was never connected refuses, and its waiting reader wakes all the same.
fn shut(socket: &Weak<Socket>) {
    if let Some(socket) = socket.upgrade() {
        let _ = socket2::SockRef::from(&socket.as_fd()).shutdown(std::net::Shutdown::Both);
    }
}

impl core::fmt::Debug for Stop {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Stop({})", self.is_set())
    }
}

impl core::fmt::Debug for StopGuard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "StopGuard({})", self.number)
    }
}
