//! The Wireshark dissector reads what the codec writes, and judges what the codec refuses.
//!
//! Needs `tshark`; where it is missing the tests say so and pass.

#[path = "dissector/capture.rs"]
mod capture;
#[path = "dissector/tshark.rs"]
mod tshark;
#[path = "wire/walk.rs"]
mod walk;

use capture::{Capture, Flow};
use p2pdi::id::AddressToken;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{
    Direction, HEADER_BYTES, Message, Transport, datagram, decode_datagram_answer, encode_frame, features,
    hello,
};
use tshark::Tshark;

const RS_PORT: u16 = 65_423;
const TOKEN: AddressToken = AddressToken(*b"\x01\x23\x45\x67\x89\xab\xcd\xef");

fn frame_of(message: &Message) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_frame(message, &mut frame);
    frame
}

fn stream_of<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<u8> {
    messages.into_iter().flat_map(frame_of).collect()
}

fn is_request(message: &Message) -> bool {
    message.row().direction == Direction::PeerToRs
}

/// Cuts a stream at awkward places: inside headers, inside lengths, across frames. The first cut leaves
/// enough of the version frame to be known by.
fn segments(stream: &[u8]) -> Vec<&[u8]> {
    let mut left = stream;
    let mut segments = Vec::new();
    for bytes in [12, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 4, 1, 144]
        .into_iter()
        .cycle()
    {
        if left.is_empty() {
            break;
        }
        let (head, tail) = left.split_at(bytes.min(left.len()));
        segments.push(head);
        left = tail;
    }
    segments
}

/// A session of every sample: peer and RS over TCP, two peers over TCP, peer and RS over UDP.
fn session() -> Capture {
    let samples = samples();
    let hello = hello(features::REGISTRATION | features::HOLDER);
    let with_hello = |chosen: &dyn Fn(&Message) -> bool| {
        stream_of(std::iter::once(&hello).chain(samples.iter().filter(|sample| chosen(sample))))
    };
    let mut capture = Capture::new();
    let requests = with_hello(&|sample| is_request(sample));
    let answers =
        with_hello(&|sample| sample.row().direction == Direction::RsToPeer && sample.row().letter != b'H');
    capture.tcp(
        Flow {
            client: 40_000,
            server: RS_PORT,
        },
        &segments(&requests),
        &segments(&answers),
    );
    let both = with_hello(&|sample| {
        sample.row().letter != b'V'
            && matches!(sample.row().direction, Direction::PeerToPeer | Direction::Both)
    });
    capture.tcp(
        Flow {
            client: 41_000,
            server: 46_001,
        },
        &segments(&both),
        &segments(&both),
    );
    let flow = Flow {
        client: 42_000,
        server: RS_PORT,
    };
    for sample in samples
        .iter()
        .filter(|sample| sample.row().transport != Transport::Tcp)
    {
        if is_request(sample) {
            capture.udp_to_server(flow, &datagram(sample, TOKEN));
        } else {
            capture.udp_to_client(flow, &frame_of(sample));
        }
    }
    capture
}

#[test]
fn every_pdu_is_named_and_nothing_is_malformed() {
    let Some(tshark) = Tshark::find() else { return };
    let rows = tshark.fields(
        &session(),
        &["p2pdi.pdu", "p2pdi.malformed", "_ws.malformed", "_ws.lua.error"],
    );
    let mut named: Vec<&str> = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        assert!(
            row[1..].iter().all(String::is_empty),
            "packet {}: {row:?}",
            number + 1
        );
        named.extend(row[0].split(',').filter(|name| !name.is_empty()));
    }
    for sample in samples() {
        let row = sample.row();
        let alike = samples()
            .iter()
            .filter(|other| other.row().name == row.name)
            .count();
        // Peers' PDUs and refusals went both ways over TCP; what may use UDP went over it once more.
        let streams = match row.direction {
            Direction::PeerToPeer | Direction::Both => 2,
            Direction::PeerToRs | Direction::RsToPeer => usize::from(row.transport != Transport::Udp),
        };
        let datagrams = usize::from(row.transport != Transport::Tcp);
        let hellos = if row.letter == b'V' {
            4
        } else {
            alike * (streams + datagrams)
        };
        let seen = named.iter().filter(|name| **name == row.name).count();
        assert_eq!(seen, hellos, "{}", row.name);
    }
}

#[test]
fn field_values_are_shown_by_name() {
    let Some(tshark) = Tshark::find() else { return };
    let expected = [
        ("p2pdi.version.magic", "5032504449"),
        ("p2pdi.join.nonce", "1234605616436508552"),
        ("p2pdi.join.port", "6000"),
        ("p2pdi.join.os", "Linux"),
        ("p2pdi.keepalive.cookie", "30313233343536373839616263646566"),
        ("p2pdi.contentinfo.name", "rfc/rfc768.txt"),
        ("p2pdi.contentinfo.title", "User Datagram Protocol"),
        ("p2pdi.contentinfo.modified", "335836800"),
        ("p2pdi.wanted.number", "768"),
        ("p2pdi.listing.holders.count", "1"),
        ("p2pdi.holder.host", "192.0.2.2"),
        ("p2pdi.gossiprecord.remaining_secs", "7100"),
        ("p2pdi.byterange.bytes", "18446744073709551615"),
        ("p2pdi.content.payload", "496e74726f64756374696f6e"),
        ("p2pdi.error.code", "404"),
        ("p2pdi.token", "0123456789abcdef"),
        ("p2pdi.version", "1"),
        ("p2pdi.haveupdate.pieces", "3"),
        ("p2pdi.form", "1"),
    ];
    let fields: Vec<&str> = expected.iter().map(|(field, _)| *field).collect();
    let rows = tshark.fields(&session(), &fields);
    for (column, (field, value)) in expected.iter().enumerate() {
        let seen = rows
            .iter()
            .any(|row| row[column].split(',').any(|shown| shown == *value));
        assert!(seen, "{field} is nowhere {value}");
    }
}

