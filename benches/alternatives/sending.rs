//! The holder's side: labelled chunks of a file to a getter that reads and forgets.

use crate::cost::{BYTES, Cost, throughput};
use crate::line::{Buffers, pair};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use p2pdi::id::{PieceIndex, RequestNumber};
use p2pdi::limits::{CHUNK_BYTES_MAX, UNSENT_BYTES_MAX, UNSENT_BYTES_MIN};
use p2pdi::proto::{Chunk, chunks};
use p2pdi::storage::{Conduit, Mapped, Stamp};
use p2pdi::wire::{ContentLabel, content_prefix};
use rustix::net::{SendFlags, send};
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// How the bytes get from the file to the socket.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `sendmsg` of the label, `vmsplice` and `splice` of mapped pages through a pipe: what a peer does.
    Pages,
    /// `sendmsg` of label and mapped bytes, which are copied: what a peer does with a few.
    Map,
    /// `pread` into a buffer, `write` of label and bytes.
    Read,
    /// `send` of the label, to be continued; `sendfile` of the bytes.
    Sendfile,
    /// The same with `splice` from the file through a pipe.
    Splice,
}

struct Sender {
    mapped: Mapped,
    conduit: Conduit,
    file: File,
    pipe: (OwnedFd, OwnedFd),
    socket: TcpStream,
    prefix: Vec<u8>,
    buffer: Vec<u8>,
}

impl Sender {
    fn new(path: &Path, socket: TcpStream) -> Self {
        let stamp = Stamp::of(&path.metadata().expect("metadata"));
        let pipe = pipe().expect("a pipe");
        fcntl_setpipe_size(&pipe.1, 1 << 20).expect("a large pipe");
        Self {
            mapped: Mapped::open(path, stamp).expect("mapped"),
            conduit: Conduit::default(),
            file: File::open(path).expect("open"),
            pipe,
            socket,
            prefix: Vec::new(),
            buffer: Vec::new(),
        }
    }

    fn send_all(&mut self, way: Way, chunk_bytes: usize) {
        for chunk in chunks(BYTES, 0..BYTES, chunk_bytes) {
            self.prefix.clear();
            let label = ContentLabel {
                request: RequestNumber(1),
                piece: PieceIndex(chunk.piece.0),
                offset: chunk.offset,
            };
            content_prefix(label, chunk.bytes, &mut self.prefix);
            // As a peer does before each chunk, whatever way it goes.
            self.mapped.check().expect("unchanged");
            match way {
                Way::Pages => self.send_mapped(chunk, true),
                Way::Map => self.send_mapped(chunk, false),
                Way::Read => self.read_and_write(chunk.offset, chunk.bytes),
                Way::Sendfile => self.sendfile(chunk.offset, chunk.bytes),
                Way::Splice => self.splice(chunk.offset, chunk.bytes),
            }
        }
    }

    fn send_mapped(&mut self, chunk: Chunk, as_pages: bool) {
        let conduit = Some(&mut self.conduit).filter(|_| as_pages);
        let (socket, prefix) = (self.socket.as_fd(), &self.prefix);
        let sent = self
            .mapped
            .send(socket, conduit, prefix, chunk.offset, chunk.bytes, || Ok(()));
        sent.expect("sent");
    }

    fn read_and_write(&mut self, offset: u64, bytes: usize) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&self.prefix);
        self.buffer.resize(self.prefix.len() + bytes, 0);
        self.file
            .read_exact_at(&mut self.buffer[self.prefix.len()..], offset)
            .expect("read");
        self.socket.write_all(&self.buffer).expect("sent");
    }

    fn send_label(&self) {
        let sent = send(&self.socket, &self.prefix, SendFlags::MORE).expect("sent");
        assert_eq!(sent, self.prefix.len());
    }

    fn sendfile(&self, mut offset: u64, bytes: usize) {
        self.send_label();
        let mut left = bytes;
        while left > 0 {
            left -= rustix::fs::sendfile(&self.socket, &self.file, Some(&mut offset), left).expect("sent");
        }
    }

    fn splice(&self, mut offset: u64, bytes: usize) {
        self.send_label();
        let (mut unread, mut unsent) = (bytes, bytes);
        while unsent > 0 {
            let (from, into) = &self.pipe;
            if unread > 0 {
                unread -= splice(
                    &self.file,
                    Some(&mut offset),
                    into,
                    None,
                    unread,
                    SpliceFlags::MOVE,
                )
                .expect("read");
            }
            while unsent > unread {
                // The last bytes of a chunk are not to wait for more.
                let flags = if unread > 0 {
                    SpliceFlags::MORE
                } else {
                    SpliceFlags::MOVE
                };
                unsent -= splice(from, None, &self.socket, None, unsent - unread, flags).expect("sent");
            }
        }
    }
}

fn source() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut random = blake3::Hasher::new().finalize_xof().take(BYTES);
    std::io::copy(&mut random, &mut file.as_file()).expect("written");
    file
}

fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    path: &Path,
    (way, chunk_bytes, buffers): (Way, usize, Buffers),
) {
    let (near, mut far) = pair(buffers);
    let drain = std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        while far.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
    });
    let mut sender = Sender::new(path, near);
    let mut cost = Cost::default();
    group.bench_function(id, |bencher| {
        cost.bench(bencher, || (), |()| sender.send_all(way, chunk_bytes));
    });
    cost.print("sender");
    drop(sender);
    drain.join().expect("joined");
}

pub(crate) fn ways(c: &mut Criterion) {
    let source = source();
    let mut group = c.benchmark_group("send");
    group.throughput(throughput());
    for way in [Way::Pages, Way::Map, Way::Read, Way::Sendfile, Way::Splice] {
        for chunk_bytes in [64 << 10, 256 << 10, 1 << 20] {
            let id = BenchmarkId::new(format!("{way:?}"), format!("{} KiB chunks", chunk_bytes >> 10));
            bench(
                &mut group,
                id,
                source.path(),
                (way, chunk_bytes, Buffers::default()),
            );
        }
    }
    group.finish();
}

pub(crate) fn buffers(c: &mut Criterion) {
    let source = source();
    let mut group = c.benchmark_group("send, socket buffers");
    group.throughput(throughput());
    let default = Buffers::default();
    let mut all = vec![("as the kernel tunes it".to_owned(), default)];
    for bytes in [UNSENT_BYTES_MIN, 128 << 10, UNSENT_BYTES_MAX] {
        let unsent = Buffers {
            unsent: Some(bytes),
            ..default
        };
        all.push((format!("{} KiB unsent", bytes >> 10), unsent));
    }
    for bytes in [256 << 10, 1 << 20, 4 << 20] {
        let send = Buffers {
            send: Some(bytes),
            ..default
        };
        all.push((format!("SO_SNDBUF {} KiB", bytes >> 10), send));
    }
    for way in [Way::Pages, Way::Map, Way::Sendfile] {
        for (name, buffers) in &all {
            let id = BenchmarkId::new(format!("{way:?}"), name);
            bench(&mut group, id, source.path(), (way, CHUNK_BYTES_MAX, *buffers));
        }
    }
    group.finish();
}
