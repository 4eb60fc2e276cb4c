//! A blocking connection between two peers, or a peer and an RS: frames in, frames out, each in bounded time.

use super::socket::{connect, tune};
use super::unacked::{round_trip, unacked_bytes};
use super::{Stop, StopGuard};
use crate::id::RequestNumber;
use crate::limits::{
    ANSWER_TIMEOUT, CHUNK_BYTES_MAX, CONTROL_DEADLINE, FRAME_DEADLINE, HELLO_DEADLINE, SEND_DEADLINE,
};
use crate::name::HostPort;
use crate::proto::{bad_bytes, refusal};
use crate::time::Span;
use crate::wire::{
    ContentLabel, DecodeError, Fault, FrameHeader, HEADER_BYTES, Message, Refusal, encode_frame, hello,
};
use core::fmt;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Why a connection is of no more use.
#[derive(Debug)]
pub enum ConnError {
    /// The network, or the other side's silence.
    Io(io::Error),
    /// The other side sent bytes that are no PDU.
    Bytes(DecodeError),
    /// The other side refused.
    Refused(Refusal, String),
    /// The other side sent a PDU that has no place here.
    Unexpected(&'static str),
}

impl fmt::Display for ConnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                f.write_str("no answer in time")
            }
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("closed the connection")
            }
            Self::Io(error) => write!(f, "{error}"),
            Self::Bytes(error) => write!(f, "sent what is no PDU: {error}"),
            Self::Refused(code, text) => {
                write!(f, "refused ({}): {}", code.code(), crate::name::printable(text))
            }
            Self::Unexpected(what) => write!(f, "sent {what}, which was not asked for"),
        }
    }
}

impl From<io::Error> for ConnError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DecodeError> for ConnError {
    fn from(error: DecodeError) -> Self {
        Self::Bytes(error)
    }
}

/// A frame that came in.
#[derive(Debug)]
pub enum Incoming {
    /// Any PDU but a `C`.
    Message(Message),
    /// The label of a `C`; its payload of so many bytes is read by [`Conn::read_payload`].
    Content(ContentLabel, usize),
}

/// The kinds of stream a connection may be.
#[derive(Debug)]
enum Stream {
    Plain(Arc<TcpStream>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
        }
    }
}

/// Reads with a deadline for the whole of what is being read, not for each byte of it.
#[derive(Debug)]
struct DeadlineStream {
    stream: Stream,
    deadline: Instant,
    /// What the socket's own limit is set to.
    limit: Duration,
}

/// A read looks at its deadline this often. The socket's limit stays the same meanwhile: setting it anew for
/// every frame would cost as much as reading it.
const READ_STEP: Duration = Duration::from_secs(2);

fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        Err(io::ErrorKind::TimedOut.into())
    } else {
        Ok(left)
    }
}

impl DeadlineStream {
    fn of(socket: Arc<TcpStream>) -> Self {
        Self {
            stream: Stream::Plain(socket),
            deadline: Instant::now(),
            limit: Duration::ZERO,
        }
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let limit = left_until(self.deadline)?.min(READ_STEP);
            let mut socket = self.stream.socket();
            if limit != self.limit {
                socket.set_read_timeout(Some(limit))?;
                self.limit = limit;
            }
            match socket.read(buffer) {
                Err(error) if is_silence(&error) => {}
                ended => return ended,
            }
        }
    }
}

/// True if nothing came in time; the connection itself is well.
pub fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// The sending side of a connection, which several threads may share: a frame is never cut by another.
#[derive(Debug)]
pub struct ConnWriter {
    stream: Arc<TcpStream>,
    out: Mutex<Vec<u8>>,
    /// What the socket's own limit is set to.
    limit_millis: AtomicU64,
    /// What it may hold unsent; 0 as long as nobody has said.
    unsent_bytes: AtomicU32,
}

