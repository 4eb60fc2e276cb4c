//! How many getters an uplink sends to, with virtual time.

use super::*;
use crate::limits::{PIECE_BYTES_MAX, PIECE_BYTES_MIN};

/// The greatest width within so many seconds at an uplink, when each getter takes so much of it at most.
fn width(uplink: u64, getter: u64, secs: u64) -> (usize, Lanes) {
    width_of_pieces(PIECE_BYTES_MIN, uplink, getter, secs)
}

/// All lanes go on.
fn taken(lanes: &Lanes, piece_bytes: u64) -> Taken {
    Taken {
        bytes: 65_536,
        piece_bytes,
        sending: lanes.width(),
        contended: true,
    }
}

fn all_arrived_but(unacked_bytes: u64) -> OnTheWay {
    OnTheWay {
        unacked_bytes,
        round_trip: Span::ZERO,
    }
}

/// One lane more than there may be goes on.
fn more_than_it_may(lanes: &mut Lanes, now: Instant) {
    let taken = Taken {
        sending: lanes.width() + 1,
        ..taken(lanes, PIECE_BYTES_MIN)
    };
    lanes.sent(now, taken, || all_arrived_but(0));
}

/// What they take is on the way no longer.
fn sent(lanes: &mut Lanes, now: Instant, piece_bytes: u64, contended: bool) {
    let taken = Taken {
        contended,
        ..taken(lanes, piece_bytes)
    };
    lanes.sent(now, taken, || all_arrived_but(0));
}

fn width_of_pieces(piece_bytes: u64, uplink: u64, getter: u64, secs: u64) -> (usize, Lanes) {
    // It has been idle for a minute.
    let (mut lanes, mut now) = (Lanes::default(), Instant(60_000_000));
    let (mut widest, end) = (0, now.after(Span::from_secs(secs)));
    while now < end {
        let rate = uplink.min(getter * lanes.width() as u64);
        now = now.after(Span(65_536 * 1_000_000 / rate));
        sent(&mut lanes, now, piece_bytes, true);
        widest = widest.max(lanes.width());
    }
    (widest, lanes)
}

#[test]
fn an_uplink_that_is_full_is_not_shared_by_more() {
    let (widest, lanes) = width(12_500_000, 12_500_000, 20);
    assert_eq!(widest, 5, "fewer move as much: no more are tried");
    let tries = matches!(lanes.trial, Some(Trial::Narrower(5, _)));
    assert!(lanes.width() == 5 || tries, "{lanes:?}");
    assert_eq!(Lanes::default().lead_bytes(), ANNOUNCE_BYTES_FIRST);
    let ahead = lanes.lead_bytes() / 1_000;
    assert_eq!(ahead / 10, 50, "{ahead} kB: 40 ms of 12.5 MB/s");
}

#[test]
fn a_slow_uplink_that_was_idle_stays_narrow() {
    let (widest, lanes) = width(1_200_000, 1_200_000, 60);
    assert_eq!(widest, WIDTH_MIN, "{lanes:?}");
}

#[test]
fn large_pieces_on_a_slow_uplink_are_not_begun_for_a_trial() {
    let widest = |getter| width_of_pieces(PIECE_BYTES_MAX, 1_000_000_000, getter, 60).0;
    assert_eq!(widest(600_000), WIDTH_MIN, "one more would take half a minute");
    assert!(widest(6_000_000) > WIDTH_MIN);
}

#[test]
fn what_is_sent_in_one_go_is_taken_before_a_lane_looks_stuck() {
    let first = (STEP_BYTES_FIRST, UNSENT_BYTES_MIN);
    let fresh = Lanes::default();
    assert_eq!((fresh.step_bytes(), fresh.unsent_bytes()), first);
    for (uplink, step, unsent) in [
        (100_000, STEP_BYTES_MIN, UNSENT_BYTES_MIN),
        (2_000_000, 60_000, UNSENT_BYTES_MIN),
        (100_000_000, CHUNK_BYTES_MAX, 128 * 1024),
        (10_000_000_000, CHUNK_BYTES_MAX, UNSENT_BYTES_MAX),
    ] {
        let (_, lanes) = width(uplink, uplink, 20);
        let found = (lanes.step_bytes(), lanes.unsent_bytes());
        assert!(found.0.abs_diff(step) < step / 20, "{uplink}: {lanes:?}");
        assert_eq!(found.1, unsent, "{uplink}: {lanes:?}");
    }
}

#[test]
fn slow_getters_are_sent_to_together() {
    let (_, lanes) = width(1_000_000_000, 20_000_000, 20);
    assert!(lanes.width() >= 32, "{lanes:?}");
}

#[test]
fn what_was_wide_gets_narrow_again() {
    let (_, mut lanes) = width(1_000_000_000, 20_000_000, 20);
    let mut now = Instant(80_000_000);
    for _ in 0..20_000 {
        now = now.after(Span(5_000));
        sent(&mut lanes, now, PIECE_BYTES_MIN, true);
    }
    let floor = lanes.floor_of(PIECE_BYTES_MIN, Span::ZERO);
    let tries = matches!(lanes.trial, Some(Trial::Narrower(before, _)) if before == floor);
    assert!(floor <= 6 && (lanes.width() == floor || tries), "{lanes:?}");
}

