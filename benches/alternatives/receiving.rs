//! The getter's side: bytes from a holder that never waits, verified by piece, into a new file.

use crate::cost::{BYTES, Cost, throughput};
use crate::line::{Buffers, pair};
use crate::mapped_target;
use blake3::hazmat::HasherExt as _;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use p2pdi::limits::CHUNK_BYTES_MAX;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;

/// How the bytes get from the socket to the file, and when they are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// `read` a chunk, hash it while it is in cache, `pwrite` it: what a getter does.
    ReadHashWrite,
    /// `read` and `pwrite` a whole piece by chunks, then `pread` and hash it.
    ReadWriteHashLater,
    /// `read` a chunk into the mapped file, hash it there.
    IntoMap,
    /// `splice` a whole piece to the file through a pipe, then `pread` and hash it.
    SpliceHashLater,
    /// Without the hash, to see what that costs.
    Unverified,
    /// Without the file, to see what that costs.
    Unwritten,
}

/// The piece size of 256 MiB.
const PIECE_BYTES: usize = 256 << 10;

/// The one 256 KiB block that is sent over and over: what it is does not matter, and it stays in cache as fresh
/// content would not, but for all ways alike.
fn block() -> Vec<u8> {
    let mut block = vec![0; PIECE_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut block);
    block
}

/// The value of a piece as it is received.
struct Verifier {
    hasher: blake3::Hasher,
}

impl Verifier {
    fn new(offset: usize) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset as u64);
        Self { hasher }
    }

    fn finish(&self) {
        std::hint::black_box(self.hasher.finalize_non_root());
    }
}

struct Receiver {
    socket: TcpStream,
    buffer: Vec<u8>,
    pipe: (std::os::fd::OwnedFd, std::os::fd::OwnedFd),
}

impl Receiver {
    fn receive_all(&mut self, way: Way, chunk_bytes: usize, piece_bytes: usize, file: &File) {
        let total = usize::try_from(BYTES).expect("fits");
        let chunk_bytes = chunk_bytes.min(piece_bytes);
        self.buffer.resize(chunk_bytes, 0);
        let mut map = (way == Way::IntoMap).then(|| mapped_target::map(file));
        for piece in (0..total).step_by(piece_bytes) {
            let mut verifier = Verifier::new(piece);
            for at in (piece..piece + piece_bytes).step_by(chunk_bytes) {
                match way {
                    Way::ReadHashWrite => {
                        self.read();
                        verifier.hasher.update(&self.buffer);
                        self.write(file, at);
                    }
                    Way::ReadWriteHashLater | Way::Unverified => {
                        self.read();
                        self.write(file, at);
                    }
                    Way::Unwritten => {
                        self.read();
                        verifier.hasher.update(&self.buffer);
                    }
                    Way::IntoMap => {
                        let map = map.as_mut().expect("made above");
                        let place = &mut map[at..at + chunk_bytes];
                        self.socket.read_exact(place).expect("received");
                        verifier.hasher.update(place);
                    }
                    Way::SpliceHashLater => self.splice(file, at as u64, chunk_bytes),
                }
            }
            if matches!(way, Way::ReadWriteHashLater | Way::SpliceHashLater) {
                for at in (piece..piece + piece_bytes).step_by(chunk_bytes) {
                    file.read_exact_at(&mut self.buffer, at as u64).expect("read");
                    verifier.hasher.update(&self.buffer);
                }
            }
            if way != Way::Unverified {
                verifier.finish();
            }
        }
    }

    fn read(&mut self) {
        self.socket.read_exact(&mut self.buffer).expect("received");
    }

    fn write(&self, file: &File, at: usize) {
        file.write_all_at(&self.buffer, at as u64).expect("written");
    }

    fn splice(&self, file: &File, mut at: u64, bytes: usize) {
        let (from, into) = &self.pipe;
        let mut left = bytes;
        while left > 0 {
            let mut here = splice(&self.socket, None, into, None, left, SpliceFlags::MOVE).expect("received");
            left -= here;
            while here > 0 {
                here -= splice(from, None, file, Some(&mut at), here, SpliceFlags::MOVE).expect("written");
            }
        }
    }
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    (way, chunk_bytes, piece_bytes, buffers): (Way, usize, usize, Buffers),
) {
    let (mut near, far) = pair(buffers);
    let (go, gone) = crossbeam_channel::bounded::<()>(1);
    let holder = std::thread::spawn(move || {
        let block = block();
        while gone.recv().is_ok() {
            for _ in 0..BYTES / block.len() as u64 {
                near.write_all(&block).expect("sent");
            }
        }
    });
    let pipe = pipe().expect("a pipe");
    fcntl_setpipe_size(&pipe.1, 1 << 20).expect("a large pipe");
    let mut receiver = Receiver {
        socket: far,
        buffer: Vec::new(),
        pipe,
    };
    let mut cost = Cost::default();
    group.bench_function(id, |bencher| {
        cost.bench(
            bencher,
            || {
                let file = tempfile::tempfile().expect("a file");
                file.set_len(BYTES).expect("room");
                file
            },
            |file| {
                go.send(()).expect("the holder lives");
                receiver.receive_all(way, chunk_bytes, piece_bytes, file);
            },
        );
    });
    cost.print("receiver");
    drop(go);
    holder.join().expect("joined");
}

pub(crate) fn ways(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive");
    group.throughput(throughput());
    for way in [
        Way::ReadHashWrite,
        Way::ReadWriteHashLater,
        Way::IntoMap,
        Way::SpliceHashLater,
        Way::Unverified,
        Way::Unwritten,
    ] {
        let id = BenchmarkId::new(format!("{way:?}"), "256 KiB chunks");
        bench(
            &mut group,
            id,
            (way, CHUNK_BYTES_MAX, PIECE_BYTES, Buffers::default()),
        );
    }
    for chunk_bytes in [64 << 10, 128 << 10, 1 << 20] {
        let id = BenchmarkId::new("ReadHashWrite", format!("{} KiB chunks", chunk_bytes >> 10));
        let row = (Way::ReadHashWrite, chunk_bytes, 1 << 20, Buffers::default());
        bench(&mut group, id, row);
    }
    group.finish();
}

pub(crate) fn pieces(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive, pieces");
    group.throughput(throughput());
    for piece_bytes in [64 << 10, 256 << 10, 1 << 20, 16 << 20] {
        for way in [Way::ReadHashWrite, Way::ReadWriteHashLater] {
            let id = BenchmarkId::new(format!("{way:?}"), format!("{} KiB pieces", piece_bytes >> 10));
            bench(
                &mut group,
                id,
                (way, CHUNK_BYTES_MAX, piece_bytes, Buffers::default()),
            );
        }
    }
    group.finish();
}

pub(crate) fn buffers(c: &mut Criterion) {
    let mut group = c.benchmark_group("receive, SO_RCVBUF");
    group.throughput(throughput());
    for bytes in [None, Some(256 << 10), Some(1 << 20), Some(4 << 20)] {
        let name = bytes.map_or_else(
            || "as the kernel tunes it".to_owned(),
            |bytes| format!("{} KiB", bytes >> 10),
        );
        let buffers = Buffers {
            receive: bytes,
            ..Buffers::default()
        };
        let id = BenchmarkId::from_parameter(name);
        bench(
            &mut group,
            id,
            (Way::ReadHashWrite, CHUNK_BYTES_MAX, PIECE_BYTES, buffers),
        );
    }
    group.finish();
}
