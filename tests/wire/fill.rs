//! Makes values from the table alone, so that a field no sample fills is tested all the same.

use p2pdi::limits::NAME_BYTES_MAX;
use p2pdi::wire::{Layout, PduRow};

/// How much of everything.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    /// Texts of one byte, lists of one value, every option present.
    One,
    /// Texts and lists as long as they may be, every option present.
    Most,
}

/// The most values any choice has: this many picks see them all.
pub(crate) const PICKS: usize = 3;

/// A value of a row; of each choice the value `pick`, or its longest where the most is asked for.
pub(crate) fn value_of(row: &PduRow, amount: Amount, pick: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (position, field) in row.fields.iter().enumerate() {
        put(&field.layout, amount, pick, &mut out);
        if position == 0 {
            out.extend(row.form);
        }
    }
    out
}

fn put(layout: &Layout, amount: Amount, pick: usize, out: &mut Vec<u8>) {
    let length = |max: usize| if amount == Amount::Most { max } else { 1 };
    let put_length = |length: usize, out: &mut Vec<u8>| {
        out.extend_from_slice(
            &u16::try_from(length)
                .expect("a length fits its field")
                .to_be_bytes(),
        );
    };
    match layout {
        Layout::Bool => out.push(1),
        // Zero is a value of every integer, those that stand for a kind included.
        Layout::Unsigned(bytes) => out.resize(out.len() + bytes, 0),
        Layout::Signed64 => out.resize(out.len() + 8, 0),
        Layout::Bytes(bytes) => out.resize(out.len() + bytes, 0x11),
        Layout::Rest(max) => out.resize(out.len() + length(*max), 0x22),
        Layout::Text(max) => {
            put_length(length(*max), out);
            // Only a content's name may be longer than one component; it then needs more of them.
            let border = |at: usize| *max == NAME_BYTES_MAX && at % 200 == 100;
            out.extend((0..length(*max)).map(|at| if border(at) { b'/' } else { b'a' }));
        }
        Layout::Optional(inner) => {
            out.push(1);
            put(inner, amount, pick, out);
        }
        Layout::List(max, inner) => {
            put_length(length(*max), out);
            for _ in 0..length(*max) {
                put(inner, amount, pick, out);
            }
        }
        Layout::Record(_, rows) => rows.iter().for_each(|row| put(&row.layout, amount, pick, out)),
        Layout::Choice(_, rows) => {
            let selected = match amount {
                Amount::One => pick % rows.len(),
                Amount::Most => (0..rows.len())
                    .max_by_key(|&i| rows[i].layout.bytes_max())
                    .expect("a choice"),
            };
            out.push(u8::try_from(selected).expect("a choice has few values"));
            put(&rows[selected].layout, amount, pick, out);
        }
    }
}
