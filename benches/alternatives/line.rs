//! Two ends of a connection over loopback.

use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

/// What is set on the sockets; the kernel's own tuning where nothing is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) send: Option<usize>,
    pub(crate) receive: Option<usize>,
    /// Bytes that may wait unsent.
    pub(crate) unsent: Option<u32>,
}

/// A sending and a receiving end.
pub(crate) fn pair(buffers: Buffers) -> (TcpStream, TcpStream) {
    let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let (listener, near) = (socket(), socket());
    // Before the connection is made: the window is agreed upon then.
    if let Some(bytes) = buffers.receive {
        listener.set_recv_buffer_size(bytes).expect("set");
    }
    if let Some(bytes) = buffers.send {
        near.set_send_buffer_size(bytes).expect("set");
    }
    if let Some(bytes) = buffers.unsent {
        near.set_tcp_notsent_lowat(bytes).expect("set");
    }
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    listener.bind(&any.into()).expect("a port");
    listener.listen(1).expect("listening");
    near.connect(&listener.local_addr().expect("an address"))
        .expect("connected");
    near.set_tcp_nodelay(true).expect("set");
    let (far, _) = listener.accept().expect("accepted");
    (near.into(), far.into())
}
