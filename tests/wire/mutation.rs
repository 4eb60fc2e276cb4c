//! Random damage: whatever arrives, decoding ends, and what it accepts is what was sent.

use p2pdi::id::AddressToken;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{Message, datagram, decode_datagram_answer, decode_datagram_request, encode_frame};
use proptest::prelude::*;
use proptest::sample::Index;

/// One way in which bytes go wrong.
#[derive(Clone, Debug)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index),
    Cut(Index),
    Repeat(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    // Small numbers are lengths, counts, flags and selectors; they get further than random ones.
    let byte = prop_oneof![0..4u8, any::<u8>()];
    prop_oneof![
        (any::<Index>(), byte).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        any::<Index>().prop_map(Damage::Remove),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn suffer(bytes: &mut Vec<u8>, damage: &[Damage]) {
    for one in damage {
        if bytes.is_empty() {
            return;
        }
        let length = bytes.len();
        match one {
            Damage::Set(at, byte) => bytes[at.index(length)] = *byte,
            Damage::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Damage::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Remove(at) => {
                bytes.remove(at.index(length));
            }
            Damage::Cut(at) => bytes.truncate(at.index(length)),
            Damage::Repeat(from, to) => {
                let (a, b) = (from.index(length), to.index(length));
                bytes.extend_from_within(a.min(b)..a.max(b));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_096, ..ProptestConfig::default() })]

    #[test]
    fn damaged_values_decode_to_themselves_or_not_at_all(
        sample in any::<Index>(),
        damage in prop::collection::vec(damage(), 1..6),
    ) {
        let sample = sample.get(&samples()).clone();
        let mut value = crate::value_of(&sample);
        suffer(&mut value, &damage);
        if let Ok(message) = Message::decode(sample.row().letter, &value) {
            prop_assert_eq!(crate::value_of(&message), value);
        }
    }

    #[test]
    fn damaged_streams_decode_to_themselves_or_not_at_all(
        first in any::<Index>(),
        second in any::<Index>(),
        damage in prop::collection::vec(damage(), 1..6),
    ) {
        let mut stream = Vec::new();
        encode_frame(first.get(&samples()), &mut stream);
        encode_frame(second.get(&samples()), &mut stream);
        suffer(&mut stream, &damage);
        let mut left = stream.as_slice();
        while let Ok((message, rest)) = crate::take_frame(left) {
            let mut again = Vec::new();
            encode_frame(&message, &mut again);
            prop_assert_eq!(&again, &left[..left.len() - rest.len()]);
            left = rest;
        }
    }

    #[test]
    fn damaged_datagrams_decode_to_themselves_or_not_at_all(
        sample in any::<Index>(),
        damage in prop::collection::vec(damage(), 1..6),
    ) {
        let sample = sample.get(&samples()).clone();
        let mut request = datagram(&sample, AddressToken(*b"token #1"));
        suffer(&mut request, &damage);
        if let Ok(read) = decode_datagram_request(&request) {
            prop_assert_eq!(datagram(&read.message, read.token), request);
        }
        let mut answer = Vec::new();
        encode_frame(&sample, &mut answer);
        suffer(&mut answer, &damage);
        if let Ok(message) = decode_datagram_answer(&answer) {
            let mut again = Vec::new();
            encode_frame(&message, &mut again);
            prop_assert_eq!(again, answer);
        }
    }

    #[test]
    fn noise_is_refused_or_means_itself(letter in any::<u8>(), value in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::decode(letter, &value) {
            prop_assert_eq!(message.row().letter, letter);
            prop_assert_eq!(crate::value_of(&message), value);
        }
    }
}
