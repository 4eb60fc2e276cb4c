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
    parts: Vec<Weak<Shared>>,
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
        let (sockets, parts) = {
            let mut state = self.0.state.lock();
            state.stopped = true;
            (
                core::mem::take(&mut state.sockets),
                core::mem::take(&mut state.parts),
            )
        };
        self.0.changed.notify_all();
        sockets.into_values().for_each(|socket| shut(&socket));
        let parts = parts.iter().filter_map(Weak::upgrade);
        parts.for_each(|part| Self(part).trigger());
    }

    /// The stop of a part of the work: it comes with this one, and may come before.
    pub fn of_part(&self) -> Self {
        let part = Self::new();
        let mut state = self.0.state.lock();
        if state.stopped {
            part.trigger();
        } else {
            state.parts.retain(|part| part.strong_count() > 0);
            state.parts.push(Arc::downgrade(&part.0));
        }
        drop(state);
        part
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
        StopGuard {
            shared: Arc::clone(&self.0),
            number,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CONNECT_TIMEOUT;
    use crate::name::HostPort;
    use crate::net::connect;
    use std::time::Duration;

    #[test]
    fn a_part_stops_with_the_whole_or_before() {
        let whole = Stop::new();
        let (first, second) = (whole.of_part(), whole.of_part());
        first.trigger();
        assert!(first.is_set() && !second.is_set() && !whole.is_set());
        whole.trigger();
        assert!(second.is_set());
        assert!(whole.of_part().is_set(), "one that begins afterwards");
    }

    /// True if somebody waits for this port to take a connection (`man 5 proc`).
    fn is_being_reached(port: u16) -> bool {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the sockets");
        table.contains(&format!(":{port:04X} 02 "))
    }

    #[test]
    fn a_connection_that_is_only_begun_ends_with_the_stop() {
        let socket = |kind| socket2::Socket::new(socket2::Domain::IPV4, kind, None).expect("a socket");
        let listener = socket(socket2::Type::STREAM);
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        listener.bind(&any.into()).expect("a port");
        listener.listen(0).expect("listening");
        let address = listener
            .local_addr()
            .expect("an address")
            .as_socket()
            .expect("of a socket");
        // Its queue is full with these, and who comes next hears nothing.
        let connect_soon = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50));
        let _queue: Vec<_> = std::iter::from_fn(|| connect_soon().ok()).collect();
        let stop = Stop::new();
        let target = HostPort::parse(&address.to_string()).expect("an address");
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let ends = scope.spawn(|| connect(&target, &stop));
            while !is_being_reached(address.port()) && !ends.is_finished() {
                std::thread::yield_now();
            }
            stop.trigger();
            assert!(ends.join().expect("no panic").is_err());
        });
        assert!(
            begun.elapsed() < CONNECT_TIMEOUT.to_std(),
            "{:?}",
            begun.elapsed()
        );
    }
}
