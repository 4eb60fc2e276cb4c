//! Frames as they come on a stream and in datagrams: what decodes encodes to the same bytes again, and the gate gives
//! nobody without a token more than they sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2pdi::proto::{AddressTokens, GateStep, admit_datagram};
use p2pdi::rng::Rng;
use p2pdi::time::Instant;
use p2pdi::wire::{
    FrameHeader, HEADER_BYTES, Message, datagram, decode_datagram_answer, decode_datagram_request,
    encode_frame,
};

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Some((header, after)) = rest.split_first_chunk::<HEADER_BYTES>() {
        let Ok(header) = FrameHeader::decode(*header) else {
            break;
        };
        let Some((value, after)) = after.split_at_checked(header.bytes) else {
            break;
        };
        let Ok(message) = Message::decode(header.letter, value) else {
            break;
        };
        let mut again = Vec::new();
        encode_frame(&message, &mut again);
        assert_eq!(again, rest[..HEADER_BYTES + header.bytes], "{message:?}");
        rest = after;
    }
    if let Ok(asked) = decode_datagram_request(bytes) {
        let again = datagram(&asked.message, asked.token);
        // The version in a datagram may be any that is spoken; there is one so far.
        assert_eq!(again, bytes, "{asked:?}");
    }
    if let Ok(message) = decode_datagram_answer(bytes) {
        let mut again = Vec::new();
        encode_frame(&message, &mut again);
        assert_eq!(again, bytes, "{message:?}");
    }
    let from = ([192, 0, 2, 1], 5_000).into();
    let tokens = AddressTokens::new(&mut Rng::from_seed(1));
    let mut out = Vec::new();
    let step = admit_datagram(&tokens, Instant::ZERO, from, bytes, &mut out);
    assert!(!matches!(step, GateStep::Admitted(_)), "admitted without a token");
    assert!(
        out.len() <= bytes.len(),
        "{} bytes for {}",
        out.len(),
        bytes.len()
    );
});
