//! Generated parts of the specifications of the registry and the index: operations, refusals, bounds.

use crate::block::row;
use crate::bounds::{assert_specified, limits_of, refusals_if};
use p2pdi::limits::*;
use p2pdi::time::Span;
use p2pdi::wire::{Refusal, TABLE};

const fn secs(span: Span) -> u64 {
    span.as_secs()
}

/// Bounds and timers of the registry; those that are spans, in seconds.
pub(crate) const REGISTRY_BOUNDS: &[(&str, u64)] = &[
    ("LEASE_SECS", LEASE_SECS as u64),
    ("KEEP_ALIVE", secs(KEEP_ALIVE)),
    ("REJOIN_WAIT", secs(REJOIN_WAIT)),
    ("SILENCE_BEFORE_PROBE", secs(SILENCE_BEFORE_PROBE)),
    ("PROBE_TIMEOUT", secs(PROBE_TIMEOUT)),
    ("PROBE_INTERVAL_MIN", secs(PROBE_INTERVAL_MIN)),
    ("PROBES_WAITING_MAX", PROBES_WAITING_MAX as u64),
    ("REGISTRATIONS_DAYS", REGISTRATIONS_DAYS.unsigned_abs()),
    ("REGISTRATIONS_KEPT_MAX", REGISTRATIONS_KEPT_MAX as u64),
    ("WALL_CLOCK_JUMP", secs(WALL_CLOCK_JUMP)),
    ("WALL_CLOCK_TRUSTED_AFTER", secs(WALL_CLOCK_TRUSTED_AFTER)),
    ("PEERS_MAX", PEERS_MAX as u64),
    ("ADDRESS_JOINS", ADDRESS_JOINS),
    ("ADDRESS_JOINS_PER_SEC", ADDRESS_JOINS_PER_SEC),
    ("ADDRESS_CHANGES", ADDRESS_CHANGES),
    ("ADDRESS_CHANGES_PER_SEC", ADDRESS_CHANGES_PER_SEC),
    ("ADDRESS_ENTRIES", ADDRESS_ENTRIES),
    ("ADDRESS_ENTRIES_PER_SEC", ADDRESS_ENTRIES_PER_SEC),
    ("QUESTION_ENTRIES", QUESTION_ENTRIES),
    ("ADDRESS_REPORTS", ADDRESS_REPORTS),
    ("ADDRESS_REPORTS_PER_SEC", ADDRESS_REPORTS_PER_SEC),
    ("RATED_ADDRESSES_MAX", RATED_ADDRESSES_MAX as u64),
];

/// Bounds and timers of the index; those that are spans, in seconds.
pub(crate) const INDEX_BOUNDS: &[(&str, u64)] = &[
    ("RECORDS_PER_PEER_MAX", RECORDS_PER_PEER_MAX as u64),
    ("RECORDS_MAX", RECORDS_MAX as u64),
    ("HOLDERS_PER_LISTING_MAX", HOLDERS_PER_LISTING_MAX as u64),
    ("PAGE_ENTRIES_MAX", PAGE_ENTRIES_MAX as u64),
    ("PAGES_MAX", PAGES_MAX as u64),
    ("RESCAN", secs(RESCAN)),
    ("GOSSIP_ROUND", secs(GOSSIP_ROUND)),
    ("LEARNED_CONTENTS_MAX", LEARNED_CONTENTS_MAX as u64),
    ("LEARNED_HOLDERS_MAX", LEARNED_HOLDERS_MAX as u64),
];

/// The PDUs of these letters.
pub(crate) fn operations(letters: &[u8]) -> String {
    let widths = &[6, 14, 45];
    let mut out = row(widths, &["letter", "name", "meaning"]);
    for letter in letters {
        for pdu in TABLE.iter().filter(|pdu| pdu.letter == *letter) {
            out += &row(
                widths,
                &[&char::from(*letter).to_string(), pdu.name, pdu.doc.trim()],
            );
        }
    }
    out
}

pub(crate) fn registry_operations() -> String {
    operations(b"JLKPBsA")
}

pub(crate) fn index_operations() -> String {
    operations(b"RTSOI")
}

pub(crate) fn refusals(wanted: &[Refusal]) -> String {
    refusals_if(|code| wanted.iter().any(|refusal| refusal.code() == code))
}

pub(crate) fn registry_refusals() -> String {
    use Refusal::*;
    refusals(&[BadCookie, StaleNumber, UseTcp, LimitReached, NotServed, Busy])
}

pub(crate) fn index_refusals() -> String {
    use Refusal::*;
    refusals(&[NotFound, NameTaken, UseTcp, LimitReached])
}

pub(crate) fn registry_limits() -> String {
    limits_of(REGISTRY_BOUNDS)
}

pub(crate) fn index_limits() -> String {
    limits_of(INDEX_BOUNDS)
}

/// Every bound that the code lists for the RS's records stands in one of the two specifications.
#[test]
fn every_bound_of_the_records_is_specified() {
    // How the RS's process is built is no matter of the protocol; tokens are the wire's.
    let process = |name: &str| name.starts_with("RS_") || matches!(name, "LISTEN_BACKLOG" | "TOKEN_PERIOD");
    let specified = REGISTRY_BOUNDS.iter().chain(INDEX_BOUNDS);
    assert_specified("the registration server", |name| !process(name), specified);
}
