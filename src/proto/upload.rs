//! What a download request asks for, cut into the `C` frames that carry it.
//!
//! File bytes never come here: a [`Chunk`] says which of them to send. Invariant: the chunks cover the
//! range once, in order, and none crosses a piece's border or exceeds the limit.

use crate::id::{PieceIndex, piece_bytes};
use crate::limits::CHUNK_BYTES_MAX;
use crate::wire::ByteRange;

/// One `C` to send: which bytes of the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The piece they lie in.
    pub piece: PieceIndex,
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub bytes: usize,
}

/// The end of the range asked for, cut to the content; `None` if it begins behind the content's end.
pub fn resolve_range(range: &ByteRange, content_bytes: u64) -> Option<core::ops::Range<u64>> {
    let end = range.offset.saturating_add(range.bytes).min(content_bytes);
    (range.offset <= content_bytes).then_some(range.offset..end)
}

/// The next chunk of `range` in a content of `content_bytes`, at most `step_bytes` long.
pub fn chunks(
    content_bytes: u64,
    range: core::ops::Range<u64>,
    step_bytes: usize,
) -> impl Iterator<Item = Chunk> {
    let piece_bytes = piece_bytes(content_bytes);
    let step_bytes = step_bytes.clamp(1, CHUNK_BYTES_MAX) as u64;
    let mut offset = range.start;
    core::iter::from_fn(move || {
        if offset >= range.end {
            return None;
        }
        let piece = offset / piece_bytes;
        let border = (piece + 1).saturating_mul(piece_bytes);
        let end = range.end.min(border).min(offset.saturating_add(step_bytes));
        let chunk = Chunk {
            piece: PieceIndex(u32::try_from(piece).ok()?),
            offset,
            bytes: usize::try_from(end - offset).ok()?,
        };
        offset = end;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_range_within_pieces() {
        for (content, range, step) in
            [(0, 0..0, 1), (1, 0..1, 9), (200_000, 0..200_000, 70_000), (200_000, 65_535..65_537, 10), (1 << 30, 5..9_000_000, usize::MAX)]
        {
            let mut at = range.start;
            for chunk in chunks(content, range.clone(), step) {
                assert_eq!(chunk.offset, at);
                at += chunk.bytes as u64;
                let last = (at - 1) / piece_bytes(content);
                assert_eq!(u64::from(chunk.piece.0), last, "one piece a chunk");
                assert!(chunk.bytes <= step && chunk.bytes <= CHUNK_BYTES_MAX && chunk.bytes > 0);
            }
            assert_eq!(at, range.end);
        }
    }

    #[test]
    fn ranges_are_cut_to_the_content() {
        let range = |offset, bytes| ByteRange { offset, bytes };
        assert_eq!(resolve_range(&range(0, u64::MAX), 10), Some(0..10));
        assert_eq!(resolve_range(&range(4, 3), 10), Some(4..7));
        assert_eq!(resolve_range(&range(10, 1), 10), Some(10..10));
        assert_eq!(resolve_range(&range(11, 1), 10), None);
        assert_eq!(resolve_range(&range(u64::MAX, u64::MAX), 10), None);
    }
}
