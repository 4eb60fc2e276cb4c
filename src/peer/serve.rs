//! A peer's connections: a thread each, up to a cap; index queries and downloads answered.

use super::exchange::Exchange;
use super::{Peer, Share, ShareBody, operating_system};
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::{CHUNK_BYTES_MAX, PEER_IDLE, SMALL_BYTES_MAX};
use crate::net::{Conn, ConnError, Incoming};
use crate::proto::{Asker, Chunk, chunks, refusal, resolve_range};
use crate::storage::{Conduit, Mapped, SmallFile, Stamp};
use crate::time::Span;
use crate::wire::{
    Content, ContentInfo, ContentLabel, Download, Final, Message, Part, Refusal, Rest, Text, content_prefix,
    encode_frame, features,
};
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Threads beyond the cap that say BUSY; past them a connection is just closed.
pub(super) const BUSY_THREADS_MAX: usize = 16;
/// How long a refused client may take to read why.
const BUSY_LINGER: Span = Span::from_secs(2);
/// How long the acceptor rests after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What comes around a small content, roughly: labels, and the end.
const FRAMES_AROUND_BYTES: usize = 512;

/// Counts a thread while it lives.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// One more of at most `max`.
    fn take(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let place = Self(Arc::clone(count));
        (count.fetch_add(1, Ordering::Relaxed) < max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Accepts connections until the stop.
pub(super) fn accept_all(peer: &Arc<Peer>, listener: TcpListener) {
    let listener = Arc::new(listener);
    let stop = peer.serving_stop();
    let _guard = stop.watch(&listener);
    // Apart, so that those who are told BUSY take no place of those who could be served.
    let (served, refused) = (Arc::default(), Arc::default());
    while !stop.is_set() {
        match listener.accept() {
            Ok((stream, _)) => admit(peer, stream, &served, &refused),
            Err(_) if stop.is_set() => break,
            Err(error) => {
                log::warn!("accepting a connection: {error}");
                stop.wait_until(Instant::now() + ACCEPT_PAUSE);
            }
        }
    }
}

fn admit(peer: &Arc<Peer>, stream: TcpStream, served: &Arc<AtomicUsize>, refused: &Arc<AtomicUsize>) {
    let free = Place::take(served, peer.connections_max);
    let busy = free.is_none();
    let Some(place) = free.or_else(|| Place::take(refused, BUSY_THREADS_MAX)) else {
        return;
    };
    let peer = Arc::clone(peer);
    let thread = std::thread::Builder::new()
        .name("peer-conn".to_owned())
        .spawn(move || {
            let _place = place;
            if busy {
                say_busy(&peer, stream);
            } else {
                serve(&peer, stream);
            }
        });
    if let Err(error) = thread {
        log::warn!("no thread for a connection: {error}");
    }
}

fn say_busy(peer: &Peer, stream: TcpStream) {
    let Ok(mut conn) = Conn::accept(stream, features::HOLDER | features::PIECES, peer.serving_stop()) else {
        return;
    };
    let text = format!(
        "{} serves {} connections, as many as it may",
        peer.name, peer.connections_max
    );
    let _ = conn.send(&refusal(RequestNumber::default(), Refusal::Busy, text));
    // Closing with its request unread would take the answer away from the client. It may go on talking: we go.
    let until = Instant::now() + BUSY_LINGER.to_std();
    while Instant::now() < until && matches!(conn.receive(BUSY_LINGER), Ok(Some(Incoming::Message(_)))) {}
}

fn serve(peer: &Arc<Peer>, stream: TcpStream) {
    let from = stream.peer_addr();
    let stop = peer.serving_stop();
    let ended = Conn::accept(stream, features::HOLDER | features::PIECES, stop).and_then(|mut conn| {
        let ended = answer_requests(peer, &mut conn);
        if let Err(error) = &ended {
            conn.explain(error);
        }
        // Whoever sends to it still need not wait.
        conn.writer().shut();
        ended
    });
    if let (Err(error), Ok(from)) = (ended, from) {
        log::debug!("{from}: {error}");
    }
}

fn answer_requests(peer: &Arc<Peer>, conn: &mut Conn) -> Result<(), ConnError> {
    let asker = Asker::over_tcp(conn.peer().ip(), conn.local().ip());
    let mut exchange = Exchange::default();
    loop {
        let incoming = match conn.receive(PEER_IDLE) {
            Ok(None) => return Ok(()),
            other => other?,
        };
        let Some(incoming) = incoming else { return Ok(()) };
        match incoming {
            Incoming::Message(Message::IndexQuery(query)) => {
                let answer = peer.index.lock().handle_query(peer.clock.at(), &asker, &query);
                conn.send(&answer)?;
            }
            Incoming::Message(Message::Download(download)) => serve_download(peer, conn, &download)?,
            Incoming::Message(Message::Version(_)) => return Err(ConnError::Unexpected("a second Version")),
            Incoming::Message(other) => {
                if exchange.handle(peer, conn, &other)? {
                    continue;
                }
                if let Some(ring) = peer.ring().filter(|_| matches!(other.row().letter, b'Y' | b'Z')) {
                    conn.send(&ring.driver().answer(asker.ip, &other))?;
                    continue;
                }
                let text = format!("{} is not served by this peer", other.row().name);
                conn.send(&refusal(
                    other.request().unwrap_or_default(),
                    Refusal::NotServed,
                    text,
                ))?;
            }
            Incoming::Content(..) => return Err(ConnError::Unexpected("Content")),
        }
    }
}

fn serve_download(peer: &Peer, conn: &mut Conn, download: &Download) -> Result<(), ConnError> {
    let request = download.request;
    let share = match share_asked_for(peer, download) {
        Ok(share) => share,
        Err((code, text)) => return Ok(conn.send(&refusal(request, code, text))?),
    };
    let Part::Range(range) = &download.part else {
        let text = "this peer serves byte ranges, not pieces";
        return Ok(conn.send(&refusal(request, Refusal::NotServed, text))?);
    };
    let Some(range) = resolve_range(range, share.info.bytes) else {
        let text = format!("{} has {} bytes", share.info.name, share.info.bytes);
        return Ok(conn.send(&refusal(request, Refusal::BadRange, text))?);
    };
    let is_small = share.info.bytes <= SMALL_BYTES_MAX && peer.up.step_bytes() == CHUNK_BYTES_MAX;
    let last = final_of(peer, request, &share.info);
    let sent = match &share.body {
        ShareBody::File(path, stamp, _) if is_small => {
            match send_small(conn, request, path, *stamp, range, &last) {
                Ok(()) => return Ok(()),
                lost => lost,
            }
        }
        ShareBody::File(path, stamp, _) => {
            Mapped::open(path, *stamp).and_then(|mapped| send_file(peer, conn, request, &mapped, range))
        }
        ShareBody::Tree(bytes) => send_bytes(peer, conn, request, bytes, range),
    };
    match sent {
        Ok(()) => Ok(conn.send(&last)?),
        Err(error) if is_lost(&error) => {
            peer.lost(&share.info.key());
            let text = format!("{} has changed or vanished", share.info.name);
            let _ = conn.send(&refusal(request, Refusal::ContentLost, text));
            // What was on its way may be of either state: the cut makes it void.
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn is_lost(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

/// The one share a request means, or why there is none.
fn share_asked_for(peer: &Peer, download: &Download) -> Result<Arc<Share>, (Refusal, String)> {
    let mut found = peer.shares.find(&download.wanted);
    // One file under two names is the same bytes.
    found.dedup_by_key(|share| share.info.id);
    match found.len() {
        0 => Err((Refusal::NotFound, "this peer does not hold it".to_owned())),
        1 => Ok(found.remove(0)),
        many => {
            let text = format!("{many} different contents have this name here: ask by id");
            Err((Refusal::Ambiguous, text))
        }
    }
}

fn final_of(peer: &Peer, request: RequestNumber, info: &ContentInfo) -> Message {
    Final {
        request,
        id: info.id,
        bytes: info.bytes,
        modified: info.modified,
        date: peer.clock.now().wall.0,
        media_type: info.media_type.clone(),
        os: Text::cut(operating_system()),
    }
    .into()
}

/// Waits until the chunk has had its time on the limited link.
fn pace(peer: &Peer, chunk: &Chunk) -> io::Result<()> {
    if peer.up.wait(chunk.bytes, peer.serving_stop()) {
        Err(io::ErrorKind::Interrupted.into())
    } else {
        Ok(())
    }
}

fn send_file(
    peer: &Peer,
    conn: &Conn,
    request: RequestNumber,
    mapped: &Mapped,
    range: core::ops::Range<u64>,
) -> io::Result<()> {
    let (mut prefix, mut conduit) = (Vec::new(), Conduit::default());
    for chunk in chunks(mapped.bytes(), range, peer.up.step_bytes()) {
        pace(peer, &chunk)?;
        mapped.check()?;
        prefix.clear();
        content_prefix(
            label(request, chunk.piece, chunk.offset),
            chunk.bytes,
            &mut prefix,
        );
        conn.writer().send_by(|socket, allow| {
            let conduit = Some(&mut conduit);
            mapped.send(socket, conduit, &prefix, chunk.offset, chunk.bytes, allow)
        })?;
    }
    mapped.check()
}

/// Sends a small file, read in one go, and its end with one write: most of what such a file costs is system calls.
fn send_small(
    conn: &Conn,
    request: RequestNumber,
    path: &Path,
    stamp: Stamp,
    range: core::ops::Range<u64>,
    last: &Message,
) -> io::Result<()> {
    let file = SmallFile::open(path, stamp)?;
    let content_bytes = usize::try_from(range.end - range.start).unwrap_or(0);
    let mut frames = Vec::with_capacity(content_bytes + FRAMES_AROUND_BYTES);
    for chunk in chunks(stamp.bytes, range, CHUNK_BYTES_MAX) {
        content_prefix(
            label(request, chunk.piece, chunk.offset),
            chunk.bytes,
            &mut frames,
        );
        let start = frames.len();
        frames.resize(start + chunk.bytes, 0);
        file.read(chunk.offset, &mut frames[start..])?;
    }
    file.check()?;
    encode_frame(last, &mut frames);
    conn.writer().send_frames_of(&frames)
}

fn send_bytes(
    peer: &Peer,
    conn: &mut Conn,
    request: RequestNumber,
    bytes: &[u8],
    range: core::ops::Range<u64>,
) -> io::Result<()> {
    for chunk in chunks(bytes.len() as u64, range, peer.up.step_bytes()) {
        pace(peer, &chunk)?;
        let start = usize::try_from(chunk.offset).unwrap_or(usize::MAX);
        let payload = Rest(bytes.get(start..start + chunk.bytes).unwrap_or_default().to_vec());
        let ContentLabel {
            request,
            piece,
            offset,
        } = label(request, chunk.piece, chunk.offset);
        conn.send(
            &Content {
                request,
                piece,
                offset,
                payload,
            }
            .into(),
        )?;
    }
    Ok(())
}

const fn label(request: RequestNumber, piece: PieceIndex, offset: u64) -> ContentLabel {
    ContentLabel {
        request,
        piece,
        offset,
    }
}
