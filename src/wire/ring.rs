//! Records of the ring's PDUs: nodes, views, what is kept for a key.

use super::codec::{Field, FieldRow, Layout, List, Reader, record};
use super::error::{DecodeError, Fault};
use super::record::{ContentInfo, GossipRecord};
use crate::limits::{HOLDERS_PER_LISTING_MAX, RING_VIEW_MAX};
use crate::ring::{NodeAddress, RingHash};

impl Field for RingHash {
    const LAYOUT: Layout = Layout::Unsigned(1);
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Sha1 => 0,
            Self::Blake3 => 1,
        });
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match input.take(1, field)?[0] {
            0 => Ok(Self::Sha1),
            1 => Ok(Self::Blake3),
            byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
        }
    }
}

/// How near to a key the nodes of a [`RingHops`](super::RingHops) are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingVerdict {
    /// Nearer than the one that answers.
    Nearer,
    /// The one that answers is the last before the key: these come after it, the owner first.
    After,
    /// The one that answers owns the key: these come after it.
    Mine,
    /// The key lies before the one that answers, and before this one, the node before it.
    Before,
}

impl Field for RingVerdict {
    const LAYOUT: Layout = Layout::Unsigned(1);
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Nearer => 0,
            Self::After => 1,
            Self::Mine => 2,
            Self::Before => 3,
        });
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match input.take(1, field)?[0] {
            0 => Ok(Self::Nearer),
            1 => Ok(Self::After),
            2 => Ok(Self::Mine),
            3 => Ok(Self::Before),
            byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
        }
    }
}

/// What the key of a [`RingRecord`] is derived from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RingKeyOf {
    /// The name of the content.
    Name,
    /// Its id.
    Id,
    /// The number of the document.
    Number,
}

impl Field for RingKeyOf {
    const LAYOUT: Layout = Layout::Unsigned(1);
    fn put(&self, out: &mut Vec<u8>) {
        out.push(match self {
            Self::Name => 0,
            Self::Id => 1,
            Self::Number => 2,
        });
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match input.take(1, field)?[0] {
            0 => Ok(Self::Name),
            1 => Ok(Self::Id),
            2 => Ok(Self::Number),
            byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
        }
    }
}

impl Field for NodeAddress {
    const LAYOUT: Layout = Layout::Record(
        "NodeAddress",
        &[
            FieldRow {
                name: "ip",
                layout: <[u8; 16]>::LAYOUT,
                doc: " the IPv6 address, or an IPv4 address mapped into one",
            },
            FieldRow {
                name: "port",
                layout: u16::LAYOUT,
                doc: " the TCP port",
            },
        ],
    );
    fn put(&self, out: &mut Vec<u8>) {
        self.ip.put(out);
        self.port.put(out);
    }
    fn take(input: &mut Reader<'_>, _field: &'static str) -> Result<Self, DecodeError> {
        Ok(Self {
            ip: <[u8; 16]>::take(input, "ip")?,
            port: u16::take(input, "port")?,
        })
    }
}

record! {
    /// What all nodes of one ring have in common.
    #[derive(Copy)]
    RingShape {
        /// bits of an id, 1 to 160
        id_bits: u16,
        /// what ids are derived with: 0 SHA-1, 1 BLAKE3
        hash: RingHash,
        /// how many successors a node lists
        successors: u16,
    }
}

record! {
    /// A node of a ring. Its id is derived from its address by whoever reads this.
    #[derive(Copy)]
    RingMember {
        /// where it is reached
        address: NodeAddress,
        /// random; tells a node that came back from what it was
        incarnation: u64,
    }
}

record! {
    /// Everybody in a young ring.
    RingView {
        /// grows with every change
        version: u64,
        /// 1 if the ring is young no more
        grown: bool,
        /// the members by seniority, the one that leads first
        members: List<RingMember, RING_VIEW_MAX>,
    }
}

record! {
    /// A content and its holders, as the ring keeps it for one key.
    RingRecord {
        /// what its key is derived from: 0 the name, 1 the id, 2 the document's number
        key: RingKeyOf,
        /// 1 if the nodes that keep the record are to hold the content too
        place: bool,
        /// the content
        content: ContentInfo,
        /// the claims of its holders
        holders: List<GossipRecord, HOLDERS_PER_LISTING_MAX>,
    }
}
