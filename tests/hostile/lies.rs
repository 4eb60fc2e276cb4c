//! Holders that lie about bytes: whatever they send, no wrong file appears, the liar is named, and an honest
//! holder is asked instead.

use super::liar::{Liar, index, info, pour, say};
use super::process::{Words, run, serve, write_random};
use super::raw::frame;
use p2pdi::id::{ContentId, PieceIndex, RequestNumber};
use p2pdi::proto::refusal;
use p2pdi::wire::{Content, ContentInfo, Final, Message, Refusal, Rest, Text};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One piece: it comes whole, from one holder after the other.
const BYTES: usize = 60_000;
/// No lie here needs a wait of the client.
const SOON: Duration = Duration::from_secs(15);

fn chunk(request: RequestNumber, offset: usize, bytes: &[u8]) -> Vec<u8> {
    frame(
        &Content {
            request,
            piece: PieceIndex(0),
            offset: offset as u64,
            payload: Rest(bytes.to_vec()),
        }
        .into(),
    )
}

fn last(request: RequestNumber, id: ContentId, bytes: usize) -> Vec<u8> {
    frame(
        &Final {
            request,
            id,
            bytes: bytes as u64,
            modified: 0,
            date: 0,
            media_type: Text::cut("x"),
            os: Text::cut("x"),
        }
        .into(),
    )
}

/// A way to lie: its name, what `get` exits with when nobody else is there, and the answer to a download.
struct Lie {
    what: &'static str,
    exit: i32,
    tell: fn(&mut TcpStream, RequestNumber, &[u8], ContentId) -> bool,
}

const CHUNK: usize = 20_000;

/// All of the content in chunks, and the end.
pub(super) fn whole(stream: &mut TcpStream, request: RequestNumber, content: &[u8], id: ContentId) -> bool {
    content
        .chunks(CHUNK)
        .enumerate()
        .all(|(i, bytes)| pour(stream, &chunk(request, i * CHUNK, bytes)))
        && pour(stream, &last(request, id, content.len()))
}

const LIES: &[Lie] = &[
    Lie {
        what: "wrong bytes",
        exit: 5,
        tell: |stream, request, content, id| {
            let mut wrong = content.to_vec();
            wrong[BYTES / 2] ^= 1;
            whole(stream, request, &wrong, id)
        },
    },
    Lie {
        what: "a wrong offset",
        exit: 5,
        tell: |stream, request, content, _| pour(stream, &chunk(request, CHUNK, &content[CHUNK..2 * CHUNK])),
    },
    Lie {
        what: "too much",
        exit: 5,
        tell: |stream, request, content, id| whole(stream, request, &[content, b"more"].concat(), id),
    },
    Lie {
        what: "too little",
        exit: 5,
        tell: |stream, request, content, id| {
            pour(stream, &chunk(request, 0, &content[..CHUNK])) && pour(stream, &last(request, id, BYTES))
        },
    },
    Lie {
        what: "the end of another content",
        exit: 5,
        tell: |stream, request, content, _| whole(stream, request, content, ContentId([9; 32])),
    },
    Lie {
        what: "the end with another size",
        exit: 5,
        tell: |stream, request, content, id| {
            pour(stream, &chunk(request, 0, &content[..CHUNK])) && pour(stream, &last(request, id, CHUNK))
        },
    },
    Lie {
        what: "bytes without end",
        exit: 5,
        tell: |stream, request, content, _| {
            let mut offset = 0;
            while pour(stream, &chunk(request, offset, &content[..CHUNK])) {
                offset += CHUNK;
            }
            false
        },
    },
    Lie {
        what: "frames without bytes",
        exit: 5,
        tell: |stream, request, _, _| {
            while pour(stream, &chunk(request, 0, b"")) {}
            false
        },
    },
    Lie {
        what: "a refusal",
        exit: 4,
        tell: |stream, request, _, _| say(stream, &refusal(request, Refusal::NotServed, "not\x1b[31m today")),
    },
    Lie {
        what: "a refusal in the middle",
        exit: 3,
        tell: |stream, request, content, _| {
            pour(stream, &chunk(request, 0, &content[..CHUNK]))
                && say(stream, &refusal(request, Refusal::ContentLost, "lost"))
        },
    },
    Lie {
        what: "another request's bytes",
        exit: 5,
        tell: |stream, request, content, id| whole(stream, RequestNumber(request.0 + 7), content, id),
    },
    Lie {
        what: "a PDU out of place",
        exit: 3,
        tell: |stream, request, _, _| say(stream, &p2pdi::wire::Credit { request, pieces: 1 }.into()),
    },
    Lie {
        what: "no PDU",
        exit: 3,
        tell: |stream, _, _, _| pour(stream, b"zzzzzzzzzzzzzzzzzzzzzzzz"),
    },
    Lie {
        what: "an end in the middle of a frame",
        exit: 3,
        tell: |stream, request, content, _| {
            let bytes = chunk(request, 0, &content[..CHUNK]);
            pour(stream, &bytes[..CHUNK / 2]);
            false
        },
    },
    Lie {
        what: "an end between frames",
        exit: 3,
        tell: |stream, request, content, _| {
            pour(stream, &chunk(request, 0, &content[..CHUNK]));
            false
        },
    },
];

