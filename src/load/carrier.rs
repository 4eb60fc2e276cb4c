//! One socket towards the RS, and the clients that share it: requests out, answers in, never blocking.

use super::plan::Answer;
use crate::id::{AddressToken, RequestNumber};
use crate::limits::{DATAGRAM_BYTES_MAX, HELLO_DEADLINE};
use crate::name::HostPort;
use crate::net::{ConnError, LinkTransport, Stop, connect, connect_udp};
use crate::proto::{Exchange, ExchangeStep};
use crate::time::Instant;
use crate::wire::{DecodeError, Fault, FrameHeader, HEADER_BYTES, Message, encode_frame, features, hello};
use mio::event::Source;
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};

/// A socket and what is under way on it.
pub(super) struct Carrier {
    kind: Socket,
    /// Which client waits for which answer.
    waiting: BTreeMap<RequestNumber, usize>,
}

enum Socket {
    Tcp(Stream),
    Udp(Datagrams),
}

struct Stream {
    stream: mio::net::TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
}

struct Datagrams {
    socket: mio::net::UdpSocket,
    token: AddressToken,
    exchanges: BTreeMap<RequestNumber, Exchange>,
    repeats: u64,
}

/// An answer, and the client it is for.
pub(super) struct Heard {
    pub(super) client: usize,
    pub(super) answer: Answer,
}

impl Carrier {
    /// Opens one, and over TCP exchanges versions.
    pub(super) fn open(rs: &HostPort, transport: LinkTransport) -> Result<Self, ConnError> {
        let kind = match transport {
            LinkTransport::Tcp => Socket::Tcp(Stream::open(rs)?),
            LinkTransport::Udp => Socket::Udp(Datagrams::open(rs)?),
        };
        let waiting = BTreeMap::new();
        Ok(Self { kind, waiting })
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match &mut self.kind {
            Socket::Tcp(tcp) => &mut tcp.stream,
            Socket::Udp(udp) => &mut udp.socket,
        }
    }

    /// Asks for a client. Over TCP it leaves with the next [`Carrier::flush`].
    pub(super) fn ask(&mut self, now: Instant, client: usize, number: RequestNumber, request: Message) {
        self.waiting.insert(number, client);
        match &mut self.kind {
            Socket::Tcp(tcp) => encode_frame(&request, &mut tcp.output),
            Socket::Udp(udp) => {
                let mut exchange = Exchange::new(now, request, udp.token);
                udp.step(now, &mut exchange);
                udp.exchanges.insert(number, exchange);
            }
        }
    }

    /// Sends what waits to be sent.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.kind {
            Socket::Tcp(tcp) => tcp.flush(),
            Socket::Udp(_) => Ok(()),
        }
    }

    /// Takes in what has come.
    ///
    /// # Errors
    /// The RS closed the connection, or does not speak our protocol.
    pub(super) fn hear(&mut self, now: Instant, heard: &mut Vec<Heard>) -> Result<(), ConnError> {
        let waiting = &mut self.waiting;
        let mut answered = |number, answer| {
            if let Some(client) = waiting.remove(&number) {
                heard.push(Heard { client, answer });
            }
        };
        match &mut self.kind {
            Socket::Tcp(tcp) => tcp.hear(&mut answered),
            Socket::Udp(udp) => {
                udp.hear(now, &mut answered);
                Ok(())
            }
        }
    }

    /// Sends again what has not been answered in time, as a real client would; gives the clients that heard nothing
    /// though they have asked as often as a real one does.
    pub(super) fn retry(&mut self, now: Instant) -> Vec<usize> {
        let Socket::Udp(udp) = &mut self.kind else {
            return Vec::new();
        };
        let silent = udp.retry(now);
        silent
            .iter()
            .filter_map(|number| self.waiting.remove(number))
            .collect()
    }

    /// Gives up what is under way; says how many requests that were.
    pub(super) fn give_up(&mut self) -> u64 {
        if let Socket::Udp(udp) = &mut self.kind {
            udp.exchanges.clear();
        }
        core::mem::take(&mut self.waiting).len() as u64
    }

    /// Datagrams sent again since the last call.
    pub(super) fn take_repeats(&mut self) -> u64 {
        match &mut self.kind {
            Socket::Tcp(_) => 0,
            Socket::Udp(udp) => core::mem::take(&mut udp.repeats),
        }
    }
}

