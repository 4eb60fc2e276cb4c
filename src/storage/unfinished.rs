//! How what is not finished is called: by a hidden name with an ending of its own.
//!
//! Belongs here: these names, and that nothing else has one. Does not: what lies under them. Invariant: no content is
//! ever looked for, written or shared under such a name. One that were could take the place of another that is being
//! written, and be given the name of that.

use crate::name::ContentName;
use std::io;

const ENDING: &str = ".p2pdi-part";

/// The hidden name of something that is not finished.
pub(super) fn unfinished(what: &str) -> String {
    format!(".{what}{ENDING}")
}

/// True if a name, or that of a directory in it, is one of these.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.split('/').any(|component| component.ends_with(ENDING))
}

/// Refuses a name that is one of these.
///
/// # Errors
/// `InvalidFilename`.
pub(super) fn refuse_unfinished(name: &ContentName) -> io::Result<()> {
    if !is_unfinished(name.as_str()) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidFilename,
        format!("what ends in {ENDING} is not finished; whoever shares it should give it another name"),
    ))
}
