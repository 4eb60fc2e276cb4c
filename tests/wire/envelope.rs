//! What is around the PDUs: the version exchange on a stream, version and token in a datagram.

use p2pdi::id::{AddressToken, PieceIndex, RequestNumber};
use p2pdi::limits::DATAGRAM_BYTES_MAX;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{
    Content, ContentLabel, DecodeError, Error, Fault, HEADER_BYTES, MAGIC, Message, Refusal, Rest, Text,
    Transport, VERSION_MAX, VERSION_MIN, Version, content_prefix, datagram, decode_datagram_answer,
    decode_datagram_request, encode_frame, features, hello,
};

const TOKEN: AddressToken = AddressToken(*b"\x01\x02\x03\x04\x05\x06\x07\x08");
/// Version and token.
const ENVELOPE_BYTES: usize = 2 + 8;

fn set_length(frame: &mut [u8]) {
    let length = u32::try_from(frame.len() - HEADER_BYTES).expect("a short frame");
    frame[1..HEADER_BYTES].copy_from_slice(&length.to_be_bytes());
}

#[test]
fn datagrams_round_trip() {
    for message in samples() {
        let bytes = datagram(&message, TOKEN);
        let read = decode_datagram_request(&bytes).expect("our own datagram");
        assert_eq!((&read.message, read.token), (&message, TOKEN));

        let mut answer = Vec::new();
        encode_frame(&message, &mut answer);
        assert_eq!(
            bytes.len(),
            answer.len() + ENVELOPE_BYTES,
            "the envelope is all that is added"
        );
        assert_eq!(decode_datagram_answer(&answer), Ok(message));
    }
}

#[test]
fn datagrams_cut_or_followed_are_refused() {
    for message in samples() {
        let name = message.row().name;
        let bytes = datagram(&message, TOKEN);
        for cut in 0..bytes.len() {
            let error = decode_datagram_request(&bytes[..cut]).expect_err("cut");
            assert_eq!(error.fault, Fault::Truncated, "{name} cut at {cut}");
            if cut >= HEADER_BYTES {
                // The same with a length that agrees: now the value itself is too short.
                let mut agreed = bytes[..cut].to_vec();
                set_length(&mut agreed);
                match decode_datagram_request(&agreed) {
                    Ok(read) => {
                        assert_eq!(datagram(&read.message, read.token), agreed, "{name} cut at {cut}");
                    }
                    Err(error) => assert_eq!(error.fault, Fault::Truncated, "{name} cut at {cut}"),
                }
            }
        }
        let followed = [bytes.as_slice(), &[0]].concat();
        let error = decode_datagram_request(&followed).expect_err("followed");
        assert_eq!(error, DecodeError::new("frame", Fault::Trailing(1)), "{name}");
        assert_eq!(decode_datagram_answer(&followed), Err(error), "{name}");
    }
}

#[test]
fn two_frames_in_a_datagram_are_refused() {
    let mut two = datagram(&samples()[1], TOKEN);
    let one = two.len();
    encode_frame(&samples()[2], &mut two);
    let error = decode_datagram_request(&two).expect_err("two frames");
    assert_eq!(error, DecodeError::new("frame", Fault::Trailing(two.len() - one)));
}

#[test]
fn datagrams_of_another_version_are_refused_before_their_value() {
    for version in [0, VERSION_MAX + 1, u16::MAX] {
        let mut bytes = datagram(&samples()[1], TOKEN);
        bytes[HEADER_BYTES..HEADER_BYTES + 2].copy_from_slice(&version.to_be_bytes());
        bytes.truncate(HEADER_BYTES + ENVELOPE_BYTES);
        bytes.extend_from_slice(b"what another version says here is not ours to judge");
        set_length(&mut bytes);
        let error = decode_datagram_request(&bytes).expect_err("another version");
        assert_eq!(error, DecodeError::new("version", Fault::Version(version)));
        assert_eq!(
            error.to_string(),
            format!(
                "field version: version {version} is not spoken here, only {VERSION_MIN} to {VERSION_MAX}"
            )
        );
    }
}

#[test]
fn datagrams_of_an_unknown_letter_are_refused() {
    let mut bytes = datagram(&samples()[1], TOKEN);
    bytes[0] = b'z';
    let error = DecodeError::new("type", Fault::Unknown(b'z'));
    assert_eq!(decode_datagram_request(&bytes), Err(error));
    assert_eq!(decode_datagram_answer(&bytes), Err(error));
}

