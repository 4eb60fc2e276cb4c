//! The table of PDUs: the single source for codec, spec, fuzz corpus, dissector and limits.
//!
//! Requests and their answers that share a letter are told apart by a *form* byte after the request number:
//! 0 asks, 1 answers.

use super::codec::{Field, FieldRow, List, Reader, Rest, Text, rows_bytes_max};
use super::error::{DecodeError, Fault};
use super::record::*;
use super::refusal::Refusal;
use super::table::{Direction, PduRow, Transport};
use crate::id::{AddressToken, ContentId, Cookie, PeerNumber, PieceIndex, RequestNumber};
use crate::limits::{
    CHUNK_BYTES_MAX, COUNTERS_MAX, ERROR_TEXT_BYTES_MAX, FRAME_BYTES_MAX, HAVE_MAP_BYTES_MAX,
    HOLDERS_PER_LISTING_MAX, MANIFEST_PAGE_PIECES_MAX, MEDIA_TYPE_BYTES_MAX, OS_BYTES_MAX, PAGE_ENTRIES_MAX,
    PIECES_PER_FRAME_MAX,
};
use crate::name::{Host, PeerName};

macro_rules! pdus {
    ($(
        $(#[doc = $doc:literal])*
        $letter:literal $(/ $form:literal)? $name:ident ($direction:ident, $transport:ident) {
            $(#[doc = $first_doc:literal])* $first:ident: $first_ty:ty,
            $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty,)*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $(#[doc = $first_doc])* pub $first: $first_ty,
                $($(#[doc = $field_doc])* pub $field: $ty,)*
            }

            impl $name {
                #[doc = concat!("The row of `", stringify!($name), "` in the table.")]
                pub const ROW: PduRow = {
                    const FIELDS: &[FieldRow] = &[
                        FieldRow {
                            name: stringify!($first),
                            layout: <$first_ty as Field>::LAYOUT,
                            doc: concat!($($first_doc),*),
                        },
                        $(FieldRow {
                            name: stringify!($field),
                            layout: <$ty as Field>::LAYOUT,
                            doc: concat!($($field_doc),*),
                        },)*
                    ];
                    let form: Option<u8> = pdus!(@form $($form)?);
                    let whole = rows_bytes_max(FIELDS) + if form.is_some() { 1 } else { 0 };
                    let cap = if $letter == b'C' { CHUNK_BYTES_MAX + 64 } else { FRAME_BYTES_MAX };
                    PduRow {
                        letter: $letter,
                        form,
                        name: stringify!($name),
                        doc: concat!($($doc),*),
                        direction: Direction::$direction,
                        transport: Transport::$transport,
                        bytes_max: if whole < cap { whole } else { cap },
                        fields: FIELDS,
                    }
                };

                fn put_value(&self, out: &mut Vec<u8>) {
                    self.$first.put(out);
                    $(out.push($form);)?
                    $(self.$field.put(out);)*
                }

                fn take_value(bytes: &[u8]) -> Result<Self, DecodeError> {
                    let mut input = Reader::new(bytes);
                    let message = Self {
                        $first: {
                            let first = <$first_ty as Field>::take(&mut input, stringify!($first))?;
                            $(form_byte(&mut input, $form)?;)?
                            first
                        },
                        $($field: <$ty as Field>::take(&mut input, stringify!($field))?,)*
                    };
                    input.finish(stringify!($name))?;
                    Ok(message)
                }
            }

            impl From<$name> for Message {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }
        )*

        /// One PDU.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message { $($(#[doc = $doc])* $name($name),)* }

        /// Every PDU of this version, in the order of the spec.
        pub const TABLE: &[PduRow] = &[$($name::ROW),*];

        impl Message {
            /// Its row in the table.
            pub const fn row(&self) -> &'static PduRow {
                match self { $(Self::$name(_) => &$name::ROW,)* }
            }

            /// Appends its value, without the frame around it.
            pub fn put_value(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(message) => message.put_value(out),)* }
            }

            /// Reads the value of a frame with this letter.
            ///
            /// # Errors
            /// What is wrong with the bytes, and in which field.
            pub fn decode(letter: u8, value: &[u8]) -> Result<Self, DecodeError> {
                let form = value.get(core::mem::size_of::<u64>()).copied();
                $(if letter == $letter && pdus!(@matches form $($form)?) {
                    return $name::take_value(value).map(Self::$name);
                })*
                // A letter of the table whose form byte is missing or none of its forms.
                Err(match (super::table::row_of(letter), form) {
                    (None, _) => DecodeError::new("type", Fault::Unknown(letter)),
                    (Some(_), None) => DecodeError::new("form", Fault::Truncated),
                    (Some(_), Some(byte)) => DecodeError::new("form", Fault::Unknown(byte)),
                })
            }

            /// The request number it carries; none only in `V`.
            pub const fn request(&self) -> Option<RequestNumber> {
                match self { $(Self::$name(message) => pdus!(@request message $first),)* }
            }
        }
    };
    (@form) => { None };
    (@form $form:literal) => { Some($form) };
    (@matches $byte:ident) => { true };
    (@matches $byte:ident $form:literal) => { $byte == Some($form) };
    (@request $message:ident request) => { Some($message.request) };
    (@request $message:ident $other:ident) => {{ let _ = $message; None }};
}

fn form_byte(input: &mut Reader<'_>, form: u8) -> Result<(), DecodeError> {
    match input.take(1, "form")?[0] {
        byte if byte == form => Ok(()),
        byte => Err(DecodeError::new("form", Fault::Unknown(byte))),
    }
}

pdus! {
    /// The first frame each way on TCP: which versions the sender speaks.
    b'V' Version (Both, Tcp) {
        /// the bytes P2PDI
        magic: [u8; 5],
        /// lowest version spoken
        version_min: u16,
        /// highest version spoken
        version_max: u16,
        /// feature bits
        features: u64,
    }
    /// Join: register a peer, or revive the record of a cookie.
    b'J' Join (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// random; tells a repeated first Join from a second peer
        nonce: u64,
        /// the cookie of an earlier Join
        cookie: Option<Cookie>,
        /// the peer's name
        name: PeerName,
        /// where others reach it; absent means the address the RS sees
        host: Option<Host>,
        /// its TCP port
        port: u16,
        /// operating system
        os: Text<OS_BYTES_MAX>,
    }
    /// Leave: the peer becomes inactive, its record is kept.
    b'L' Leave (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// the peer's cookie
        cookie: Cookie,
    }
    /// KeepAlive: renew the lease.
    b'K' KeepAlive (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// the peer's cookie
        cookie: Cookie,
    }
    /// Ask for the active peers; with a cookie the lease is renewed and the asker left out.
    b'P' / 0 PQuery (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// the peer's cookie
        cookie: Option<Cookie>,
        /// last number of the page before; 0 at first
        after: PeerNumber,
    }
    /// A page of active peers; empty says that no peer is active.
    b'P' / 1 Peers (RsToPeer, TcpUdp) {
        /// number of the request
        request: RequestNumber,
        /// 1 if pages follow
        more: bool,
        /// the peers by rising number
        peers: List<PeerInfo, PAGE_ENTRIES_MAX>,
    }
    /// Register a content with its holder.
    b'R' Register (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// the peer's cookie
        cookie: Cookie,
        /// the content
        content: ContentInfo,
        /// 1 if the peer holds every piece
        complete: bool,
    }
    /// De-register a content of this holder.
    b'T' Deregister (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// the peer's cookie
        cookie: Cookie,
        /// which content
        key: ContentKey,
    }
    /// Search a content.
    b'S' / 0 Search (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// what is looked for
        wanted: Wanted,
        /// last key of the page before
        after: Option<ContentKey>,
    }
    /// A page of contents found, with their holders.
    b'S' / 1 Found (RsToPeer, TcpUdp) {
        /// number of the request
        request: RequestNumber,
        /// 1 if pages follow
        more: bool,
        /// the contents by rising key
        contents: List<Listing, PAGE_ENTRIES_MAX>,
    }
    /// List what is registered.
    b'O' / 0 ListContents (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// 0 files, 1 trees
        kind: ContentKind,
        /// last key of the page before
        after: Option<ContentKey>,
    }
    /// A page of registered contents, with their holders.
    b'O' / 1 Contents (RsToPeer, TcpUdp) {
        /// number of the request
        request: RequestNumber,
        /// 1 if pages follow
        more: bool,
        /// the contents by rising key
        contents: List<Listing, PAGE_ENTRIES_MAX>,
    }
    /// Report a holder that did not answer; the RS probes it.
    b'B' ReportHolder (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
        /// where it was not reached
        holder: PeerAddress,
    }
    /// Ask an RS for its own account.
    b's' / 0 StatusQuery (PeerToRs, TcpUdp) {
        /// request number
        request: RequestNumber,
    }
    /// The RS's own account: what there is now, and what was counted since it started.
    b's' / 1 Status (RsToPeer, TcpUdp) {
        /// number of the request
        request: RequestNumber,
        /// seconds since the RS started
        uptime_secs: u64,
        /// peers it knows, active or not
        peers_known: u64,
        /// peers it hands out
        peers_active: u64,
        /// contents with a holder
        contents: u64,
        /// open connections
        connections: u64,
        /// size of the store; absent without one
        store_bytes: Option<u64>,
        /// longest time to decide on a request, in microseconds
        slowest_us: u64,
        /// the same in the last minute
        slowest_minute_us: u64,
        /// requests by their PDU
        served: List<Counter, COUNTERS_MAX>,
        /// refusals by their name
        refused: List<Counter, COUNTERS_MAX>,
        /// connections and datagrams dropped, by the reason
        dropped: List<Counter, COUNTERS_MAX>,
    }
    /// RFCQuery: ask a peer for its index, local and learned.
    b'I' / 0 IndexQuery (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// last key of the page before
        after: Option<ContentKey>,
    }
    /// A page of a peer's index.
    b'I' / 1 Index (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// 1 if pages follow
        more: bool,
        /// the contents by rising key
        contents: List<IndexEntry, PAGE_ENTRIES_MAX>,
    }
    /// Download: the bytes of a content.
    b'D' Download (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// which content
        wanted: Wanted,
        /// which part of it
        part: Part,
    }
    /// Content bytes, labelled; they never cross a piece's border.
    b'C' Content (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// the piece the bytes lie in
        piece: PieceIndex,
        /// their position in the content
        offset: u64,
        /// the bytes
        payload: Rest<CHUNK_BYTES_MAX>,
    }
    /// Final: all of the part has been sent; what the holder knows of the content.
    b'F' Final (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// the content's id
        id: ContentId,
        /// length of the whole content
        bytes: u64,
        /// last modification, seconds since 1970 UTC
        modified: i64,
        /// the holder's clock, seconds since 1970 UTC
        date: i64,
        /// media type
        media_type: Text<MEDIA_TYPE_BYTES_MAX>,
        /// the holder's operating system
        os: Text<OS_BYTES_MAX>,
    }
    /// Acknowledge a state change.
    b'A' Ack (RsToPeer, TcpUdp) {
        /// number of the request
        request: RequestNumber,
        /// the peer's cookie, after a Join
        cookie: Option<Cookie>,
        /// seconds until the lease ends; 0 where there is none
        lease_secs: u32,
        /// the address others are given, after a Join
        host: Option<Host>,
    }
    /// Error: the request was refused.
    b'E' Error (Both, TcpUdp) {
        /// number of the request; 0 if it could not be read
        request: RequestNumber,
        /// the refusal
        code: Refusal,
        /// what was refused and what to do
        text: Text<ERROR_TEXT_BYTES_MAX>,
    }
    /// Challenge: ask again with this address token.
    b'H' Challenge (RsToPeer, Udp) {
        /// number of the request
        request: RequestNumber,
        /// the token for the address the request came from
        token: AddressToken,
    }
    /// Ask for the piece values of a content.
    b'G' / 0 ManifestQuery (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// which content
        id: ContentId,
        /// the first piece wanted
        first: PieceIndex,
    }
    /// Piece values: BLAKE3 chaining values that combine to the id.
    b'G' / 1 Manifest (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// length of the whole content
        bytes: u64,
        /// the piece of the first value
        first: PieceIndex,
        /// one value a piece
        values: List<[u8; 32], MANIFEST_PAGE_PIECES_MAX>,
    }
    /// Have-map: which pieces the sender has or expects; opens the exchange of this content's pieces.
    b'M' HaveMap (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// which content
        id: ContentId,
        /// where the sender serves what it has; 0 if nowhere
        port: u16,
        /// one bit a piece, the first piece highest
        map: Rest<HAVE_MAP_BYTES_MAX>,
    }
    /// Have-update: pieces gained, and others that take or hold the same content.
    b'U' HaveUpdate (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// pieces the sender has gained
        pieces: List<PieceIndex, PIECES_PER_FRAME_MAX>,
        /// others the sender knows
        holders: List<PeerAddress, HOLDERS_PER_LISTING_MAX>,
    }
    /// Credit: send this many more pieces of your choice that I lack.
    b'Q' Credit (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// pieces more
        pieces: u16,
    }
    /// The holder's choice, before the piece's first bytes.
    b'N' Choice (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// the piece that follows
        piece: PieceIndex,
        /// 1 if nobody else here has it: the receiver passes it on first
        first: bool,
    }
    /// Settled: these pieces are here or come from elsewhere; a piece on its way may be broken off.
    b'X' Settled (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// the pieces not wanted any more
        pieces: List<PieceIndex, PIECES_PER_FRAME_MAX>,
    }
    /// Want: these pieces are wanted after all.
    b'W' Want (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// the pieces that did not come
        pieces: List<PieceIndex, PIECES_PER_FRAME_MAX>,
    }
}
