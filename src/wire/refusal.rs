//! The one table of refusals: what a peer or the RS says no with.

use super::codec::{Field, Layout, Reader};
use super::error::DecodeError;

macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $code:literal => $name:ident,)*) => {
        /// Why a request was refused: the code of an `E`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Refusal {
            $($(#[doc = $doc])* $name,)*
            /// A code this version does not know.
            Other(u16),
        }
        impl Refusal {
            /// Every refusal of this version: code, name, meaning.
            pub const TABLE: &'static [(u16, &'static str, &'static str)] =
                &[$(($code, stringify!($name), concat!($($doc),*)),)*];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code,)* Self::Other(code) => code }
            }

            /// The refusal of a number.
            pub const fn of(code: u16) -> Self {
                match code { $($code => Self::$name,)* other => Self::Other(other) }
            }
        }
    };
}
refusals! {
    /// Several contents have this name: ask by id.
    300 => Ambiguous,
    /// The frame is not a PDU of this protocol; the text names the field.
    400 => BadFrame,
    /// The other side speaks no version that we speak.
    505 => BadVersion,
    /// A known PDU that this side does not serve.
    501 => NotServed,
    /// The cookie is not one of ours, or its peer is no longer active: join again.
    401 => BadCookie,
    /// No such content, peer or record.
    404 => NotFound,
    /// The request number is lower than one already answered under this cookie.
    409 => StaleNumber,
    /// Another peer of the same name has registered content of this name: choose another peer name.
    410 => NameTaken,
    /// A bound is reached; the text names it.
    429 => LimitReached,
    /// Too many connections, or too much asked for at once; the text says which: try another holder, or later.
    503 => Busy,
    /// The answer does not fit into a datagram, or depends on the connection: ask over TCP.
    413 => UseTcp,
    /// The range or piece lies outside the content.
    416 => BadRange,
    /// The content changed or vanished while it was served.
    417 => ContentLost,
    /// The node is in the middle of a change to its place in the ring: ask again in a moment.
    423 => RingBusy,
    /// The node is in no ring, or in it no more.
    424 => NotMember,
    /// The node's ring has other id bits, another hash or lists of another length.
    412 => OtherRing,
    /// Another node has this id: take another port.
    406 => IdTaken,
    /// Another node owns the key: look it up again.
    421 => NotOwner,
}

impl Field for Refusal {
    const LAYOUT: Layout = Layout::Unsigned(2);
    fn put(&self, out: &mut Vec<u8>) {
        self.code().put(out);
    }
    fn take(input: &mut Reader<'_>, field: &'static str) -> Result<Self, DecodeError> {
        u16::take(input, field).map(Self::of)
    }
}
