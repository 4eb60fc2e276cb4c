//! Writes the corpus that fuzzing begins with, from the samples of the PDU table: one directory a target.

use p2pdi::id::{AddressToken, ContentId, Cookie, PieceIndex, RequestNumber};
use p2pdi::name::{ContentName, Host, PeerName};
use p2pdi::proto::transfer::{Pieces, piece_count};
use p2pdi::proto::{Activity, HolderRow, LeaseRow, PeerRow};
use p2pdi::storage::journal_bytes;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{
    Field, List, Message, Rest, TABLE, Text, Tree, TreeEntry, TreeFile, TreeNode, datagram, encode_frame,
};
use std::path::Path;

/// Writes seeds of one target.
fn write(corpus: &Path, target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) {
    let directory = corpus.join(target);
    std::fs::create_dir_all(&directory).expect("a directory");
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(directory.join(format!("seed-{number:03}")), seed).expect("written");
    }
}

fn bytes_of(field: &impl Field) -> Vec<u8> {
    let mut bytes = Vec::new();
    field.put(&mut bytes);
    bytes
}

fn frame(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(message, &mut bytes);
    bytes
}

fn frames() -> Vec<Vec<u8>> {
    let all = samples();
    let streams = all.iter().map(frame);
    let datagrams = all.iter().map(|sample| datagram(sample, AddressToken([7; 8])));
    streams.chain(datagrams).collect()
}

fn pdus() -> Vec<Vec<u8>> {
    let seed = |sample: Message| {
        let row = TABLE.iter().position(|row| row.name == sample.row().name);
        let row = u8::try_from(row.expect("a row")).expect("fewer than 256 rows");
        let mut seed = vec![row];
        sample.put_value(&mut seed);
        seed
    };
    samples().into_iter().map(seed).collect()
}

fn names() -> Vec<Vec<u8>> {
    let texts = [
        "rfc/rfc768.txt",
        "a",
        "/etc/passwd",
        "a//b",
        "x.journal",
        "host:65423",
        "[::1]:1",
        "192.0.2.1:80",
        "20mbit",
        "2.5MB",
        "500KiB",
        "name@0123456789ab",
        "793",
        "\u{202e}txt.exe",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn manifests() -> Vec<Vec<u8>> {
    let list = |bytes: u64| {
        let values = (0..piece_count(bytes)).map(|piece| *blake3::hash(&piece.to_be_bytes()).as_bytes());
        let values: Vec<u8> = values.flatten().collect();
        [bytes.to_be_bytes().to_vec(), values, vec![1, 2, 3, 4]].concat()
    };
    let node = |name: &str, node| TreeEntry {
        path: ContentName::new(name).expect("a name"),
        node,
    };
    let file = TreeFile {
        bytes: 3,
        id: ContentId([1; 32]),
        executable: true,
    };
    let tree = Tree::new(vec![
        node("a/b", TreeNode::File(file)),
        node("empty", TreeNode::EmptyDirectory(false)),
    ]);
    let lists = [0, 1, 65_536, 65_537, 200_000, 1 << 20].into_iter().map(list);
    lists.chain([tree.encode()]).collect()
}

fn journals() -> Vec<Vec<u8>> {
    let mut pieces = Pieces::none(200);
    for piece in [0, 7, 199] {
        pieces.insert(PieceIndex(piece));
    }
    let whole = journal_bytes(ContentId([5; 32]), &pieces);
    vec![
        whole,
        vec![3, 0, 7, 199],
        vec![3, 0, 7, 199, 0, 80, 1],
        vec![2, 1, 2, 0xff, 0xff, 0],
    ]
}

fn rows() -> Vec<Vec<u8>> {
    let host = Host::new("192.0.2.1").expect("a host");
    let peer = PeerRow {
        name: PeerName::new("a").expect("a name"),
        host: host.clone(),
        port: 6_000,
        os: Text::cut("Linux"),
        cookie: Cookie([3; 16]),
        nonce: 5,
        first_host: host,
        first_nonce: 4,
        registrations: List::first_of([1_700_000_000, 1_700_000_900]),
    };
    let answer = samples()
        .into_iter()
        .find(|sample| matches!(sample, Message::Ack(_)));
    let answer = frame(&answer.expect("an answer"));
    let lease = LeaseRow {
        activity: Activity::Active,
        ends: 9,
        ends_wall: 10,
        last_request: Some(RequestNumber(7)),
        last_answer: Rest(answer.clone()),
    };
    let content = samples().into_iter().find_map(|sample| match sample {
        Message::Register(register) => Some(register.content),
        _ => None,
    });
    let holder = bytes_of(&HolderRow {
        content: content.expect("a content"),
        complete: true,
        order: 8,
    });
    let length = u16::try_from(holder.len()).expect("short").to_be_bytes();
    vec![
        [vec![0], bytes_of(&peer)].concat(),
        [vec![1], bytes_of(&lease)].concat(),
        [vec![2], length.to_vec(), holder.clone(), holder].concat(),
        [vec![3], answer].concat(),
    ]
}

fn main() {
    let corpus = std::env::args_os()
        .nth(1)
        .expect("seed DIR: where the corpus goes");
    let corpus = Path::new(&corpus);
    write(corpus, "frames", frames());
    write(corpus, "pdus", pdus());
    write(corpus, "names", names());
    write(corpus, "manifests", manifests());
    write(corpus, "journals", journals());
    write(corpus, "rows", rows());
}