#[test]
fn what_waits_in_the_queue_keeps_its_lane() {
    assert_eq!(
        Lanes::default().until_free(1_000_000, Span::ZERO),
        None,
        "no rate is known"
    );
    let (_, lanes) = width(12_500_000, 12_500_000, 20);
    let tail = lanes.bytes_in(LANE_TAIL);
    assert_eq!((tail / 1_000, lanes.until_free(tail, Span::ZERO)), (12, None));
    let wait = lanes
        .until_free(tail + 12_500, Span::ZERO)
        .expect("a millisecond, if it were alone");
    let shared = lanes.width() as u64 * 1_000;
    assert!(wait.0.abs_diff(shared) < 100, "{wait:?}");
    assert_eq!(lanes.until_free(tail + 1, Span::ZERO), Some(LANE_LOOK_MIN));
    assert_eq!(lanes.until_free(u64::MAX, Span::ZERO), Some(LANE_LOOK_MAX));
    let far = Span::from_millis(10);
    let on_the_way = tail + lanes.bytes_in(far);
    assert_eq!(lanes.until_free(on_the_way, far), None, "the path holds as much");
    assert!(lanes.until_free(on_the_way + 25_000, far).is_some());
}

#[test]
fn lanes_hold_together_what_a_small_queue_takes() {
    let floor = |uplink, piece_bytes| {
        let (_, lanes) = width_of_pieces(piece_bytes, uplink, uplink, 20);
        lanes.floor_of(piece_bytes, Span::ZERO)
    };
    assert_eq!(floor(12_500_000, PIECE_BYTES_MIN), 5, "of 5 ms each");
    assert_eq!(floor(12_500_000, PIECE_BYTES_MAX), WIDTH_MIN);
    assert_eq!(floor(2_500_000, PIECE_BYTES_MIN), WIDTH_MIN);
    assert_eq!(floor(50_000_000, PIECE_BYTES_MIN), LANES_FLOOR_MAX);
    assert_eq!(
        floor(500_000_000, PIECE_BYTES_MIN),
        WIDTH_MIN,
        "nothing is waited for"
    );
}

#[test]
fn trials_that_do_not_help_become_rare() {
    let uplink = 12_500_000;
    let (mut lanes, mut now) = (Lanes::default(), Instant(60_000_000));
    let mut trials = Vec::new();
    while now < Instant(240_000_000) {
        now = now.after(Span(65_536 * 1_000_000 / uplink));
        let tried = lanes.trial.is_some();
        sent(&mut lanes, now, PIECE_BYTES_MIN, true);
        if lanes.trial.is_some() && !tried {
            trials.push(now);
        }
    }
    let between: Vec<u64> = trials
        .windows(2)
        .map(|pair| pair[1].since(pair[0]).as_secs())
        .collect();
    let first = LANES_TRIAL_AGAIN.as_secs();
    assert!(
        between.is_sorted() && between.first() <= Some(&first),
        "{between:?}"
    );
    let most = LANES_TRIAL_AGAIN_MAX.as_secs();
    assert!(
        between.last().is_some_and(|last| (most..most + 2).contains(last)),
        "{between:?}"
    );
}

#[test]
fn an_uplink_nobody_waits_for_tries_nothing() {
    let (mut lanes, mut now) = (Lanes::default(), Instant(1));
    for _ in 0..10_000 {
        now = now.after(Span(5_000));
        sent(&mut lanes, now, PIECE_BYTES_MIN, false);
    }
    assert_eq!((lanes.width(), lanes.trial), (5, None));
}

#[test]
fn what_sockets_take_in_has_not_gone_out() {
    let mut lanes = Lanes::default();
    let (begun, mut taken_bytes) = (Instant(60_000_000), 0);
    for millis in 0..2_000 {
        // So much is taken, and a quarter of it acknowledged.
        taken_bytes += 4_000;
        let taken = Taken {
            bytes: 4_000,
            ..taken(&lanes, PIECE_BYTES_MIN)
        };
        lanes.sent(begun.after(Span::from_millis(millis)), taken, || {
            all_arrived_but(taken_bytes / 4 * 3)
        });
    }
    assert_eq!(lanes.bytes_per_sec / 10_000, 100, "{lanes:?}");
}

#[test]
fn fewer_are_kept_only_if_they_move_nearly_as_much() {
    // Four of these getters fill the uplink, and two do not.
    let (_, lanes) = width_of_pieces(1 << 20, 12_500_000, 3_200_000, 60);
    let tries = matches!(lanes.trial, Some(Trial::Narrower(4.., _) | Trial::Wider(3.., _)));
    assert!(lanes.width() >= 4 || tries, "{lanes:?}");
}

#[test]
fn what_was_begun_before_a_trial_of_fewer_is_not_counted_nor_waited_for_long() {
    let (_, mut lanes) = width(12_500_000, 12_500_000, 2);
    let mut now = Instant(70_000_000);
    while lanes.trial.is_none() {
        now = now.after(Span(5_000));
        sent(&mut lanes, now, PIECE_BYTES_MIN, true);
    }
    let trial = lanes.trial;
    assert!(matches!(trial, Some(Trial::Narrower(5, _))), "{lanes:?}");
    let end = now.after(LANES_TRIAL_MAX);
    while now.after(Span(5_000)) < end {
        now = now.after(Span(5_000));
        more_than_it_may(&mut lanes, now);
        assert_eq!(lanes.trial, trial);
    }
    more_than_it_may(&mut lanes, end);
    assert_eq!((lanes.trial, lanes.width()), (None, 5));
}
