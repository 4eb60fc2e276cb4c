//! Lists of piece values and directories: a list is believed if it is whole and makes up the id, and only then.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pdi::id::{ContentId, PieceIndex};
use p2pdi::proto::transfer::{Manifest, piece_count, piece_span};
use p2pdi::wire::Tree;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(tree) = Tree::decode(bytes) {
        assert_eq!(tree.encode(), bytes, "a directory has one encoding");
    }
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return;
    };
    let length = u64::from_be_bytes(*length);
    let (values, left) = rest.as_chunks::<32>();
    let combined = Manifest::of_values(length, values.to_vec()).id();
    let whole = values.len() == piece_count(length) as usize;
    match Manifest::prove(combined, length, values.to_vec()) {
        Ok(manifest) => {
            assert!(whole, "{} values for {length} bytes", values.len());
            assert_eq!(manifest.id(), combined);
            // The pieces lie end to end and cover the content.
            let mut end = 0;
            for index in 0..values.len() {
                let piece = PieceIndex(u32::try_from(index).expect("as many as pieces"));
                let span = piece_span(length, piece);
                assert_eq!(span.start, end);
                end = span.end;
                assert_eq!(manifest.value(piece), Some(values[index]));
            }
            assert_eq!(end, length);
        }
        Err(_) => assert!(!whole, "a whole list of its own id was refused"),
    }
    // Of another id it is no list.
    if let Some(other) = left.first_chunk::<4>().filter(|other| **other != combined.0[..4]) {
        let mut id = combined.0;
        id[..4].copy_from_slice(other);
        assert!(Manifest::prove(ContentId(id), length, values.to_vec()).is_err());
    }
});
