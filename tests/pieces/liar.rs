//! Holders that speak the exchange of pieces, and lie in it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_types,
    reason = "a module of tests"
)]

use p2pdi::id::{ContentId, PieceIndex, RequestNumber};
use p2pdi::limits::STALL;
use p2pdi::name::{ContentName, HostPort, PeerName};
use p2pdi::net::{Conn, Incoming, Stop};
use p2pdi::proto::transfer::{PieceHasher, piece_count, piece_span};
use p2pdi::time::Span;
use p2pdi::wire::{
    Choice, Content, ContentInfo, ContentKind, GossipRecord, Index, IndexEntry, List, Manifest, Message,
    Refusal, Rest, Text, features,
};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

/// What is wrong with a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// One bit of every piece is flipped.
    WrongBytes,
    /// It says that the content is longer.
    WrongSize,
    /// Its chunks say another place.
    WrongOffset,
    /// It says that it has everything, and has nothing.
    Nothing,
    /// It chooses a piece, waits until others must have sent it, and then sends wrong bytes.
    LateBytes,
    /// It takes the have-map and never says anything.
    Silence,
    /// It sends the head of a content, and then next to nothing.
    Drip,
    /// It serves no pieces; whole, it sends rubbish and breaks off.
    WholeRubbish,
}

/// Answers each connection in a thread of its own, until it is dropped.
pub struct Listening {
    pub address: String,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    /// Listens; `answer` is told the port too.
    pub fn start(answer: impl Fn(TcpStream, &Stop, u16) + Send + Sync + 'static) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = HostPort::from(listener.local_addr().expect("an address"));
        let (stop, port) = (Stop::new(), address.port);
        let theirs = stop.clone();
        let thread = std::thread::spawn(move || {
            let _guard = theirs.watch(&listener);
            std::thread::scope(|scope| {
                while let Ok((stream, _)) = listener.accept() {
                    let (stop, answer) = (&theirs, &answer);
                    scope.spawn(move || answer(stream, stop, port));
                }
            });
        });
        Self {
            address: address.to_string(),
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.trigger();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A running liar.
pub struct Liar {
    pub address: String,
    _listening: Listening,
}

impl Liar {
    /// Listens, and lies to everybody about this content.
    pub fn start(content: &[u8], lie: Lie) -> Self {
        let content = content.to_vec();
        let listening = Listening::start(move |stream, stop, port| answer(stream, stop, &content, lie, port));
        Self {
            address: listening.address.clone(),
            _listening: listening,
        }
    }
}

fn answer(stream: TcpStream, stop: &Stop, content: &[u8], lie: Lie, port: u16) {
    let pieces = if lie == Lie::WholeRubbish {
        0
    } else {
        features::PIECES
    };
    let Ok(mut conn) = Conn::accept(stream, features::HOLDER | pieces, stop) else {
        return;
    };
    let mut next = 0;
    while let Ok(Some(Incoming::Message(message))) = conn.receive(Span::from_secs(30)) {
        let sent = match message {
            Message::IndexQuery(query) => conn.send(&index(query.request, content, port)),
            Message::Download(download) if lie == Lie::WrongBytes => whole(&conn, download.request, content),
            Message::Download(download) if lie == Lie::Drip => drip(&conn, download.request, content.len()),
            Message::Download(download) => {
                let rubbish = vec![9; 65_536];
                for number in 0..8 {
                    let (piece, offset) = (PieceIndex(number), u64::from(number) * 65_536);
                    let payload = Rest(rubbish.clone());
                    let chunk = Content {
                        request: download.request,
                        piece,
                        offset,
                        payload,
                    };
                    let _ = conn.send(&chunk.into());
                }
                return;
            }
            Message::ManifestQuery(query) => conn.send(&manifest(query.request, query.first, content, lie)),
            Message::HaveMap(map) if lie == Lie::Nothing => {
                let text = Text::cut("this peer does not hold it");
                conn.send(
                    &p2pdi::wire::Error {
                        request: map.request,
                        code: Refusal::NotFound,
                        text,
                    }
                    .into(),
                )
            }
            Message::Credit(_) if matches!(lie, Lie::Silence | Lie::Drip) => Ok(()),
            Message::Credit(credit) => (0..credit.pieces).try_for_each(|_| {
                let piece = PieceIndex(next);
                next += 1;
                if piece.0 < piece_count(content.len() as u64) {
                    give(&conn, credit.request, content, piece, lie)
                } else {
                    Ok(())
                }
            }),
            _ => Ok(()),
        };
        if sent.is_err() {
            return;
        }
    }
}

pub fn index(request: RequestNumber, content: &[u8], port: u16) -> Message {
    let info = ContentInfo {
        kind: ContentKind::File,
        name: ContentName::new("big").expect("a name"),
        id: ContentId(*blake3::hash(content).as_bytes()),
        bytes: content.len() as u64,
        modified: 0,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    };
    let claim = GossipRecord {
        name: PeerName::new("liar").expect("a name"),
        host: None,
        port,
        sequence: 1,
        remaining_secs: 7_200,
        withdrawn: false,
        complete: true,
    };
    let entry = IndexEntry {
        content: info,
        holders: List::first_of([claim]),
    };
    Index {
        request,
        more: false,
        contents: List::first_of([entry]),
    }
    .into()
}

pub fn manifest(request: RequestNumber, first: PieceIndex, content: &[u8], lie: Lie) -> Message {
    let bytes = content.len() as u64;
    let values = (first.0..piece_count(bytes)).map(|piece| {
        let mut hasher = PieceHasher::new(bytes, PieceIndex(piece));
        hasher.update(part(content, PieceIndex(piece)));
        hasher.finish()
    });
    let told = if lie == Lie::WrongSize { bytes + 1 } else { bytes };
    Manifest {
        request,
        bytes: told,
        first,
        values: List::first_of(values),
    }
    .into()
}

pub fn part(content: &[u8], piece: PieceIndex) -> &[u8] {
    let span = piece_span(content.len() as u64, piece);
    &content[usize::try_from(span.start).expect("small")..usize::try_from(span.end).expect("small")]
}

/// A small content of which one bit is another.
fn whole(conn: &Conn, request: RequestNumber, content: &[u8]) -> std::io::Result<()> {
    let mut payload = content.to_vec();
    payload[9] ^= 1;
    let (piece, offset) = (PieceIndex(0), 0);
    let chunk = Content {
        request,
        piece,
        offset,
        payload: Rest(payload),
    };
    conn.send(&chunk.into())?;
    let last = p2pdi::wire::Final {
        request,
        id: ContentId(*blake3::hash(content).as_bytes()),
        bytes: content.len() as u64,
        modified: 0,
        date: 0,
        media_type: Text::cut("text/plain"),
        os: Text::cut("none"),
    };
    conn.send(&last.into())
}

fn drip(conn: &Conn, request: RequestNumber, bytes: usize) -> std::io::Result<()> {
    let (piece, offset) = (PieceIndex(0), 0);
    let label = p2pdi::wire::ContentLabel {
        request,
        piece,
        offset,
    };
    let mut head = Vec::new();
    p2pdi::wire::content_prefix(label, bytes, &mut head);
    conn.writer().send_frames_of(&head)?;
    for _ in 0..40 {
        std::thread::park_timeout(std::time::Duration::from_millis(1_000));
        conn.writer().send_frames_of(&[0])?;
    }
    Ok(())
}

fn give(
    conn: &Conn,
    request: RequestNumber,
    content: &[u8],
    piece: PieceIndex,
    lie: Lie,
) -> std::io::Result<()> {
    let mut payload = part(content, piece).to_vec();
    let mut offset = piece_span(content.len() as u64, piece).start;
    match lie {
        Lie::WrongBytes | Lie::LateBytes => payload[9] ^= 1,
        Lie::WrongOffset => offset += 1,
        Lie::WrongSize | Lie::Nothing | Lie::Silence | Lie::Drip | Lie::WholeRubbish => {}
    }
    conn.send(
        &Choice {
            request,
            piece,
            first: false,
        }
        .into(),
    )?;
    if lie == Lie::LateBytes {
        // Longer than a getter waits before it takes the piece from another.
        std::thread::park_timeout(STALL.to_std() * 3 / 2);
    }
    conn.send(
        &Content {
            request,
            piece,
            offset,
            payload: Rest(payload),
        }
        .into(),
    )
}
