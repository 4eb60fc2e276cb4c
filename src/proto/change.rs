//! What an RS must remember, as values: the rows of its store, and the changes between them.
//!
//! Belongs here: what is stored, and how a row lies in its bytes. Does not: where it is stored (`storage/`), and
//! when (`registration.rs`). Invariant: an RS that takes all rows back answers as the one that gave them would.

use crate::id::{ContentId, Cookie, PeerNumber, RequestNumber};
use crate::limits::{FRAME_BYTES_MAX, OS_BYTES_MAX, REGISTRATIONS_KEPT_MAX};
use crate::name::{Host, PeerName};
use crate::wire::{
    ContentInfo, ContentKey, DecodeError, Fault, Field, FieldRow, FrameHeader, HEADER_BYTES, Layout, List,
    Message, Reader, Rest, Text, record,
};

/// What an RS thinks of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Registered, lease running.
    Active,
    /// Registered, but a probe did not reach it; it shows itself again by any new word under its cookie.
    Hidden,
    /// Left, or its lease ran out.
    Inactive,
}

impl Field for Activity {
    const LAYOUT: Layout = Layout::Unsigned(1);
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Active => 0,
            Self::Hidden => 1,
            Self::Inactive => 2,
        });
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match input.take(1, field)?[0] {
            0 => Ok(Self::Active),
            1 => Ok(Self::Hidden),
            2 => Ok(Self::Inactive),
            byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
        }
    }
}

record! {
    /// Who a peer is: as its last Join said, with what its record keeps for good.
    PeerRow {
        /// its name
        name: PeerName,
        /// where it is reached
        host: Host,
        /// its TCP port
        port: u16,
        /// operating system
        os: Text<OS_BYTES_MAX>,
        /// its secret
        cookie: Cookie,
        /// of the last Join
        nonce: u64,
        /// host of the Join that made the record
        first_host: Host,
        /// nonce of the Join that made the record
        first_nonce: u64,
        /// when it registered, seconds since 1970 UTC
        registrations: List<i64, REGISTRATIONS_KEPT_MAX>,
    }
}

record! {
    /// How long a peer may be handed out, and the last thing that was done for it.
    LeaseRow {
        /// 0 active, 1 hidden, 2 inactive
        activity: Activity,
        /// end of the lease, or of the activity, by the monotonic clock: good within one boot of the machine
        ends: u64,
        /// the same by the wall clock, seconds since 1970 UTC
        ends_wall: i64,
        /// the last state change under the cookie
        last_request: Option<RequestNumber>,
        /// and the frame that answered it
        last_answer: Rest<FRAME_BYTES_MAX>,
    }
}

record! {
    /// One holder of one content.
    HolderRow {
        /// the content
        content: ContentInfo,
        /// 1 if it holds every piece
        complete: bool,
        /// rising with every registration
        order: u64,
    }
}

/// One change of what is stored; a store gives itself back as changes as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Peers are numbered up to here.
    Numbered(PeerNumber),
    /// Who a peer is.
    Peer(PeerNumber, PeerRow),
    /// Its lease. A peer is stored with both.
    Lease(PeerNumber, LeaseRow),
    /// A peer is forgotten, with its lease.
    PeerGone(PeerNumber),
    /// A peer holds a content.
    Holder(PeerNumber, HolderRow),
    /// It no longer does.
    HolderGone(PeerNumber, ContentKey),
    /// It holds nothing any more.
    HoldersGone(PeerNumber),
}

/// A state change's answer as it is kept: the frame.
pub(super) fn kept_answer(answer: &Message) -> Box<[u8]> {
    let mut frame = Vec::new();
    crate::wire::encode_frame(answer, &mut frame);
    frame.into_boxed_slice()
}

/// The answer in a frame that was kept.
///
/// # Errors
/// It is no frame of an answer.
pub fn answer_kept(frame: &[u8]) -> Result<Message, DecodeError> {
    let truncated = DecodeError::new("last_answer", Fault::Truncated);
    let (header, value) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(truncated)?;
    let header = FrameHeader::decode(*header)?;
    if header.bytes != value.len() {
        return Err(truncated);
    }
    Message::decode(header.letter, value)
}

/// The key of a holder's row behind its peer's number: the name, an end that no name contains, the id. Rows so
/// keyed lie in the order of [`ContentKey`].
pub fn key_bytes(key: &ContentKey) -> Vec<u8> {
    let name = key.name.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(name.len() + 1 + size_of::<ContentId>());
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes.extend_from_slice(&key.id.0);
    bytes
}
