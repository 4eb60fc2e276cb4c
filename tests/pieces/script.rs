//! A holder of `big` whose part in the exchange of pieces is written by a test.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_types,
    reason = "a module of tests"
)]

use super::liar::{Lie, Listening, index, manifest, part};
use p2pdi::id::{PieceIndex, RequestNumber};
use p2pdi::net::{Conn, Incoming};
use p2pdi::proto::transfer::piece_span;
use p2pdi::time::Span;
use p2pdi::wire::{Choice, Content, Message, Rest, features};
use std::io;

/// The number of the exchange that getters open.
pub const EXCHANGE: RequestNumber = RequestNumber(1);

/// A holder that answers what it is asked before an exchange, and then does what a test says.
pub struct Scripted {
    pub address: String,
    _listening: Listening,
}

impl Scripted {
    /// Listens. `act` is given each message of an exchange, and how many of its kind came before it over this
    /// connection; an error ends the connection.
    pub fn start(
        content: &[u8],
        act: impl Fn(&Stage<'_>, &Message, usize) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let content = content.to_vec();
        let listening = Listening::start(move |stream, stop, port| {
            if let Ok(conn) = Conn::accept(stream, features::HOLDER | features::PIECES, stop) {
                let _ = answer(conn, &content, port, &act);
            }
        });
        Self {
            address: listening.address.clone(),
            _listening: listening,
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
