//! A content of 1 TiB of which the first pieces exist, its holders and its getters, all in this process.
//!
//! The pieces that exist are zeros; the values of all others are made up. Nobody can tell before fetching one,
//! and nobody is sent one: so 1 TiB costs no more than what is fetched of it.

use p2pdi::id::{ContentId, PieceIndex, RequestNumber};
use p2pdi::limits::CHUNK_BYTES_MAX;
use p2pdi::name::{ContentName, HostPort, PeerName};
use p2pdi::net::{Conn, Incoming, Stop};
use p2pdi::proto::transfer::{Manifest, PieceHasher, Pieces, piece_count, piece_span};
use p2pdi::time::Span;
use p2pdi::wire::{
    Choice, ContentInfo, ContentKind, ContentLabel, Credit, GossipRecord, HaveMap, Index, IndexEntry, List,
    Message, Rest, Settled, Text, content_prefix, features,
};
use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Its length.
pub(crate) const BYTES: u64 = 1 << 40;
/// Its name.
pub(crate) const NAME: &str = "vast";

/// The values of its pieces, of which so many are true.
pub(crate) fn manifest(real: u32) -> Manifest {
    let zeros = vec![0; 1 << 20];
    let value = |piece| {
        if piece >= real {
            return *blake3::hash(&u32::to_be_bytes(piece)).as_bytes();
        }
        let mut hasher = PieceHasher::new(BYTES, PieceIndex(piece));
        let span = piece_span(BYTES, PieceIndex(piece));
        (span.start..span.end)
            .step_by(zeros.len())
            .for_each(|_| hasher.update(&zeros));
        hasher.finish()
    };
    Manifest::of_values(BYTES, (0..piece_count(BYTES)).map(value).collect())
}

fn info(id: ContentId) -> ContentInfo {
    ContentInfo {
        kind: ContentKind::File,
        name: ContentName::new(NAME).expect("a name"),
        id,
        bytes: BYTES,
        modified: 0,
        media_type: Text::cut("application/octet-stream"),
        number: None,
        title: None,
    }
}

/// What the holders share: each piece that exists is sent once, by whoever has a credit for it first.
struct Shared {
    manifest: Manifest,
    next: AtomicU32,
    opened: AtomicU32,
    real: u32,
    stop: Stop,
}

