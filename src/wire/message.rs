//! The table of PDUs: the single source for codec, spec, fuzz corpus, dissector and limits.
//!
//! Requests and their answers that share a letter are told apart by a *form* byte after the request number:
//! 0 asks, 1 answers; the ring's PDUs share two letters, and the form says which one it is.

use super::codec::{Field, FieldRow, List, Reader, Rest, Text, rows_bytes_max};
use super::error::{DecodeError, Fault};
use super::pdus::{form_byte, pdus};
use super::record::*;
use super::refusal::Refusal;
use super::ring::*;
use super::table::{Direction, PduRow, Transport};
use crate::id::{AddressToken, ContentId, Cookie, PeerNumber, PieceIndex, RequestNumber};
use crate::limits::{
    CHUNK_BYTES_MAX, COUNTERS_MAX, ERROR_TEXT_BYTES_MAX, FRAME_BYTES_MAX, HAVE_MAP_BYTES_MAX,
    HOLDERS_PER_LISTING_MAX, MANIFEST_PAGE_PIECES_MAX, MEDIA_TYPE_BYTES_MAX, OFFLINE_PEERS_MAX, OS_BYTES_MAX,
    PAGE_ENTRIES_MAX, PIECES_PER_FRAME_MAX, RING_ID_BITS_MAX, RING_PAGE_RECORDS_MAX, RING_SUCCESSORS_MAX,
};
use crate::name::{Host, PeerName};
use crate::ring::RingId;

/// A finger for each bit of an id.
const FINGERS_MAX: usize = RING_ID_BITS_MAX as usize;

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
        /// longest time from a request to its answer, the store included, in microseconds
        slowest_us: u64,
        /// the same in the last minute
        slowest_minute_us: u64,
        /// requests by their PDU
        served: List<Counter, COUNTERS_MAX>,
        /// refusals by their name
        refused: List<Counter, COUNTERS_MAX>,
        /// connections and datagrams dropped, by the reason
        dropped: List<Counter, COUNTERS_MAX>,
        /// peers it knows and does not hand out: first those that did not answer, whose leases run; then the latest gone
        offline: List<PeerInfo, OFFLINE_PEERS_MAX>,
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
    /// Dry: the holder of a part has nothing that the getter lacks.
    b'd' Dry (PeerToPeer, Tcp) {
        /// number of the exchange
        request: RequestNumber,
        /// milliseconds since the sender last had hope of more pieces
        hoped_before_millis: u32,
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
    /// Ask a node of the ring for its neighbours.
    b'Y' / 0 RingAsk (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the asker's ring
        ring: RingShape,
    }
    /// A node's neighbours, at this moment.
    b'Y' / 1 RingState (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// the node that answers
        node: RingMember,
        /// the node before it; absent if it is alone
        predecessor: Option<RingMember>,
        /// the nodes after it, the next one first
        successors: List<RingMember, RING_SUCCESSORS_MAX>,
        /// everybody, while the ring is young
        view: Option<RingView>,
    }
    /// Tell a node that the sender takes it for its successor.
    b'Y' / 2 RingNotify (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the sender's ring
        ring: RingShape,
        /// the sender
        sender: RingMember,
    }
    /// Heard: the answer to whatever needs no more.
    b'Y' / 3 RingAck (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// the node that answers
        node: RingMember,
    }
    /// Ask whether a node is there, and a member.
    b'Y' / 4 RingPing (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the asker's ring
        ring: RingShape,
    }
    /// A step of a lookup: ask who is nearer to a key, or its owner.
    b'Y' / 5 RingStep (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the asker's ring
        ring: RingShape,
        /// the key
        key: RingId,
        /// 1 if the receiver is said to own the key, and is to say whether it does
        confirm: bool,
    }
    /// Where a lookup goes on.
    b'Y' / 6 RingHops (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// the node that answers
        node: RingMember,
        /// how near the nodes below are
        verdict: RingVerdict,
        /// whom to ask next, the best first
        nodes: List<RingMember, RING_SUCCESSORS_MAX>,
    }
    /// Join: ask for a place behind the receiver.
    b'Y' / 7 RingJoin (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the sender's ring
        ring: RingShape,
        /// who wants to join
        sender: RingMember,
    }
    /// Leave: the sender is about to be a member no more.
    b'Y' / 8 RingLeave (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the sender's ring
        ring: RingShape,
        /// who leaves
        sender: RingMember,
    }
    /// Everybody in a young ring, told by the node that leads it.
    b'Y' / 9 RingMembers (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the sender's ring
        ring: RingShape,
        /// who leads
        sender: RingMember,
        /// everybody
        view: RingView,
    }
    /// Ask a node what it knows of its ring: for people, and for whoever does not know the ring's shape yet.
    b'Y' / 10 RingLook (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
    }
    /// What a node knows of its ring.
    b'Y' / 11 RingTable (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// the node's ring
        ring: RingShape,
        /// the node that answers
        node: RingMember,
        /// the node before it; absent if it is not known
        predecessor: Option<RingMember>,
        /// the nodes after it, the next one first
        successors: List<RingMember, RING_SUCCESSORS_MAX>,
        /// who comes first at 2^i after the node, for each bit of an id
        fingers: List<RingMember, FINGERS_MAX>,
    }
    /// Give records to the node that owns their keys, or that is to keep copies.
    b'Z' / 0 RingStore (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the sender's ring
        ring: RingShape,
        /// the node that sends them; a publisher that is no member has incarnation 0
        sender: RingMember,
        /// 0 if they are claims of the sender, 1 if they are copies between nodes that keep them
        copy: bool,
        /// the records
        records: List<RingRecord, RING_PAGE_RECORDS_MAX>,
    }
    /// Ask for what a node keeps of a content.
    b'Z' / 1 RingFetch (PeerToPeer, Tcp) {
        /// request number
        request: RequestNumber,
        /// the asker's ring
        ring: RingShape,
        /// what is looked for
        wanted: Wanted,
        /// last key of the page before
        after: Option<ContentKey>,
    }
    /// A page of records; empty says that the node keeps none.
    b'Z' / 2 RingRecords (PeerToPeer, Tcp) {
        /// number of the request
        request: RequestNumber,
        /// 1 if pages follow
        more: bool,
        /// the records by rising key
        records: List<RingRecord, RING_PAGE_RECORDS_MAX>,
    }
}
