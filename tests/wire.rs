//! Holds the wire to account: every PDU, every field, every way in which bytes can be wrong.

#[path = "wire/bounds.rs"]
mod bounds;
#[path = "wire/envelope.rs"]
mod envelope;
#[path = "wire/fields.rs"]
mod fields;
#[path = "wire/fill.rs"]
mod fill;
#[path = "wire/mutation.rs"]
mod mutation;
#[path = "wire/walk.rs"]
mod walk;

use p2pdi::wire::samples::samples;
use p2pdi::wire::{
    DecodeError, Fault, FrameHeader, HEADER_BYTES, Layout, Message, PduRow, TABLE, encode_frame, row_of,
};

/// The value of a message, without its frame.
fn value_of(message: &Message) -> Vec<u8> {
    let mut value = Vec::new();
    message.put_value(&mut value);
    value
}

/// Reads one whole frame from the front of `bytes`, as a connection does; what follows it is given back.
fn take_frame(bytes: &[u8]) -> Result<(Message, &[u8]), DecodeError> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(DecodeError::new("frame", Fault::Truncated))?;
    let header = FrameHeader::decode(*header)?;
    let (value, rest) = rest
        .split_at_checked(header.bytes)
        .ok_or(DecodeError::new("frame", Fault::Truncated))?;
    Ok((Message::decode(header.letter, value)?, rest))
}

fn ends_in_rest(row: &PduRow) -> bool {
    row.fields
        .last()
        .is_some_and(|field| matches!(field.layout, Layout::Rest(_)))
}

#[test]
fn every_pdu_has_a_sample() {
    let samples = samples();
    for row in TABLE {
        assert!(
            samples.iter().any(|sample| sample.row().name == row.name),
            "no sample of {}",
            row.name
        );
    }
}

#[test]
fn every_value_of_every_choice_has_a_sample() {
    let mut missing: Vec<(&str, &str)> = Vec::new();
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for sample in samples() {
        let value = value_of(&sample);
        for span in walk::walk(sample.row(), &value) {
            if let walk::What::Selector(rows) = span.what {
                missing.extend(rows.iter().map(|row| (span.field, row.name)));
                seen.push((span.field, rows[usize::from(value[span.at.start])].name));
            }
        }
    }
    missing.retain(|value| !seen.contains(value));
    assert!(missing.is_empty(), "no sample of {missing:?}");
}

#[test]
fn rows_are_told_apart_by_letter_and_form() {
    for (position, row) in TABLE.iter().enumerate() {
        for other in &TABLE[..position] {
            assert_ne!(
                (row.letter, row.form),
                (other.letter, other.form),
                "{} and {}",
                row.name,
                other.name
            );
            assert!(
                row.letter != other.letter || row.form.is_some(),
                "{} needs a form byte",
                row.name
            );
        }
        assert!(row.letter.is_ascii_alphabetic(), "{} has no letter", row.name);
    }
}

#[test]
fn samples_round_trip() {
    let mut stream = Vec::new();
    samples()
        .iter()
        .for_each(|sample| encode_frame(sample, &mut stream));
    let mut left = stream.as_slice();
    for sample in samples() {
        let (message, rest) = take_frame(left).expect("a frame of our own");
        assert_eq!(message, sample);
        assert_eq!(message.row().letter, left[0]);
        left = rest;
    }
    assert!(left.is_empty());
}

