//! A claim: what is known of one holder of one content, and how two claims about it are put together.

use crate::name::PeerName;
use crate::time::Instant;
use core::cmp::Ordering;

/// What is known of one holder of one content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proto) struct Claim {
    pub(in crate::proto) name: PeerName,
    pub(in crate::proto) sequence: u64,
    pub(in crate::proto) ends: Instant,
    pub(in crate::proto) withdrawn: bool,
    pub(in crate::proto) complete: bool,
    /// It did not answer us. Not handed out, and not forgotten either, or hearsay would bring it back.
    pub(in crate::proto) unreachable: bool,
}

impl Claim {
    /// What two claims about one holder come to: associative, commutative and idempotent, so the order in
    /// which they arrive does not matter. A holder may say two things within one second, under one sequence
    /// number; then what was taken back is taken back, and the shorter life stands.
    pub(in crate::proto) fn joined(&self, other: Self) -> Self {
        match self.sequence.cmp(&other.sequence) {
            Ordering::Less => other,
            Ordering::Greater => self.clone(),
            Ordering::Equal => Self {
                name: self.name.clone().min(other.name),
                sequence: self.sequence,
                ends: self.ends.min(other.ends),
                withdrawn: self.withdrawn || other.withdrawn,
                complete: self.complete && other.complete,
                unreachable: self.unreachable,
            },
        }
    }
}
