//! One holder of a content that comes by pieces: a thread that takes what the holder chooses to send.

use super::account::AttemptFault;
use super::swarm::Swarm;
use crate::id::{ContentId, PieceIndex, RequestNumber, piece_bytes};
use crate::limits::{
    ANNOUNCED_MAX, ANSWER_TIMEOUT, CHUNK_BYTES_MAX, HAVE_MAP_BYTES_MAX, PAGES_MAX, PEER_IDLE,
    SMALL_BYTES_MAX, UNNEEDED_PIECES_MAX,
};
use crate::name::HostPort;
use crate::net::{Conn, ConnError, Incoming, is_silence};
use crate::proto::transfer::{Manifest, PieceHasher, Pieces, Source, piece_count, piece_span};
use crate::time::Span;
use crate::wire::{ByteRange, ContentLabel, Download, ManifestQuery, Message, Part, Wanted, features};
use core::ops::Range;
use std::io;
use std::time::Instant;

/// The piece that is arriving.
struct Arriving {
    piece: PieceIndex,
    hasher: PieceHasher,
    /// Where its next byte belongs.
    at: u64,
    end: u64,
    /// False if it is not needed: it came from elsewhere.
    needed: bool,
    /// We are the first to have it.
    first: bool,
}

/// A piece that was announced and whose bytes have not begun to come.
struct Announced {
    piece: PieceIndex,
    needed: bool,
    first: bool,
}

/// The number of the exchange: there is one on a connection.
const EXCHANGE: RequestNumber = RequestNumber(1);

/// Takes pieces from one holder until the content is whole or the holder fails.
pub(super) fn take_from(swarm: &Swarm<'_>, holder: &HostPort) -> Result<(), AttemptFault> {
    let mut conn = Conn::connect(holder, features::HOLDER | features::PIECES, swarm.stop())?;
    if conn.features() & features::PIECES == 0 {
        return Err(no_pieces(swarm));
    }
    if swarm.is_ourselves(&conn) {
        return Err(AttemptFault::Ourselves);
    }
    if swarm.is_to_ask() {
        let asked = ask_manifest(swarm, &mut conn);
        swarm.has_asked();
        let begun = Instant::now();
        swarm.set_manifest(asked?).map_err(AttemptFault::Disk)?;
        if begun.elapsed() >= PEER_IDLE.to_std() / 2 {
            // What was left took long to hash: the holder may have thought that we are gone.
            return take_from(swarm, holder);
        }
    } else {
        check_size(swarm, &mut conn)?;
    }
    let source = swarm.open(&conn, EXCHANGE)?;
    let ended = take_pieces(swarm, source, holder, &mut conn);
    match (swarm.close(source), ended) {
        (Some(AttemptFault::Dry), Err(fault)) if fault.is_loss() => Err(AttemptFault::Dry),
        (Some(AttemptFault::Silent), _) => Err(AttemptFault::Silent),
        (_, ended) => ended,
    }
}

/// The fault of a holder that serves no pieces. Of a content that was listed as small they are asked for only when more
/// bytes came than were listed, and who sent those has no other way to prove them.
pub(super) fn no_pieces(swarm: &Swarm<'_>) -> AttemptFault {
    match swarm.content().bytes {
        bytes if bytes <= SMALL_BYTES_MAX => {
            AttemptFault::Lie(format!("sent more than the {bytes} bytes there are"))
        }
        _ => AttemptFault::NoPieces,
    }
}

/// The proven list of piece values. The content's length is what the proof says, whatever was listed.
pub(super) fn ask_manifest(swarm: &Swarm<'_>, conn: &mut Conn) -> Result<Manifest, AttemptFault> {
    let (id, listed) = (swarm.content().id, swarm.content().bytes);
    let other_size = || AttemptFault::Lie("says another size than the content has".to_owned());
    let mut values: Vec<[u8; 32]> = Vec::new();
    let mut bytes = None;
    for request in (2..).map(RequestNumber).take(PAGES_MAX) {
        let first = PieceIndex(u32::try_from(values.len()).unwrap_or(u32::MAX));
        match conn.call(&ManifestQuery { request, id, first }.into())? {
            Message::Manifest(page) => {
                let told = *bytes.get_or_insert(page.bytes);
                if piece_count(told) as usize > HAVE_MAP_BYTES_MAX * 8 {
                    return Err(AttemptFault::TooLong(told));
                }
                if page.bytes != told || page.first != first || page.values.is_empty() {
                    return Err(other_size());
                }
                values.extend(page.values.into_vec());
            }
            other => return Err(conn.unexpected(&other).into()),
        }
        if bytes.is_some_and(|bytes| values.len() >= piece_count(bytes) as usize) {
            break;
        }
    }
    let bytes = bytes.unwrap_or(listed);
    let manifest = Manifest::prove(id, bytes, values);
    match manifest {
        Ok(manifest) if bytes == listed => Ok(manifest),
        Ok(manifest) if has_length(conn, id, &manifest)? => Err(AttemptFault::OtherSize(bytes)),
        _ if bytes != listed => Err(other_size()),
        Ok(_) => Err(other_size()),
        Err(_) => Err(AttemptFault::Lie(
            "its piece values do not make up the content".to_owned(),
        )),
    }
}

