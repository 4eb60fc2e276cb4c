//! Contents of one piece, and holders that serve no pieces: the whole content from one holder at a time.

use super::account::{Accounts, AttemptFault};
use super::{FetchFault, Fetcher, HolderSource, Standing, Watcher, is_content};
use crate::id::PieceIndex;
use crate::limits::{ANSWER_TIMEOUT, CHUNK_BYTES_MAX};
use crate::name::HostPort;
use crate::net::{Conn, ConnError, Incoming};
use crate::proto::transfer::{Manifest, PieceHasher, piece_count, piece_span};
use crate::storage::Landing;
use crate::storage::LandingKind::Whole;
use crate::wire::{ByteRange, ContentInfo, Download, Message, Part, Refusal, Wanted, features};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What has arrived of a content: its first bytes, and their hashes.
struct Arrival {
    landing: Landing,
    written: u64,
    hasher: blake3::Hasher,
    /// The hash of the piece under way, and the values of those before it.
    piece: PieceHasher,
    values: Vec<[u8; 32]>,
}

impl Arrival {
    fn open(landing: Landing, content: &ContentInfo) -> Self {
        let piece = PieceHasher::new(content.bytes, PieceIndex(0));
        Self {
            landing,
            written: 0,
            hasher: blake3::Hasher::new(),
            piece,
            values: Vec::new(),
        }
    }

    fn restart(&mut self, content: &ContentInfo) {
        self.written = 0;
        self.hasher = blake3::Hasher::new();
        self.piece = PieceHasher::new(content.bytes, PieceIndex(0));
        self.values.clear();
    }

    fn standing(&self, content: &ContentInfo) -> Standing {
        Standing {
            bytes: self.written,
            pieces: u32::try_from(self.values.len()).unwrap_or(u32::MAX),
            pieces_all: piece_count(content.bytes),
            holders: 1,
        }
    }

    fn is_whole(&self, content: &ContentInfo) -> bool {
        self.written == content.bytes && is_content(&self.hasher, content.id)
    }

    fn take(&mut self, content: &ContentInfo, mut bytes: &[u8]) -> io::Result<()> {
        self.landing.write_at(self.written, bytes)?;
        self.hasher.update(bytes);
        while !bytes.is_empty() {
            let piece = PieceIndex(u32::try_from(self.values.len()).unwrap_or(u32::MAX));
            let end = piece_span(content.bytes, piece).end;
            let step = usize::try_from(end - self.written).map_or(bytes.len(), |left| left.min(bytes.len()));
            let (now, later) = bytes.split_at(step);
            self.piece.update(now);
            self.written += now.len() as u64;
            bytes = later;
            if self.written == end && end < content.bytes {
                self.values.push(self.piece.finish());
                self.piece = PieceHasher::new(content.bytes, PieceIndex(piece.0 + 1));
            }
        }
        Ok(())
    }

    fn manifest(mut self, content: &ContentInfo) -> Manifest {
        if self.values.len() < piece_count(content.bytes) as usize {
            self.values.push(self.piece.finish());
        }
        Manifest::of_values(content.bytes, self.values)
    }
}

