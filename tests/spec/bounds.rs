//! Numbers of the specification: versions, features, datagrams, pieces, refusals, limits.

use crate::block::{grouped, paragraph, row};
use p2pdi::id::piece_bytes;
use p2pdi::limits::*;
use p2pdi::wire::{
    Challenge, Direction, HEADER_BYTES, Layout, MAGIC, Refusal, TABLE, Transport, VERSION_MAX, VERSION_MIN,
};

/// A bound of the wire: its name in the code and its value.
macro_rules! bounds {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as u64)),*] };
}

/// The bounds that both ends of a wire have to agree on.
pub(crate) const WIRE_BOUNDS: &[(&str, u64)] = bounds![
    COMPONENT_BYTES_MAX,
    NAME_BYTES_MAX,
    PEER_NAME_BYTES_MAX,
    HOST_BYTES_MAX,
    TITLE_BYTES_MAX,
    MEDIA_TYPE_BYTES_MAX,
    OS_BYTES_MAX,
    ERROR_TEXT_BYTES_MAX,
    DATAGRAM_BYTES_MAX,
    CHUNK_BYTES_MAX,
    FRAME_BYTES_MAX,
    HOLDERS_PER_LISTING_MAX,
    PAGE_ENTRIES_MAX,
    MANIFEST_PAGE_PIECES_MAX,
    HAVE_MAP_BYTES_MAX,
    PIECES_PER_FRAME_MAX,
    COUNTERS_MAX,
    COUNTER_NAME_BYTES_MAX,
    OFFLINE_PEERS_MAX,
    PIECE_BYTES_MIN,
    PIECE_BYTES_MAX,
    PIECES_TARGET_MAX,
];

#[test]
fn every_bound_of_the_wire_is_specified() {
    const SECTIONS: &[&str] = &[
        "// --- names and texts on the wire",
        "// --- frames",
        "// --- pieces",
    ];
    let source = crate::block::read("src/limits.rs");
    let mut inside = false;
    let mut found = Vec::new();
    for line in source.lines() {
        if line.starts_with("// --- ") {
            inside = SECTIONS.iter().any(|section| line.starts_with(section));
        } else if let Some(constant) = line.strip_prefix("pub const ").filter(|_| inside) {
            found.push(constant.split(':').next().expect("a name"));
        }
    }
    let specified: Vec<&str> = WIRE_BOUNDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, specified);
}

/// Every bound in a section of the code's list that concerns a protocol stands in its specification.
pub(crate) fn assert_specified(
    section: &str,
    concerns: impl Fn(&str) -> bool,
    specified: impl Iterator<Item = &'static (&'static str, u64)>,
) {
    let source = crate::block::read("src/limits.rs");
    let title = format!("// --- {section} ---");
    let section = source.split(&title).nth(1).expect("the section");
    let section = section.split("// --- ").next().expect("its end");
    let specified: Vec<&str> = specified.map(|(name, _)| *name).collect();
    for constant in section.lines().filter_map(|line| line.strip_prefix("pub const ")) {
        let name = constant.split(':').next().expect("a name");
        assert!(
            !concerns(name) || specified.contains(&name),
            "{name} stands nowhere"
        );
    }
}

/// The reason of a bound, from its documentation.
pub(crate) fn reason(name: &str) -> String {
    let source = crate::block::read("src/limits.rs");
    let mut doc = String::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if line.starts_with(&format!("pub const {name}:")) {
            // Cross references are for readers of the code.
            return doc
                .trim()
                .replace("[`", "")
                .replace("`]", "")
                .replace('`', "")
                .replace('§', "Section ");
        } else {
            doc.clear();
        }
    }
    panic!("src/limits.rs has no {name}")
}

/// The limits of the wire and their reasons.
pub(crate) fn limits() -> String {
    limits_of(WIRE_BOUNDS)
}

/// Limits and their reasons.
pub(crate) fn limits_of(bounds: &[(&str, u64)]) -> String {
    let widths = &[24, 10, 31];
    let mut out = row(widths, &["limit", "     value", "reason"]);
    for (name, value) in bounds {
        out += &row(
            widths,
            &[name, &format!("{:>10}", grouped(*value)), &reason(name)],
        );
    }
    out
}

/// Magic and versions.
pub(crate) fn versions() -> String {
    let magic = core::str::from_utf8(&MAGIC).expect("the magic is ASCII");
    paragraph(&format!(
        "The magic is the {} bytes '{magic}'. This document describes version {VERSION_MAX}; the lowest version \
         that is still spoken is {VERSION_MIN}.",
        MAGIC.len()
    ))
}

