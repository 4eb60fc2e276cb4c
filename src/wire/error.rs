//! What is wrong with bytes: small Copy values that name the field.

use super::frame::{VERSION_MAX, VERSION_MIN};
use crate::name::NameFault;
use core::fmt;

/// Why bytes are not a PDU, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The field at fault, as the table names it; `frame` for the frame itself.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: Fault,
}

/// The kinds of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The value ends inside the field.
    Truncated,
    /// This many bytes follow the last field.
    Trailing(usize),
    /// A length or count of `got` where at most `max` are allowed.
    TooLong {
        /// What was announced.
        got: usize,
        /// What the table allows.
        max: usize,
    },
    /// Not UTF-8.
    Utf8,
    /// A byte that no value of the field has.
    Unknown(u8),
    /// A name that is not allowed.
    Name(NameFault),
    /// The magic bytes are not ours: the other side speaks something else.
    Magic,
    /// A version that is not spoken here.
    Version(u16),
}

impl DecodeError {
    /// `fault` in `field`.
    pub const fn new(field: &'static str, fault: Fault) -> Self {
        Self { field, fault }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = self.field;
        match self.fault {
            Fault::Truncated => write!(f, "field {field}: cut short"),
            Fault::Trailing(bytes) => write!(f, "field {field}: followed by {bytes} bytes too many"),
            Fault::TooLong { got, max } => {
                write!(f, "field {field}: length {got} is over the limit of {max}")
            }
            Fault::Utf8 => write!(f, "field {field}: not UTF-8"),
            Fault::Unknown(byte) if byte.is_ascii_graphic() => {
                write!(f, "field {field}: unknown value '{}'", char::from(byte))
            }
            Fault::Unknown(byte) => write!(f, "field {field}: unknown value {byte}"),
            Fault::Name(fault) => write!(f, "field {field}: {fault}"),
            Fault::Version(version) => write!(
                f,
                "field {field}: version {version} is not spoken here, only {VERSION_MIN} to {VERSION_MAX}"
            ),
            Fault::Magic => write!(f, "field {field}: this is not p2pdi"),
        }
    }
}

impl std::error::Error for DecodeError {}
