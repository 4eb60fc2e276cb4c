//! A set of pieces of one content.

use crate::id::PieceIndex;

/// Which of `count` pieces are in a set; on the wire one bit a piece, the first piece highest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    bits: Vec<u8>,
    count: u32,
    len: u32,
}

fn mask(piece: PieceIndex) -> u8 {
    0x80 >> (piece.0 % 8)
}

fn byte(piece: PieceIndex) -> usize {
    (piece.0 / 8) as usize
}

impl Pieces {
    /// None of `count` pieces.
    pub fn none(count: u32) -> Self {
        Self {
            bits: vec![0; count.div_ceil(8) as usize],
            count,
            len: 0,
        }
    }

    /// All of `count` pieces.
    pub fn all(count: u32) -> Self {
        let mut pieces = Self {
            bits: vec![0xff; count.div_ceil(8) as usize],
            count,
            len: count,
        };
        if let Some(last) = pieces.bits.last_mut()
            && !count.is_multiple_of(8)
        {
            *last = 0xff << (8 - count % 8);
        }
        pieces
    }

    /// Reads a have-map; `None` if its length or its spare bits are wrong.
    pub fn from_map(map: &[u8], count: u32) -> Option<Self> {
        let pieces = Self {
            bits: map.to_vec(),
            count,
            len: map.iter().map(|byte| byte.count_ones()).sum(),
        };
        let whole = Self::all(count);
        let fits =
            map.len() == whole.bits.len() && map.iter().zip(&whole.bits).all(|(bits, all)| bits & !all == 0);
        fits.then_some(pieces)
    }

    /// The have-map.
    pub fn to_map(&self) -> Vec<u8> {
        self.bits.clone()
    }

    /// How many pieces the content has.
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// How many of them are in the set.
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True if none is.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// True if all are.
    pub const fn is_all(&self) -> bool {
        self.len == self.count
    }

    /// True if this piece is. A piece the content has not is in no set.
    pub fn contains(&self, piece: PieceIndex) -> bool {
        piece.0 < self.count && self.bits[byte(piece)] & mask(piece) != 0
    }

    /// Adds a piece; false if it was there, or the content has no such piece.
    pub fn insert(&mut self, piece: PieceIndex) -> bool {
        let fresh = piece.0 < self.count && !self.contains(piece);
        if fresh {
            self.bits[byte(piece)] |= mask(piece);
            self.len += 1;
        }
        fresh
    }

    /// Takes a piece out; false if it was not there.
    pub fn remove(&mut self, piece: PieceIndex) -> bool {
        let there = self.contains(piece);
        if there {
            self.bits[byte(piece)] &= !mask(piece);
            self.len -= 1;
        }
        there
    }

    /// True if no piece of `other` is missing here.
    pub fn holds_all_of(&self, other: &Self) -> bool {
        let bytes = self.bits.iter().chain(core::iter::repeat(&0));
        other
            .bits
            .iter()
            .zip(bytes)
            .all(|(theirs, mine)| theirs & !mine == 0)
    }

    /// The pieces in this set that are not in `other`, by rising index.
    pub fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = PieceIndex> + 'a {
        let bytes = self
            .bits
            .iter()
            .zip(other.bits.iter().chain(core::iter::repeat(&0)));
        bytes
            .enumerate()
            .filter(|(_, (mine, theirs))| **mine & !**theirs != 0)
            .flat_map(|(at, (mine, theirs))| {
                let left = mine & !theirs;
                let first = u32::try_from(at).unwrap_or(u32::MAX).saturating_mul(8);
                (0..8)
                    .filter(move |bit| left & (0x80 >> bit) != 0)
                    .map(move |bit| PieceIndex(first + bit))
            })
    }

    /// The pieces in the set, by rising index.
    pub fn iter(&self) -> impl Iterator<Item = PieceIndex> + '_ {
        (0..self.count)
            .map(PieceIndex)
            .filter(|piece| self.contains(*piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn maps_are_checked() {
        assert_eq!(
            Pieces::from_map(&[0b1010_0000], 3).map(|pieces| pieces.len()),
            Some(2)
        );
        assert_eq!(
            Pieces::from_map(&[0b1011_0000], 3),
            None,
            "a fourth piece of three"
        );
        assert_eq!(Pieces::from_map(&[0, 0], 3), None, "too long");
        assert_eq!(Pieces::from_map(&[], 3), None, "too short");
        assert!(Pieces::all(3).is_all() && Pieces::all(8).is_all() && Pieces::none(0).is_all());
        assert!(!Pieces::none(3).insert(PieceIndex(3)), "no such piece");
    }

    proptest! {
        /// The set behaves as a plain set of numbers does.
        #[test]
        fn as_a_plain_set(count in 1_u32..70, changes in prop::collection::vec((any::<bool>(), 0_u32..80), 0..90)) {
            let (mut pieces, mut plain) = (Pieces::none(count), BTreeSet::new());
            for (add, number) in changes {
                let piece = PieceIndex(number);
                if add {
                    prop_assert_eq!(pieces.insert(piece), number < count && plain.insert(number));
                } else {
                    prop_assert_eq!(pieces.remove(piece), plain.remove(&number));
                }
            }
            prop_assert_eq!(pieces.iter().map(|piece| piece.0).collect::<BTreeSet<_>>(), plain.clone());
            prop_assert_eq!(pieces.len() as usize, plain.len());
            let again = Pieces::from_map(&pieces.to_map(), count);
            prop_assert_eq!(again.as_ref(), Some(&pieces));
            let all = Pieces::all(count);
            let missing: Vec<u32> = all.without(&pieces).map(|piece| piece.0).collect();
            prop_assert_eq!(missing, (0..count).filter(|number| !plain.contains(number)).collect::<Vec<_>>());
        }
    }
}
