//! Walks the bytes of a value by its layout, independently of the codec that wrote them.
//!
//! The codec and this walk read the same table and share no code, so either finds the other's faults.
#![allow(dead_code, reason = "each test that walks needs another part of a span")]

use core::ops::Range;
use p2pdi::wire::{FieldRow, Layout, PduRow};

/// What a run of bytes is to the layout it lies in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// A value without parts.
    Leaf(Layout),
    /// The form byte.
    Form,
    /// The byte that says whether a value follows.
    Presence,
    /// The count of a list of at most this many.
    Count(usize),
    /// The byte that selects one of these.
    Selector(&'static [FieldRow]),
}

/// A run of bytes with one meaning.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    /// The field, as an error names it.
    pub(crate) field: &'static str,
    /// The field as a reader wants it: for the value of a choice, which one.
    pub(crate) label: &'static str,
    /// How many records and lists it lies in.
    pub(crate) depth: usize,
    /// Its part in the layout.
    pub(crate) what: What,
    /// Where it lies.
    pub(crate) at: Range<usize>,
}

/// The spans of a well-formed value, in order and without gaps.
pub(crate) fn walk(row: &PduRow, value: &[u8]) -> Vec<Span> {
    let mut walk = Walk {
        bytes: value,
        at: 0,
        spans: Vec::new(),
    };
    for (position, field) in row.fields.iter().enumerate() {
        walk.layout(&field.layout, field.name, field.name, 0);
        if position == 0 && row.form.is_some() {
            walk.span(1, What::Form, "form", "form", 0);
        }
    }
    assert_eq!(walk.at, value.len(), "{}: bytes without a field", row.name);
    walk.spans
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    spans: Vec<Span>,
}

impl Walk<'_> {
    fn span(
        &mut self,
        bytes: usize,
        what: What,
        field: &'static str,
        label: &'static str,
        depth: usize,
    ) -> &[u8] {
        let at = self.at..self.at + bytes;
        self.at = at.end;
        self.spans.push(Span {
            field,
            label,
            depth,
            what,
            at: at.clone(),
        });
        &self.bytes[at]
    }

    fn layout(&mut self, layout: &Layout, field: &'static str, label: &'static str, depth: usize) {
        match layout {
            Layout::Bool => {
                self.span(1, What::Leaf(*layout), field, label, depth);
            }
            Layout::Unsigned(bytes) | Layout::Bytes(bytes) => {
                self.span(*bytes, What::Leaf(*layout), field, label, depth);
            }
            Layout::Signed64 => {
                self.span(8, What::Leaf(*layout), field, label, depth);
            }
            Layout::Text(_) => {
                let length = usize::from(u16::from_be_bytes([self.bytes[self.at], self.bytes[self.at + 1]]));
                self.span(2 + length, What::Leaf(*layout), field, label, depth);
            }
            Layout::Rest(_) => {
                self.span(
                    self.bytes.len() - self.at,
                    What::Leaf(*layout),
                    field,
                    label,
                    depth,
                );
            }
            Layout::Optional(inner) => {
                if self.span(1, What::Presence, field, label, depth) == [1] {
                    self.layout(inner, field, label, depth);
                }
            }
            Layout::List(max, inner) => {
                let count = self.span(2, What::Count(*max), field, label, depth);
                let count = u16::from_be_bytes([count[0], count[1]]);
                for _ in 0..count {
                    self.layout(inner, field, label, depth);
                }
            }
            Layout::Record(_, rows) => {
                for row in *rows {
                    self.layout(&row.layout, row.name, row.name, depth + 1);
                }
            }
            Layout::Choice(_, rows) => {
                let selector = usize::from(self.span(1, What::Selector(rows), field, label, depth)[0]);
                let row = &rows[selector];
                self.layout(&row.layout, field, row.name, depth + 1);
            }
        }
    }
}
