//! The bounds of the RS's store and of its datagrams, and who hits each.

use super::hits::Hit::{self, By, Not};

/// One line a bound.
pub(crate) const HITS: &[(&str, Hit)] = &[
    (
        "RS_HELD_ANSWERS_MAX",
        Not("whoever is dropped asks again, as after any lost datagram; tests/acceptance.rs loses them"),
    ),
    (
        "RS_CHANGES_WAITING_MAX",
        By("src/storage/commits.rs", "a_store_that_does_not_keep_up_is_full"),
    ),
    (
        "RS_UDP_THREADS",
        Not("how many threads there are, and no bound on others"),
    ),
    (
        "RS_UDP_BATCH_MAX",
        By(
            "tests/durable/datagrams.rs",
            "more_datagrams_than_a_batch_are_all_answered",
        ),
    ),
    (
        "RS_COMPACT_BYTES_MIN",
        By("src/storage/disk_tests.rs", "what_was_deleted_leaves_the_file"),
    ),
];