/// True if the dissector did not end by itself: it ran past the bytes, or into an error of its own.
fn crashed(row: &[String]) -> bool {
    row.iter()
        .any(|shown| shown.contains("Malformed Packet") || shown.contains("Lua"))
}

/// The answer's frame with a value of these bytes and a length that agrees.
fn frame_around(letter: u8, value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).expect("a short value").to_be_bytes();
    [&[letter], &length[..], value].concat()
}

#[test]
fn what_the_codec_refuses_the_dissector_marks() {
    let Some(tshark) = Tshark::find() else { return };
    let flow = Flow {
        client: 42_000,
        server: RS_PORT,
    };
    let mut capture = Capture::new();
    let mut accepted = Vec::new();
    let mut judge = |capture: &mut Capture, bytes: &[u8]| {
        capture.udp_to_client(flow, bytes);
        accepted.push(decode_datagram_answer(bytes).is_ok());
    };
    for sample in samples() {
        let frame = frame_of(&sample);
        let (letter, value) = (frame[0], &frame[HEADER_BYTES..]);
        for cut in 1..frame.len() {
            judge(&mut capture, &frame[..cut]);
        }
        for cut in 0..value.len() {
            judge(&mut capture, &frame_around(letter, &value[..cut]));
        }
        judge(&mut capture, &frame_around(letter, &[value, &[0]].concat()));
        judge(&mut capture, &frame_around(b'z', value));
        for span in walk::walk(sample.row(), value) {
            let mut broken = value.to_vec();
            match span.what {
                walk::What::Leaf(p2pdi::wire::Layout::Text(_)) | walk::What::Count(_) => {
                    broken[span.at.start..span.at.start + 2].copy_from_slice(&[0xff, 0xff]);
                }
                walk::What::Presence | walk::What::Selector(_) | walk::What::Form => {
                    broken[span.at.start] = 0xff;
                }
                walk::What::Leaf(p2pdi::wire::Layout::Bool) => broken[span.at.start] = 2,
                walk::What::Leaf(_) => continue,
            }
            judge(&mut capture, &frame_around(letter, &broken));
        }
    }
    let rows = tshark.fields(&capture, &["p2pdi.malformed", "_ws.malformed", "_ws.lua.error"]);
    assert!(
        !rows.iter().any(|row| crashed(row)),
        "the dissector failed: {rows:?}"
    );
    assert_eq!(rows.len(), accepted.len());
    for (number, (row, accepted)) in rows.iter().zip(accepted).enumerate() {
        assert_eq!(
            row[0].is_empty(),
            accepted,
            "packet {} of {:?}",
            number + 1,
            capture.path()
        );
    }
}

#[test]
fn a_stream_of_noise_is_malformed_and_no_more() {
    let Some(tshark) = Tshark::find() else { return };
    let mut noise = stream_of(&samples()[..3]);
    noise.extend((0..2_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0] | 0x80));
    let mut capture = Capture::new();
    capture.tcp(
        Flow {
            client: 40_000,
            server: RS_PORT,
        },
        &segments(&noise),
        &[],
    );
    let rows = tshark.fields(&capture, &["p2pdi.malformed", "_ws.lua.error", "_ws.malformed"]);
    assert!(rows.iter().any(|row| !row[0].is_empty()), "noise goes unnoticed");
    assert!(
        !rows.iter().any(|row| crashed(row)),
        "the dissector failed: {rows:?}"
    );
}

#[test]
fn packets_cut_by_the_capture_are_not_called_malformed() {
    let Some(tshark) = Tshark::find() else { return };
    let samples = samples();
    let mut capture = Capture::new();
    // Ethernet, IPv4 and TCP take 54 bytes; below them there is nothing of ours.
    for kept in 54..200 {
        capture.snap_to(kept);
        let client = 20_000 + u16::try_from(kept).expect("a short packet");
        let stream = stream_of(&samples);
        capture.tcp(
            Flow {
                client,
                server: RS_PORT,
            },
            &[&stream],
            &[&stream],
        );
        let datagrams = Flow {
            client,
            server: RS_PORT,
        };
        capture.udp_to_server(datagrams, &datagram(&samples[1], TOKEN));
        capture.udp_to_client(datagrams, &frame_of(&samples[5]));
    }
    let rows = tshark.fields(&capture, &["p2pdi.malformed", "_ws.lua.error", "_ws.malformed"]);
    for (number, row) in rows.iter().enumerate() {
        assert!(row.iter().all(String::is_empty), "packet {}: {row:?}", number + 1);
    }
}

#[test]
fn decode_as_reaches_peers_on_ports_of_other_protocols() {
    let Some(tshark) = Tshark::find() else { return };
    let mut capture = Capture::new();
    let stream = stream_of(&samples());
    capture.tcp(
        Flow {
            client: 41_000,
            server: 6_000,
        },
        &segments(&stream),
        &[],
    );
    let rows = tshark
        .decode_as("tcp.port==6000,p2pdi")
        .fields(&capture, &["p2pdi.pdu", "p2pdi.malformed"]);
    let named: usize = rows
        .iter()
        .map(|row| row[0].split(',').filter(|name| !name.is_empty()).count())
        .sum();
    assert_eq!(named, samples().len());
}
