//! A UDP proxy that drops, repeats or reorders one datagram in five.
//!
//! What it does follows from a seed and the order of arrival. TCP is not passed on: who comes by it shows
//! that a conversation over UDP was not one.
#![allow(clippy::disallowed_types, unreachable_pub, reason = "a module of tests")]

use p2pdi::rng::Rng;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub struct BadNetwork {
    pub address: String,
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    rng: Mutex<Rng>,
    dropped: AtomicU64,
    repeated: AtomicU64,
    swapped: AtomicU64,
}

/// One direction of one conversation: passes datagrams on, holding back the one to be overtaken.
struct Way {
    held: Option<Vec<u8>>,
}

impl Shared {
    fn pass(&self, way: &mut Way, bytes: &[u8], mut send: impl FnMut(&[u8])) {
        let fault = {
            let mut rng = self.rng.lock().expect("not poisoned");
            rng.one_in(5).then(|| rng.below(3))
        };
        match fault {
            Some(0) => drop(self.dropped.fetch_add(1, Ordering::Relaxed)),
            Some(1) => {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                send(bytes);
                send(bytes);
            }
            Some(_) if way.held.is_none() => {
                self.swapped.fetch_add(1, Ordering::Relaxed);
                way.held = Some(bytes.to_vec());
                return;
            }
            _ => send(bytes),
        }
        if let Some(held) = way.held.take() {
            send(&held);
        }
    }
}

impl BadNetwork {
    /// A proxy in front of `target`.
    pub fn before(target: &str, seed: u64) -> Self {
        let target: SocketAddr = target.parse().expect("an address");
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a port"));
        front
            .set_read_timeout(Some(Duration::from_millis(50)))
            .expect("set");
        let address = front.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            rng: Mutex::new(Rng::from_seed(seed)),
            dropped: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            swapped: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || relay(&front, target, &theirs));
        Self {
            address,
            shared,
            threads: vec![thread],
        }
    }

    /// Datagrams dropped, repeated, reordered.
    pub fn faults(&self) -> (u64, u64, u64) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (
            count(&self.shared.dropped),
            count(&self.shared.repeated),
            count(&self.shared.swapped),
        )
    }
}

fn relay(front: &Arc<UdpSocket>, target: SocketAddr, shared: &Arc<Shared>) {
    let mut backs: BTreeMap<SocketAddr, (Arc<UdpSocket>, Way)> = BTreeMap::new();
    let mut answers = Vec::new();
    let mut buffer = [0; 2_048];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((bytes, from)) = front.recv_from(&mut buffer) else {
            continue;
        };
        let (back, way) = backs.entry(from).or_insert_with(|| {
            let back = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a port"));
            back.connect(target).expect("connected");
            back.set_read_timeout(Some(Duration::from_millis(50)))
                .expect("set");
            let (front, answering, shared) = (Arc::clone(front), Arc::clone(&back), Arc::clone(shared));
            answers.push(std::thread::spawn(move || {
                let mut way = Way { held: None };
                let mut buffer = [0; 2_048];
                while !shared.stop.load(Ordering::Relaxed) {
                    let Ok(bytes) = answering.recv(&mut buffer) else {
                        continue;
                    };
                    shared.pass(&mut way, &buffer[..bytes], |bytes| {
                        drop(front.send_to(bytes, from));
                    });
                }
            }));
            (back, Way { held: None })
        });
        shared.pass(way, &buffer[..bytes], |bytes| drop(back.send(bytes)));
    }
    for thread in answers {
        let _ = thread.join();
    }
}

impl Drop for BadNetwork {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