/// The feature bits, read from the code's own list.
pub(crate) fn features() -> String {
    let source = crate::block::read("src/wire/frame.rs");
    let module = source
        .split("pub mod features {")
        .nth(1)
        .expect("the list of features");
    let module = module.split("\n}").next().expect("its end");
    let widths = &[14, 6, 43];
    let mut out = row(widths, &["feature", "value", "meaning"]);
    let mut doc = "";
    for line in module.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc = text.trim();
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            let (name, value) = constant.split_once(": u64 = ").expect("a feature bit");
            out += &row(widths, &[name, value.trim_end_matches(';'), doc]);
        }
    }
    out
}

/// The least bytes that a value of this layout takes; a name is never empty, other texts may be.
fn bytes_min(layout: &Layout, field: &str) -> usize {
    match layout {
        Layout::Bool | Layout::Optional(_) => 1,
        Layout::Unsigned(bytes) | Layout::Bytes(bytes) => *bytes,
        Layout::Signed64 => 8,
        Layout::Text(_) => 2 + usize::from(matches!(field, "name" | "host" | "Name")),
        Layout::List(..) => 2,
        Layout::Record(_, rows) => rows.iter().map(|row| bytes_min(&row.layout, row.name)).sum(),
        Layout::Choice(_, rows) => {
            1 + rows
                .iter()
                .map(|row| bytes_min(&row.layout, row.name))
                .min()
                .expect("a choice has values")
        }
        Layout::Rest(_) => 0,
    }
}

/// How long requests and challenges are in datagrams.
pub(crate) fn datagrams() -> String {
    const ENVELOPE_BYTES: usize = 2 + 8;
    let requests = TABLE
        .iter()
        .filter(|row| row.direction == Direction::PeerToRs && row.transport != Transport::Tcp);
    let (bytes, name) = requests
        .map(|row| {
            let fields: usize = row
                .fields
                .iter()
                .map(|field| bytes_min(&field.layout, field.name))
                .sum();
            (
                HEADER_BYTES + ENVELOPE_BYTES + fields + usize::from(row.form.is_some()),
                row.name,
            )
        })
        .min()
        .expect("there are requests over UDP");
    let challenge = HEADER_BYTES + Challenge::ROW.bytes_max;
    assert!(
        challenge <= bytes,
        "a challenge of {challenge} bytes answers a {name} of {bytes}"
    );
    paragraph(&format!(
        "A datagram has at most {} bytes. A Challenge in its frame has {challenge}; the shortest request, {name}, has \
         {bytes}.",
        grouped(DATAGRAM_BYTES_MAX as u64)
    ))
}

/// When a datagram is sent again, and for how long a token is good.
pub(crate) fn retransmission() -> String {
    let millis = |span: p2pdi::time::Span| grouped(span.0 / 1_000);
    paragraph(&format!(
        "An asker that has no answer after {} ms sends the same datagram again.  It doubles the wait with every try up \
         to {} ms and gives up after {TRIES_MAX} tries.  A token is valid in the period of {} s in which it was made \
         and in the one after it.",
        millis(RETRY_FIRST),
        millis(RETRY_MAX),
        TOKEN_PERIOD.0 / 1_000_000
    ))
}

/// Piece sizes on both sides of every border that matters.
pub(crate) fn pieces() -> String {
    let widths = &[22, 16, 16];
    let mut out = row(widths, &["       content bytes", "   piece bytes", "  pieces"]);
    let smallest = PIECE_BYTES_MIN * PIECES_TARGET_MAX;
    let largest = PIECE_BYTES_MAX * PIECES_TARGET_MAX;
    for bytes in [
        0,
        1,
        PIECE_BYTES_MIN,
        PIECE_BYTES_MIN + 1,
        smallest,
        smallest + 1,
        largest,
        largest + 1,
        1 << 40,
    ] {
        let piece = piece_bytes(bytes);
        let cells = [grouped(bytes), grouped(piece), grouped(bytes.div_ceil(piece))];
        out += &row(
            widths,
            &[
                &format!("{:>20}", cells[0]),
                &format!("{:>14}", cells[1]),
                &format!("{:>8}", cells[2]),
            ],
        );
    }
    out
}

/// The refusals.
pub(crate) fn refusals() -> String {
    refusals_if(|_| true)
}

/// The refusals of these codes.
pub(crate) fn refusals_if(wanted: impl Fn(u16) -> bool) -> String {
    let widths = &[4, 12, 49];
    let mut out = row(widths, &["code", "name", "meaning"]);
    let mut table = Refusal::TABLE.to_vec();
    table.sort_unstable();
    for (code, name, doc) in table.into_iter().filter(|(code, ..)| wanted(*code)) {
        out += &row(widths, &[&code.to_string(), name, doc.trim()]);
    }
    out
}
