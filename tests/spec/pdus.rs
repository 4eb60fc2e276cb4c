//! The PDUs, records and choices as the specification shows them.

use crate::block::{grouped, paragraph, row};
use p2pdi::wire::{Direction, Field, FieldRow, Layout, PduRow, TABLE, Transport, TreeEntry};

const FIELD_WIDTHS: &[usize] = &[16, 24, 25];

/// A layout in the words of the section on field layouts.
fn words(layout: &Layout) -> String {
    match layout {
        Layout::Bool => "bool".to_owned(),
        Layout::Unsigned(bytes) => format!("u{}", bytes * 8),
        Layout::Signed64 => "i64".to_owned(),
        Layout::Bytes(bytes) => format!("bytes[{bytes}]"),
        Layout::Text(max) => format!("text<={max}"),
        Layout::Optional(inner) => format!("optional {}", words(inner)),
        Layout::List(max, inner) => format!("list<={max} of {}", words(inner)),
        Layout::Record(name, _) | Layout::Choice(name, _) => (*name).to_owned(),
        Layout::Rest(max) => format!("rest<={max}"),
    }
}

fn direction(row: &PduRow) -> &'static str {
    match row.direction {
        Direction::PeerToRs => "peer to RS",
        Direction::RsToPeer => "RS to peer",
        Direction::PeerToPeer => "peer to peer",
        Direction::Both => "any to any",
    }
}

fn transport(row: &PduRow) -> &'static str {
    match row.transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::TcpUdp => "TCP, UDP",
    }
}

fn form(row: &PduRow) -> String {
    row.form.map_or_else(|| "-".to_owned(), |form| form.to_string())
}

/// The table of all PDUs.
pub(crate) fn table() -> String {
    let widths = &[6, 4, 14, 13, 9, 9];
    let mut out = row(
        widths,
        &["letter", "form", "name", "direction", "transport", "max bytes"],
    );
    for pdu in TABLE {
        let letter = char::from(pdu.letter).to_string();
        let max = grouped(pdu.bytes_max as u64);
        out += &row(
            widths,
            &[
                &letter,
                &form(pdu),
                pdu.name,
                direction(pdu),
                transport(pdu),
                &format!("{max:>9}"),
            ],
        );
    }
    out
}

fn fields(rows: &[FieldRow]) -> String {
    let mut out = row(FIELD_WIDTHS, &["field", "layout", "meaning"]);
    for field in rows {
        out += &row(
            FIELD_WIDTHS,
            &[field.name, &words(&field.layout), field.doc.trim()],
        );
    }
    out
}

/// Everything about one PDU.
pub(crate) fn section(pdu: &PduRow) -> String {
    let form = pdu.form.map_or_else(String::new, |form| format!(", form {form}"));
    let head = format!(
        "{} '{}'{form}: {}, {}, at most {} bytes",
        pdu.name,
        char::from(pdu.letter),
        direction(pdu),
        transport(pdu),
        grouped(pdu.bytes_max as u64)
    );
    let mut rows = pdu.fields.to_vec();
    if pdu.form.is_some() {
        let doc = if pdu.form == Some(0) {
            "0: this asks"
        } else {
            "1: this answers"
        };
        rows.insert(
            1,
            FieldRow {
                name: "form",
                layout: Layout::Unsigned(1),
                doc,
            },
        );
    }
    format!(
        "{}\n{}\n{}",
        paragraph(&head),
        paragraph(pdu.doc.trim()),
        fields(&rows)
    )
}

/// Records and choices below a layout, the innermost first, each once.
pub(crate) fn collect(layout: &Layout, found: &mut Vec<Layout>) {
    match layout {
        Layout::Optional(inner) | Layout::List(_, inner) => collect(inner, found),
        Layout::Record(name, rows) | Layout::Choice(name, rows) => {
            rows.iter().for_each(|row| collect(&row.layout, found));
            let known =
                |other: &Layout| matches!(other, Layout::Record(n, _) | Layout::Choice(n, _) if n == name);
            if !found.iter().any(known) {
                found.push(*layout);
            }
        }
        _ => {}
    }
}

/// Every record and choice a PDU uses, the innermost first.
pub(crate) fn compounds() -> Vec<Layout> {
    let mut found = Vec::new();
    TABLE
        .iter()
        .flat_map(|pdu| pdu.fields)
        .for_each(|field| collect(&field.layout, &mut found));
    found
}

fn compound(layout: &Layout) -> String {
    match layout {
        Layout::Record(name, rows) => format!("{}\n{}", paragraph(&format!("Record {name}")), fields(rows)),
        Layout::Choice(name, rows) => {
            let mut out = format!("{}\n", paragraph(&format!("Choice {name}")));
            out += &row(FIELD_WIDTHS, &["value", "layout", "meaning"]);
            for (selector, value) in rows.iter().enumerate() {
                let name = format!("{selector} {}", value.name);
                out += &row(FIELD_WIDTHS, &[&name, &words(&value.layout), value.doc.trim()]);
            }
            out
        }
        _ => unreachable!("only records and choices are collected"),
    }
}

/// The records and choices of the PDUs.
pub(crate) fn records() -> String {
    compounds().iter().map(compound).collect::<Vec<_>>().join("\n")
}

/// The records and choices of a directory's encoding.
pub(crate) fn tree_records() -> String {
    let mut found = Vec::new();
    collect(&TreeEntry::LAYOUT, &mut found);
    found.iter().map(compound).collect::<Vec<_>>().join("\n")
}