#[test]
fn datagrams_over_the_limit_are_refused_and_those_at_it_are_not() {
    let content = |payload: usize| {
        let request = RequestNumber(1);
        let payload = Rest(vec![0; payload]);
        Message::from(Content {
            request,
            piece: PieceIndex(0),
            offset: 0,
            payload,
        })
    };
    let room = DATAGRAM_BYTES_MAX - HEADER_BYTES - ENVELOPE_BYTES - ContentLabel::BYTES;
    let full = datagram(&content(room), TOKEN);
    assert_eq!(full.len(), DATAGRAM_BYTES_MAX);
    assert!(decode_datagram_request(&full).is_ok());

    let over = datagram(&content(room + 1), TOKEN);
    let fault = Fault::TooLong {
        got: DATAGRAM_BYTES_MAX + 1,
        max: DATAGRAM_BYTES_MAX,
    };
    let error = decode_datagram_request(&over).expect_err("over the limit");
    assert_eq!(error, DecodeError::new("frame", fault));
    assert_eq!(
        error.to_string(),
        "field frame: length 1201 is over the limit of 1200"
    );
    assert_eq!(decode_datagram_answer(&over), Err(error));
}

#[test]
fn a_challenge_is_shorter_than_any_request_it_answers() {
    let challenge = samples()
        .into_iter()
        .find(|sample| sample.row().letter == b'H')
        .expect("a challenge");
    let mut bytes = Vec::new();
    encode_frame(&challenge, &mut bytes);
    for sample in samples() {
        // The shortest request there can be has nothing but its number.
        let shortest = HEADER_BYTES + ENVELOPE_BYTES + 8;
        assert!(bytes.len() <= shortest, "a challenge of {} bytes", bytes.len());
        if sample.row().transport != Transport::Tcp {
            assert!(
                bytes.len() <= datagram(&sample, TOKEN).len(),
                "{}",
                sample.row().name
            );
        }
    }
}

fn version(min: u16, max: u16) -> Version {
    Version {
        magic: MAGIC,
        version_min: min,
        version_max: max,
        features: features::HOLDER,
    }
}

#[test]
fn the_highest_common_version_is_spoken() {
    assert_eq!(version(VERSION_MIN, VERSION_MAX).common(), Ok(VERSION_MAX));
    assert_eq!(version(0, u16::MAX).common(), Ok(VERSION_MAX));
    assert_eq!(version(VERSION_MAX, VERSION_MAX + 3).common(), Ok(VERSION_MAX));
}

#[test]
fn without_a_common_version_the_error_says_what_is_spoken() {
    let (above, below) = (VERSION_MAX + 1, VERSION_MIN - 1);
    for (ours, theirs) in [
        (version(above, above + 5), above),
        (version(0, below), below),
        (version(above, 1), above),
    ] {
        let error = ours.common().expect_err("no common version");
        assert_eq!(error, DecodeError::new("version", Fault::Version(theirs)));
        assert!(error.to_string().contains("is not spoken here"), "{error}");
    }
}

#[test]
fn another_protocol_is_named_as_such() {
    let stranger = Version {
        magic: *b"HTTP/",
        ..version(1, 1)
    };
    let error = stranger.common().expect_err("another protocol");
    assert_eq!(error, DecodeError::new("magic", Fault::Magic));
    assert_eq!(error.to_string(), "field magic: this is not p2pdi");
}

#[test]
fn the_version_frame_never_changes_its_shape() {
    // Both sides must read it before they know what they speak.
    let mut bytes = Vec::new();
    encode_frame(&hello(features::REGISTRATION | features::HOLDER), &mut bytes);
    assert_eq!(bytes, b"V\0\0\0\x11P2PDI\0\x01\0\x01\0\0\0\0\0\0\0\x03");
}

#[test]
fn content_sent_from_a_file_is_framed_like_any_other() {
    let label = ContentLabel {
        request: RequestNumber(9),
        piece: PieceIndex(2),
        offset: 131_072,
    };
    let payload = b"straight from the file";
    let mut prefixed = Vec::new();
    content_prefix(label, payload.len(), &mut prefixed);
    assert_eq!(ContentLabel::decode(&prefixed[HEADER_BYTES..]), Ok(label));
    prefixed.extend_from_slice(payload);

    let ContentLabel {
        request,
        piece,
        offset,
    } = label;
    let message = Content {
        request,
        piece,
        offset,
        payload: Rest(payload.to_vec()),
    };
    let mut framed = Vec::new();
    encode_frame(&message.into(), &mut framed);
    assert_eq!(prefixed, framed);

    for cut in 0..ContentLabel::BYTES {
        assert!(
            ContentLabel::decode(&prefixed[HEADER_BYTES..HEADER_BYTES + cut]).is_err(),
            "cut at {cut}"
        );
    }
}

#[test]
fn refusals_keep_their_numbers_and_unknown_ones_pass() {
    for (position, (code, name, _)) in Refusal::TABLE.iter().enumerate() {
        assert_eq!(Refusal::of(*code).code(), *code, "{name}");
        assert_ne!(Refusal::of(*code), Refusal::Other(*code), "{name}");
        assert!(
            Refusal::TABLE[..position].iter().all(|(other, ..)| other != code),
            "{name}"
        );
    }
    let unknown = Error {
        request: RequestNumber(1),
        code: Refusal::of(999),
        text: Text::cut("later"),
    };
    assert_eq!(unknown.code, Refusal::Other(999));
    let value = crate::value_of(&unknown.clone().into());
    assert_eq!(Message::decode(b'E', &value), Ok(unknown.into()));
}