#[test]
fn samples_cut_anywhere_are_refused() {
    for sample in samples() {
        let row = sample.row();
        let value = value_of(&sample);
        for cut in 0..value.len() {
            match Message::decode(row.letter, &value[..cut]) {
                Ok(message) => {
                    assert!(ends_in_rest(row), "{} cut at {cut} was accepted", row.name);
                    assert_eq!(value_of(&message), value[..cut], "{} cut at {cut}", row.name);
                }
                Err(error) => assert_eq!(error.fault, Fault::Truncated, "{} cut at {cut}", row.name),
            }
        }
        let mut frame = Vec::new();
        encode_frame(&sample, &mut frame);
        for cut in 0..frame.len() {
            let error = take_frame(&frame[..cut]).expect_err("a cut frame");
            assert_eq!(
                error,
                DecodeError::new("frame", Fault::Truncated),
                "{} cut at {cut}",
                row.name
            );
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for sample in samples() {
        let row = sample.row();
        for extra in [1, 2, 1_000] {
            let mut value = value_of(&sample);
            value.resize(value.len() + extra, 0);
            match Message::decode(row.letter, &value) {
                Ok(message) => assert!(ends_in_rest(row), "{message:?} swallowed {extra} bytes"),
                Err(error) => {
                    assert_eq!(error, DecodeError::new(row.name, Fault::Trailing(extra)));
                    assert_eq!(
                        error.to_string(),
                        format!("field {}: followed by {extra} bytes too many", row.name)
                    );
                }
            }
        }
    }
}

#[test]
fn a_header_announces_at_most_what_its_letter_allows() {
    for letter in TABLE.iter().map(|row| row.letter) {
        let max = row_of(letter).expect("a letter of the table").bytes_max;
        let header = |bytes: usize| {
            let [a, b, c, d] = u32::try_from(bytes).expect("a length").to_be_bytes();
            FrameHeader::decode([letter, a, b, c, d])
        };
        assert_eq!(header(max), Ok(FrameHeader { letter, bytes: max }));
        for got in [max + 1, u32::MAX as usize] {
            let error = header(got).expect_err("over the maximum");
            assert_eq!(error, DecodeError::new("length", Fault::TooLong { got, max }));
            assert_eq!(
                error.to_string(),
                format!("field length: length {got} is over the limit of {max}")
            );
        }
    }
}

#[test]
fn unknown_letters_are_refused() {
    for letter in 0..=u8::MAX {
        let known = TABLE.iter().any(|row| row.letter == letter);
        let unknown = DecodeError::new("type", Fault::Unknown(letter));
        assert_eq!(row_of(letter).is_some(), known);
        // The letter is looked at first: the length of a stranger's frame says nothing.
        match FrameHeader::decode([letter, 0xff, 0xff, 0xff, 0xff]) {
            Err(error) if known => assert_eq!(error.field, "length"),
            other => assert_eq!(other, Err(unknown)),
        }
        if !known {
            assert_eq!(Message::decode(letter, &[]), Err(unknown));
            assert_eq!(Message::decode(letter, &[0; 64]), Err(unknown));
        }
    }
    assert_eq!(
        DecodeError::new("type", Fault::Unknown(b'z')).to_string(),
        "field type: unknown value 'z'"
    );
    assert_eq!(
        DecodeError::new("type", Fault::Unknown(7)).to_string(),
        "field type: unknown value 7"
    );
}

#[test]
fn unknown_forms_are_refused() {
    for row in TABLE.iter().filter(|row| row.form.is_some()) {
        let forms: Vec<u8> = TABLE
            .iter()
            .filter(|other| other.letter == row.letter)
            .filter_map(|other| other.form)
            .collect();
        let mut value = fill::value_of(row, fill::Amount::One, 0);
        for form in (0..=u8::MAX).filter(|form| !forms.contains(form)) {
            value[8] = form;
            let error = Message::decode(row.letter, &value).expect_err("an unknown form");
            assert_eq!(
                error,
                DecodeError::new("form", Fault::Unknown(form)),
                "{}",
                row.name
            );
        }
        let error = Message::decode(row.letter, &value[..8]).expect_err("no form");
        assert_eq!(error, DecodeError::new("form", Fault::Truncated), "{}", row.name);
    }
}

#[test]
fn every_pdu_but_the_version_begins_with_its_request_number() {
    for sample in samples() {
        let value = value_of(&sample);
        match sample.request() {
            None => assert_eq!(sample.row().letter, b'V'),
            Some(request) => assert_eq!(value[..8], request.0.to_be_bytes(), "{}", sample.row().name),
        }
    }
}
