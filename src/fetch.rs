//! Fetching one content: from one holder at a time, verified as a whole, and from the next when one fails.
//!
//! Belongs here: the wiring of connections, landing and verification. Does not: finding holders
//! (`locate.rs`), printing. Invariant: a file appears only if its bytes have the id that was asked for, and
//! every holder that was tried is accounted for.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets and files")]

use crate::id::{ContentId, RequestNumber};
use crate::limits::{ANSWER_TIMEOUT, CHUNK_BYTES_MAX};
use crate::name::HostPort;
use crate::net::{Conn, ConnError, Incoming, Pacer, Stop};
use crate::storage::Landing;
use crate::wire::{ByteRange, ContentInfo, Download, Message, Part, Refusal, Wanted, features};
use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one holder gave, and how it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderAccount {
    /// Where it was reached.
    pub address: HostPort,
    /// Bytes of content it sent.
    pub bytes: u64,
    /// Why it was given up, each time.
    pub failures: Vec<String>,
}

/// A content that has been fetched.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Where it lies.
    pub path: PathBuf,
    /// How long it took.
    pub took: Duration,
    /// Everyone who was asked.
    pub holders: Vec<HolderAccount>,
}

/// How a holder failed, in rising order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It was not reached, or broke off.
    Lost,
    /// It refused.
    Refused,
    /// What it sent has another id.
    Unverified,
}

/// Why a content could not be fetched.
#[derive(Debug)]
pub enum FetchFault {
    /// No holder is left. The heaviest of their failures, and everyone who was tried.
    NoHolderLeft(Option<Weight>, Vec<HolderAccount>),
    /// Our own disk; the error names the file.
    Disk(io::Error),
    /// We were told to stop; what has come is kept.
    Interrupted,
}

/// How one attempt at one holder ended badly.
enum AttemptFault {
    Conn(ConnError),
    /// It sent something other than what was asked for.
    Lie(String),
    Disk(io::Error),
    Interrupted,
}

impl From<ConnError> for AttemptFault {
    fn from(error: ConnError) -> Self {
        Self::Conn(error)
    }
}

impl AttemptFault {
    const fn weight(&self) -> Weight {
        match self {
            Self::Conn(ConnError::Refused(..)) => Weight::Refused,
            Self::Lie(_) => Weight::Unverified,
            _ => Weight::Lost,
        }
    }
}

impl fmt::Display for AttemptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conn(error) => write!(f, "{error}"),
            Self::Lie(what) => f.write_str(what),
            Self::Disk(error) => write!(f, "{error}"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// Told how far a fetch is.
pub trait Watcher {
    /// So many bytes are there.
    fn advanced(&mut self, bytes: u64);
    /// This holder failed; the next one is tried.
    fn failed(&mut self, holder: &HostPort, why: &str);
}

/// Fetches contents one after the other, keeping connections to their holders.
#[derive(Debug)]
pub struct Fetcher<'a> {
    out: PathBuf,
    down: &'a Pacer,
    stop: Stop,
    conns: BTreeMap<HostPort, Conn>,
    request: RequestNumber,
    buffer: Vec<u8>,
}

/// What has arrived of a content, and from whom.
struct Arrival {
    landing: Landing,
    hasher: blake3::Hasher,
    accounts: Vec<HolderAccount>,
    heaviest: Option<Weight>,
}

impl Arrival {
    fn open(out: &Path, content: &ContentInfo) -> io::Result<Self> {
        let mut landing = Landing::open(out, &content.name, content.id)?;
        let mut hasher = blake3::Hasher::new();
        if landing.written() > content.bytes {
            landing.restart()?;
        } else {
            landing.hash_written(&mut hasher)?;
        }
        Ok(Self {
            landing,
            hasher,
            accounts: Vec::new(),
            heaviest: None,
        })
    }

    fn account(&mut self, holder: &HostPort) -> &mut HolderAccount {
        let known = self
            .accounts
            .iter()
            .position(|account| account.address == *holder);
        let place = known.unwrap_or_else(|| {
            self.accounts.push(HolderAccount {
                address: holder.clone(),
                bytes: 0,
                failures: Vec::new(),
            });
            self.accounts.len() - 1
        });
        &mut self.accounts[place]
    }

    fn restart(&mut self) -> io::Result<()> {
        self.hasher = blake3::Hasher::new();
        self.landing.restart()
    }

    fn is_whole(&self, content: &ContentInfo) -> bool {
        self.landing.written() == content.bytes && ContentId(*self.hasher.finalize().as_bytes()) == content.id
    }
}

impl<'a> Fetcher<'a> {
    /// Fetches into `out`, no faster than `down` allows.
    pub fn new(out: PathBuf, down: &'a Pacer, stop: Stop) -> Self {
        Self {
            out,
            down,
            stop,
            conns: BTreeMap::new(),
            request: RequestNumber(0),
            buffer: Vec::new(),
        }
    }

