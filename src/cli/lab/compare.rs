//! Compares every downloaded file with its original, byte for byte.
//!
//! Belongs here: reading both. The peers verify by hash themselves; this trusts none of that.

#![allow(clippy::disallowed_types, reason = "it reads the files of a run")]

use super::interrupt::Interrupt;
use super::plan::PEERS;
use super::run::{Ground, peer_name};
use crate::cli::failure::{Exit, Failure};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// How many downloaded files equal their originals: all that were planned.
///
/// # Errors
/// One is missing or different, or a signal came.
pub(super) fn verify(ground: &Ground<'_>, interrupt: &Interrupt) -> Result<u64, Failure> {
    let mut verified = 0;
    let mut wrong = Vec::new();
    for peer in 0..PEERS {
        for fetch in ground.plan.fetches(peer) {
            interrupt.check()?;
            let document = &ground.documents[fetch.document];
            match same_bytes(&document.path, &ground.share(peer).join(document.name.as_str())) {
                Ok(true) => verified += 1,
                Ok(false) => wrong.push(format!("{} of {} differs", document.name, peer_name(peer))),
                Err(error) => wrong.push(format!("{} of {}: {error}", document.name, peer_name(peer))),
            }
        }
    }
    let planned = ground.plan.downloads();
    match wrong.first() {
        None => Ok(verified),
        Some(first) => Err(Failure::new(
            Exit::Unverified,
            format!("only {verified} of {planned} downloaded files equal their originals; first: {first}"),
        )),
    }
}

fn same_bytes(left: &Path, right: &Path) -> io::Result<bool> {
    let (mut left, mut right) = (
        BufReader::new(File::open(left)?),
        BufReader::new(File::open(right)?),
    );
    loop {
        let (a, b) = (left.fill_buf()?, right.fill_buf()?);
        let common = a.len().min(b.len());
        if common == 0 || a[..common] != b[..common] {
            return Ok(a.is_empty() && b.is_empty());
        }
        left.consume(common);
        right.consume(common);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_more_less_or_other_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let text = vec![7_u8; 100_000];
        let original = write("original", &text);
        let mut other = text.clone();
        other[99_999] ^= 1;
        assert!(same_bytes(&original, &write("same", &text)).unwrap());
        assert!(!same_bytes(&original, &write("other", &other)).unwrap());
        assert!(!same_bytes(&original, &write("shorter", &text[..99_999])).unwrap());
        assert!(!same_bytes(&write("empty", b""), &original).unwrap());
        assert!(same_bytes(&original, &folder.path().join("none")).is_err());
    }
}
