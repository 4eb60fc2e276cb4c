//! Identifiers: newtypes for everything that names or numbers a thing.
//!
//! Belongs here: values without behaviour beyond comparing, printing and parsing. Does not: names
//! (`name.rs`), limits (`limits.rs`). Invariant: two different kinds of id never compare or convert.

use crate::limits::{PIECE_BYTES_MAX, PIECE_BYTES_MIN, PIECES_TARGET_MAX};
use core::fmt;
use subtle::ConstantTimeEq as _;

/// The plain BLAKE3 of a content's bytes: what `b3sum FILE` prints.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// Reads 64 hexadecimal digits; nothing else is an id.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(core::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

/// The 128 random bits that prove who registered. Never printed; compared in constant time.
#[derive(Clone, Copy)]
pub struct Cookie(pub [u8; 16]);

impl PartialEq for Cookie {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Cookie {}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cookie(secret)")
    }
}

/// The 8 bytes by which a UDP client proves that it receives at its address.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddressToken(pub [u8; 8]);

impl PartialEq for AddressToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for AddressToken {}

/// The number a request carries and its answers echo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestNumber(pub u64);

impl RequestNumber {
    /// The first number of a process: counting restarts, so numbers under one cookie only grow.
    pub const fn first_of(incarnation: Incarnation) -> Self {
        Self((incarnation.0 as u64) << 32)
    }

    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// How often a peer has started with the same state directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Incarnation(pub u32);

/// A peer as the RS numbers it: public, never reused, the cursor of PQuery pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerNumber(pub u64);

/// The position of a piece in its content, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PieceIndex(pub u32);

/// The size of the pieces of a content of `content_bytes`: the smallest power of two that gives at most
/// 1,024 pieces, between 64 KiB and 16 MiB.
pub fn piece_bytes(content_bytes: u64) -> u64 {
    content_bytes
        .div_ceil(PIECES_TARGET_MAX)
        .checked_next_power_of_two()
        .unwrap_or(PIECE_BYTES_MAX)
        .clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
}

/// The number of an RFC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RfcNumber(pub u32);

impl RfcNumber {
    /// The number in a file name `rfc<number>.txt`, wherever the file lies; no other name carries one.
    pub fn of_name(name: &str) -> Option<Self> {
        let file = name.rsplit('/').next()?;
        let digits = file.strip_prefix("rfc")?.strip_suffix(".txt")?;
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if plain {
            digits.parse().ok().map(Self)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse() {
        let id = ContentId(*blake3::hash(b"p2pdi").as_bytes());
        assert_eq!(ContentId::parse(&id.to_string()), Some(id));
        assert_eq!(ContentId::parse("ab"), None);
        assert_eq!(ContentId::parse(&"+1".repeat(32)), None, "a sign is no digit");
        assert_eq!(ContentId::parse(&"é".repeat(32)), None);
    }

    #[test]
    fn pieces_grow_with_the_content() {
        assert_eq!(piece_bytes(0), 64 * 1024);
        assert_eq!(piece_bytes(64 << 20), 64 * 1024);
        assert_eq!(piece_bytes((64 << 20) + 1), 128 * 1024);
        assert_eq!(piece_bytes(1 << 40), 16 << 20);
        assert_eq!(piece_bytes(u64::MAX), 16 << 20);
    }

    #[test]
    fn only_rfc_names_carry_a_number() {
        assert_eq!(RfcNumber::of_name("rfc793.txt"), Some(RfcNumber(793)));
        assert_eq!(RfcNumber::of_name("docs/rfc1.txt"), Some(RfcNumber(1)));
        for name in [
            "rfc.txt",
            "rfc+1.txt",
            "rfc1.pdf",
            "myrfc1.txt",
            "rfc99999999999.txt",
        ] {
            assert_eq!(RfcNumber::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn request_numbers_grow_over_restarts() {
        let last = RequestNumber(RequestNumber::first_of(Incarnation(1)).0 + 1_000_000);
        assert!(RequestNumber::first_of(Incarnation(2)) > last);
    }
}
