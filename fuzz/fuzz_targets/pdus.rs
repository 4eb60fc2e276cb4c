//! Each PDU: the first byte chooses a row of the table, the rest is its value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pdi::wire::{Message, TABLE};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, value)) = bytes.split_first() else {
        return;
    };
    let row = &TABLE[usize::from(*choice) % TABLE.len()];
    if let Ok(message) = Message::decode(row.letter, value) {
        let mut again = Vec::new();
        message.put_value(&mut again);
        assert_eq!(again, value, "{message:?}");
        assert_eq!(message.row().letter, row.letter);
    }
});
