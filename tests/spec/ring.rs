//! Generated parts of the specification of the ring.

use crate::block::row;
use crate::bounds::{assert_specified, limits_of};
use crate::machines;
use p2pdi::limits::*;
use p2pdi::sim::ring::{measured_settings, paths as measured};
use p2pdi::time::Span;
use p2pdi::wire::Refusal;

const fn millis(span: Span) -> u64 {
    span.0 / 1_000
}

/// Bounds and timers of the ring; those that are spans, in milliseconds.
pub(crate) const RING_BOUNDS: &[(&str, u64)] = &[
    ("RING_ID_BITS_MAX", RING_ID_BITS_MAX as u64),
    ("RING_SUCCESSORS", RING_SUCCESSORS as u64),
    ("RING_SUCCESSORS_MAX", RING_SUCCESSORS_MAX as u64),
    ("RING_VIEW_MAX", RING_VIEW_MAX as u64),
    ("RING_REPLICAS", RING_REPLICAS as u64),
    ("RING_STABILIZE", millis(RING_STABILIZE)),
    ("RING_ANSWER", millis(RING_ANSWER)),
    ("RING_TRIES_MAX", RING_TRIES_MAX as u64),
    ("RING_BUSY_WAIT", millis(RING_BUSY_WAIT)),
    ("RING_BUSY_MAX", RING_BUSY_MAX as u64),
    ("RING_IDS_PER_HOST", RING_IDS_PER_HOST as u64),
    ("RING_STEPS_MAX", RING_STEPS_MAX as u64),
    ("RING_WALK_MAX", RING_WALK_MAX as u64),
    ("RING_HINTS_MAX", RING_HINTS_MAX as u64),
    ("RING_NEARER_MAX", RING_NEARER_MAX as u64),
    ("RING_CONTACTS_MAX", RING_CONTACTS_MAX as u64),
    ("RING_SHRINK_WAIT", millis(RING_SHRINK_WAIT)),
    ("RING_JOIN_WAIT", millis(RING_JOIN_WAIT)),
    ("RING_LEAVE_WAIT", millis(RING_LEAVE_WAIT)),
    ("RING_NOTIFIED_MAX", RING_NOTIFIED_MAX as u64),
    ("RING_GIVERS_MAX", RING_GIVERS_MAX as u64),
    ("RING_LOOKUPS_MAX", RING_LOOKUPS_MAX as u64),
    ("RING_PAGE_RECORDS_MAX", RING_PAGE_RECORDS_MAX as u64),
    ("RING_CLAIMS_MAX", RING_CLAIMS_MAX as u64),
    ("RING_CLAIMS_PER_HOLDER_MAX", RING_CLAIMS_PER_HOLDER_MAX as u64),
    ("RING_AUDIT", millis(RING_AUDIT)),
    ("RING_STRAYS", millis(RING_STRAYS)),
    ("RING_AUDIT_KEYS", RING_AUDIT_KEYS as u64),
    ("RING_STORE_TRIES_MAX", RING_STORE_TRIES_MAX as u64),
    ("RING_FETCH_PAGES_MAX", RING_FETCH_PAGES_MAX as u64),
    ("RING_RENEW", millis(RING_RENEW)),
    ("RING_PLACED_MAX", RING_PLACED_MAX as u64),
    ("RING_PLACED_GIB_MAX", RING_PLACED_GIB_MAX),
    ("RING_PLACED_DISK_PART", RING_PLACED_DISK_PART),
    ("RING_PLACED_WAITING_MAX", RING_PLACED_WAITING_MAX as u64),
    ("RING_PLACED_TRIES_MAX", RING_PLACED_TRIES_MAX as u64),
    ("RING_PUT_WAIT", millis(RING_PUT_WAIT)),
    ("RING_OFFERS_MAX", RING_OFFERS_MAX as u64),
    ("RING_LINKS_MAX", RING_LINKS_MAX as u64),
    ("RING_LINK_QUEUE_MAX", RING_LINK_QUEUE_MAX as u64),
    ("RING_COMMAND_WAIT", millis(RING_COMMAND_WAIT)),
    ("RING_LINK_IDLE", millis(RING_LINK_IDLE)),
];

pub(crate) fn operations() -> String {
    machines::operations(b"YZ")
}

pub(crate) fn refusals() -> String {
    use Refusal::*;
    machines::refusals(&[
        NotMember,
        RingBusy,
        OtherRing,
        IdTaken,
        NotOwner,
        LimitReached,
        BadCookie,
    ])
}

pub(crate) fn limits() -> String {
    limits_of(RING_BOUNDS)
}

/// Simulated lookups beside the law.
pub(crate) fn paths() -> String {
    let widths = &[8, 10, 12, 8];
    let mut out = row(widths, &["nodes", "mean hops", "log2(N) / 2", "part"]);
    let settings = measured_settings(1, true).expect("a circle");
    for exponent in [4, 6, 8, 10] {
        let nodes = 1_usize << exponent;
        let rings: u64 = if nodes < 512 { 10 } else { 2 };
        let means = (0..rings).map(|seed| measured(settings, nodes, 500, true, seed).mean_hops());
        let mean = means.sum::<f64>() / f64::from(u32::try_from(rings).expect("few"));
        let law = f64::from(exponent) / 2.0;
        out += &row(
            widths,
            &[
                &nodes.to_string(),
                &format!("{mean:.2}"),
                &format!("{law:.2}"),
                &format!("{:.3}", mean / law),
            ],
        );
    }
    out
}

/// Every bound of the ring stands in its specification.
#[test]
fn every_bound_of_the_ring_is_specified() {
    assert_specified("the ring", |_| true, RING_BOUNDS.iter());
}