    /// Fetches a content from the first of `holders` that delivers it. Holders are drawn one by one, so the
    /// iterator may go and look for more.
    ///
    /// # Errors
    /// Nobody delivered it, our disk failed, or we were stopped.
    pub fn fetch(
        &mut self,
        content: &ContentInfo,
        holders: &mut dyn Iterator<Item = HostPort>,
        watcher: &mut dyn Watcher,
    ) -> Result<Fetched, FetchFault> {
        let begun = Instant::now();
        let mut arrival = Arrival::open(&self.out, content).map_err(FetchFault::Disk)?;
        // What an earlier run has left may be all there is to do.
        let mut whole = content.bytes > 0 && arrival.is_whole(content);
        while !whole {
            if self.stop.is_set() {
                return Err(FetchFault::Interrupted);
            }
            let Some(holder) = holders.next() else {
                return Err(FetchFault::NoHolderLeft(arrival.heaviest, arrival.accounts));
            };
            whole = self.try_holder(&holder, content, &mut arrival, watcher)?;
        }
        let path = arrival.landing.finish().map_err(FetchFault::Disk)?;
        Ok(Fetched {
            path,
            took: begun.elapsed(),
            holders: arrival.accounts,
        })
    }

    /// True if the content is whole and right after this holder.
    fn try_holder(
        &mut self,
        holder: &HostPort,
        content: &ContentInfo,
        arrival: &mut Arrival,
        watcher: &mut dyn Watcher,
    ) -> Result<bool, FetchFault> {
        // Also of one that had nothing left to send but the end.
        arrival.account(holder);
        let mut ended = self.attempt(holder, content, arrival, watcher);
        if ended.is_ok() && !arrival.is_whole(content) {
            // Part of it may be what others sent, or an earlier run: only a whole file of its own convicts it.
            let alone = arrival.account(holder).bytes == content.bytes;
            arrival.restart().map_err(FetchFault::Disk)?;
            if !alone {
                ended = self.attempt(holder, content, arrival, watcher);
            }
            if ended.is_ok() && !arrival.is_whole(content) {
                arrival.restart().map_err(FetchFault::Disk)?;
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
                let why = fault.to_string();
                watcher.failed(holder, &why);
                arrival.heaviest = arrival.heaviest.max(Some(fault.weight()));
                arrival.account(holder).failures.push(why);
                Ok(false)
            }
        }
    }

    fn attempt(
        &mut self,
        holder: &HostPort,
        content: &ContentInfo,
        arrival: &mut Arrival,
        watcher: &mut dyn Watcher,
    ) -> Result<(), AttemptFault> {
        self.request = self.request.next();
        let request = self.request;
        let range = ByteRange {
            offset: arrival.landing.written(),
            bytes: u64::MAX,
        };
        let download: Message = Download {
            request,
            wanted: Wanted::Id(content.id),
            part: Part::Range(range),
        }
        .into();
        let (mut conn, first) = self.ask(holder, &download)?;
        let mut next = Some(first);
        loop {
            let incoming = match next.take() {
                Some(incoming) => incoming,
                None => receive(&mut conn)?,
            };
            match incoming {
                Incoming::Content(label, bytes) => {
                    if label.request != request || label.offset != arrival.landing.written() {
                        return Err(AttemptFault::Lie(format!(
                            "sent bytes of another place ({})",
                            label.offset
                        )));
                    }
                    if arrival.landing.written() + bytes as u64 > content.bytes {
                        return Err(AttemptFault::Lie(format!(
                            "sent more than the {} bytes there are",
                            content.bytes
                        )));
                    }
                    if bytes == 0 {
                        // Such frames could go on for ever without an end in sight.
                        return Err(AttemptFault::Lie("sent a Content without bytes".to_owned()));
                    }
                    self.receive_payload(&mut conn, bytes, arrival)?;
                    arrival.account(holder).bytes += bytes as u64;
                    watcher.advanced(arrival.landing.written());
                }
                Incoming::Message(Message::Final(last)) if last.request == request => {
                    if last.id != content.id || last.bytes != content.bytes {
                        return Err(AttemptFault::Lie("ended with another id or size".to_owned()));
                    }
                    if arrival.landing.written() != content.bytes {
                        return Err(AttemptFault::Lie("ended before the content's end".to_owned()));
                    }
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

    fn receive_payload(
        &mut self,
        conn: &mut Conn,
        bytes: usize,
        arrival: &mut Arrival,
    ) -> Result<(), AttemptFault> {
        if self.buffer.len() < bytes {
            self.buffer.resize(CHUNK_BYTES_MAX, 0);
        }
        let payload = &mut self.buffer[..bytes];
        conn.read_payload(payload).map_err(ConnError::Io)?;
        arrival.hasher.update(payload);
        arrival.landing.write(payload).map_err(AttemptFault::Disk)?;
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
