//! Records inside PDUs: contents, holders, peers.

use super::codec::{Field, FieldRow, Layout, List, Reader, Text, choice, record};
use super::error::{DecodeError, Fault};
use crate::id::{ContentId, PeerNumber, PieceIndex, RfcNumber};
use crate::limits::{
    COUNTER_NAME_BYTES_MAX, HOLDERS_PER_LISTING_MAX, MEDIA_TYPE_BYTES_MAX, OS_BYTES_MAX,
    PIECES_PER_FRAME_MAX, TITLE_BYTES_MAX,
};
use crate::name::{ContentName, Host, PeerName};

/// What a content is: a file's bytes, or the encoding of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentKind {
    /// The bytes of one file.
    File,
    /// The canonical encoding of a directory ([`super::Tree`]).
    Tree,
}

impl ContentKind {
    /// The word for JSON and people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tree => "tree",
        }
    }
}

impl Field for ContentKind {
    const LAYOUT: Layout = Layout::Unsigned(1);
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::File => 0,
            Self::Tree => 1,
        });
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match input.take(1, field)?[0] {
            0 => Ok(Self::File),
            1 => Ok(Self::Tree),
            byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
        }
    }
}

record! {
    /// Everything that is known of a content but its holders.
    ContentInfo {
        /// 0 file, 1 tree
        kind: ContentKind,
        /// path below the shared directory
        name: ContentName,
        /// BLAKE3 of the bytes
        id: ContentId,
        /// length of the content
        bytes: u64,
        /// last modification, seconds since 1970 UTC
        modified: i64,
        /// media type, as text/plain
        media_type: Text<MEDIA_TYPE_BYTES_MAX>,
        /// RFC number, of files called rfcNUMBER.txt only
        number: Option<RfcNumber>,
        /// title, read from the text of an RFC
        title: Option<Text<TITLE_BYTES_MAX>>,
    }
}

record! {
    /// Which content: the key of every index and the cursor of its pages.
    ContentKey {
        /// path below the shared directory
        name: ContentName,
        /// BLAKE3 of the bytes
        id: ContentId,
    }
}

impl ContentInfo {
    /// Its key.
    pub fn key(&self) -> ContentKey {
        ContentKey {
            name: self.name.clone(),
            id: self.id,
        }
    }
}

impl PartialOrd for ContentKey {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ContentKey {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (&self.name, &self.id).cmp(&(&other.name, &other.id))
    }
}

record! {
    /// A peer that holds a content.
    Holder {
        /// the peer's name
        name: PeerName,
        /// where it is reached
        host: Host,
        /// its TCP port
        port: u16,
        /// 1 if it holds every piece
        complete: bool,
    }
}

record! {
    /// A content and who holds it, as the RS knows it.
    Listing {
        /// the content
        content: ContentInfo,
        /// how many active holders there are
        holders_total: u32,
        /// the first of them, in the order of the RS's policy
        holders: List<Holder, HOLDERS_PER_LISTING_MAX>,
    }
}

record! {
    /// One claim about one holder in a peer's index.
    GossipRecord {
        /// the holder's peer name
        name: PeerName,
        /// where it is reached; absent means the peer that sends this, where you reached it
        host: Option<Host>,
        /// its TCP port
        port: u16,
        /// the holder's own sequence number; the higher wins
        sequence: u64,
        /// seconds for which the claim still lives
        remaining_secs: u32,
        /// 1 if the holder no longer has it
        withdrawn: bool,
        /// 1 if it holds every piece
        complete: bool,
    }
}

record! {
    /// A content and the claims about its holders, as a peer knows it.
    IndexEntry {
        /// the content
        content: ContentInfo,
        /// the claims
        holders: List<GossipRecord, HOLDERS_PER_LISTING_MAX>,
    }
}

record! {
    /// A peer, as the RS knows it.
    PeerInfo {
        /// its number at the RS, the cursor of pages
        number: PeerNumber,
        /// its name
        name: PeerName,
        /// where it is reached
        host: Host,
        /// its TCP port
        port: u16,
        /// operating system
        os: Text<OS_BYTES_MAX>,
        /// seconds until its lease ends; 0 if it has none
        lease_secs: u32,
        /// registrations in the last 30 days
        registrations: u32,
        /// last registration, seconds since 1970 UTC
        registered: i64,
    }
}

record! {
    /// How often something happened at an RS.
    Counter {
        /// what is counted
        what: Text<COUNTER_NAME_BYTES_MAX>,
        /// how often since the RS started
        total: u64,
        /// how often in the last minute
        last_minute: u64,
    }
}

record! {
    /// Where a peer is reached.
    PeerAddress {
        /// the host
        host: Host,
        /// the TCP port
        port: u16,
    }
}

record! {
    /// A range of bytes.
    ByteRange {
        /// first byte
        offset: u64,
        /// how many; all that follow if it reaches past the end
        bytes: u64,
    }
}

choice! {
    /// What is looked for.
    Wanted {
        /// a name
        0 => Name(ContentName),
        /// a content id
        1 => Id(ContentId),
        /// an RFC number
        2 => Number(RfcNumber),
    }
}

choice! {
    /// Which part of a content.
    Part {
        /// a byte range
        0 => Range(ByteRange),
        /// whole pieces
        1 => Pieces(List<PieceIndex, PIECES_PER_FRAME_MAX>),
    }
}
