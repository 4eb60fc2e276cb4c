//! A node as others know it, and what all nodes of a ring have in common.

use crate::limits::{
    RING_CLAIMS_MAX, RING_CLAIMS_PER_HOLDER_MAX, RING_IDS_PER_HOST, RING_REPLICAS, RING_STABILIZE,
    RING_SUCCESSORS, RING_SUCCESSORS_MAX,
};
use crate::ring::{NodeAddress, RingHash, RingId, RingSpace};
use crate::time::Span;
use crate::wire::{RingMember, RingShape};
use core::fmt;

/// A member of a ring.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its place, derived from its address.
    pub id: RingId,
    /// Where it is reached.
    pub address: NodeAddress,
    /// Random; tells a node that came back from what it was. 0 if it is not known.
    pub incarnation: u64,
}

/// Short, for whoever looks for a fault.
impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, incarnation) = (self.id.to_string(), self.incarnation & 0xffff);
        write!(
            f,
            "{}@{}#{incarnation:x}",
            id.get(..6).unwrap_or(&id),
            self.address
        )
    }
}

impl Member {
    /// The member that a message speaks of; its id is our own reckoning.
    pub fn of(space: RingSpace, member: &RingMember) -> Self {
        Self {
            id: space.id_of(member.address),
            address: member.address,
            incarnation: member.incarnation,
        }
    }

    /// Whoever is at an address.
    pub fn at(space: RingSpace, address: NodeAddress) -> Self {
        Self::of(
            space,
            &RingMember {
                address,
                incarnation: 0,
            },
        )
    }

    /// As messages carry it.
    pub const fn wire(self) -> RingMember {
        RingMember {
            address: self.address,
            incarnation: self.incarnation,
        }
    }

    /// True if the one that answered may be this one.
    pub const fn may_be(self, answered: u64) -> bool {
        self.incarnation == 0 || self.incarnation == answered
    }
}

/// How a ring is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSettings {
    /// The circle.
    pub space: RingSpace,
    /// How many successors a node lists.
    pub successors: usize,
    /// How many nodes keep a record.
    pub replicas: usize,
    /// False for the naive ring, in which a lookup goes from node to node.
    pub fingers: bool,
    /// Between two looks at the successor.
    pub stabilize: Span,
    /// How many nodes of one host a node takes note of.
    pub ids_per_host: usize,
    /// Claims of holders that a node keeps.
    pub claims_max: usize,
    /// And of one holder.
    pub claims_per_holder_max: usize,
}

impl RingSettings {
    /// What is usual, on this circle.
    pub fn usual(space: RingSpace) -> Self {
        Self {
            space,
            successors: usize::from(RING_SUCCESSORS),
            replicas: usize::from(RING_REPLICAS),
            fingers: true,
            stabilize: RING_STABILIZE,
            ids_per_host: RING_IDS_PER_HOST,
            claims_max: RING_CLAIMS_MAX,
            claims_per_holder_max: RING_CLAIMS_PER_HOLDER_MAX,
        }
    }

    /// What is usual in a ring of this shape; none without bits or successors.
    pub fn of_shape(shape: &RingShape) -> Option<Self> {
        let successors = usize::from(shape.successors);
        let space = RingSpace::new(shape.id_bits, shape.hash)?;
        (1..=RING_SUCCESSORS_MAX).contains(&successors).then(|| Self {
            successors,
            ..Self::usual(space)
        })
    }

    /// What nodes tell each other of it: those that differ here are no nodes of one ring.
    pub fn shape(&self) -> RingShape {
        RingShape {
            id_bits: self.space.bits(),
            hash: self.space.hash(),
            successors: u16::try_from(self.successors.clamp(1, RING_SUCCESSORS_MAX)).unwrap_or(1),
        }
    }
}

/// The words for a ring's shape.
pub(super) fn describe(shape: &RingShape) -> String {
    let hash = match shape.hash {
        RingHash::Sha1 => "SHA-1",
        RingHash::Blake3 => "BLAKE3",
    };
    format!(
        "{} bits of {hash} and lists of {}",
        shape.id_bits, shape.successors
    )
}
