//! The bounds of names, frames, the RS, the index and the transfer, and who hits each.

/// Who hits a bound.
pub(crate) enum Hit {
    /// A test: its file and name.
    By(&'static str, &'static str),
    /// Nobody, and why.
    Not(&'static str),
}
use Hit::{By, Not};

const UPLINK: &str = "src/proto/transfer/uplink.rs";
const TAKE: &str = "src/proto/transfer/take_tests.rs";
const BATCH: &str = "src/proto/transfer/batch_tests.rs";
const HASHERS: &str = "src/storage/hashers_tests.rs";
const WIRE: &str = "tests/wire/bounds.rs";
const STUCK: &str = "tests/hostile/stuck.rs";
const LIARS: &str = "tests/liars.rs";
const CROWD: &str = "tests/hostile/crowd.rs";
const CLI: &str = "tests/hostile/cli.rs";
const LANES: &str = "src/proto/transfer/lanes_tests.rs";
const DEPARTURES: &str = "src/proto/transfer/departures.rs";
const HEADWAY: &str = "src/proto/transfer/headway.rs";
const HERE: &str = "tests/limits.rs";
const RS_LIMITS: &str = "src/proto/registration_tests/limits.rs";
const RS_LEASES: &str = "src/proto/registration_tests/leases.rs";
const RS_PROBES: &str = "src/proto/registration_tests/probes.rs";
const INDEX_LIMITS: &str = "src/proto/index_tests/limits.rs";

/// One line a bound.
pub(crate) const HITS: &[(&str, Hit)] = &[
    (
        "COMPONENT_BYTES_MAX",
        By(WIRE, "components_of_a_name_are_bounded"),
    ),
    ("NAME_BYTES_MAX", By(WIRE, "texts_are_bounded")),
    ("PEER_NAME_BYTES_MAX", By(WIRE, "texts_are_bounded")),
    ("HOST_BYTES_MAX", By(WIRE, "texts_are_bounded")),
    (
        "TITLE_BYTES_MAX",
        By(HERE, "headings_are_read_and_cut_within_their_bounds"),
    ),
    ("MEDIA_TYPE_BYTES_MAX", By(WIRE, "texts_are_bounded")),
    (
        "ID_PREFIX_DIGITS_MIN",
        By("src/locate.rs", "requests_read_as_users_mean_them"),
    ),
    ("OS_BYTES_MAX", By(WIRE, "texts_are_bounded")),
    (
        "ERROR_TEXT_BYTES_MAX",
        By(WIRE, "texts_that_explain_are_cut_at_a_characters_border"),
    ),
    (
        "DATAGRAM_BYTES_MAX",
        By(
            "tests/hostile/frames.rs",
            "a_thousand_malformed_datagrams_at_the_rs",
        ),
    ),
    ("CHUNK_BYTES_MAX", By(WIRE, "chunks_and_have_maps_are_bounded")),
    ("FRAME_BYTES_MAX", By(WIRE, "frames_are_bounded")),
    ("HOLDERS_PER_LISTING_MAX", By(WIRE, "lists_are_bounded")),
    ("PAGE_ENTRIES_MAX", By(WIRE, "lists_are_bounded")),
    ("MANIFEST_PAGE_PIECES_MAX", By(WIRE, "lists_are_bounded")),
    ("HAVE_MAP_BYTES_MAX", By(WIRE, "chunks_and_have_maps_are_bounded")),
    ("PIECES_PER_FRAME_MAX", By(WIRE, "lists_are_bounded")),
    ("PIECE_BYTES_MIN", By("src/id.rs", "pieces_grow_with_the_content")),
    ("PIECE_BYTES_MAX", By("src/id.rs", "pieces_grow_with_the_content")),
    (
        "PIECES_TARGET_MAX",
        By("src/id.rs", "pieces_grow_with_the_content"),
    ),
    (
        "LEASE_SECS",
        By(RS_LEASES, "a_lease_ends_at_zero_though_no_timer_ran"),
    ),
    (
        "KEEP_ALIVE",
        By(
            "src/proto/membership_tests.rs",
            "it_joins_registers_keeps_alive_and_leaves",
        ),
    ),
    (
        "SILENCE_BEFORE_PROBE",
        By(RS_PROBES, "silence_leads_to_a_probe_and_speech_puts_it_off"),
    ),
    (
        "PROBE_TIMEOUT",
        Not("an address that swallows packets is not to be had on every machine"),
    ),
    ("PROBE_INTERVAL_MIN", By(RS_PROBES, "probes_are_no_weapon")),
    ("PROBES_WAITING_MAX", By(RS_PROBES, "probes_waiting_are_bounded")),
    (
        "REGISTRATIONS_DAYS",
        By(RS_LEASES, "registrations_are_counted_over_thirty_days"),
    ),
    (
        "REGISTRATIONS_KEPT_MAX",
        By(RS_LIMITS, "registrations_are_counted_up_to_a_bound"),
    ),
    ("PEERS_MAX", By(RS_LIMITS, "the_longest_inactive_makes_room")),
    (
        "RECORDS_PER_PEER_MAX",
        By(RS_LIMITS, "a_peer_registers_so_many_contents_and_no_more"),
    ),
    ("RS_WORKERS", Not("a default, and no bound")),
    (
        "RS_WORKERS_MAX",
        By(HERE, "thread_counts_are_bounded_and_the_bound_is_named"),
    ),
    (
        "RS_CONNECTIONS_MAX",
        By(CROWD, "at_the_cap_the_longest_idle_goes"),
    ),
    ("RS_PROBERS", Not("how many threads work, and no bound on others")),
    (
        "RS_ANSWERS_WAITING_BYTES_MAX",
        By(STUCK, "who_asks_and_never_reads_costs_the_rs_a_bounded_buffer"),
    ),
    (
        "LISTEN_BACKLOG",
        Not("the kernel's to keep, and it may keep less"),
    ),
    (
        "TOKEN_PERIOD",
        By("src/proto/token.rs", "tokens_belong_to_an_address_and_end"),
    ),
    (
        "FRAME_DEADLINE",
        By(STUCK, "the_silent_in_the_middle_are_dropped"),
    ),
    (
        "HELLO_DEADLINE",
        By(STUCK, "the_silent_in_the_middle_are_dropped"),
    ),
    (
        "SEND_DEADLINE",
        Not("two minutes; what it must not cost others: who_never_reads_costs_a_peer_one_thread"),
    ),
    (
        "CONTROL_DEADLINE",
        Not("it takes a holder whose socket is full of nothing but control frames"),
    ),
    ("PEER_IDLE", Not("two minutes of silence")),
    (
        "CONNECT_TIMEOUT",
        Not("an address that swallows packets is not to be had on every machine"),
    ),
    (
        "DESCRIPTORS_KEPT",
        By(CROWD, "an_rs_out_of_descriptors_lets_the_idle_go"),
    ),
    (
        "ANSWER_TIMEOUT",
        By(STUCK, "the_silent_in_the_middle_are_dropped"),
    ),
    (
        "PEER_CONNECTIONS",
        By(
            "tests/hostile/busy.rs",
            "a_peer_at_its_cap_says_so_and_get_goes_to_the_next_holder",
        ),
    ),
    (
        "PEER_CONNECTIONS_MAX",
        By(HERE, "thread_counts_are_bounded_and_the_bound_is_named"),
    ),
    ("RETRY_FIRST", By(HERE, "an_rs_that_never_answers_is_given_up")),
    ("RETRY_MAX", By(HERE, "an_rs_that_never_answers_is_given_up")),
    ("TRIES_MAX", By(HERE, "an_rs_that_never_answers_is_given_up")),
    (
        "STALL",
        By(TAKE, "a_stalled_holder_loses_its_pieces_and_then_its_place"),
    ),
    (
        "STALL_GIVE_UP",
        By(TAKE, "a_stalled_holder_loses_its_pieces_and_then_its_place"),
    ),
    (
        "HOLDER_RETRY",
        By("tests/failures.rs", "a_holder_that_comes_back_is_tried_again"),
    ),
    (
        "HEADWAY",
        By(
            HEADWAY,
            "while_no_piece_counts_others_are_looked_for_less_and_less_often",
        ),
    ),
    ("HOPE_LOST", By(TAKE, "what_nobody_has_or_hopes_for_is_given_up")),
    (
        "HOPE_WORD",
        By(
            "src/proto/transfer/give.rs",
            "who_waits_for_nothing_is_told_so_now_and_then",
        ),
    ),
    (
        "SLOW_PIECE",
        By(
            TAKE,
            "a_holder_that_has_become_slow_is_relieved_though_it_is_not_silent",
        ),
    ),
    ("WINDOW_SPAN", By(TAKE, "a_fast_holder_gets_a_wider_window")),
    ("WINDOW_PIECES_MAX", By(TAKE, "a_fast_holder_gets_a_wider_window")),
    (
        "ANNOUNCED_MAX",
        By(LIARS, "who_announces_without_end_what_is_here_is_a_liar"),
    ),
    (
        "UNNEEDED_PIECES_MAX",
        By(LIARS, "who_takes_back_all_that_it_begins_is_given_up"),
    ),
    (
        "TURN_FOR_ALL",
        By(
            UPLINK,
            "who_has_least_goes_first_and_cannot_take_every_turn_by_saying_so",
        ),
    ),
    (
        "TURN_FOR_UNKNOWN",
        By(UPLINK, "a_source_has_most_of_its_turns_for_those_it_knows"),
    ),
    (
        "PIECES_ON_TRUST",
        By(UPLINK, "who_gives_is_served_first_and_nobody_starves"),
    ),
    (
        "PIECES_PER_GIVEN",
        By(UPLINK, "who_gives_is_served_first_and_nobody_starves"),
    ),
    (
        "RELAY_PATIENCE",
        By(
            "src/proto/transfer/give.rs",
            "a_relay_leaves_a_piece_to_whoever_got_it_first",
        ),
    ),
    (
        "RELAY_PATIENCE_MAX",
        By(
            "src/proto/transfer/give.rs",
            "a_relay_whose_help_is_wasted_waits_longer",
        ),
    ),
    (
        "ANNOUNCE_AHEAD",
        By(LANES, "an_uplink_that_is_full_is_not_shared_by_more"),
    ),
    (
        "ANNOUNCE_BYTES_FIRST",
        By(LANES, "an_uplink_that_is_full_is_not_shared_by_more"),
    ),
    ("SETTLED_WAIT", Not("it changes only how soon holders know")),
    (
        "SETTLED_TOGETHER_MAX",
        Not("it changes only how soon holders know"),
    ),
    (
        "ANNOUNCED_BEFORE",
        By(DEPARTURES, "a_piece_does_not_go_before_its_time"),
    ),
    (
        "WORD_TO_WAITING",
        By(TAKE, "who_has_only_announced_a_piece_may_let_it_wait"),
    ),
    ("LANES_TRIAL", By(LANES, "slow_getters_are_sent_to_together")),
    ("LANES_TRIAL_AGAIN", By(LANES, "what_was_wide_gets_narrow_again")),
    (
        "LANES_TRIAL_AGAIN_MAX",
        By(LANES, "trials_that_do_not_help_become_rare"),
    ),
    (
        "LANE_LOOK_MAX",
        By(LANES, "what_waits_in_the_queue_keeps_its_lane"),
    ),
    (
        "LANE_LOOK_MIN",
        By(LANES, "what_waits_in_the_queue_keeps_its_lane"),
    ),
    (
        "UPLINK_PAUSE",
        By(LANES, "a_slow_uplink_that_was_idle_stays_narrow"),
    ),
    (
        "STEP_SPAN",
        By(LANES, "what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck"),
    ),
    (
        "STEP_BYTES_FIRST",
        By(LANES, "what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck"),
    ),
    (
        "STEP_BYTES_MIN",
        By(LANES, "what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck"),
    ),
    ("LANE_TAIL", By(LANES, "what_waits_in_the_queue_keeps_its_lane")),
    (
        "LANES_FLOOR_MAX",
        By(LANES, "lanes_hold_together_what_a_small_queue_takes"),
    ),
    (
        "LANES_SPAN",
        By(LANES, "lanes_hold_together_what_a_small_queue_takes"),
    ),
    (
        "LANES_TRIAL_MAX",
        By(LANES, "large_pieces_on_a_slow_uplink_are_not_begun_for_a_trial"),
    ),
    (
        "LANES_TRIAL_BYTES",
        By(LANES, "an_uplink_that_is_full_is_not_shared_by_more"),
    ),
    (
        "LANE_STUCK",
        By("tests/uplink.rs", "who_takes_nothing_holds_up_nobody_else"),
    ),
    (
        "LANES_MAX",
        By("src/net/uplink_tests.rs", "there_are_so_many_threads_and_no_more"),
    ),
    (
        "SOURCES_MAX",
        By("tests/pieces.rs", "more_holders_than_are_asked_at_once"),
    ),
    (
        "HEARD_HOLDERS_MAX",
        By(LIARS, "who_names_a_crowd_keeps_nobody_from_whom_the_index_names"),
    ),
    (
        "TWO_STREAMS_BYTES",
        Not("it changes only how fast a content comes"),
    ),
    (
        "OFFERS_KEPT_MAX",
        By("tests/shares.rs", "so_many_contents_stay_mapped_and_no_more"),
    ),
    (
        "SPLICE_BYTES_MIN",
        By("src/storage/mapped.rs", "prefix_and_bytes_arrive_in_order"),
    ),
    (
        "CONDUIT_BYTES",
        By("src/storage/mapped.rs", "prefix_and_bytes_arrive_in_order"),
    ),
    (
        "UNSENT_BYTES_MAX",
        By(LANES, "what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck"),
    ),
    (
        "UNSENT_BYTES_MIN",
        By(LANES, "what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck"),
    ),
    (
        "SMALL_BYTES_MAX",
        By("tests/small.rs", "small_files_come_in_numbers"),
    ),
    ("SMALL_READ_BYTES", Not("it changes only how fast they come")),
    ("SMALL_AHEAD_MAX", By(BATCH, "so_many_and_so_much_is_asked_ahead")),
    (
        "SMALL_AHEAD_BYTES_MAX",
        By(BATCH, "so_many_and_so_much_is_asked_ahead"),
    ),
    ("SMALL_AHEAD_SPAN", By(BATCH, "the_quick_get_more_of_the_list")),
    (
        "SMALL_RATE_MIN",
        By("src/fetch/lane.rs", "who_drips_is_waited_for_so_long"),
    ),
    (
        "SMALL_GROUP_FILES",
        By("tests/small.rs", "small_files_come_in_numbers"),
    ),
    (
        "RESCAN_SPARING",
        By("src/peer/mod.rs", "looks_that_take_long_are_rare"),
    ),
    (
        "RESCAN_MAX",
        By("src/peer/mod.rs", "looks_that_take_long_are_rare"),
    ),
    (
        "LOOK_WHOLE",
        By(
            "src/peer/look_tests.rs",
            "where_nothing_has_changed_a_glance_is_enough",
        ),
    ),
    (
        "RESCAN",
        By(
            "tests/ordeal/changes.rs",
            "files_that_change_while_eight_peers_fetch_them",
        ),
    ),
    (
        "REJOIN_WAIT",
        By(CLI, "a_peer_waits_for_an_rs_that_is_not_there_yet"),
    ),
    (
        "RS_SILENT",
        By("tests/failures.rs", "an_rs_that_hangs_holds_up_no_list_of_files"),
    ),
    (
        "GOSSIP_ROUND",
        By(
            "src/proto/index_tests/gossip.rs",
            "the_dead_die_everywhere_and_the_living_stay",
        ),
    ),
    (
        "LEARNED_CONTENTS_MAX",
        By(
            INDEX_LIMITS,
            "contents_remembered_are_bounded_and_the_first_to_end_goes",
        ),
    ),
    (
        "LEARNED_HOLDERS_MAX",
        By(INDEX_LIMITS, "holders_remembered_for_a_content_are_bounded"),
    ),
    ("PAGES_MAX", By(HERE, "a_listing_without_end_ends")),
    ("HASH_THREADS_MAX", By(HASHERS, "threads_are_bounded")),
    ("HASH_STRETCH_BYTES", By(HASHERS, "threads_are_bounded")),
    (
        "HASH_CACHE_BYTES_MAX",
        By("src/storage/hash_cache_tests.rs", "it_takes_so_much_and_no_more"),
    ),
    (
        "HEADING_BYTES",
        By(HERE, "headings_are_read_and_cut_within_their_bounds"),
    ),
    (
        "TREE_BYTES_MAX",
        By("src/fetch/lane.rs", "a_tree_may_be_so_long_and_no_longer"),
    ),
    (
        "PACE_STEP",
        By("src/proto/pace.rs", "a_busy_link_carries_its_rate_and_no_more"),
    ),
    (
        "PACE_STEP_BYTES_MIN",
        By("src/proto/pace.rs", "steps_stay_within_a_frame"),
    ),
    ("SIMULATED_PEERS_MAX", Not("refused as every number out of range")),
    (
        "SIMULATED_PIECES_MAX",
        Not("refused as every number out of range"),
    ),
    (
        "WORDS_WAITING_MAX",
        By("tests/uplink.rs", "who_reads_nothing_is_cut_off"),
    ),
    (
        "TURN_WAIT_MAX",
        By(HEADWAY, "words_without_bytes_count_for_so_long"),
    ),
];
