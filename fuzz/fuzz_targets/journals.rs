//! Journals of unfinished files: whatever is done to one, it never tells of a piece that was not written.
//!
//! The first byte says how many pieces were written and the next ones which; what follows are changes, three bytes
//! each: where, and the byte that lies there then. An odd place from the end of the file on cuts it there.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pdi::id::{ContentId, PieceIndex};
use p2pdi::proto::transfer::Pieces;
use p2pdi::storage::{journal_bytes, read_journal};

const ID: ContentId = ContentId([5; 32]);
const COUNT: u32 = 200;

fuzz_target!(|bytes: &[u8]| {
    // As it is, it may be anything.
    assert!(read_journal(bytes, ID, COUNT).is_none_or(|pieces| pieces.len() <= COUNT));
    let Some((count, rest)) = bytes.split_first() else {
        return;
    };
    let (numbers, changes) = rest.split_at(usize::from(*count).min(rest.len()));
    let mut written = Pieces::none(COUNT);
    for number in numbers {
        written.insert(PieceIndex(u32::from(*number) % COUNT));
    }
    let mut journal = journal_bytes(ID, &written);
    let (changes, _) = changes.as_chunks::<3>();
    for [high, low, byte] in changes {
        let at = usize::from(u16::from_be_bytes([*high, *low]));
        match journal.get_mut(at) {
            Some(found) => *found = *byte,
            None => journal.truncate(at / 2),
        }
    }
    if let Some(told) = read_journal(&journal, ID, COUNT) {
        assert_eq!(
            told.without(&written).next(),
            None,
            "a piece that was never written"
        );
    }
});
