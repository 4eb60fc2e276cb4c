//! A thousand malformed frames of every kind, at every door: one error or a closed connection each, and memory
//! as flat as before.

use super::process::{self, Running, Words, rs, run, until_listed, write_random};
use super::raw::{Raw, frame, resident_kib};
use p2pdi::id::{AddressToken, PeerNumber, RequestNumber};
use p2pdi::limits::DATAGRAM_BYTES_MAX;
use p2pdi::rng::Rng;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{
    FrameHeader, HEADER_BYTES, MAGIC, Message, PQuery, Refusal, TABLE, Version, datagram,
    decode_datagram_answer, decode_datagram_request, features, hello,
};
use std::net::UdpSocket;
use std::time::Duration;

const ATTACKS: u64 = 1_000;
/// What the allocator may keep after a thousand attacks.
const GROWTH_KIB_MAX: u64 = 6 * 1024;

/// What a stranger sends on one connection.
struct Attack {
    what: &'static str,
    /// Exchange versions first.
    greet: bool,
    bytes: Vec<u8>,
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.below(bound as u64)).expect("below a usize")
}

fn byte(rng: &mut Rng) -> u8 {
    let [byte] = rng.bytes();
    byte
}

fn header(letter: u8, bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes).expect("a length").to_be_bytes();
    [&[letter], &length[..]].concat()
}

/// True if the bytes are one whole PDU: then they are no attack.
fn is_a_frame(bytes: &[u8]) -> bool {
    let Some((head, value)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return false;
    };
    FrameHeader::decode(*head).is_ok_and(|head| {
        head.bytes <= value.len() && Message::decode(head.letter, &value[..head.bytes]).is_ok()
    })
}

/// The value with one bit turned so that it is no PDU any more.
fn broken(rng: &mut Rng, sample: &Message) -> Vec<u8> {
    let whole = frame(sample);
    for _ in 0..200 {
        let mut bytes = whole.clone();
        let place = HEADER_BYTES + below(rng, bytes.len() - HEADER_BYTES);
        bytes[place] ^= 1 << rng.below(8);
        if !is_a_frame(&bytes) {
            return bytes;
        }
    }
    // A PDU of numbers only: every value is one, but not every length.
    let mut bytes = whole;
    bytes.pop();
    bytes
}

/// Replaces a text of a sample by another of the same length.
fn renamed(sample: &Message, from: &str, to: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = frame(sample);
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())?;
    bytes[at..at + from.len()].copy_from_slice(to);
    Some(bytes)
}