/// A peer that says it holds a content, and answers downloads with a lie.
fn holder(lie: &'static Lie, content: &Arc<Vec<u8>>, said: ContentInfo) -> Liar {
    let content = Arc::clone(content);
    Liar::start(move |stream, asked| match asked {
        Message::IndexQuery(query) => {
            let port = stream.local_addr().map_or(0, |address| address.port());
            say(stream, &index(query.request, core::slice::from_ref(&said), port))
        }
        Message::Download(download) => (lie.tell)(stream, download.request, &content, said.id),
        _ => false,
    })
}

fn visible(out: &Path) -> Vec<String> {
    let names = out.read_dir().map(|files| {
        files
            .map(|file| file.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect::<Vec<_>>()
    });
    let mut names = names.unwrap_or_default();
    names.retain(|name| !name.starts_with('.'));
    names
}

#[test]
fn lies_are_found_out() {
    let place = tempfile::tempdir().expect("a directory");
    let at = |name: &str| place.path().join(name).to_str().expect("UTF-8").to_owned();
    let content = Arc::new(write_random(&place.path().join("a/doc.bin"), BYTES, 3));
    let honest = serve(&[
        "peer",
        "--listen",
        "127.0.0.1:0",
        "--dir",
        &at("a"),
        "--state",
        &at("state"),
        "--name",
        "honest",
    ]);
    super::process::eventually("the document to be shared", || {
        run(&["index", "--peer", &honest.address])
            .stdout
            .contains("doc.bin")
            .then_some(())
    });
    for (number, lie) in LIES.iter().enumerate() {
        let liar = holder(lie, &content, info("doc.bin", &content));
        let (alone, together) = (at(&format!("alone-{number}")), at(&format!("together-{number}")));

        let begun = Instant::now();
        let got = Words::get("doc.bin", &alone).from([&*liar.address()]).run();
        assert_eq!(got.code, lie.exit, "{}: {}", lie.what, got.stderr);
        assert!(begun.elapsed() < SOON, "{}: took {:?}", lie.what, begun.elapsed());
        assert_eq!(visible(Path::new(&alone)), Vec::<String>::new(), "{}", lie.what);
        assert!(
            got.stderr.contains(&liar.address()),
            "{}: names the liar: {}",
            lie.what,
            got.stderr
        );
        assert!(!got.stderr.contains('\x1b'), "{}: {:?}", lie.what, got.stderr);

        // What the liar has left in --out must not spoil the honest bytes.
        for out in [&together, &alone] {
            let both = [
                "get",
                "doc.bin",
                "--peer",
                &liar.address(),
                "--peer",
                &honest.address,
                "--out",
                out,
                "--json",
            ];
            let got = run(&both);
            assert_eq!(got.code, 0, "{}: {}", lie.what, got.stderr);
            assert_eq!(visible(Path::new(out)), ["doc.bin"]);
            assert!(
                std::fs::read(Path::new(out).join("doc.bin")).expect("read") == *content,
                "{}",
                lie.what
            );
            let events = got.json();
            if out == &alone {
                // What the liar has left may have been right, and nobody had to be asked.
                continue;
            }
            let failed = events
                .iter()
                .find(|event| event["event"] == "failed")
                .expect("the liar's failure");
            assert_eq!(failed["port"], liar.address.port(), "{}", lie.what);
            let done = events.last().expect("the last event");
            assert_eq!(done["event"], "done");
            let failures = |port: u16| {
                let holders = done["holders"].as_array().expect("holders");
                let account = holders
                    .iter()
                    .find(|holder| holder["port"] == port)
                    .expect("its account");
                account["failures"].as_array().map(Vec::len)
            };
            let honest_port = honest
                .address
                .rsplit(':')
                .next()
                .and_then(|port| port.parse().ok())
                .expect("a port");
            assert_eq!(
                (failures(liar.address.port()), failures(honest_port)),
                (Some(1), Some(0)),
                "{}",
                lie.what
            );
        }
    }
}

#[test]
fn the_heaviest_failure_of_all_holders_is_the_exit_code() {
    let place = tempfile::tempdir().expect("a directory");
    let content = Arc::new(write_random(&place.path().join("doc.bin"), BYTES, 3));
    let find = |what: &str| LIES.iter().find(|lie| lie.what == what).expect("a lie");
    let liars: Vec<Liar> = ["wrong bytes", "a refusal", "an end between frames"]
        .iter()
        .map(|what| holder(find(what), &content, info("doc.bin", &content)))
        .collect();
    for (number, (chosen, exit)) in [
        (vec![0, 1, 2], 5),
        (vec![2, 1, 0], 5),
        (vec![1, 2], 4),
        (vec![2, 1], 4),
        (vec![2], 3),
    ]
    .iter()
    .enumerate()
    {
        let out = place.path().join(format!("out-{number}"));
        let addresses: Vec<String> = chosen.iter().map(|i: &usize| liars[*i].address()).collect();
        let mut args = vec!["get", "doc.bin", "--out", out.to_str().expect("UTF-8")];
        addresses
            .iter()
            .for_each(|address| args.extend(["--peer", address]));
        let got = run(&args);
        assert_eq!(got.code, *exit, "{chosen:?}: {}", got.stderr);
        assert_eq!(visible(&out), Vec::<String>::new());
    }
}
