//! Rows of the RS's store: what is read is written the same again, and keys lie in the order of their contents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pdi::proto::{HolderRow, LeaseRow, PeerRow, answer_kept, key_bytes};
use p2pdi::wire::{Field, Reader, encode_frame};

fn row<T: Field>(bytes: &[u8]) -> Option<T> {
    let mut reader = Reader::new(bytes);
    let row = T::take(&mut reader, "row").ok()?;
    reader.finish("row").ok()?;
    let mut again = Vec::new();
    row.put(&mut again);
    assert_eq!(again, bytes);
    Some(row)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else {
        return;
    };
    match kind % 4 {
        0 => drop(row::<PeerRow>(bytes)),
        1 => drop(row::<LeaseRow>(bytes)),
        2 => {
            let Some((length, rest)) = bytes.split_first_chunk::<2>() else {
                return;
            };
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((first, second)) = rest.split_at_checked(length) else {
                return;
            };
            if let (Some(first), Some(second)) = (row::<HolderRow>(first), row::<HolderRow>(second)) {
                let (first, second) = (first.content.key(), second.content.key());
                assert_eq!(first.cmp(&second), key_bytes(&first).cmp(&key_bytes(&second)));
            }
        }
        _ => {
            if let Ok(answer) = answer_kept(bytes) {
                let mut again = Vec::new();
                encode_frame(&answer, &mut again);
                assert_eq!(again, bytes);
            }
        }
    }
});