/// Asks for bytes of a content.
pub(super) const fn download(request: RequestNumber, id: ContentId, range: &Range<u64>) -> Download {
    let bytes = ByteRange {
        offset: range.start,
        bytes: range.end - range.start,
    };
    Download {
        request,
        wanted: Wanted::Id(id),
        part: Part::Range(bytes),
    }
}

/// True if the last piece is as long as it is said to be: its value alone does not tell, its bytes do.
fn has_length(conn: &mut Conn, id: ContentId, manifest: &Manifest) -> Result<bool, AttemptFault> {
    let (bytes, last) = (manifest.bytes(), PieceIndex(piece_count(manifest.bytes()) - 1));
    let (span, request) = (piece_span(bytes, last), RequestNumber(u64::MAX - 1));
    let mut at = span.start;
    conn.send(&download(request, id, &span).into())?;
    let (mut hasher, mut buffer) = (PieceHasher::new(bytes, last), vec![0; CHUNK_BYTES_MAX]);
    loop {
        match conn.receive(ANSWER_TIMEOUT)? {
            Some(Incoming::Content(label, length))
                if label.offset == at && length > 0 && at + length as u64 <= span.end =>
            {
                conn.read_payload(&mut buffer[..length])?;
                hasher.update(&buffer[..length]);
                at += length as u64;
            }
            Some(Incoming::Message(Message::Final(_))) => {
                return Ok(at == span.end && manifest.value(last) == Some(hasher.finish()));
            }
            // Of a last piece that is shorter than this there is nothing to send.
            _ => return Ok(false),
        }
    }
}

/// A holder whose last piece is another than the proven one holds another content, or lies about its size.
fn check_size(swarm: &Swarm<'_>, conn: &mut Conn) -> Result<(), AttemptFault> {
    let (id, bytes) = (swarm.content().id, swarm.content().bytes);
    let first = PieceIndex(piece_count(bytes) - 1);
    let request = RequestNumber(2);
    match conn.call(&ManifestQuery { request, id, first }.into())? {
        Message::Manifest(page)
            if page.bytes == bytes && page.values.first().copied() == swarm.value(first) =>
        {
            Ok(())
        }
        // One of the two has another size than the content: whoever can prove its own is right.
        Message::Manifest(_) => ask_manifest(swarm, conn).and(Err(AttemptFault::Lie(
            "says another size than the content has".to_owned(),
        ))),
        other => Err(conn.unexpected(&other).into()),
    }
}

