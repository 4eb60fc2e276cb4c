//! opentracker, where it is installed: a BitTorrent tracker that answers announces over UDP (BEP 15).

use crate::CONTENTS;
use crate::client::{QUESTIONS, Questions};
use p2pdi::net::Stop;
use p2pdi::rng::Rng;
use std::fs::Permissions;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running tracker; it ends with this.
pub(crate) struct Tracker {
    child: Child,
    pub(crate) address: SocketAddr,
    _place: TempDir,
}

/// The torrent of a content.
fn torrent(number: u64) -> [u8; 20] {
    let hash = blake3::hash(&number.to_be_bytes());
    *hash.as_bytes().first_chunk().expect("twenty bytes")
}

impl Tracker {
    /// Starts one that takes as many torrents as the RS has contents; none if there is none installed. With `workers`
    /// it has threads for datagrams, without it serves them as it serves everything.
    pub(crate) fn start(workers: u64) -> Option<Self> {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path();
        let free = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = free.local_addr().expect("an address");
        drop(free);
        let listen =
            format!("listen.udp.workers {workers}\nlisten.udp {address}\naccess.whitelist allowed\n");
        let allowed = (0..CONTENTS).map(|number| hex(&torrent(number)) + "\n");
        std::fs::write(path.join("allowed"), allowed.collect::<String>()).expect("written");
        std::fs::write(path.join("conf"), listen).expect("written");
        // Started by root it becomes nobody, in this directory.
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).expect("readable");
        let child = Command::new("opentracker")
            .arg("-d")
            .arg(path)
            .arg("-f")
            .arg(path.join("conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let tracker = Self {
            child,
            address,
            _place: place,
        };
        tracker.wait_until_it_answers();
        Some(tracker)
    }

    fn wait_until_it_answers(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(self.address).expect("connected");
        let patience = Duration::from_millis(100);
        socket.set_read_timeout(Some(patience)).expect("a timeout");
        let begun = Instant::now();
        while connection(&socket).is_none() {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "the tracker does not answer"
            );
            // A port that nobody has yet refuses at once.
            Stop::new().wait_until(Instant::now() + patience);
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The connection id that a tracker gives to the socket's address.
fn connection(socket: &UdpSocket) -> Option<[u8; 8]> {
    let mut connect = 0x0417_2710_1980_u64.to_be_bytes().to_vec();
    connect.extend_from_slice(&[0; 8]);
    socket.send(&connect).ok()?;
    let mut answer = [0; 16];
    let bytes = socket.recv(&mut answer).ok()?;
    answer[..bytes].get(8..)?.try_into().ok()
}

/// Announces, under the connection id that the tracker gives.
pub(crate) fn announces(socket: &UdpSocket, seed: u64) -> Questions {
    let connection = connection(socket).expect("a connection id");
    let mut rng = Rng::from_seed(seed);
    let announce = |number: u32| {
        let mut bytes = connection.to_vec();
        bytes.extend_from_slice(&1_u32.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&torrent(rng.below(CONTENTS)));
        bytes.extend_from_slice(b"-P20000-000000000000");
        bytes.extend_from_slice(&[0; 24]);
        // No event, the address it comes from, no key, one other peer, a port.
        for field in [0_u32, 0, 0, 1] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&6_000_u16.to_be_bytes());
        bytes
    };
    Questions {
        datagrams: (0..QUESTIONS).map(announce).collect(),
        number_at: 4,
        // Interval, leechers and seeders; a refusal has none.
        answer_bytes_min: 20,
    }
}
