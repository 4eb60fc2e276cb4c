//! Sockets as we want them: backlog, reuse, no delay, keep-alive, both address families.

use super::Stop;
use crate::limits::{CONNECT_TIMEOUT, LISTEN_BACKLOG};
use crate::name::HostPort;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Names the address an error is about.
fn at<T>(address: impl core::fmt::Display, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

/// The addresses of a host.
///
/// # Errors
/// The host has none; the error names it.
pub fn resolve(address: &HostPort) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<_> = at(address, (address.host.as_str(), address.port).to_socket_addrs())?.collect();
    if found.is_empty() {
        return at(
            address,
            Err(io::Error::new(io::ErrorKind::NotFound, "the host has no address")),
        );
    }
    Ok(found)
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // `[::]` serves IPv4 as well.
        socket.set_only_v6(false)?;
    }
    Ok(socket)
}

/// Listens for streams.
///
/// # Errors
/// The address is taken or not ours; the error names it.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    at(
        address,
        (|| {
            let socket = open(address, Type::STREAM, Protocol::TCP)?;
            socket.set_reuse_address(true)?;
            socket.bind(&address.into())?;
            socket.listen(LISTEN_BACKLOG)?;
            Ok(socket.into())
        })(),
    )
}

/// Receives datagrams.
///
/// # Errors
/// The address is taken or not ours; the error names it.
pub fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    at(
        address,
        (|| {
            let socket = open(address, Type::DGRAM, Protocol::UDP)?;
            socket.bind(&address.into())?;
            Ok(socket.into())
        })(),
    )
}

/// A socket for datagrams that hears the first address of this host only.
///
/// # Errors
/// The host has no address, or the operating system gives no socket.
pub fn connect_udp(address: &HostPort) -> io::Result<UdpSocket> {
    let target = resolve(address)?.remove(0);
    let any = match target {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = bind_udp(any)?;
    socket.connect(target)?;
    Ok(socket)
}

/// The address a listener got, port 0 resolved.
///
/// # Errors
/// The operating system's.
pub fn local_address(listener: &TcpListener) -> io::Result<SocketAddr> {
    listener.local_addr()
}

/// Connects to the first address of a host that answers, each within the limit, unless we are to stop.
///
/// # Errors
/// The last address's error, with the host's name.
pub fn connect(address: &HostPort, stop: &Stop) -> io::Result<TcpStream> {
    let mut last = Err(io::ErrorKind::NotFound.into());
    for candidate in resolve(address)? {
        last = connect_to(candidate, stop);
        if last.is_ok() || stop.is_set() {
            break;
        }
    }
    let stream = at(address, last)?;
    tune(&stream);
    Ok(stream)
}

fn connect_to(address: SocketAddr, stop: &Stop) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    let socket = Arc::new(socket);
    let guard = stop.watch(&socket);
    socket.connect_timeout(&address.into(), CONNECT_TIMEOUT.to_std())?;
    drop(guard);
    // Otherwise whoever stops us has it too.
    let alone = Arc::into_inner(socket).map(TcpStream::from);
    alone.ok_or_else(|| io::ErrorKind::Interrupted.into())
}

/// Sets what every stream of ours has. A socket that refuses an option works without it.
pub(super) fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keep_alive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(15));
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&keep_alive);
}
