//! Bytes to PDUs and back (`rfcs/0001-wire.txt`).
//!
//! Belongs here: framing, field layouts, the one table of PDUs, decode errors. Does not: sockets, timers,
//! decisions. Invariant: nothing is allocated for a length that has not been checked against the table, and
//! what decodes encodes to the same bytes
//! again.

mod codec;
mod error;
mod frame;
mod message;
mod pdus;
mod record;
mod refusal;
mod ring;
pub mod samples;
mod table;
mod tree;

pub(crate) use codec::record;
pub use codec::{Field, FieldRow, Layout, List, Reader, Rest, Text};
pub use error::{DecodeError, Fault};
pub use frame::{
    ContentLabel, Datagram, FrameHeader, HEADER_BYTES, MAGIC, VERSION_MAX, VERSION_MIN, content_prefix,
    datagram, decode_datagram_answer, decode_datagram_request, encode_frame, features, hello,
};
pub use message::*;
pub use record::*;
pub use refusal::Refusal;
pub use ring::*;
pub use table::{Direction, PduRow, Transport, row_of};
pub use tree::{Tree, TreeEntry, TreeFile, TreeNode};
