//! The bounds of the RS under attack and of the load generator, and who hits each.

use super::hits::Hit::{self, By, Not};

const LOAD: &str = "tests/load.rs";
const LOAD_RANGE: &str = "numbers_of_a_load_are_bounded_and_the_bound_is_named";

/// One line a bound.
pub(crate) const HITS: &[(&str, Hit)] = &[
    ("COUNTERS_MAX", By("tests/wire/bounds.rs", "lists_are_bounded")),
    (
        "COUNTER_NAME_BYTES_MAX",
        By("tests/wire/bounds.rs", "texts_are_bounded"),
    ),
    (
        "RS_LOG_LINES_PER_SEC_MAX",
        By("src/rs/events.rs", "a_flood_is_counted_and_not_written"),
    ),
    ("LOAD_THREADS_MAX", By(LOAD, LOAD_RANGE)),
    ("LOAD_CONNECTIONS_MAX", By(LOAD, LOAD_RANGE)),
    ("LOAD_WINDOW_MAX", By(LOAD, LOAD_RANGE)),
    ("LOAD_SECS_MAX", By(LOAD, LOAD_RANGE)),
    ("LOAD_RATE_MAX", By(LOAD, LOAD_RANGE)),
    ("LOAD_CONTENTS_MAX", By(LOAD, LOAD_RANGE)),
    ("LOAD_LATENCY_MAX", Not("what is longer is told as this long")),
    ("LOAD_DRAIN", Not("how long a load waits, and no bound on others")),
    ("LOAD_SETUP", Not("how long a load waits, and no bound on others")),
];