fn attack(rng: &mut Rng, number: u64) -> Attack {
    let samples = samples();
    let sample = &samples[below(rng, samples.len())];
    let cut = |mut bytes: Vec<u8>, rng: &mut Rng| {
        bytes.truncate(1 + below(rng, bytes.len() - 1));
        bytes
    };
    let made = |what, bytes| Attack {
        what,
        greet: true,
        bytes,
    };
    match number % 14 {
        0 => {
            let letters: Vec<u8> = (0..=u8::MAX)
                .filter(|l| TABLE.iter().all(|row| row.letter != *l))
                .collect();
            let letter = letters[below(rng, letters.len())];
            made("an unknown letter", header(letter, 0))
        }
        1 => {
            let row = &TABLE[below(rng, TABLE.len())];
            made(
                "a length over every maximum",
                header(row.letter, u32::MAX as usize - below(rng, 9)),
            )
        }
        2 => made("a cut frame", cut(frame(sample), rng)),
        3 => {
            let mut bytes = frame(
                &PQuery {
                    request: RequestNumber(1),
                    cookie: None,
                    after: PeerNumber(0),
                }
                .into(),
            );
            let extra = 1 + rng.below(15);
            let length = bytes.len() as u64 - HEADER_BYTES as u64 + extra;
            bytes.splice(
                ..HEADER_BYTES,
                header(b'P', usize::try_from(length).expect("small")),
            );
            bytes.resize(bytes.len() + usize::try_from(extra).expect("small"), 7);
            made("trailing bytes", bytes)
        }
        4 => {
            let search = samples
                .iter()
                .filter_map(|s| renamed(s, "rfc/rfc768.txt", b"rfc/rfc\xff\xfe8.txt"))
                .nth(below(rng, 4));
            made("bad UTF-8", search.expect("samples with a name"))
        }
        5 => {
            let hostile: [&[u8]; 5] = [
                b"../../../../xy",
                b"/etc/passwd.xy",
                b"a/./b/././././",
                b"ab\x1b[2Jabcdefgh",
                b"a//b//c//d//xy",
            ];
            let name = hostile[below(rng, 5)];
            let name = &name[..14];
            let found = samples
                .iter()
                .filter_map(|s| renamed(s, "rfc/rfc768.txt", name))
                .nth(below(rng, 4));
            made("a hostile name", found.expect("samples with a name"))
        }
        6 => made("a bit turned", broken(rng, sample)),
        7 => {
            let mut bytes = frame(&hello(features::HOLDER));
            bytes[HEADER_BYTES + below(rng, MAGIC.len())] ^= 0x20;
            Attack {
                what: "wrong magic",
                greet: false,
                bytes,
            }
        }
        8 => {
            let (version_min, version_max) = if rng.one_in(2) { (2, 9) } else { (0, 0) };
            let other = Version {
                magic: MAGIC,
                version_min,
                version_max,
                features: 0,
            };
            Attack {
                what: "another version",
                greet: false,
                bytes: frame(&other.into()),
            }
        }
        9 => {
            let not_requests: Vec<&Message> = samples
                .iter()
                .filter(|s| b"AEHFCGMUQNXV".contains(&s.row().letter))
                .collect();
            let one = not_requests[below(rng, not_requests.len())];
            made("a PDU out of place", frame(one))
        }
        10 => Attack {
            what: "no greeting",
            greet: false,
            bytes: frame(&samples[1 + below(rng, 20)]),
        },
        11 => {
            let mut bytes = header(b'C', 262_164);
            bytes.resize(4_096, 0x55);
            made("Content out of nowhere", bytes)
        }
        12 => {
            let mut bytes: Vec<u8> = (0..1 + rng.below(3_000)).map(|_| byte(rng)).collect();
            bytes[0] |= 0x80;
            Attack {
                what: "random bytes",
                greet: rng.one_in(2),
                bytes,
            }
        }
        _ => Attack {
            what: "HTTP",
            greet: false,
            bytes: b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        },
    }
}

/// One attack on one connection: what was answered besides the version.
fn answers_to(address: &str, attack: &Attack) -> Vec<Message> {
    let mut raw = if attack.greet {
        Raw::greeted(address)
    } else {
        Raw::connect(address)
    };
    // The other side may have closed before it has all of it: that is a good answer.
    let _ = raw.send(&attack.bytes);
    raw.end();
    raw.rest()
        .into_iter()
        .filter(|message| !matches!(message, Message::Version(_)))
        .collect()
}

fn attack_streams(victim: &Running, seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let mut before = 0;
    for number in 0..ATTACKS {
        if number == ATTACKS / 5 {
            before = resident_kib(victim.id());
        }
        let attack = attack(&mut rng, number);
        let answers = answers_to(&victim.address, &attack);
        assert!(
            matches!(answers[..], [] | [Message::Error(_)]),
            "{}: {answers:?}",
            attack.what
        );
        match (attack.what, answers.first()) {
            (
                "an unknown letter" | "a length over every maximum" | "bad UTF-8" | "a hostile name",
                answer,
            ) => {
                assert!(
                    matches!(answer, Some(Message::Error(error)) if error.code == Refusal::BadFrame),
                    "{}: {answer:?}",
                    attack.what
                );
            }
            ("another version", answer) => assert!(
                matches!(answer, Some(Message::Error(error)) if error.code == Refusal::BadVersion),
                "{answer:?}"
            ),
            ("wrong magic", answer) => assert_eq!(answer, None, "whoever has another magic is not spoken to"),
            _ => {}
        }
    }
    let after = resident_kib(victim.id());
    assert!(
        after <= before + GROWTH_KIB_MAX,
        "memory grew from {before} to {after} KiB"
    );
}

/// An RS and a peer with one document, and a get of it that must work.
struct Lab {
    place: tempfile::TempDir,
    server: Running,
    holder: Running,
    document: Vec<u8>,
}

impl Lab {
    fn start() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let document = write_random(&place.path().join("shared/doc.bin"), 300_000, 5);
        let server = rs(&[]);
        let holder = process::peer(
            &server,
            "holder",
            &place.path().join("shared"),
            &place.path().join("state"),
            &[],
        );
        until_listed(&server, 1);
        Self {
            place,
            server,
            holder,
            document,
        }
    }

    fn still_serves(&self) {
        let found = run(&[
            "search",
            "doc.bin",
            "--rs",
            &self.server.address,
            "--transport",
            "udp",
            "--json",
        ]);
        assert_eq!(found.code, 0, "{}", found.stderr);
        let out = self.place.path().join("out");
        let got = Words::get("doc.bin", &out)
            .and(&["--rs", &self.server.address])
            .run();
        assert_eq!(got.code, 0, "{}", got.stderr);
        assert!(std::fs::read(out.join("doc.bin")).expect("read") == self.document);
    }
}