impl Stream {
    fn open(rs: &HostPort) -> Result<Self, ConnError> {
        let mut stream = connect(rs, &Stop::new())?;
        let mut greeting = Vec::new();
        encode_frame(&hello(features::HOLDER), &mut greeting);
        stream.write_all(&greeting)?;
        stream.set_read_timeout(Some(HELLO_DEADLINE.to_std()))?;
        let mut header = [0; HEADER_BYTES];
        stream.read_exact(&mut header)?;
        let header = FrameHeader::decode(header)?;
        let mut value = vec![0; header.bytes];
        stream.read_exact(&mut value)?;
        match Message::decode(header.letter, &value)? {
            Message::Version(version) => drop(version.common()?),
            Message::Error(error) => {
                return Err(ConnError::Refused(error.code, error.text.as_str().to_owned()));
            }
            other => return Err(ConnError::Unexpected(other.row().name)),
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: mio::net::TcpStream::from_std(stream),
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }

    fn hear(&mut self, answered: &mut impl FnMut(RequestNumber, Answer)) -> Result<(), ConnError> {
        self.flush()?;
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(bytes) => {
                    self.input.extend_from_slice(&buffer[..bytes]);
                    self.cut_frames(answered)?;
                    // A short read has emptied the socket: its next byte is told of by the poll.
                    if bytes < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn cut_frames(&mut self, answered: &mut impl FnMut(RequestNumber, Answer)) -> Result<(), ConnError> {
        let mut rest = self.input.as_slice();
        while let Some((header, after)) = rest.split_first_chunk::<HEADER_BYTES>() {
            let header = FrameHeader::decode(*header)?;
            let Some((value, after)) = after.split_at_checked(header.bytes) else {
                break;
            };
            rest = after;
            let (number, answer) = read_answer(header.letter, value)?;
            answered(number, answer);
        }
        let used = self.input.len() - rest.len();
        self.input.drain(..used);
        Ok(())
    }
}

/// Pages are counted and not read: reading them would take from the RS what it is measured with.
fn read_answer(letter: u8, value: &[u8]) -> Result<(RequestNumber, Answer), DecodeError> {
    let number = value
        .first_chunk()
        .map(|number| RequestNumber(u64::from_be_bytes(*number)))
        .ok_or(DecodeError::new("request", Fault::Truncated))?;
    if !matches!(letter, b'A' | b'E') {
        return Ok((number, Answer::Done));
    }
    Ok((number, answer_of(Message::decode(letter, value)?)))
}

fn answer_of(message: Message) -> Answer {
    match message {
        Message::Ack(ack) => Answer::Acknowledged(ack),
        Message::Error(error) => Answer::Refused(error.code, error.text.as_str().to_owned()),
        _ => Answer::Done,
    }
}

impl Datagrams {
    fn open(rs: &HostPort) -> io::Result<Self> {
        let socket = connect_udp(rs)?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: mio::net::UdpSocket::from_std(socket),
            token: AddressToken::default(),
            exchanges: BTreeMap::new(),
            repeats: 0,
        })
    }

    /// Sends what the exchange wants sent. A full socket buffer is a lost datagram; the retry is the cure.
    fn step(&mut self, now: Instant, exchange: &mut Exchange) -> ExchangeStep {
        let step = exchange.poll(now);
        if let ExchangeStep::Send(bytes) = &step {
            let _ = self.socket.send(bytes);
        }
        step
    }

    fn hear(&mut self, now: Instant, answered: &mut impl FnMut(RequestNumber, Answer)) {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let bytes = match self.socket.recv(&mut buffer) {
                Ok(bytes) => &buffer[..bytes],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The echo of a datagram that nobody took: the retries decide.
                Err(_) => continue,
            };
            let number = bytes.get(HEADER_BYTES..).and_then(<[u8]>::first_chunk);
            let Some(number) = number.map(|number| RequestNumber(u64::from_be_bytes(*number))) else {
                continue;
            };
            let Some(mut exchange) = self.exchanges.remove(&number) else {
                continue;
            };
            let answer = exchange.handle_datagram(bytes);
            self.token = exchange.token();
            match answer {
                Some(message) => answered(number, answer_of(message)),
                None => {
                    self.step(now, &mut exchange);
                    self.exchanges.insert(number, exchange);
                }
            }
        }
    }

    /// The requests that nobody answers.
    fn retry(&mut self, now: Instant) -> Vec<RequestNumber> {
        let mut silent = Vec::new();
        let mut exchanges = core::mem::take(&mut self.exchanges);
        for (number, exchange) in &mut exchanges {
            match self.step(now, exchange) {
                ExchangeStep::Send(_) => self.repeats += 1,
                ExchangeStep::Silence | ExchangeStep::TooLong => silent.push(*number),
                ExchangeStep::Wait => {}
            }
        }
        for number in &silent {
            exchanges.remove(number);
        }
        self.exchanges = exchanges;
        silent
    }
}
