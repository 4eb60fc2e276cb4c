//! Ring arithmetic: identifiers on a circle, and what they are derived from.
//!
//! Belongs here: the circle, its order, hashing addresses and names to it. Does not: nodes and what they do
//! (`proto/chord/`). Invariant: an id is always derived, from an address or a key, and never taken from somebody's word.

use crate::id::{ContentId, RfcNumber};
use crate::limits::RING_ID_BITS_MAX;
use core::fmt;
use sha1::{Digest as _, Sha1};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// A point of the circle: a number below 2^bits, big-endian.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RingId(pub [u8; 20]);

/// True if going round from `a` one passes `x` before `b`. Of a whole turn from `a` to itself, all but `a` is between.
pub fn between(a: RingId, x: RingId, b: RingId) -> bool {
    if a < b { a < x && x < b } else { a < x || x < b }
}

/// True if going round from `a` one reaches `x` no later than `b`.
pub fn between_or_end(a: RingId, x: RingId, b: RingId) -> bool {
    x == b || between(a, x, b)
}

impl RingId {
    /// A small number as a point.
    pub const fn from_u64(number: u64) -> Self {
        let mut bytes = [0; 20];
        let low = number.to_be_bytes();
        let mut i = 0;
        while i < low.len() {
            bytes[12 + i] = low[i];
            i += 1;
        }
        Self(bytes)
    }

    /// The number, if it has no more than 64 bits.
    pub fn as_u64(self) -> Option<u64> {
        let (high, low) = self.0.split_at(12);
        let low = low.try_into().ok()?;
        high.iter()
            .all(|byte| *byte == 0)
            .then(|| u64::from_be_bytes(low))
    }

    fn sum(self, other: Self) -> Self {
        let mut carry = 0;
        let mut sum = [0; 20];
        for (at, place) in sum.iter_mut().enumerate().rev() {
            let digit = u16::from(self.0[at]) + u16::from(other.0[at]) + carry;
            [_, *place] = digit.to_be_bytes();
            carry = digit >> 8;
        }
        Self(sum)
    }

    fn negative(self) -> Self {
        Self(self.0.map(|byte| !byte)).sum(Self::from_u64(1))
    }

    /// The number of the highest bit that is set; none in 0.
    pub fn highest_bit(self) -> Option<u16> {
        let at = self.0.iter().position(|byte| *byte != 0)?;
        let below = u16::try_from(19 - at).unwrap_or(0) * 8;
        Some(below + 7 - u16::try_from(self.0[at].leading_zeros()).unwrap_or(0))
    }
}

/// Decimal where it is short, as the original systems print it; hexadecimal where it is not.
impl fmt::Display for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_u64() {
            Some(number) => write!(f, "{number}"),
            None => self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

impl fmt::Debug for RingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RingId({self})")
    }
}

/// What ids are derived with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RingHash {
    /// SHA-1, as the original systems.
    #[default]
    Sha1,
    /// BLAKE3, as the rest of this program.
    Blake3,
}

/// The circle that the nodes of one ring share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSpace {
    bits: u16,
    hash: RingHash,
}

impl RingSpace {
    /// A circle of 2^`bits` points; none without bits or with more than a hash gives.
    pub fn new(bits: u16, hash: RingHash) -> Option<Self> {
        (1..=RING_ID_BITS_MAX)
            .contains(&bits)
            .then_some(Self { bits, hash })
    }

    /// The bits of its ids.
    pub const fn bits(self) -> u16 {
        self.bits
    }

    /// What ids are derived with.
    pub const fn hash(self) -> RingHash {
        self.hash
    }

    fn cut(self, id: RingId) -> RingId {
        let unused = usize::from(RING_ID_BITS_MAX - self.bits);
        let mut id = id;
        id.0[..unused / 8].fill(0);
        if let Some(byte) = id.0.get_mut(unused / 8) {
            *byte &= 0xff >> (unused % 8);
        }
        id
    }

    /// The point of some bytes: the low bits of their hash, read as a big-endian number.
    pub fn point_of(self, bytes: &[u8]) -> RingId {
        let mut id = RingId::default();
        match self.hash {
            RingHash::Sha1 => id.0.copy_from_slice(&Sha1::digest(bytes)),
            RingHash::Blake3 => id.0.copy_from_slice(&blake3::hash(bytes).as_bytes()[12..]),
        }
        self.cut(id)
    }

    /// The id of the node at an address: the point of the text `host:port`.
    pub fn id_of(self, address: NodeAddress) -> RingId {
        self.point_of(address.to_string().as_bytes())
    }

    /// The key of a content by its name.
    pub fn key_of_name(self, name: &str) -> RingId {
        self.point_of(name.as_bytes())
    }

    /// The key of a document by its number: that of the name which says the number.
    pub fn key_of_number(self, number: RfcNumber) -> RingId {
        self.key_of_name(&format!("rfc{}.txt", number.0))
    }

