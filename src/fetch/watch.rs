//! What is told about a fetch while it runs.

use crate::name::HostPort;
use crate::time::Span;

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Bytes that are here and count.
    pub bytes: u64,
    /// Pieces that are here and count.
    pub pieces: u32,
    /// Of so many.
    pub pieces_all: u32,
    /// Holders that sent something lately.
    pub holders: usize,
    /// How long no piece has counted, if that is long.
    pub slow: Option<Span>,
}

impl Standing {
    /// That of contents that come whole.
    pub const fn of_bytes(bytes: u64) -> Self {
        Self {
            bytes,
            pieces: 0,
            pieces_all: 0,
            holders: 0,
            slow: None,
        }
    }
}

/// Told how far a fetch is.
pub trait Watcher {
    /// It is so far.
    fn advanced(&mut self, standing: &Standing);
    /// This holder failed; others are tried.
    fn failed(&mut self, holder: &HostPort, why: &str);
}
