//! Many datagrams at once, with a store behind.

use super::keeping;
use p2pdi::id::{AddressToken, RequestNumber};
use p2pdi::limits::RS_UDP_BATCH_MAX;
use p2pdi::name::PeerName;
use p2pdi::wire::{Join, Message, Text, datagram, decode_datagram_answer};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::Duration;

fn join(number: u64) -> Message {
    Join {
        request: RequestNumber(1),
        nonce: number,
        cookie: None,
        name: PeerName::new(format!("peer-{number}")).expect("a name"),
        host: None,
        port: 6_000,
        os: Text::cut("Linux"),
    }
    .into()
}

fn answer(socket: &UdpSocket) -> Message {
    let mut buffer = [0; 2_048];
    let bytes = socket.recv(&mut buffer).expect("an answer");
    decode_datagram_answer(&buffer[..bytes]).expect("a PDU")
}

#[test]
fn more_datagrams_than_a_batch_are_all_answered() {
    let place = tempfile::tempdir().expect("a directory");
    let server = keeping(place.path(), &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    socket.connect(&server.address).expect("connected");
    socket
        .send(&datagram(&join(0), AddressToken::default()))
        .expect("sent");
    let Message::Challenge(challenge) = answer(&socket) else {
        panic!("no challenge");
    };
    let peers = RS_UDP_BATCH_MAX as u64 * 3;
    for number in 1..=peers {
        socket
            .send(&datagram(&join(number), challenge.token))
            .expect("sent");
    }
    let mut cookies = BTreeSet::new();
    for _ in 0..peers {
        let Message::Ack(ack) = answer(&socket) else {
            panic!("not acknowledged");
        };
        cookies.insert(ack.cookie.expect("a cookie").0);
    }
    assert_eq!(cookies.len() as u64, peers, "each a peer of its own");
    assert_eq!(super::peers(&server.address).len() as u64, peers);
}
