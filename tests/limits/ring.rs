//! The bounds of the ring, and who hits each.

use super::hits::Hit::{self, By, Not};

const NODE: &str = "src/proto/chord_tests.rs";
const LIES: &str = "src/proto/chord_tests/lies.rs";
const RING: &str = "tests/ring.rs";
const RECORDS: &str = "tests/ring/records.rs";
const LINKS: &str = "src/net/ring_tests.rs";
const PLACED: &str = "src/proto/placed.rs";
const REST: &str = "a ring that comes to rest keeps its time";

/// One line a bound.
pub(crate) const HITS: &[(&str, Hit)] = &[
    (
        "RING_ID_BITS_MAX",
        By("src/ring.rs", "arithmetic_is_that_of_plain_numbers"),
    ),
    (
        "RING_SUCCESSORS",
        By(RING, "a_ring_of_another_shape_is_refused_with_both_shapes"),
    ),
    (
        "RING_SUCCESSORS_MAX",
        By("tests/wire/bounds.rs", "lists_are_bounded"),
    ),
    ("RING_VIEW_MAX", By(NODE, "views_come_from_members_and_grow")),
    (
        "RING_REPLICAS",
        By(RECORDS, "records_outlive_those_that_keep_them"),
    ),
    (
        "RING_GIVERS_MAX",
        By(LIES, "strangers_make_a_node_ask_and_remember_only_so_much"),
    ),
    ("RING_HINTS_MAX", By(LIES, "a_lookup_keeps_only_so_many_in_mind")),
    (
        "RING_SHRINK_WAIT",
        Not("rings that shrink earlier would do so rightly most of the time; the wait is for late messages"),
    ),
    ("RING_STABILIZE", Not(REST)),
    (
        "RING_ANSWER",
        By(NODE, "a_silent_node_is_asked_so_often_and_then_gone"),
    ),
    (
        "RING_TRIES_MAX",
        By(NODE, "a_silent_node_is_asked_so_often_and_then_gone"),
    ),
    (
        "RING_BUSY_WAIT",
        By(NODE, "a_busy_owner_is_asked_later_and_later_and_the_lookup_fails"),
    ),
    (
        "RING_BUSY_MAX",
        By(NODE, "a_busy_owner_is_asked_later_and_later_and_the_lookup_fails"),
    ),
    ("RING_IDS_PER_HOST", By(RING, "a_host_has_only_so_many_nodes")),
    ("RING_STEPS_MAX", By(NODE, "lookups_that_are_led_astray_end")),
    (
        "RING_WALK_MAX",
        Not("the same for the naive ring, and a hundred thousand steps"),
    ),
    (
        "RING_NEARER_MAX",
        By(NODE, "a_node_remembers_names_and_looks_up_only_so_much"),
    ),
    (
        "RING_CONTACTS_MAX",
        By(NODE, "a_node_remembers_names_and_looks_up_only_so_much"),
    ),
    (
        "RING_NOTIFIED_MAX",
        By(NODE, "a_node_remembers_names_and_looks_up_only_so_much"),
    ),
    (
        "RING_LOOKUPS_MAX",
        By(NODE, "a_node_remembers_names_and_looks_up_only_so_much"),
    ),
    (
        "RING_JOIN_WAIT",
        By(NODE, "a_newcomer_that_is_not_taken_in_asks_again"),
    ),
    (
        "RING_LEAVE_WAIT",
        By(RECORDS, "who_leaves_does_not_wait_for_ever"),
    ),
    (
        "RING_PAGE_RECORDS_MAX",
        By("tests/wire/bounds.rs", "lists_are_bounded"),
    ),
    ("RING_CLAIMS_MAX", By(RECORDS, "a_node_keeps_no_more_than_it_may")),
    (
        "RING_CLAIMS_PER_HOLDER_MAX",
        By(RECORDS, "a_node_keeps_no_more_than_it_may"),
    ),
    (
        "RING_AUDIT",
        Not("records and rings that find each other show that it comes"),
    ),
    (
        "RING_STRAYS",
        By(RING, "halves_become_one_ring_again_and_no_record_is_lost"),
    ),
    ("RING_AUDIT_KEYS", Not("how many at once; what is left is next")),
    (
        "RING_STORE_TRIES_MAX",
        Not("an owner that is never the owner takes two that disagree for long"),
    ),
    (
        "RING_FETCH_PAGES_MAX",
        Not("4,096 contents of one name or id, of which a listing shows fewer"),
    ),
    (
        "RING_LINKS_MAX",
        By(LINKS, "a_node_has_so_many_links_and_no_more"),
    ),
    (
        "RING_LINK_QUEUE_MAX",
        By(LINKS, "so_many_questions_wait_for_one_link_and_no_more"),
    ),
    ("RING_LINK_IDLE", By(LINKS, "a_link_that_is_of_no_use_ends")),
    (
        "RING_COMMAND_WAIT",
        By(LINKS, "nobody_waits_for_ever_for_what_becomes_of_a_command"),
    ),
    (
        "RING_RENEW",
        By(
            "src/peer/publish.rs",
            "shares_are_renewed_before_the_ring_forgets_them",
        ),
    ),
    (
        "RING_PLACED_MAX",
        By(PLACED, "no_more_is_kept_than_there_is_room_for"),
    ),
    (
        "RING_PLACED_GIB_MAX",
        By(
            "tests/chord/placed.rs",
            "a_node_without_room_says_so_and_the_others_keep_the_file",
        ),
    ),
    ("RING_PLACED_DISK_PART", By(PLACED, "the_disk_is_the_users")),
    (
        "RING_PLACED_WAITING_MAX",
        By(PLACED, "what_waits_is_bounded_and_tried_so_often"),
    ),
    (
        "RING_PLACED_TRIES_MAX",
        By(PLACED, "what_waits_is_bounded_and_tried_so_often"),
    ),
    ("RING_PUT_WAIT", Not("ten minutes of a file that comes slowly")),
    (
        "RING_OFFERS_MAX",
        By(
            "tests/chord/hostile.rs",
            "an_owner_that_is_none_is_not_asked_for_ever",
        ),
    ),
    (
        "SIMULATED_RING_NODES_MAX",
        Not("refused as every number out of range"),
    ),
    (
        "SIMULATED_LOOKUPS_MAX",
        Not("refused as every number out of range"),
    ),
];
