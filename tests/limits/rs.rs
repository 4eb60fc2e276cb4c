//! The bounds of the RS under attack and of the load generator, and who hits each.

use super::hits::Hit::{self, By, Not};

const ALLOWANCE: &str = "src/proto/allowance.rs";
const RS_LIMITS: &str = "src/proto/registration_tests/limits.rs";
const LEASES: &str = "src/proto/registration_tests/leases.rs";
const LOAD: &str = "tests/load.rs";
const LOAD_RANGE: &str = "numbers_of_a_load_are_bounded_and_the_bound_is_named";

/// One line a bound.
pub(crate) const HITS: &[(&str, Hit)] = &[
    (
        "RECORDS_MAX",
        By(RS_LIMITS, "all_peers_register_so_many_contents_and_no_more"),
    ),
    (
        "ADDRESS_JOINS",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "ADDRESS_JOINS_PER_SEC",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "ADDRESS_CHANGES",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "ADDRESS_CHANGES_PER_SEC",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "ADDRESS_ENTRIES",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "ADDRESS_ENTRIES_PER_SEC",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "QUESTION_ENTRIES",
        By(ALLOWANCE, "long_answers_count_by_what_they_name"),
    ),
    (
        "ADDRESS_REPORTS",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "ADDRESS_REPORTS_PER_SEC",
        By(ALLOWANCE, "an_address_has_so_much_and_others_have_their_own"),
    ),
    (
        "RATED_ADDRESSES_MAX",
        By(ALLOWANCE, "addresses_remembered_are_bounded_and_forgotten"),
    ),
    (
        "RS_CONNECTIONS_PER_ADDRESS_MAX",
        By(
            "tests/siege/forged.rs",
            "one_address_has_so_many_connections_and_joins",
        ),
    ),
    (
        "RS_IDLE",
        By(
            "src/net/rs_session.rs",
            "who_says_nothing_goes_in_time_and_who_has_asked_lately_stays",
        ),
    ),
    (
        "RS_HELD_BYTES_MAX",
        By(
            "tests/siege/memory.rs",
            "frames_that_are_never_finished_are_bounded_together",
        ),
    ),
    ("COUNTERS_MAX", By("tests/wire/bounds.rs", "lists_are_bounded")),
    (
        "COUNTER_NAME_BYTES_MAX",
        By("tests/wire/bounds.rs", "texts_are_bounded"),
    ),
    (
        "OFFLINE_PEERS_MAX",
        By(RS_LIMITS, "so_many_of_the_offline_are_named_and_all_are_counted"),
    ),
    (
        "WALL_CLOCK_JUMP",
        By(
            LEASES,
            "stamps_from_the_future_are_pulled_back_when_the_clock_is_trusted",
        ),
    ),
    (
        "WALL_CLOCK_TRUSTED_AFTER",
        By(
            LEASES,
            "stamps_from_the_future_are_pulled_back_when_the_clock_is_trusted",
        ),
    ),
    (
        "RS_LOG_LINES_PER_SEC_MAX",
        By("src/rs/events.rs", "a_flood_is_counted_and_not_written"),
    ),
    (
        "RS_WARNED_ADDRESSES_MAX",
        By(
            "src/rs/events.rs",
            "who_goes_on_after_a_warning_is_not_warned_of_again_for_a_while",
        ),
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
