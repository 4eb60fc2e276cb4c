//! How many threads an uplink has.

use super::*;

#[test]
fn there_are_so_many_threads_and_no_more() {
    let mut state = State::default();
    let width = state.lanes.width();
    for (threads, stuck, may) in [
        (width, 0, true),
        (width + 1, 0, false),
        (LANES_MAX - 1, LANES_MAX, true),
        (LANES_MAX, LANES_MAX, false),
    ] {
        state.threads = threads;
        assert_eq!(state.has_room_for_thread(stuck), may, "{threads} and {stuck}");
    }
}