#[test]
fn a_thousand_malformed_frames_at_the_rs() {
    let lab = Lab::start();
    attack_streams(&lab.server, 11);
    lab.still_serves();
}

#[test]
fn a_thousand_malformed_frames_at_a_peer() {
    let lab = Lab::start();
    attack_streams(&lab.holder, 12);
    lab.still_serves();
}

/// A malformed datagram, or a well-formed one without a token.
fn datagram_attack(rng: &mut Rng, number: u64) -> Vec<u8> {
    let samples = samples();
    let sample = &samples[below(rng, samples.len())];
    let mut bytes = datagram(sample, AddressToken::default());
    match number % 8 {
        0 => {}
        1 => bytes.truncate(below(rng, bytes.len())),
        2 => bytes.push(0),
        3 => {
            let place = below(rng, bytes.len());
            bytes[place] ^= 1 << rng.below(8);
        }
        4 => bytes[5..7].copy_from_slice(&[0, 9]),
        5 => bytes = attack(rng, number / 8).bytes,
        6 => bytes.resize(DATAGRAM_BYTES_MAX + 1 + below(rng, 60_000), 0xa5),
        _ => bytes = (0..rng.below(1_200)).map(|_| byte(rng)).collect(),
    }
    bytes
}

/// Takes an attack off the list that this answer fits: no longer than its question, and of the right kind. The shortest
/// such attack, for a longer one may yet be needed by a longer answer that is held up.
fn answers_one_of(unanswered: &mut Vec<Vec<u8>>, answer: &Message, bytes: usize) {
    let well_formed = matches!(answer, Message::Challenge(_));
    let fits =
        |attack: &[u8]| bytes <= attack.len() && decode_datagram_request(attack).is_ok() == well_formed;
    let fitting = (0..unanswered.len()).filter(|&at| fits(&unanswered[at]));
    let Some(shortest) = fitting.min_by_key(|&at| unanswered[at].len()) else {
        panic!("{bytes} bytes that answer no attack: {answer:?}")
    };
    unanswered.remove(shortest);
}

#[test]
fn a_thousand_malformed_datagrams_at_the_rs() {
    let lab = Lab::start();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(&lab.server.address).expect("connected");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let mut rng = Rng::from_seed(13);
    let mut before = 0;
    let mut unanswered: Vec<Vec<u8>> = Vec::new();
    for number in 0..ATTACKS {
        if number == ATTACKS / 5 {
            before = resident_kib(lab.server.id());
        }
        let question = datagram_attack(&mut rng, number);
        socket.send(&question).expect("sent");
        unanswered.push(question);
        let mark = RequestNumber(u64::MAX - number);
        let ping = datagram(
            &PQuery {
                request: mark,
                cookie: None,
                after: PeerNumber(0),
            }
            .into(),
            AddressToken::default(),
        );
        socket.send(&ping).expect("sent");
        let mut buffer = vec![0; 65_536];
        loop {
            let bytes = socket.recv(&mut buffer).expect("the RS answers");
            let answer = decode_datagram_answer(&buffer[..bytes]).expect("an answer");
            if answer.request() == Some(mark) {
                break;
            }
            // Two threads answer, and one may be held up: what comes before the answer to this is one to an attack.
            answers_one_of(&mut unanswered, &answer, bytes);
        }
    }
    // Whatever is well-formed is answered once, and so nothing else could have been answered in its place.
    let is_question = |attack: &Vec<u8>| decode_datagram_request(attack).is_ok();
    let mut buffer = vec![0; 65_536];
    while unanswered.iter().any(is_question) {
        let bytes = socket.recv(&mut buffer).expect("an answer to each question");
        let answer = decode_datagram_answer(&buffer[..bytes]).expect("an answer");
        answers_one_of(&mut unanswered, &answer, bytes);
    }
    let after = resident_kib(lab.server.id());
    assert!(
        after <= before + GROWTH_KIB_MAX,
        "memory grew from {before} to {after} KiB"
    );
    lab.still_serves();
}