impl ConnWriter {
    /// Sends one frame.
    ///
    /// # Errors
    /// The network's, or the other side does not read.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        self.send_all(core::slice::from_ref(message))
    }

    /// Sends a few short frames in one go to a side that should have room for it.
    ///
    /// # Errors
    /// The network's, or there is no room for too long.
    pub fn send_promptly(&self, messages: &[Message]) -> io::Result<()> {
        self.send_frames(messages, CONTROL_DEADLINE)
    }

    /// Sends several frames in one go.
    ///
    /// # Errors
    /// As [`ConnWriter::send`].
    pub fn send_all(&self, messages: &[Message]) -> io::Result<()> {
        self.send_frames(messages, SEND_DEADLINE)
    }

    fn send_frames(&self, messages: &[Message], within: Span) -> io::Result<()> {
        let mut out = self.out.lock();
        out.clear();
        messages
            .iter()
            .for_each(|message| encode_frame(message, &mut out));
        self.write(&out, within)
    }

    /// Sends frames that were put together elsewhere.
    ///
    /// # Errors
    /// As [`ConnWriter::send`].
    pub fn send_frames_of(&self, bytes: &[u8]) -> io::Result<()> {
        let _turn = self.out.lock();
        self.write(bytes, SEND_DEADLINE)
    }

    fn write(&self, mut left: &[u8], within: Span) -> io::Result<()> {
        let deadline = Instant::now() + within.to_std();
        while !left.is_empty() {
            self.limit_write(deadline)?;
            match (&*self.stream).write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => left = &left[sent..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bounds the next write by what is left until the deadline, or nearly: setting the socket's limit anew for each write
    /// would cost as much as writing.
    fn limit_write(&self, deadline: Instant) -> io::Result<()> {
        let left = left_until(deadline)?;
        let limit = Duration::from_millis(self.limit_millis.load(Ordering::Relaxed));
        if limit.abs_diff(left) > left / 4 {
            let left = left.max(Duration::from_millis(1));
            self.stream.set_write_timeout(Some(left))?;
            let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
            self.limit_millis.store(millis, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Lets `send` put one frame on the socket itself. It is given a check to call before every system call,
    /// which bounds the time they take together.
    ///
    /// # Errors
    /// `send`'s.
    pub fn send_by(
        &self,
        send: impl FnOnce(BorrowedFd<'_>, &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
    ) -> io::Result<()> {
        let _turn = self.out.lock();
        let deadline = Instant::now() + SEND_DEADLINE.to_std();
        send(self.stream.as_fd(), &mut || self.limit_write(deadline))
    }

    /// Lets no more than so much wait in the socket: what is sent is chosen only when the link is about to take it.
    pub fn keep_unsent_low(&self, bytes: u32) {
        if self.unsent_bytes.swap(bytes, Ordering::Relaxed) != bytes {
            let _ = socket2::SockRef::from(&*self.stream).set_tcp_notsent_lowat(bytes);
        }
    }

    /// Waits until the network has taken most of what was sent.
    ///
    /// # Errors
    /// The network's, or the other side does not read.
    pub fn wait_until_low(&self) -> io::Result<()> {
        let deadline = Instant::now() + SEND_DEADLINE.to_std();
        let mut sockets = [PollFd::new(&*self.stream, PollFlags::OUT)];
        loop {
            let left = Timespec::try_from(left_until(deadline)?).map_err(io::Error::other)?;
            match poll(&mut sockets, Some(&left)) {
                Err(Errno::INTR) | Ok(0) => {}
                ended => return Ok(ended.map(drop)?),
            }
        }
    }

    /// Bytes that the other side has not acknowledged.
    ///
    /// # Errors
    /// The system does not say.
    pub fn unacked_bytes(&self) -> io::Result<u64> {
        unacked_bytes(self.stream.as_fd())
    }

    /// How long the way there and back is while nothing is on it.
    pub fn round_trip(&self) -> Span {
        round_trip(self.stream.as_fd())
    }

    /// Ends the connection: whoever waits for it wakes.
    pub fn shut(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// One connection.
#[derive(Debug)]
pub struct Conn {
    reader: BufReader<DeadlineStream>,
    writer: Arc<ConnWriter>,
    peer: SocketAddr,
    local: SocketAddr,
    /// What the other side can do.
    features: u64,
    _guard: StopGuard,
}

/// Frames smaller than this are read together; content is larger and goes past the buffer.
const READ_BUFFER_BYTES: usize = 16 * 1024;

impl Conn {
    /// Connects and exchanges versions.
    ///
    /// # Errors
    /// Not reached, not p2pdi, no common version, or refused at once (BUSY).
    pub fn connect(address: &HostPort, features: u64, stop: &Stop) -> Result<Self, ConnError> {
        let mut conn = Self::new(connect(address, stop)?, stop)?;
        conn.send(&hello(features))?;
        conn.greet()?;
        Ok(conn)
    }

    /// Takes over an accepted stream and exchanges versions.
    ///
    /// # Errors
    /// The other side is not p2pdi or too slow; it has been told where that is possible.
    pub fn accept(stream: TcpStream, features: u64, stop: &Stop) -> Result<Self, ConnError> {
        tune(&stream);
        let mut conn = Self::new(stream, stop)?;
        if let Err(error) = conn.greet() {
            conn.explain(&error);
            return Err(error);
        }
        conn.send(&hello(features))?;
        Ok(conn)
    }

    /// Tells the other side, if it still listens, why the connection ends because of what it sent.
    pub fn explain(&self, error: &ConnError) {
        let answer = match error {
            // It speaks something else: what we say would be noise to it.
            ConnError::Bytes(error) if error.fault == Fault::Magic => return,
            ConnError::Bytes(error) => bad_bytes(*error),
            ConnError::Unexpected(what) => refusal(
                RequestNumber::default(),
                Refusal::BadFrame,
                format!("{what} has no place here"),
            ),
            ConnError::Io(_) | ConnError::Refused(..) => return,
        };
        let _ = self.send(&answer);
    }

    fn new(stream: TcpStream, stop: &Stop) -> io::Result<Self> {
        let (peer, local) = (stream.peer_addr()?, stream.local_addr()?);
        let stream = Arc::new(stream);
        let guard = stop.watch(&stream);
        let writer = Arc::new(ConnWriter {
            stream: Arc::clone(&stream),
            out: Mutex::default(),
            limit_millis: AtomicU64::new(0),
            unsent_bytes: AtomicU32::new(0),
        });
        let reader = BufReader::with_capacity(READ_BUFFER_BYTES, DeadlineStream::of(stream));
        Ok(Self {
            reader,
            writer,
            peer,
            local,
            features: 0,
            _guard: guard,
        })
    }

    /// The other side's address.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Our address on this connection.
    pub const fn local(&self) -> SocketAddr {
        self.local
    }

    /// The sending side.
    pub const fn writer(&self) -> &Arc<ConnWriter> {
        &self.writer
    }

    /// The feature bits the other side has announced.
    pub const fn features(&self) -> u64 {
        self.features
    }

    /// From now on takes in so much at once, if as much is there: for many small frames with content.
    pub fn read_together(&mut self, bytes: usize) {
        if self.reader.buffer().is_empty() {
            let stream = DeadlineStream::of(Arc::clone(&self.writer.stream));
            self.reader = BufReader::with_capacity(bytes, stream);
        }
    }

    fn greet(&mut self) -> Result<(), ConnError> {
        match self.receive(HELLO_DEADLINE)? {
            Some(Incoming::Message(Message::Version(version))) => {
                version.common()?;
                self.features = version.features;
                Ok(())
            }
            Some(Incoming::Message(other)) => Err(self.unexpected(&other)),
            Some(Incoming::Content(..)) => Err(ConnError::Unexpected("Content")),
            None => Err(ConnError::Io(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// The error of a PDU that is not what was waited for: a refusal, or one out of place.
    pub fn unexpected(&self, message: &Message) -> ConnError {
        match message {
            Message::Error(error) => ConnError::Refused(error.code, error.text.as_str().to_owned()),
            other => ConnError::Unexpected(other.row().name),
        }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// The network's, or the other side does not read.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        self.writer.send(message)
    }

    /// Waits up to `idle` for a frame to begin, then a bounded time for its end. `None`: closed between frames.
    ///
    /// # Errors
    /// Silence, a broken connection, or bytes that are no PDU.
    pub fn receive(&mut self, idle: Span) -> Result<Option<Incoming>, ConnError> {
        self.reader.get_mut().deadline = Instant::now() + idle.to_std();
        let mut header = [0; HEADER_BYTES];
        if self.reader.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        self.reader.get_mut().deadline = Instant::now() + FRAME_DEADLINE.to_std();
        self.rest_of_frame(&mut header[1..])?;
        let header = FrameHeader::decode(header)?;
        if header.letter == b'C' {
            let mut label = [0; ContentLabel::BYTES];
            let payload = header.bytes.checked_sub(label.len());
            let payload = payload.filter(|bytes| *bytes <= CHUNK_BYTES_MAX);
            let Some(payload) = payload else {
                return Err(ConnError::Unexpected("a Content of wrong length"));
            };
            self.rest_of_frame(&mut label)?;
            return Ok(Some(Incoming::Content(ContentLabel::decode(&label)?, payload)));
        }
        let mut value = vec![0; header.bytes];
        self.rest_of_frame(&mut value)?;
        Ok(Some(Incoming::Message(Message::decode(header.letter, &value)?)))
    }

    /// Reads what belongs to a frame that has begun. Silence here ends the connection: the next byte would be
    /// taken for the start of another frame.
    fn rest_of_frame(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.reader
            .read_exact(bytes)
            .map_err(|error| match is_silence(&error) {
                true => io::Error::other("stopped in the middle of a frame"),
                false => error,
            })
    }

    /// Reads a payload, or a part of one, that [`Incoming::Content`] announced.
    ///
    /// # Errors
    /// Silence or a broken connection.
    pub fn read_payload(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.read_payload_within(buffer, SEND_DEADLINE)
    }

    /// The same, in less time.
    ///
    /// # Errors
    /// Silence or a broken connection.
    pub fn read_payload_within(&mut self, buffer: &mut [u8], within: Span) -> io::Result<()> {
        self.reader.get_mut().deadline = Instant::now() + within.to_std();
        self.rest_of_frame(buffer)
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`Conn::receive`]; also an answer to something else. A refusal comes back as a message.
    pub fn call(&mut self, request: &Message) -> Result<Message, ConnError> {
        self.send(request)?;
        match self.receive(ANSWER_TIMEOUT)? {
            Some(Incoming::Message(answer)) if answer.request() == request.request() => Ok(answer),
            // A refusal that could not tell which request it belongs to: of the connection as a whole.
            Some(Incoming::Message(other)) => Err(self.unexpected(&other)),
            Some(Incoming::Content(..)) => Err(ConnError::Unexpected("Content")),
            None => Err(ConnError::Io(io::ErrorKind::UnexpectedEof.into())),
        }
    }
}
