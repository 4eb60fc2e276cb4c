//! Bringing contents here, piece by piece, from many holders at once (`rfcs/0004-transfer.txt`).
//!
//! Belongs here: which piece goes where next, at the holder ([`Giver`]) and at the getter ([`Taker`]), whose turn it
//! is at an uplink ([`Uplink`], [`Departures`], [`Lanes`]), what is asked of whom where contents come whole
//! ([`Batch`]), whether it gets on ([`Headway`]), the proof that pieces make up a content ([`Manifest`]), and what bounded it ([`Bound`]). Does not: the
//! bytes themselves, connections, files.
//! Invariant: a piece counts only when its bytes have the value that the content's id proves.

mod batch;
mod bound;
mod departures;
mod give;
mod headway;
mod lanes;
mod lull;
mod manifest;
mod pieces;
mod take;
mod uplink;

pub use batch::{Batch, BatchHolder, BatchItem};
pub use bound::{Bound, Cause, Measured, Spent};
pub use departures::{Departure, Departures};
pub use give::{Chosen, Giver, Reader};
pub use headway::Headway;
pub use lanes::{Lanes, OnTheWay, Taken};
pub use lull::Lulls;
pub use manifest::{Manifest, ManifestFault, PieceHasher, piece_count, piece_span};
pub use pieces::Pieces;
pub use take::{Source, TakeOutput, Taker};
pub use uplink::{Turns, Uplink};
