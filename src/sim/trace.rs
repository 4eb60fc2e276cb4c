//! What happened, as a hash that two runs can compare, and as lines for people while they look for a fault.

use crate::time::Instant;
use core::fmt;

/// The hash of everything that happened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceHash(pub [u8; 32]);

impl fmt::Debug for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A trace being written.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    hasher: blake3::Hasher,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty trace; it keeps lines for people only if asked to.
    pub fn new(keep_lines: bool) -> Self {
        Self {
            lines: keep_lines.then(Vec::new),
            ..Self::default()
        }
    }

    /// Something happened: in words that say which, and the bytes that came with it.
    pub fn note(&mut self, at: Instant, what: fmt::Arguments<'_>, bytes: &[u8]) {
        let line = what.to_string();
        self.events += 1;
        self.hasher.update(&at.0.to_be_bytes());
        self.hasher.update(&(line.len() as u64).to_be_bytes());
        self.hasher.update(line.as_bytes());
        self.hasher.update(&(bytes.len() as u64).to_be_bytes());
        self.hasher.update(bytes);
        if let Some(lines) = &mut self.lines {
            let letter = bytes.first().map_or(' ', |byte| char::from(*byte));
            lines.push(format!(
                "{:>12.6} {line} {letter} {} bytes",
                crate::time::Span(at.0).as_secs_f64(),
                bytes.len()
            ));
        }
    }

    /// How much has happened.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The hash of all of it.
    pub fn hash(&self) -> TraceHash {
        TraceHash(*self.hasher.finalize().as_bytes())
    }

    /// The lines, if they were kept.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
