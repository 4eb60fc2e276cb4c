//! Fields: how one value becomes bytes, and a bounded reader that gives it back.
//!
//! Every field type states its [`Layout`]; the spec, the dissector and the limits are computed from it.
//! Invariant: a reader never looks past its slice and never allocates more than the slice could fill.

use super::error::{DecodeError, Fault};
use crate::id::{AddressToken, ContentId, Cookie, PeerNumber, PieceIndex, RequestNumber, RfcNumber};
use crate::limits::{HOST_BYTES_MAX, NAME_BYTES_MAX, PEER_NAME_BYTES_MAX};
use crate::name::{ContentName, Host, PeerName};
use crate::ring::RingId;
use byteorder::{BE, ByteOrder as _, WriteBytesExt as _};

/// How a field lies in the bytes. All integers are big-endian.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// One byte, 0 or 1.
    Bool,
    /// An unsigned integer of this many bytes.
    Unsigned(usize),
    /// A signed (two's complement) integer of eight bytes.
    Signed64,
    /// This many bytes as they are.
    Bytes(usize),
    /// A u16 length, then UTF-8 of at most this many bytes.
    Text(usize),
    /// One byte, 0 or 1, and after a 1 the value.
    Optional(&'static Layout),
    /// A u16 count of at most this many, then the values.
    List(usize, &'static Layout),
    /// Named fields, one after the other.
    Record(&'static str, &'static [FieldRow]),
    /// One byte that selects one of the values.
    Choice(&'static str, &'static [FieldRow]),
    /// All that is left of the frame, at most this many bytes.
    Rest(usize),
}

impl Layout {
    /// The most bytes a value of this layout can take.
    pub const fn bytes_max(&self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Unsigned(bytes) | Self::Bytes(bytes) | Self::Rest(bytes) => *bytes,
            Self::Signed64 => 8,
            Self::Text(max) => 2 + *max,
            Self::Optional(inner) => 1 + inner.bytes_max(),
            Self::List(max, inner) => 2 + *max * inner.bytes_max(),
            Self::Record(_, rows) => rows_bytes_max(rows),
            Self::Choice(_, rows) => {
                let mut most = 0;
                let mut i = 0;
                while i < rows.len() {
                    let bytes = rows[i].layout.bytes_max();
                    most = if bytes > most { bytes } else { most };
                    i += 1;
                }
                1 + most
            }
        }
    }
}

/// The most bytes that fields, one after the other, can take.
pub(super) const fn rows_bytes_max(rows: &[FieldRow]) -> usize {
    let mut sum = 0;
    let mut i = 0;
    while i < rows.len() {
        sum += rows[i].layout.bytes_max();
        i += 1;
    }
    sum
}

/// One named field: a row of the spec's tables.
#[derive(Clone, Copy, Debug)]
pub struct FieldRow {
    /// Its name in the code, the spec and every error.
    pub name: &'static str,
    /// How it lies in the bytes.
    pub layout: Layout,
    /// What it means, in the words of the code's documentation.
    pub doc: &'static str,
}

/// What is still to be read of one frame's value.
#[derive(Debug)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { left: bytes }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// There are fewer.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self
            .left
            .split_at_checked(count)
            .ok_or(DecodeError::new(field, Fault::Truncated))?;
        self.left = tail;
        Ok(head)
    }

    /// True when nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.left)
    }

    /// Ends the value.
    ///
    /// # Errors
    /// Bytes are left over.
    pub fn finish(self, field: &'static str) -> Result<(), DecodeError> {
        match self.left.len() {
            0 => Ok(()),
            bytes => Err(DecodeError::new(field, Fault::Trailing(bytes))),
        }
    }

    fn count(&mut self, max: usize, field: &'static str) -> Result<usize, DecodeError> {
        let got = usize::from(BE::read_u16(self.take(2, field)?));
        if got > max {
            Err(DecodeError::new(field, Fault::TooLong { got, max }))
        } else {
            Ok(got)
        }
    }

    /// A UTF-8 text of at most `max` bytes behind its length.
    ///
    /// # Errors
    /// It is longer, cut short, or not UTF-8.
    pub fn text(&mut self, max: usize, field: &'static str) -> Result<&'a str, DecodeError> {
        let bytes = self.count(max, field)?;
        core::str::from_utf8(self.take(bytes, field)?).map_err(|_| DecodeError::new(field, Fault::Utf8))
    }
}

/// A type that can be a field of a PDU.
pub trait Field: Sized {
    /// How it lies in the bytes.
    const LAYOUT: Layout;

    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes it off the front; `field` is its name for errors.
    ///
    /// # Errors
    /// What is wrong with the bytes, and in which field.
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError>;
}

/// Writing to a `Vec` cannot fail; this says so in one place.
fn infallible(result: &std::io::Result<()>) {
    debug_assert!(result.is_ok(), "a Vec takes every byte");
}

macro_rules! integers {
    ($($ty:ty, $bytes:literal, $layout:expr, $write:ident, $read:ident;)*) => {$(
        impl Field for $ty {
            const LAYOUT: Layout = $layout;
            fn put(&self, out: &mut Vec<u8>) {
                infallible(&out.$write::<BE>(*self));
            }
            fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                Ok(BE::$read(input.take($bytes, field)?))
            }
        }
    )*};
}
integers! {
    u16, 2, Layout::Unsigned(2), write_u16, read_u16;
    u32, 4, Layout::Unsigned(4), write_u32, read_u32;
    u64, 8, Layout::Unsigned(8), write_u64, read_u64;
    i64, 8, Layout::Signed64, write_i64, read_i64;
}