impl Fetcher<'_> {
    /// Fetches the whole content from the first holder that delivers it.
    pub(super) fn fetch_whole(
        &mut self,
        content: &ContentInfo,
        known: Vec<HostPort>,
        more: &mut dyn HolderSource,
        accounts: &mut Accounts,
        watcher: &mut dyn Watcher,
    ) -> Result<(PathBuf, Arc<Manifest>), FetchFault> {
        let landing = Landing::open(&self.out, content, Whole).map_err(FetchFault::Disk)?;
        let mut arrival = Arrival::open(landing, content);
        let asked = self.ask_in_turn(content, known, more, &mut arrival, accounts, watcher);
        if let Err(fault) = asked {
            // Nothing vouches for a part of it.
            arrival.landing.discard();
            return Err(fault);
        }
        let path = arrival.landing.finish().map_err(FetchFault::Disk)?;
        Ok((path, Arc::new(arrival.manifest(content))))
    }

    /// Asks one holder after the other until the content is whole.
    fn ask_in_turn(
        &mut self,
        content: &ContentInfo,
        known: Vec<HostPort>,
        more: &mut dyn HolderSource,
        arrival: &mut Arrival,
        accounts: &mut Accounts,
        watcher: &mut dyn Watcher,
    ) -> Result<(), FetchFault> {
        let mut left: Vec<HostPort> = known.into_iter().rev().collect();
        loop {
            if left.is_empty() {
                left = more.more().into_iter().rev().collect();
            }
            if self.stop.is_set() {
                return Err(FetchFault::Interrupted);
            }
            let Some(holder) = left.pop() else {
                return Err(FetchFault::NoHolderLeft(None, Vec::new()));
            };
            if self.try_holder(&holder, content, arrival, accounts, watcher)? {
                return Ok(());
            }
        }
    }

    /// True if the content is whole and right after this holder.
    fn try_holder(
        &mut self,
        holder: &HostPort,
        content: &ContentInfo,
        arrival: &mut Arrival,
        accounts: &mut Accounts,
        watcher: &mut dyn Watcher,
    ) -> Result<bool, FetchFault> {
        let mut ended = self.attempt(holder, content, arrival, accounts, watcher);
        if ended.is_ok() && !arrival.is_whole(content) {
            // Part of it may be what others sent: only a whole content of its own convicts it.
            let alone = accounts.of(holder).bytes == content.bytes;
            arrival.restart(content);
            if !alone {
                ended = self.attempt(holder, content, arrival, accounts, watcher);
            }
            if ended.is_ok() && !arrival.is_whole(content) {
                arrival.restart(content);
                ended = Err(AttemptFault::Lie("what it sent has another id".to_owned()));
            }
        }
        match ended {
            Ok(()) => Ok(true),
            Err(AttemptFault::Disk(error)) => Err(FetchFault::Disk(error)),
            Err(_) if self.stop.is_set() => Err(FetchFault::Interrupted),
            Err(AttemptFault::Interrupted) => Err(FetchFault::Interrupted),
            Err(fault) => {
                self.conns.remove(holder);
                watcher.failed(holder, &fault.to_string());
                accounts.failed(holder, &fault);
                Ok(false)
            }
        }
    }

    fn attempt(
        &mut self,
        holder: &HostPort,
        content: &ContentInfo,
        arrival: &mut Arrival,
        accounts: &mut Accounts,
        watcher: &mut dyn Watcher,
    ) -> Result<(), AttemptFault> {
        self.request = self.request.next();
        let request = self.request;
        let range = ByteRange {
            offset: arrival.written,
            bytes: u64::MAX,
        };
        let (wanted, part) = (Wanted::Id(content.id), Part::Range(range));
        let (mut conn, first) = self.ask(
            holder,
            &Download {
                request,
                wanted,
                part,
            }
            .into(),
        )?;
        let mut next = Some(first);
        loop {
            let incoming = match next.take() {
                Some(incoming) => incoming,
                None => receive(&mut conn)?,
            };
            match incoming {
                Incoming::Content(label, bytes) => {
                    if label.request != request || label.offset != arrival.written || bytes == 0 {
                        return Err(AttemptFault::Lie(format!(
                            "sent bytes of another place ({})",
                            label.offset
                        )));
                    }
                    if arrival.written + bytes as u64 > content.bytes {
                        return Err(AttemptFault::Lie(format!(
                            "sent more than the {} bytes there are",
                            content.bytes
                        )));
                    }
                    self.take_payload(&mut conn, bytes, content, arrival)?;
                    accounts.of(holder).bytes += bytes as u64;
                    watcher.advanced(&arrival.standing(content));
                }
                Incoming::Message(Message::Final(last)) if last.request == request => {
                    if last.id != content.id || last.bytes != content.bytes {
                        return Err(AttemptFault::Lie("ended with another id or size".to_owned()));
                    }
                    if arrival.written != content.bytes {
                        return Err(AttemptFault::Lie("ended before the content's end".to_owned()));
                    }
                    accounts.of(holder);
                    self.conns.insert(holder.clone(), conn);
                    return Ok(());
                }
                Incoming::Message(other) => {
                    let error = conn.unexpected(&other);
                    // A refusal of this one request leaves the connection good for others.
                    if matches!(error, ConnError::Refused(code, _) if code != Refusal::ContentLost) {
                        self.conns.insert(holder.clone(), conn);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    /// Sends the request and waits for the first frame back, over a kept connection if there is one. Such a
    /// connection may have ended while it was idle, which says nothing about the holder.
    fn ask(&mut self, holder: &HostPort, download: &Message) -> Result<(Conn, Incoming), ConnError> {
        if let Some(mut conn) = self.conns.remove(holder)
            && conn.send(download).is_ok()
            && let Ok(first) = receive(&mut conn)
        {
            return Ok((conn, first));
        }
        let mut conn = Conn::connect(holder, features::HOLDER, &self.stop)?;
        conn.send(download)?;
        let first = receive(&mut conn)?;
        Ok((conn, first))
    }

    fn take_payload(
        &mut self,
        conn: &mut Conn,
        bytes: usize,
        content: &ContentInfo,
        arrival: &mut Arrival,
    ) -> Result<(), AttemptFault> {
        if self.buffer.len() < bytes {
            self.buffer.resize(CHUNK_BYTES_MAX, 0);
        }
        let payload = &mut self.buffer[..bytes];
        conn.read_payload(payload)?;
        arrival.take(content, payload).map_err(AttemptFault::Disk)?;
        if self.down.wait(bytes, &self.stop) {
            Err(AttemptFault::Interrupted)
        } else {
            Ok(())
        }
    }
}

fn receive(conn: &mut Conn) -> Result<Incoming, ConnError> {
    conn.receive(ANSWER_TIMEOUT)?
        .ok_or_else(|| ConnError::Io(io::ErrorKind::UnexpectedEof.into()))
}