/// Holders of it, each at an address of its own.
pub(crate) struct Holders {
    pub(crate) addresses: Vec<String>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Holders {
    /// Starts so many.
    pub(crate) fn start(count: usize, real: u32) -> Self {
        let shared = Arc::new(Shared {
            manifest: manifest(real),
            next: AtomicU32::new(0),
            opened: AtomicU32::new(0),
            real,
            stop: Stop::new(),
        });
        let (mut addresses, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
            let port = listener.local_addr().expect("an address").port();
            addresses.push(format!("127.0.0.1:{port}"));
            let theirs = Arc::clone(&shared);
            threads.push(std::thread::spawn(move || {
                let _guard = theirs.stop.watch(&listener);
                std::thread::scope(|scope| {
                    while let Ok((stream, _)) = listener.accept() {
                        let shared = &theirs;
                        scope.spawn(move || shared.serve(stream, port));
                    }
                });
            }));
        }
        Self {
            addresses,
            shared,
            threads,
        }
    }

    /// Exchanges that getters have opened so far.
    pub(crate) fn opened(&self) -> u32 {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// What it is.
    pub(crate) fn id(&self) -> ContentId {
        self.shared.manifest.id()
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        self.shared.stop.trigger();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Answers a getter until it goes, or the stop comes.
    fn serve(&self, stream: TcpStream, port: u16) {
        let Ok(out) = stream.try_clone() else { return };
        let Ok(mut conn) = Conn::accept(stream, features::HOLDER | features::PIECES, &self.stop) else {
            return;
        };
        while let Ok(Some(Incoming::Message(message))) = conn.receive(Span::from_secs(60)) {
            let sent = match message {
                Message::IndexQuery(query) => conn.send(&self.index(query.request, port)),
                Message::ManifestQuery(query) => {
                    let rest = self.manifest.values().iter().skip(query.first.0 as usize);
                    let page = p2pdi::wire::Manifest {
                        request: query.request,
                        bytes: BYTES,
                        first: query.first,
                        values: List::first_of(rest.copied()),
                    };
                    conn.send(&page.into())
                }
                Message::Credit(credit) => (0..credit.pieces).try_for_each(|_| {
                    let piece = self.next.fetch_add(1, Ordering::Relaxed);
                    if piece < self.real {
                        // The last one drips: a getter that is owed something gives nobody up.
                        let pause = Duration::from_millis(if piece + 1 == self.real { 700 } else { 0 });
                        self.give(&conn, &out, credit.request, PieceIndex(piece), pause)
                    } else {
                        Ok(())
                    }
                }),
                Message::HaveMap(_) => {
                    self.opened.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                }
                _ => Ok(()),
            };
            if sent.is_err() {
                return;
            }
        }
    }

    fn index(&self, request: RequestNumber, port: u16) -> Message {
        let claim = GossipRecord {
            name: PeerName::new(format!("vast-{port}")).expect("a name"),
            host: None,
            port,
            sequence: 1,
            remaining_secs: 7_200,
            withdrawn: false,
            complete: true,
        };
        let entry = IndexEntry {
            content: info(self.manifest.id()),
            holders: List::first_of([claim]),
        };
        Index {
            request,
            more: false,
            contents: List::first_of([entry]),
        }
        .into()
    }

    fn give(
        &self,
        conn: &Conn,
        mut out: &TcpStream,
        request: RequestNumber,
        piece: PieceIndex,
        pause: Duration,
    ) -> io::Result<()> {
        let first = false;
        conn.send(
            &Choice {
                request,
                piece,
                first,
            }
            .into(),
        )?;
        let span = piece_span(BYTES, piece);
        let mut frame = Vec::new();
        for offset in (span.start..span.end).step_by(CHUNK_BYTES_MAX) {
            frame.clear();
            let label = ContentLabel {
                request,
                piece,
                offset,
            };
            content_prefix(label, CHUNK_BYTES_MAX, &mut frame);
            frame.resize(frame.len() + CHUNK_BYTES_MAX, 0);
            out.write_all(&frame)?;
            if !pause.is_zero() && self.stop.wait_until(Instant::now() + pause) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        Ok(())
    }
}

/// A getter in this process: takes so many pieces of a content of so many bytes, and says that it has them. The
/// bytes that came.
pub(crate) fn take(address: &str, id: ContentId, of_bytes: u64, pieces: u32) -> u64 {
    let stop = Stop::new();
    let address = HostPort::parse(address).expect("an address");
    let mut conn = Conn::connect(&address, features::PIECES, &stop).expect("connected");
    let request = RequestNumber(1);
    let none = Pieces::none(piece_count(of_bytes));
    let map = HaveMap {
        request,
        id,
        port: 0,
        map: Rest(none.to_map()),
    };
    conn.send(&map.into()).expect("sent");
    let credit = Credit { request, pieces: 1 };
    conn.send(&credit.into()).expect("sent");
    let (mut bytes, mut whole) = (0, 0);
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    while whole < pieces {
        match conn.receive(Span::from_secs(60)).expect("the holder goes on") {
            Some(Incoming::Content(label, payload)) => {
                conn.read_payload(&mut buffer[..payload]).expect("read");
                bytes += payload as u64;
                if label.offset + payload as u64 == piece_span(of_bytes, label.piece).end {
                    whole += 1;
                    let pieces = List::first_of([label.piece]);
                    let _ = conn.send(&Settled { request, pieces }.into());
                    let _ = conn.send(&Credit { request, pieces: 1 }.into());
                }
            }
            Some(Incoming::Message(Message::Choice(_) | Message::HaveUpdate(_))) => {}
            other => panic!("not an exchange: {other:?}"),
        }
    }
    bytes
}
