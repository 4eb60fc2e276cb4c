//! Frames: `type` (1 byte), `length` (u32, big-endian), `value`; and what is around a frame in a datagram.

use super::codec::{Field as _, Reader};
use super::error::{DecodeError, Fault};
use super::message::{Message, Version};
use super::table::row_of;
use crate::id::{AddressToken, PieceIndex, RequestNumber};
use crate::limits::DATAGRAM_BYTES_MAX;

/// The type byte and the length.
pub const HEADER_BYTES: usize = 5;
/// The first bytes of every version frame.
pub const MAGIC: [u8; 5] = *b"P2PDI";
/// The lowest version this program speaks.
pub const VERSION_MIN: u16 = 1;
/// The highest version this program speaks.
pub const VERSION_MAX: u16 = 1;

/// Feature bits of the version frame.
pub mod features {
    /// Serves the registration server's requests.
    pub const REGISTRATION: u64 = 1;
    /// Serves index queries and downloads.
    pub const HOLDER: u64 = 2;
    /// Serves manifests and the exchange of pieces, by the holder's choice.
    pub const PIECES: u64 = 4;
}

/// The version frame of this program.
pub fn hello(features: u64) -> Message {
    Message::Version(Version {
        magic: MAGIC,
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        features,
    })
}

impl Version {
    /// The version both sides speak, the highest.
    ///
    /// # Errors
    /// `Magic` if this is not our protocol; `Version` if no version is common.
    pub fn common(&self) -> Result<u16, DecodeError> {
        if self.magic != MAGIC {
            return Err(DecodeError::new("magic", Fault::Magic));
        }
        let version = self.version_max.min(VERSION_MAX);
        if version < self.version_min.max(VERSION_MIN) {
            let theirs = if self.version_min > VERSION_MAX {
                self.version_min
            } else {
                self.version_max
            };
            return Err(DecodeError::new("version", Fault::Version(theirs)));
        }
        Ok(version)
    }
}

/// A frame's type and length, checked against the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The type byte.
    pub letter: u8,
    /// Bytes of the value.
    pub bytes: usize,
}

impl FrameHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// A letter not in the table, or a length over its maximum.
    pub fn decode(header: [u8; HEADER_BYTES]) -> Result<Self, DecodeError> {
        let [letter, length @ ..] = header;
        let row = row_of(letter).ok_or(DecodeError::new("type", Fault::Unknown(letter)))?;
        let bytes = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if bytes > row.bytes_max {
            return Err(DecodeError::new(
                "length",
                Fault::TooLong {
                    got: bytes,
                    max: row.bytes_max,
                },
            ));
        }
        Ok(Self { letter, bytes })
    }

    fn encode(self) -> [u8; HEADER_BYTES] {
        let [a, b, c, d] = u32::try_from(self.bytes).unwrap_or(u32::MAX).to_be_bytes();
        [self.letter, a, b, c, d]
    }
}

/// Appends a whole frame.
pub fn encode_frame(message: &Message, out: &mut Vec<u8>) {
    frame_around(message, out, |out| message.put_value(out));
}

fn frame_around(message: &Message, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    value(out);
    let bytes = out.len() - start - HEADER_BYTES;
    debug_assert!(
        bytes <= message.row().bytes_max + ENVELOPE_BYTES,
        "{} is over its own limit",
        message.row().name
    );
    let header = FrameHeader {
        letter: message.row().letter,
        bytes,
    };
    out[start..start + HEADER_BYTES].copy_from_slice(&header.encode());
}

/// The label of a `C`: what precedes its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentLabel {
    /// Number of the request.
    pub request: RequestNumber,
    /// The piece the bytes lie in.
    pub piece: PieceIndex,
    /// Their position in the content.
    pub offset: u64,
}

impl ContentLabel {
    /// Bytes of the label.
    pub const BYTES: usize = 20;

    /// Reads a label off the front of a `C`.
    ///
    /// # Errors
    /// Fewer than [`ContentLabel::BYTES`] bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Reader::new(bytes);
        Ok(Self {
            request: RequestNumber::take(&mut input, "request")?,
            piece: PieceIndex::take(&mut input, "piece")?,
            offset: u64::take(&mut input, "offset")?,
        })
    }
}

/// Header and label of a `C` whose payload of `payload_bytes` is sent straight from a file.
pub fn content_prefix(label: ContentLabel, payload_bytes: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(
        &FrameHeader {
            letter: b'C',
            bytes: ContentLabel::BYTES + payload_bytes,
        }
        .encode(),
    );
    label.request.put(out);
    label.piece.put(out);
    label.offset.put(out);
}

/// Version and token before the value of a request in a datagram.
const ENVELOPE_BYTES: usize = 10;

/// A request as it came in a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The token it showed.
    pub token: AddressToken,
    /// The request.
    pub message: Message,
}

/// A request in a datagram: the frame, with version and token before the value.
pub fn datagram(message: &Message, token: AddressToken) -> Vec<u8> {
    let mut out = Vec::new();
    frame_around(message, &mut out, |out| {
        VERSION_MAX.put(out);
        token.put(out);
        message.put_value(out);
    });
    out
}

fn single_frame(bytes: &[u8]) -> Result<(u8, &[u8]), DecodeError> {
    if bytes.len() > DATAGRAM_BYTES_MAX {
        return Err(DecodeError::new(
            "frame",
            Fault::TooLong {
                got: bytes.len(),
                max: DATAGRAM_BYTES_MAX,
            },
        ));
    }
    let mut input = Reader::new(bytes);
    let mut header = [0; HEADER_BYTES];
    header.copy_from_slice(input.take(HEADER_BYTES, "frame")?);
    let [letter, length @ ..] = header;
    row_of(letter).ok_or(DecodeError::new("type", Fault::Unknown(letter)))?;
    let value = input.take(
        usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX),
        "length",
    )?;
    input.finish("frame")?;
    Ok((letter, value))
}

/// Reads a datagram that carries a request.
///
/// # Errors
/// It is not exactly one frame of a version that we speak.
pub fn decode_datagram_request(bytes: &[u8]) -> Result<Datagram, DecodeError> {
    let (letter, value) = single_frame(bytes)?;
    let mut input = Reader::new(value);
    let version = u16::take(&mut input, "version")?;
    if !(VERSION_MIN..=VERSION_MAX).contains(&version) {
        return Err(DecodeError::new("version", Fault::Version(version)));
    }
    let token = AddressToken::take(&mut input, "token")?;
    Ok(Datagram {
        token,
        message: Message::decode(letter, input.rest())?,
    })
}

/// Reads a datagram that carries an answer: a bare frame.
///
/// # Errors
/// It is not exactly one frame.
pub fn decode_datagram_answer(bytes: &[u8]) -> Result<Message, DecodeError> {
    let (letter, value) = single_frame(bytes)?;
    Message::decode(letter, value)
}
