//! A TCP relay before a holder: it counts what the holder sends, and can let it drip.

use super::process::{Running, holder_of_big};
use p2pdi::net::Stop;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Passed on in one go: small, so that what it is told takes effect at once.
const STEP_BYTES: usize = 16 * 1024;

/// A relay; it ends when it is dropped.
pub(crate) struct Relay {
    /// Where getters reach it.
    pub(crate) address: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    target: OnceLock<SocketAddr>,
    stop: Stop,
    drips: AtomicBool,
    passed: Mutex<u64>,
    changed: Condvar,
}

impl Relay {
    /// A relay that listens. A holder has to advertise its address, or getters would find the way around it.
    pub(crate) fn start() -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let shared = Arc::new(Shared {
            target: OnceLock::new(),
            stop: Stop::new(),
            drips: AtomicBool::new(false),
            passed: Mutex::new(0),
            changed: Condvar::new(),
        });
        let (address, theirs) = (listener.local_addr().expect("an address"), Arc::clone(&shared));
        let thread = std::thread::spawn(move || {
            let _guard = theirs.stop.watch(&listener);
            std::thread::scope(|scope| {
                while let Ok((near, _)) = listener.accept() {
                    let shared = &theirs;
                    scope.spawn(move || shared.relay(near));
                }
            });
        });
        Self {
            address: address.to_string(),
            shared,
            thread: Some(thread),
        }
    }

    /// The same with a holder of `big` behind it.
    pub(crate) fn before_holder(place: &Path, name: &str, bytes: usize, more: &[&str]) -> (Self, Running) {
        let relay = Self::start();
        let more = [&["--advertise", &relay.address], more].concat();
        let holder = holder_of_big(place, name, bytes, &more);
        let target = holder.address.parse().expect("an address");
        relay.shared.target.set(target).expect("one holder");
        (relay, holder)
    }

    /// Bytes that went from the holder to its getters.
    pub(crate) fn passed(&self) -> u64 {
        *self.shared.passed.lock().expect("not poisoned")
    }

    /// Waits until so many have, and no longer than `patience`; true if they have.
    pub(crate) fn wait_for(&self, bytes: u64, patience: Duration) -> bool {
        let passed = self.shared.passed.lock().expect("not poisoned");
        let waited = self
            .shared
            .changed
            .wait_timeout_while(passed, patience, |passed| *passed < bytes);
        *waited.expect("not poisoned").0 >= bytes
    }

    /// From now on one byte a second goes to each getter, or all it can take.
    pub(crate) fn drip(&self, drips: bool) {
        self.shared.drips.store(drips, Ordering::Relaxed);
    }
}

impl Shared {
    fn relay(&self, near: TcpStream) {
        let far = self.target.get().map(TcpStream::connect);
        let Some(Ok(far)) = far else { return };
        // Or short frames would wait for one another, as on a line of 40 ms.
        let _ = [near.set_nodelay(true), far.set_nodelay(true)];
        let (near, far) = (Arc::new(near), Arc::new(far));
        let _guards = [self.stop.watch(&near), self.stop.watch(&far)];
        std::thread::scope(|scope| {
            scope.spawn(|| self.pass(&near, &far, false));
            self.pass(&far, &near, true);
        });
    }

    /// Passes on until either side ends, and then ends both.
    fn pass(&self, from: &TcpStream, to: &TcpStream, counted: bool) {
        let (mut reader, mut writer) = (from, to);
        let mut buffer = vec![0; STEP_BYTES];
        while let Ok(bytes @ 1..) = reader.read(&mut buffer) {
            let mut left = &buffer[..bytes];
            while !left.is_empty() {
                let drips = counted && self.drips.load(Ordering::Relaxed);
                if drips && self.stop.wait_until(Instant::now() + Duration::from_secs(1)) {
                    return;
                }
                let (now, later) = left.split_at(if drips { 1 } else { left.len() });
                if writer.write_all(now).is_err() {
                    let _ = from.shutdown(std::net::Shutdown::Both);
                    return;
                }
                if counted {
                    *self.passed.lock().expect("not poisoned") += now.len() as u64;
                    self.changed.notify_all();
                }
                left = later;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.trigger();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
