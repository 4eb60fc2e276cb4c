//! The tables of the Wireshark dissector: the same layouts in Lua.

use crate::pdus::compounds;
use p2pdi::wire::{FieldRow, Layout, Refusal, TABLE, row_of};
use std::fmt::Write as _;

/// Columns of the project's code.
const COLUMNS: usize = 110;

fn expression(layout: &Layout) -> String {
    match layout {
        Layout::Bool => "bool".to_owned(),
        Layout::Unsigned(bytes) => format!("u({bytes})"),
        Layout::Signed64 => "i64".to_owned(),
        Layout::Bytes(bytes) => format!("bytes({bytes})"),
        Layout::Text(max) => format!("text({max})"),
        Layout::Optional(inner) => format!("optional({})", expression(inner)),
        Layout::List(max, inner) => format!("list({max}, {})", expression(inner)),
        Layout::Record(name, _) | Layout::Choice(name, _) => format!("of.{name}"),
        Layout::Rest(max) => format!("rest({max})"),
    }
}

/// `head` and the cells, as many on a line as it holds.
fn filled(out: &mut String, head: &str, cells: impl IntoIterator<Item = String>) {
    let mut line = head.to_owned();
    for cell in cells {
        if line.len() + 1 + cell.len() > COLUMNS {
            writeln!(out, "{line}").expect("a String takes all");
            line = " ".to_owned();
        }
        line.push(' ');
        line.push_str(&cell);
    }
    writeln!(out, "{line}").expect("a String takes all");
}

/// A call with the rows of an owner.
fn call(out: &mut String, head: &str, rows: &[FieldRow]) {
    let cells = rows.iter().enumerate().map(|(position, row)| {
        let doc = row.doc.trim().replace('\\', "\\\\").replace('"', "\\\"");
        let end = if position + 1 == rows.len() { " })" } else { "," };
        format!(
            "{{ \"{}\", {}, \"{doc}\" }}{end}",
            row.name,
            expression(&row.layout)
        )
    });
    filled(out, head, cells);
}

/// Records and choices, then the PDUs.
pub(crate) fn layouts() -> String {
    let mut out = String::new();
    for compound in compounds() {
        let (maker, name, fields) = match compound {
            Layout::Record(name, fields) => ("record", name, fields),
            Layout::Choice(name, fields) => ("choice", name, fields),
            _ => unreachable!("only records and choices are collected"),
        };
        call(&mut out, &format!("of.{name} = {maker}(\"{name}\", {{"), fields);
    }
    for pdu in TABLE {
        let form = pdu.form.map_or_else(|| "nil".to_owned(), |form| form.to_string());
        let max = row_of(pdu.letter).map_or(0, |row| row.bytes_max);
        let letter = char::from(pdu.letter);
        call(
            &mut out,
            &format!("pdu(\"{letter}\", {form}, \"{}\", {max}, {{", pdu.name),
            pdu.fields,
        );
    }
    out
}

/// The words for the codes of an `E`.
pub(crate) fn refusals() -> String {
    let mut out = String::new();
    let cells = Refusal::TABLE
        .iter()
        .map(|(code, name, _)| format!("[{code}] = \"{name}\","));
    filled(&mut out, "local refusals = {", cells.chain(["}".to_owned()]));
    out
}
