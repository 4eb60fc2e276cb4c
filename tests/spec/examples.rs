//! Hex examples: every sample, a run of bytes beside the field it is.

use crate::block::paragraph;
use crate::walk::{What, walk};
use p2pdi::id::AddressToken;
use p2pdi::wire::samples::samples;
use p2pdi::wire::{HEADER_BYTES, Layout, Message, datagram, encode_frame};
use std::fmt::Write as _;

const BYTES_PER_LINE: usize = 16;

fn line(out: &mut String, bytes: &[u8], label: &str) {
    let mut label = label;
    for part in bytes.chunks(BYTES_PER_LINE) {
        let hex: Vec<String> = part.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("   {:<47}  {label}", hex.join(" "));
        writeln!(out, "{}", text.trim_end()).expect("a String takes all");
        label = "";
    }
}

fn value(out: &mut String, message: &Message, bytes: &[u8]) {
    for span in walk(message.row(), bytes) {
        let indent = " ".repeat(span.depth);
        let run = &bytes[span.at.clone()];
        let label = match span.what {
            What::Leaf(Layout::Text(_)) => {
                line(out, &run[..2], &format!("{indent}{} length", span.label));
                (&run[2..], format!("{indent}{}", span.label))
            }
            What::Presence => (run, format!("{indent}{}?", span.label)),
            What::Count(_) => (run, format!("{indent}{} count", span.label)),
            What::Selector(rows) => (
                run,
                format!("{indent}{}: {}", span.label, rows[usize::from(run[0])].name),
            ),
            What::Leaf(_) | What::Form => (run, format!("{indent}{}", span.label)),
        };
        line(out, label.0, &label.1);
    }
}

fn frame(out: &mut String, bytes: &[u8]) {
    line(out, &bytes[..1], &format!("'{}'", char::from(bytes[0])));
    line(out, &bytes[1..HEADER_BYTES], "length");
}

/// Every sample, and one of them in a datagram.
pub(crate) fn render() -> String {
    let mut out = String::new();
    for message in samples() {
        let mut bytes = Vec::new();
        encode_frame(&message, &mut bytes);
        writeln!(out, "{}", paragraph(message.row().name)).expect("a String takes all");
        frame(&mut out, &bytes);
        value(&mut out, &message, &bytes[HEADER_BYTES..]);
        out.push('\n');
    }
    let message = samples()
        .into_iter()
        .find(|sample| sample.row().letter == b'K')
        .expect("a KeepAlive");
    let bytes = datagram(&message, AddressToken(*b"\x01\x23\x45\x67\x89\xab\xcd\xef"));
    let after = HEADER_BYTES + 2;
    writeln!(out, "{}", paragraph("KeepAlive as a datagram")).expect("a String takes all");
    frame(&mut out, &bytes);
    line(&mut out, &bytes[HEADER_BYTES..after], "version");
    line(&mut out, &bytes[after..after + 8], "token");
    value(&mut out, &message, &bytes[after + 8..]);
    out
}
