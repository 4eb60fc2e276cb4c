//! A holder of `big` whose part in the exchange of pieces is written by a test.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_types,
    reason = "a module of tests"
)]

use super::liar::{Lie, index, manifest, part};
use p2pdi::id::{PieceIndex, RequestNumber};
use p2pdi::name::HostPort;
use p2pdi::net::{Conn, Incoming, Stop};
use p2pdi::proto::transfer::piece_span;
use p2pdi::time::Span;
use p2pdi::wire::{Choice, Content, Message, Rest, features};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

/// The number of the exchange that getters open.
pub const EXCHANGE: RequestNumber = RequestNumber(1);

/// A holder that answers what it is asked before an exchange, and then does what a test says.
pub struct Scripted {
    pub address: String,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Scripted {
    /// Listens. `act` is given each message of an exchange, and how many of its kind came before it over this
    /// connection; an error ends the connection.
    pub fn start(
        content: &[u8],
        act: impl Fn(&Stage<'_>, &Message, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a port"));
        let address = HostPort::from(listener.local_addr().expect("an address"));
        let (stop, content, port) = (Stop::new(), content.to_vec(), address.port);
        let theirs = stop.clone();
        let thread = std::thread::spawn(move || {
            let _guard = theirs.watch(&listener);
            std::thread::scope(|scope| {
                while let Ok((stream, _)) = listener.accept() {
                    let (stop, content, act) = (&theirs, &content, &act);
                    scope.spawn(move || {
                        let served = Conn::accept(stream, features::HOLDER | features::PIECES, stop);
                        if let Ok(conn) = served {
                            let _ = answer(conn, content, port, act);
                        }
                    });
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

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stop.trigger();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    mut conn: Conn,
    content: &[u8],
    port: u16,
    act: &(impl Fn(&Stage<'_>, &Message, usize) -> io::Result<()> + Sync),
) -> io::Result<()> {
    let mut came: Vec<&str> = Vec::new();
    while let Ok(Some(Incoming::Message(message))) = conn.receive(Span::from_secs(60)) {
        match &message {
            Message::IndexQuery(query) => conn.send(&index(query.request, content, port))?,
            Message::ManifestQuery(query) => {
                conn.send(&manifest(query.request, query.first, content, Lie::Nothing))?;
            }
            other => {
                let kind = other.row().name;
                let before = came.iter().filter(|came| **came == kind).count();
                came.push(kind);
                let conn = &conn;
                act(&Stage { conn, content }, &message, before)?;
            }
        }
    }
    Ok(())
}

/// What a script can do.
pub struct Stage<'s> {
    conn: &'s Conn,
    content: &'s [u8],
}

impl Stage<'_> {
    /// Announces a piece.
    pub fn choose(&self, piece: u32) -> io::Result<()> {
        let (request, piece, first) = (EXCHANGE, PieceIndex(piece), false);
        self.say(Choice {
            request,
            piece,
            first,
        })
    }

    /// Sends the bytes of a piece from one place in it to another, the right ones.
    pub fn send(&self, piece: u32, from: usize, to: usize) -> io::Result<()> {
        let payload = part(self.content, PieceIndex(piece))[from..to].to_vec();
        self.send_bytes(piece, from, payload)
    }

    /// Sends all of a piece, announced before.
    pub fn give(&self, piece: u32) -> io::Result<()> {
        self.choose(piece)?;
        self.send(piece, 0, part(self.content, PieceIndex(piece)).len())
    }

    /// Sends any bytes as those of a piece from a place in it.
    pub fn send_bytes(&self, piece: u32, from: usize, payload: Vec<u8>) -> io::Result<()> {
        let span = piece_span(self.content.len() as u64, PieceIndex(piece));
        self.say(Content {
            request: EXCHANGE,
            piece: PieceIndex(piece),
            offset: span.start + from as u64,
            payload: Rest(payload),
        })
    }

    /// Says anything.
    pub fn say(&self, message: impl Into<Message>) -> io::Result<()> {
        self.conn.send(&message.into())
    }
}