macro_rules! newtypes {
    ($($ty:ident($inner:ty);)*) => {$(
        impl Field for $ty {
            const LAYOUT: Layout = <$inner>::LAYOUT;
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }
            fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                <$inner>::take(input, field).map(Self)
            }
        }
    )*};
}
newtypes! {
    RequestNumber(u64);
    PeerNumber(u64);
    PieceIndex(u32);
    RfcNumber(u32);
    ContentId([u8; 32]);
    Cookie([u8; 16]);
    AddressToken([u8; 8]);
    RingId([u8; 20]);
}

impl<const N: usize> Field for [u8; N] {
    const LAYOUT: Layout = Layout::Bytes(N);
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(input.take(N, field)?);
        Ok(bytes)
    }
}

impl Field for bool {
    const LAYOUT: Layout = Layout::Bool;
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        match input.take(1, field)?[0] {
            0 => Ok(false),
            1 => Ok(true),
            2 if cfg!(p2pdi_planted) => Ok(true),
            byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
        }
    }
}

impl<T: Field> Field for Option<T> {
    const LAYOUT: Layout = Layout::Optional(&T::LAYOUT);
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        if bool::take(input, field)? {
            T::take(input, field).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// A UTF-8 text of at most `MAX` bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// `text`, cut at a character's border if it is too long: texts explain, they do not identify.
    pub fn cut(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(MAX));
        Self(text)
    }

    /// The text itself; it may hold anything, so print it by [`crate::name::printable`].
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> Field for Text<MAX> {
    const LAYOUT: Layout = Layout::Text(MAX);
    fn put(&self, out: &mut Vec<u8>) {
        put_text(&self.0, out);
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        input.text(MAX, field).map(|text| Self(text.to_owned()))
    }
}

/// Every text that reaches this is bounded by its type to far below 64 KiB.
fn put_text(text: &str, out: &mut Vec<u8>) {
    u16::try_from(text.len()).unwrap_or(u16::MAX).put(out);
    out.extend_from_slice(text.as_bytes());
}

macro_rules! names {
    ($($ty:ident, $max:expr;)*) => {$(
        impl Field for $ty {
            const LAYOUT: Layout = Layout::Text($max);
            fn put(&self, out: &mut Vec<u8>) {
                put_text(self.as_str(), out);
            }
            fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                Self::new(input.text($max, field)?).map_err(|fault| DecodeError::new(field, Fault::Name(fault)))
            }
        }
    )*};
}
names! {
    ContentName, NAME_BYTES_MAX;
    PeerName, PEER_NAME_BYTES_MAX;
    Host, HOST_BYTES_MAX;
}

/// At most `MAX` values behind their count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> List<T, MAX> {
    /// A list of nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The first `MAX` of `items`.
    pub fn first_of(items: impl IntoIterator<Item = T>) -> Self {
        Self(items.into_iter().take(MAX).collect())
    }

    /// Appends a value; false, and nothing done, if the list is full.
    pub fn push(&mut self, item: T) -> bool {
        let room = self.0.len() < MAX;
        if room {
            self.0.push(item);
        }
        room
    }

    /// Takes the values out.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const MAX: usize> core::ops::Deref for List<T, MAX> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Field, const MAX: usize> Field for List<T, MAX> {
    const LAYOUT: Layout = Layout::List(MAX, &T::LAYOUT);
    fn put(&self, out: &mut Vec<u8>) {
        u16::try_from(self.0.len()).unwrap_or(u16::MAX).put(out);
        self.0.iter().for_each(|item| item.put(out));
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let count = input.count(MAX, field)?;
        // Collected one by one: an announced count costs nothing until its bytes are there.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(T::take(input, field)?);
        }
        Ok(Self(items))
    }
}

/// All that is left of the frame, at most `MAX` bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rest<const MAX: usize>(pub Vec<u8>);

impl<const MAX: usize> Field for Rest<MAX> {
    const LAYOUT: Layout = Layout::Rest(MAX);
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        let bytes = input.rest();
        if bytes.len() > MAX {
            return Err(DecodeError::new(
                field,
                Fault::TooLong {
                    got: bytes.len(),
                    max: MAX,
                },
            ));
        }
        Ok(Self(bytes.to_vec()))
    }
}

/// Declares a record: a struct whose fields lie one after the other, documented once for code and spec.
macro_rules! record {
    ($(#[doc = $doc:literal])* $(#[derive($also:ident)])? $name:ident { $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq $(, $also)?)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: $ty,)* }
        impl Field for $name {
            const LAYOUT: Layout = Layout::Record(stringify!($name), &[$(FieldRow {
                name: stringify!($field),
                layout: <$ty as Field>::LAYOUT,
                doc: concat!($($field_doc),*),
            }),*]);
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn take(input: &mut Reader<'_>, _field: &'static str) -> Result<Self, DecodeError> {
                Ok(Self { $($field: <$ty as Field>::take(input, stringify!($field))?,)* })
            }
        }
    };
}

/// Declares a choice: an enum behind one byte, each value with one field.
macro_rules! choice {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $value_doc:literal])* $tag:literal => $value:ident($ty:ty),)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $value_doc])* $value($ty),)* }
        impl Field for $name {
            const LAYOUT: Layout = Layout::Choice(stringify!($name), &[$(FieldRow {
                name: stringify!($value),
                layout: <$ty as Field>::LAYOUT,
                doc: concat!($($value_doc),*),
            }),*]);
            fn put(&self, out: &mut Vec<u8>) {
                match self { $(Self::$value(value) => { out.push($tag); value.put(out); })* }
            }
            fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
                match input.take(1, field)?[0] {
                    $($tag => <$ty as Field>::take(input, field).map(Self::$value),)*
                    byte => Err(DecodeError::new(field, Fault::Unknown(byte))),
                }
            }
        }
    };
}
pub(super) use choice;
pub(crate) use record;
