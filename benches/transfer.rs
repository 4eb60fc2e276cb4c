//! Transfers over loopback: 256 MiB sent from the map against read and write, the same fetched and verified,
//! and sixty documents end to end.
//!
//! Files lie in a temporary directory; set TMPDIR to a tmpfs to keep the disk out of it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::disallowed_types, reason = "a benchmark opens files and sockets")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use p2pdi::fetch::{Fetcher, Standing, Watcher};
use p2pdi::id::{ContentId, PieceIndex, RequestNumber};
use p2pdi::limits::CHUNK_BYTES_MAX;
use p2pdi::name::{HostPort, PeerName};
use p2pdi::net::{Clock, LinkTransport, Pacer, Stop};
use p2pdi::peer::{Peer, PeerSettings};
use p2pdi::proto::chunks;
use p2pdi::storage::{Conduit, Mapped, Stamp, State};
use p2pdi::wire::{ContentInfo, ContentKind, ContentLabel, content_prefix};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const BIG_BYTES: u64 = 256 << 20;

fn write_random(path: &Path, bytes: u64, seed: u64) {
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_be_bytes())
        .finalize_xof()
        .take(bytes);
    std::io::copy(&mut reader, &mut File::create(path).expect("a file")).expect("written");
}

/// A connection to a thread that reads and forgets.
fn drain() -> (TcpStream, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (mut far, _) = listener.accept().expect("accepted");
    let thread = std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES_MAX];
        while far.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
    });
    (near, thread)
}

fn label(chunk: p2pdi::proto::Chunk) -> ContentLabel {
    ContentLabel {
        request: RequestNumber(1),
        piece: PieceIndex(chunk.piece.0),
        offset: chunk.offset,
    }
}

fn send_256_mib(c: &mut Criterion) {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("big");
    write_random(&path, BIG_BYTES, 1);
    let stamp = Stamp::of(&path.metadata().expect("metadata"));
    let mut group = c.benchmark_group("send 256 MiB");
    group.throughput(Throughput::Bytes(BIG_BYTES)).sample_size(10);
    group.bench_function("from the map", |b| {
        let mapped = Mapped::open(&path, stamp).expect("mapped");
        let (near, thread) = drain();
        let mut conduit = Conduit::default();
        b.iter(|| {
            for chunk in chunks(BIG_BYTES, 0..BIG_BYTES, CHUNK_BYTES_MAX) {
                let mut prefix = Vec::new();
                content_prefix(label(chunk), chunk.bytes, &mut prefix);
                mapped
                    .send(
                        near.as_fd(),
                        Some(&mut conduit),
                        &prefix,
                        chunk.offset,
                        chunk.bytes,
                        || Ok(()),
                    )
                    .expect("sent");
            }
        });
        drop(near);
        thread.join().expect("joined");
    });
    group.bench_function("read and write", |b| {
        let file = File::open(&path).expect("open");
        let (mut near, thread) = drain();
        let mut frame = Vec::with_capacity(CHUNK_BYTES_MAX + 32);
        b.iter(|| {
            for chunk in chunks(BIG_BYTES, 0..BIG_BYTES, CHUNK_BYTES_MAX) {
                frame.clear();
                content_prefix(label(chunk), chunk.bytes, &mut frame);
                let prefix_bytes = frame.len();
                frame.resize(prefix_bytes + chunk.bytes, 0);
                file.read_exact_at(&mut frame[prefix_bytes..], chunk.offset)
                    .expect("read");
                near.write_all(&frame).expect("sent");
            }
        });
        drop(near);
        thread.join().expect("joined");
    });
    group.finish();
}

struct Silent;

impl Watcher for Silent {
    fn advanced(&mut self, _standing: &Standing) {}
    fn failed(&mut self, holder: &HostPort, why: &str) {
        panic!("{holder}: {why}");
    }
}

/// A peer that shares a directory, hashed.
fn sharing(directory: &Path, state: &Path, stop: &Stop) -> Arc<Peer> {
    let settings = PeerSettings {
        ring: None,
        rs: None,
        transport: LinkTransport::Tcp,
        central: false,
        listen: "127.0.0.1:0".parse().expect("an address"),
        advertise: None,
        name: PeerName::new("bench").expect("a name"),
        directories: vec![directory.to_owned()],
        up_limit: None,
        connections_max: 16,
    };
    let state = State::open(state).expect("a state");
    let peer = Peer::start(settings, state, Clock::start(), stop).expect("started");
    peer.wait_for_scan();
    peer
}

/// Fetches everything the peer shares into a new directory, as `get` does.
fn fetch_all(peer: &Peer, contents: &[ContentInfo], place: &Path, stop: &Stop) {
    let out = tempfile::tempdir_in(place).expect("a directory");
    let unlimited = Pacer::new(Clock::start(), None);
    let fetcher = Fetcher::new(out.path().to_owned(), &unlimited, stop.clone());
    let holder = HostPort::from(peer.address());
    for content in contents {
        fetcher
            .fetch(content, &mut vec![holder.clone()], &mut Silent)
            .expect("fetched");
    }
}

fn fetch(c: &mut Criterion, name: &str, sizes: &[u64]) {
    let place = tempfile::tempdir().expect("a directory");
    let shared = place.path().join("shared");
    std::fs::create_dir(&shared).expect("a directory");
    for (number, bytes) in sizes.iter().enumerate() {
        write_random(&shared.join(format!("document-{number}")), *bytes, number as u64);
    }
    let stop = Stop::new();
    let peer = sharing(&shared, &place.path().join("state"), &stop);
    let files = peer
        .shares()
        .all()
        .into_iter()
        .filter(|info| info.kind == ContentKind::File);
    let contents: Vec<ContentInfo> = files.collect();
    assert_eq!(contents.len(), sizes.len());
    assert!(contents.iter().all(|info| info.id != ContentId([0; 32])));
    let mut group = c.benchmark_group("fetch, verified");
    group
        .throughput(Throughput::Bytes(sizes.iter().sum()))
        .sample_size(10);
    group.bench_function(name, |b| {
        b.iter(|| fetch_all(&peer, &contents, place.path(), &stop));
    });
    group.finish();
    stop.trigger();
    peer.join();
}

fn fetch_256_mib(c: &mut Criterion) {
    fetch(c, "256 MiB", &[BIG_BYTES]);
}

fn fetch_60_documents(c: &mut Criterion) {
    let sizes: Vec<u64> = (0..60).map(|number| 6_000 + number * 2_900).collect();
    fetch(c, "60 documents, 5.5 MB", &sizes);
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(8)).warm_up_time(Duration::from_secs(1));
    targets = send_256_mib, fetch_256_mib, fetch_60_documents
}
criterion_main!(benches);
