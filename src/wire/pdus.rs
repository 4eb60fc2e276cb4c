//! How the table of PDUs becomes types, rows, a codec and [`Message`](super::Message): the macro, not the table.

use super::codec::Reader;
use super::error::{DecodeError, Fault};

macro_rules! pdus {
    ($(
        $(#[doc = $doc:literal])*
        $letter:literal $(/ $form:literal)? $name:ident ($direction:ident, $transport:ident) {
            $(#[doc = $first_doc:literal])* $first:ident: $first_ty:ty,
            $($(#[doc = $field_doc:literal])* $field:ident: $ty:ty,)*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $name {
                $(#[doc = $first_doc])* pub $first: $first_ty,
                $($(#[doc = $field_doc])* pub $field: $ty,)*
            }

            impl $name {
                #[doc = concat!("The row of `", stringify!($name), "` in the table.")]
                pub const ROW: PduRow = {
                    const FIELDS: &[FieldRow] = &[
                        FieldRow {
                            name: stringify!($first),
                            layout: <$first_ty as Field>::LAYOUT,
                            doc: concat!($($first_doc),*),
                        },
                        $(FieldRow {
                            name: stringify!($field),
                            layout: <$ty as Field>::LAYOUT,
                            doc: concat!($($field_doc),*),
                        },)*
                    ];
                    let form: Option<u8> = pdus!(@form $($form)?);
                    let whole = rows_bytes_max(FIELDS) + if form.is_some() { 1 } else { 0 };
                    let cap = if $letter == b'C' { CHUNK_BYTES_MAX + 64 } else { FRAME_BYTES_MAX };
                    PduRow {
                        letter: $letter,
                        form,
                        name: stringify!($name),
                        doc: concat!($($doc),*),
                        direction: Direction::$direction,
                        transport: Transport::$transport,
                        bytes_max: if whole < cap { whole } else { cap },
                        fields: FIELDS,
                    }
                };

                fn put_value(&self, out: &mut Vec<u8>) {
                    self.$first.put(out);
                    $(out.push($form);)?
                    $(self.$field.put(out);)*
                }

                fn take_value(bytes: &[u8]) -> Result<Self, DecodeError> {
                    let mut input = Reader::new(bytes);
                    let message = Self {
                        $first: {
                            let first = <$first_ty as Field>::take(&mut input, stringify!($first))?;
                            $(form_byte(&mut input, $form)?;)?
                            first
                        },
                        $($field: <$ty as Field>::take(&mut input, stringify!($field))?,)*
                    };
                    input.finish(stringify!($name))?;
                    Ok(message)
                }
            }

            impl From<$name> for Message {
                fn from(message: $name) -> Self {
                    Self::$name(message)
                }
            }
        )*

        /// One PDU.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Message { $($(#[doc = $doc])* $name($name),)* }

        /// Every PDU of this version, in the order of the spec.
        pub const TABLE: &[PduRow] = &[$($name::ROW),*];

        impl Message {
            /// Its row in the table.
            pub const fn row(&self) -> &'static PduRow {
                match self { $(Self::$name(_) => &$name::ROW,)* }
            }

            /// Appends its value, without the frame around it.
            pub fn put_value(&self, out: &mut Vec<u8>) {
                match self { $(Self::$name(message) => message.put_value(out),)* }
            }

            /// Reads the value of a frame with this letter.
            ///
            /// # Errors
            /// What is wrong with the bytes, and in which field.
            pub fn decode(letter: u8, value: &[u8]) -> Result<Self, DecodeError> {
                let form = value.get(core::mem::size_of::<u64>()).copied();
                $(if letter == $letter && pdus!(@matches form $($form)?) {
                    return $name::take_value(value).map(Self::$name);
                })*
                // A letter of the table whose form byte is missing or none of its forms.
                Err(match (super::table::row_of(letter), form) {
                    (None, _) => DecodeError::new("type", Fault::Unknown(letter)),
                    (Some(_), None) => DecodeError::new("form", Fault::Truncated),
                    (Some(_), Some(byte)) => DecodeError::new("form", Fault::Unknown(byte)),
                })
            }

            /// The request number it carries; none only in `V`.
            pub const fn request(&self) -> Option<RequestNumber> {
                match self { $(Self::$name(message) => pdus!(@request message $first),)* }
            }
        }
    };
    (@form) => { None };
    (@form $form:literal) => { Some($form) };
    (@matches $byte:ident) => { true };
    (@matches $byte:ident $form:literal) => { $byte == Some($form) };
    (@request $message:ident request) => { Some($message.request) };
    (@request $message:ident $other:ident) => {{ let _ = $message; None }};
}
pub(super) use pdus;

pub(super) fn form_byte(input: &mut Reader<'_>, form: u8) -> Result<(), DecodeError> {
    match input.take(1, "form")?[0] {
        byte if byte == form => Ok(()),
        byte => Err(DecodeError::new("form", Fault::Unknown(byte))),
    }
}
