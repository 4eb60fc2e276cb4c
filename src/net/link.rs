//! A peer's link to the RS: a request out, its answer back, over a stream or over datagrams.

use super::conn::{Conn, ConnError, is_silence};
use super::socket::{bind_udp, resolve};
use super::{Clock, Stop};
use crate::id::AddressToken;
use crate::limits::DATAGRAM_BYTES_MAX;
use crate::name::HostPort;
use crate::proto::{Exchange, ExchangeStep};
use crate::wire::{Message, Refusal, features};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

/// What requests to the RS travel on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkTransport {
    /// One connection, kept open.
    #[default]
    Tcp,
    /// Datagrams; what does not fit goes over a connection.
    Udp,
}

/// A link to one RS. One request is under way at a time.
#[derive(Debug)]
pub struct RsLink {
    address: HostPort,
    clock: Clock,
    stop: Stop,
    conn: Option<Conn>,
    datagrams: Option<Datagrams>,
    transport: LinkTransport,
}

#[derive(Debug)]
struct Datagrams {
    socket: Arc<UdpSocket>,
    token: AddressToken,
}

impl RsLink {
    /// A link that opens with its first request.
    pub const fn new(address: HostPort, transport: LinkTransport, clock: Clock, stop: Stop) -> Self {
        Self {
            address,
            clock,
            stop,
            conn: None,
            datagrams: None,
            transport,
        }
    }

    /// The RS's address.
    pub const fn address(&self) -> &HostPort {
        &self.address
    }

    /// Asks, and gives back the answer, refusals included.
    ///
    /// # Errors
    /// The RS was not reached or does not speak our protocol.
    pub fn call(&mut self, request: &Message) -> Result<Message, ConnError> {
        if self.transport == LinkTransport::Udp
            && let Some(answer) = self.call_udp(request)?
        {
            return Ok(answer);
        }
        self.call_tcp(request)
    }

    fn call_tcp(&mut self, request: &Message) -> Result<Message, ConnError> {
        // A kept connection may have been closed at the RS: that shows only now, and is no failure of the RS.
        if let Some(mut conn) = self.conn.take() {
            match conn.call(request) {
                Ok(answer) => {
                    self.conn = Some(conn);
                    return Ok(answer);
                }
                // One that takes a question and does not answer it is there, and has no time for another.
                Err(ConnError::Io(error)) if is_silence(&error) => return Err(error.into()),
                Err(_) => {}
            }
        }
        let mut conn = Conn::connect(&self.address, features::HOLDER, &self.stop)?;
        let answer = conn.call(request)?;
        self.conn = Some(conn);
        Ok(answer)
    }

    /// `None`: this exchange does not fit into datagrams.
    fn call_udp(&mut self, request: &Message) -> Result<Option<Message>, ConnError> {
        if self.datagrams.is_none() {
            let socket = Arc::new(open_towards(&self.address)?);
            self.datagrams = Some(Datagrams {
                socket,
                token: AddressToken::default(),
            });
        }
        let Some(Datagrams { socket, token }) = &mut self.datagrams else {
            return Ok(None);
        };
        let _guard = self.stop.watch(socket);
        let mut exchange = Exchange::new(self.clock.at(), request.clone(), *token);
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            match exchange.poll(self.clock.at()) {
                // A port that refuses shows as an error of the next call; the retries decide.
                ExchangeStep::Send(bytes) => drop(socket.send(&bytes)),
                ExchangeStep::Wait => {}
                ExchangeStep::TooLong => return Ok(None),
                ExchangeStep::Silence => return Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
            if self.stop.is_set() {
                return Err(io::Error::from(io::ErrorKind::Interrupted).into());
            }
            let left = exchange.deadline().since(self.clock.at()).to_std();
            socket.set_read_timeout(Some(left.max(std::time::Duration::from_millis(1))))?;
            let Ok(bytes) = socket.recv(&mut buffer) else {
                continue;
            };
            let Some(answer) = exchange.handle_datagram(&buffer[..bytes]) else {
                continue;
            };
            *token = exchange.token();
            let wants_tcp = matches!(&answer, Message::Error(error) if error.code == Refusal::UseTcp);
            return Ok(if wants_tcp { None } else { Some(answer) });
        }
    }
}

/// A socket that hears the RS only.
fn open_towards(address: &HostPort) -> io::Result<UdpSocket> {
    let target = resolve(address)?.remove(0);
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = bind_udp(any)?;
    socket.connect(target)?;
    Ok(socket)
}
