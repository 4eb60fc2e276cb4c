//! Every field of every PDU, broken in every way its layout allows.

use crate::fill::{self, Amount, PICKS};
use crate::walk::{Span, What, walk};
use p2pdi::limits::{FRAME_BYTES_MAX, NAME_BYTES_MAX};
use p2pdi::name::NameFault;
use p2pdi::wire::{DecodeError, Fault, FrameHeader, Layout, Message, PduRow, TABLE};

/// Calls `check` with every span of every row, whichever value its choices have.
fn for_each_span(mut check: impl FnMut(&PduRow, &[u8], &Span)) {
    for row in TABLE {
        for pick in 0..PICKS {
            let value = fill::value_of(row, Amount::One, pick);
            for span in walk(row, &value) {
                check(row, &value, &span);
            }
        }
    }
}

fn refused(row: &PduRow, value: &[u8]) -> DecodeError {
    match Message::decode(row.letter, value) {
        Ok(message) => panic!("{}: accepted as {message:?}", row.name),
        Err(error) => error,
    }
}

/// `value` with the text at `span` replaced.
fn with_text(value: &[u8], span: &Span, text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text").to_be_bytes();
    [&value[..span.at.start], &length, text, &value[span.at.end..]].concat()
}

/// Texts that identify something and are checked; the others explain something and may say anything.
fn is_name(span: &Span) -> bool {
    matches!(span.field, "name" | "host" | "wanted")
}

#[test]
fn the_walk_leaves_no_byte_out() {
    let mut deepest = 0;
    let mut end = 0;
    for_each_span(|row, _, span| {
        assert!(
            span.at.start == end || span.at.start == 0,
            "{}: a gap before {}",
            row.name,
            span.label
        );
        end = span.at.end;
        deepest = deepest.max(span.depth);
    });
    assert_eq!(
        deepest, 3,
        "no layout nests deeper than an address in a young ring's view"
    );
}

#[test]
fn filled_values_round_trip() {
    for row in TABLE {
        for pick in 0..PICKS {
            let value = fill::value_of(row, Amount::One, pick);
            let message = Message::decode(row.letter, &value).expect("a filled value");
            assert_eq!(message.row().name, row.name);
            assert_eq!(crate::value_of(&message), value, "{}", row.name);
        }
    }
}

#[test]
fn the_longest_values_are_as_long_as_the_table_says() {
    for row in TABLE
        .iter()
        .filter(|row| row.bytes_max < FRAME_BYTES_MAX || row.letter == b'C')
    {
        let longest = fill::value_of(row, Amount::Most, 0);
        assert_eq!(longest.len(), row.bytes_max, "{}", row.name);
        let message = Message::decode(row.letter, &longest).expect("the longest value");
        assert_eq!(crate::value_of(&message), longest, "{}", row.name);
        let length = u32::try_from(longest.len()).expect("a length").to_be_bytes();
        let header = FrameHeader::decode([row.letter, length[0], length[1], length[2], length[3]]);
        assert_eq!(header.map(|header| header.bytes), Ok(row.bytes_max));
    }
}

#[test]
fn bad_utf8_is_refused_in_every_text() {
    let mut texts = 0;
    for_each_span(|row, value, span| {
        if let What::Leaf(Layout::Text(_)) = span.what {
            for bad in [&b"\xff"[..], b"a\xc3", b"\xed\xa0\x80", b"\xc0\xaf"] {
                let error = refused(row, &with_text(value, span, bad));
                assert_eq!(error, DecodeError::new(span.field, Fault::Utf8), "{}", row.name);
            }
            texts += 1;
        }
    });
    assert!(texts > 30, "the walk lost its texts: {texts}");
    assert_eq!(
        DecodeError::new("os", Fault::Utf8).to_string(),
        "field os: not UTF-8"
    );
}

#[test]
fn texts_over_their_maximum_are_refused_before_they_are_read() {
    for_each_span(|row, value, span| {
        if let What::Leaf(Layout::Text(max)) = span.what {
            for got in [max + 1, usize::from(u16::MAX)] {
                // Only the length is changed: the text it announces is not there, and is not missed.
                let mut value = value.to_vec();
                let length = u16::try_from(got).expect("a u16").to_be_bytes();
                value[span.at.start..span.at.start + 2].copy_from_slice(&length);
                let error = refused(row, &value);
                assert_eq!(
                    error,
                    DecodeError::new(span.field, Fault::TooLong { got, max }),
                    "{}",
                    row.name
                );
            }
        }
    });
}