    /// The key of a content by its id: the point of its 64 digits.
    pub fn key_of_content(self, id: &ContentId) -> RingId {
        self.point_of(id.to_string().as_bytes())
    }

    /// How far it is from one point to another, going round.
    pub fn distance(self, from: RingId, to: RingId) -> RingId {
        self.cut(to.sum(from.negative()))
    }

    /// Where finger `i` of a node begins, counted from 0: 2^i after the node.
    pub fn finger_start(self, node: RingId, i: u16) -> RingId {
        let mut step = RingId::default();
        if let Some(byte) = step.0.get_mut(19_usize.wrapping_sub(usize::from(i / 8))) {
            *byte = 1 << (i % 8);
        }
        self.cut(node.sum(step))
    }
}

/// Where a node is reached: the one spelling of an address that its id is derived from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeAddress {
    /// The IP address; one of IPv4 is mapped into IPv6.
    pub ip: [u8; 16],
    /// The TCP port.
    pub port: u16,
}

impl NodeAddress {
    /// Its IP address, in the plainest form.
    pub fn ip(self) -> IpAddr {
        IpAddr::V6(Ipv6Addr::from(self.ip)).to_canonical()
    }
}

impl From<SocketAddr> for NodeAddress {
    fn from(address: SocketAddr) -> Self {
        let ip = match address.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self {
            ip: ip.octets(),
            port: address.port(),
        }
    }
}

impl From<NodeAddress> for SocketAddr {
    fn from(address: NodeAddress) -> Self {
        Self::new(address.ip(), address.port)
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", SocketAddr::from(*self))
    }
}

impl fmt::Debug for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> RingSpace {
        RingSpace::new(10, RingHash::Sha1).expect("ten bits")
    }

    fn id(address: &str) -> Option<u64> {
        let address: SocketAddr = address.parse().expect("an address");
        report().id_of(address.into()).as_u64()
    }

    #[test]
    fn ids_and_keys_are_those_of_the_report() {
        assert_eq!(id("127.0.0.1:5000"), Some(797));
        assert_eq!(id("127.0.0.1:5500"), Some(724));
        assert_eq!(id("127.0.0.1:6000"), Some(993));
        assert_eq!(id("[::ffff:127.0.0.1]:6000"), Some(993), "one spelling");
        assert_eq!(report().key_of_name("in").as_u64(), Some(751));
    }

    #[test]
    fn finger_starts_are_those_of_the_report() {
        let node = RingId::from_u64(724);
        let starts: Vec<u64> = (0..10)
            .filter_map(|i| report().finger_start(node, i).as_u64())
            .collect();
        assert_eq!(starts, [725, 726, 728, 732, 740, 756, 788, 852, 980, 212]);
    }

    #[test]
    fn between_goes_round() {
        let at = RingId::from_u64;
        for (a, x, b, is) in [
            (1, 2, 3, true),
            (1, 1, 3, false),
            (1, 3, 3, false),
            (60, 61, 1, true),
            (60, 0, 1, true),
            (60, 30, 1, false),
            (7, 8, 7, true),
            (7, 6, 7, true),
            (7, 7, 7, false),
        ] {
            assert_eq!(between(at(a), at(x), at(b)), is, "{a} {x} {b}");
        }
        assert!(between_or_end(at(60), at(1), at(1)));
        assert!(!between_or_end(at(60), at(60), at(1)));
    }

    #[test]
    fn arithmetic_is_that_of_plain_numbers() {
        for bits in [1, 7, 8, 9, 10, 63] {
            let space = RingSpace::new(bits, RingHash::Blake3).expect("bits");
            let size = 1_u64 << bits;
            let mut rng = crate::rng::Rng::from_seed(u64::from(bits));
            for _ in 0..200 {
                let (a, b) = (rng.below(size), rng.below(size));
                let distance = space.distance(RingId::from_u64(a), RingId::from_u64(b));
                assert_eq!(distance.as_u64(), Some(b.wrapping_sub(a) % size), "{a} {b}");
                assert_eq!(
                    distance.highest_bit().map(u32::from),
                    distance.as_u64().and_then(u64::checked_ilog2)
                );
                let i = u16::try_from(rng.below(u64::from(bits))).expect("small");
                let start = space.finger_start(RingId::from_u64(a), i);
                assert_eq!(start.as_u64(), Some((a + (1 << i)) % size));
            }
        }
        for bits in [0, 161] {
            assert_eq!(RingSpace::new(bits, RingHash::Sha1), None);
        }
    }

    #[test]
    fn large_ids_are_printed_as_digits_of_a_hash() {
        let space = RingSpace::new(160, RingHash::Sha1).expect("bits");
        assert_eq!(
            space.key_of_name("abc").to_string(),
            "a9993e364706816aba3e25717850c26c9cd0d89d"
        );
        assert_eq!(
            space.finger_start(RingId::default(), 159).highest_bit(),
            Some(159)
        );
    }
}