fn take_pieces(
    swarm: &Swarm<'_>,
    source: Source,
    holder: &HostPort,
    conn: &mut Conn,
) -> Result<(), AttemptFault> {
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    let mut arriving: Option<Arriving> = None;
    let mut announced: Vec<Announced> = Vec::new();
    let mut brought = Pieces::none(piece_count(swarm.content().bytes));
    // Bytes since the last piece that counted.
    let mut unneeded = 0;
    let unneeded_max = piece_bytes(swarm.content().bytes).saturating_mul(UNNEEDED_PIECES_MAX);
    loop {
        let incoming = match conn.receive(PEER_IDLE) {
            Err(_) | Ok(None) if swarm.is_over() => return Ok(()),
            // A holder of a part may have nothing for us for long; one that owes us something is watched.
            Err(ConnError::Io(error)) if arriving.is_none() && is_silence(&error) => continue,
            Ok(None) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            other => other?,
        };
        match incoming {
            None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Some(Incoming::Message(Message::Choice(choice))) => {
                let piece = choice.piece;
                if piece.0 >= piece_count(swarm.content().bytes) {
                    return Err(AttemptFault::Lie(format!(
                        "chose piece {}, which does not exist",
                        piece.0
                    )));
                }
                if brought.contains(piece) {
                    return Err(AttemptFault::Lie(format!("chose piece {} again", piece.0)));
                }
                if announced.len() >= ANNOUNCED_MAX || !swarm.is_asked(source) {
                    return Err(AttemptFault::Lie("chose more than it was asked for".to_owned()));
                }
                announced.retain(|other| other.piece != piece);
                // What came of it before is void: others may have written there since.
                arriving = arriving.filter(|here| here.piece != piece);
                announced.push(Announced {
                    piece,
                    needed: swarm.chosen(source, piece),
                    first: choice.first,
                });
            }
            Some(Incoming::Content(label, bytes)) => {
                if arriving.as_ref().is_none_or(|here| here.piece != label.piece) {
                    // A holder may break off what we have said is settled, and nothing else.
                    if arriving
                        .as_ref()
                        .is_some_and(|here| here.needed && swarm.expects(source, here.piece))
                    {
                        return Err(AttemptFault::Lie("broke off a piece in its middle".to_owned()));
                    }
                    arriving = begin(swarm, &mut announced, label.piece);
                }
                let here = arriving.as_mut().filter(|here| fits(here, label, bytes));
                let Some(here) = here else {
                    return Err(AttemptFault::Lie(format!(
                        "sent bytes of another place ({})",
                        label.offset
                    )));
                };
                // In steps, so that a slow link or our own limit is not taken for silence.
                for part in buffer[..bytes].chunks_mut(swarm.step_bytes()) {
                    conn.read_payload(part)?;
                    swarm.received(source, holder, part.len())?;
                }
                unneeded += bytes as u64;
                if unneeded > unneeded_max {
                    return Err(AttemptFault::Unneeded);
                }
                here.hasher.update(&buffer[..bytes]);
                here.needed = here.needed
                    && swarm
                        .write(source, here.piece, here.at, &buffer[..bytes])
                        .map_err(AttemptFault::Disk)?;
                here.at += bytes as u64;
                if here.at == here.end {
                    let (piece, value) = (here.piece, here.hasher.finish());
                    let (needed, first) = (here.needed, here.first);
                    arriving = None;
                    if swarm.value(piece) != Some(value) {
                        return Err(AttemptFault::Lie(format!(
                            "sent wrong bytes for piece {}",
                            piece.0
                        )));
                    }
                    if needed
                        && swarm
                            .verified(source, holder, piece, first)
                            .map_err(AttemptFault::Disk)?
                    {
                        brought.insert(piece);
                        unneeded = 0;
                    }
                }
            }
            Some(Incoming::Message(Message::Settled(back))) => {
                if arriving
                    .as_ref()
                    .is_some_and(|here| back.pieces.contains(&here.piece))
                {
                    arriving = None;
                }
                announced.retain(|announced| !back.pieces.contains(&announced.piece));
                swarm.taken_back(source, &back.pieces);
            }
            Some(Incoming::Message(Message::HaveUpdate(update))) => {
                swarm.heard_from(source);
                let others = update.holders.iter();
                swarm.hear_of(others.map(|other| HostPort {
                    host: other.host.clone(),
                    port: other.port,
                }));
            }
            Some(Incoming::Message(Message::Dry(dry))) => {
                swarm.has_nothing(source, Span::from_millis(dry.hoped_before_millis.into()));
            }
            Some(Incoming::Message(other)) => return Err(conn.unexpected(&other).into()),
        }
    }
}

/// A piece begins to come; none if it was not announced.
fn begin(swarm: &Swarm<'_>, announced: &mut Vec<Announced>, piece: PieceIndex) -> Option<Arriving> {
    let place = announced.iter().position(|other| other.piece == piece)?;
    let Announced { needed, first, .. } = announced.remove(place);
    let span = piece_span(swarm.content().bytes, piece);
    Some(Arriving {
        piece,
        hasher: PieceHasher::new(swarm.content().bytes, piece),
        at: span.start,
        end: span.end,
        needed,
        first,
    })
}

/// True if a chunk is the next one of the piece that is arriving.
fn fits(here: &Arriving, label: ContentLabel, bytes: usize) -> bool {
    let in_place = label.request == EXCHANGE && label.piece == here.piece && label.offset == here.at;
    in_place && bytes > 0 && here.at + bytes as u64 <= here.end
}