#[test]
fn list_counts_over_their_maximum_are_refused_before_a_value_is_read() {
    let mut lists = 0;
    for_each_span(|row, value, span| {
        if let What::Count(max) = span.what {
            for got in [max + 1, usize::from(u16::MAX)] {
                let mut value = value[..span.at.end].to_vec();
                value[span.at.clone()].copy_from_slice(&u16::try_from(got).expect("a u16").to_be_bytes());
                let error = refused(row, &value);
                assert_eq!(
                    error,
                    DecodeError::new(span.field, Fault::TooLong { got, max }),
                    "{}",
                    row.name
                );
            }
            // An announced count costs nothing: without the values it ends in a cut, not in an allocation.
            let mut value = value[..span.at.end].to_vec();
            value[span.at.clone()].copy_from_slice(&u16::try_from(max).expect("a u16").to_be_bytes());
            assert_eq!(refused(row, &value).fault, Fault::Truncated, "{}", row.name);
            lists += 1;
        }
    });
    assert!(lists > 10, "the walk lost its lists: {lists}");
}

/// How many kinds a field of one byte tells apart.
fn kinds_of(field: &str) -> u8 {
    match field {
        "kind" | "hash" => 2,
        "key" => 3,
        "verdict" => 4,
        other => panic!("{other}: a new field of one byte; say how many kinds it has"),
    }
}

#[test]
fn bytes_that_no_value_has_are_refused() {
    for_each_span(|row, value, span| {
        let first_unknown = match span.what {
            What::Leaf(Layout::Bool) | What::Presence => 2,
            What::Selector(rows) => u8::try_from(rows.len()).expect("few values"),
            What::Leaf(Layout::Unsigned(1)) => kinds_of(span.field),
            _ => return,
        };
        for byte in first_unknown..=u8::MAX {
            let mut value = value.to_vec();
            value[span.at.start] = byte;
            let error = refused(row, &value);
            assert_eq!(
                error,
                DecodeError::new(span.field, Fault::Unknown(byte)),
                "{}",
                row.name
            );
        }
    });
}

#[test]
fn hostile_names_are_refused_wherever_a_name_stands() {
    let hostile: &[(&str, NameFault)] = &[
        ("", NameFault::Empty),
        ("a\0b", NameFault::Control),
        ("a\u{1b}[2Jb", NameFault::Control),
        ("a\nb", NameFault::Control),
        ("a\u{202e}txt.exe", NameFault::Control),
    ];
    let escaping: &[(&str, NameFault)] = &[
        ("a//b", NameFault::Empty),
        ("a/", NameFault::Empty),
        ("/etc/passwd", NameFault::Escapes),
        ("..", NameFault::Escapes),
        (".", NameFault::Escapes),
        ("a/../../b", NameFault::Escapes),
    ];
    let mut names = 0;
    for_each_span(|row, value, span| {
        let What::Leaf(Layout::Text(max)) = span.what else {
            return;
        };
        if !is_name(span) {
            let printed = with_text(value, span, "../\u{1b}[2J\n".as_bytes());
            assert!(
                Message::decode(row.letter, &printed).is_ok(),
                "{}.{}",
                row.name,
                span.field
            );
            return;
        }
        let path = if max == NAME_BYTES_MAX { escaping } else { &[] };
        for (text, fault) in hostile.iter().chain(path) {
            let error = refused(row, &with_text(value, span, text.as_bytes()));
            assert_eq!(
                error,
                DecodeError::new(span.field, Fault::Name(*fault)),
                "{}: {text:?}",
                row.name
            );
            assert_eq!(error.to_string(), format!("field {}: {fault}", span.field));
        }
        names += 1;
    });
    assert!(names > 20, "the walk lost its names: {names}");
}

#[test]
fn hosts_are_addresses_or_dns_names() {
    for_each_span(|row, value, span| {
        if span.field == "host" && matches!(span.what, What::Leaf(_)) {
            for good in ["192.0.2.1", "2001:db8::1", "lab-3.example", "a_b"] {
                assert!(
                    Message::decode(row.letter, &with_text(value, span, good.as_bytes())).is_ok(),
                    "{good}"
                );
            }
            for bad in ["a b", "a/b", "[::1]", "a:1", "h\u{f6}st"] {
                let error = refused(row, &with_text(value, span, bad.as_bytes()));
                assert_eq!(
                    error,
                    DecodeError::new("host", Fault::Name(NameFault::Control)),
                    "{bad}"
                );
            }
        }
    });
}
