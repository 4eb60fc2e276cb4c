//! The getter's side alone, with virtual time.

use super::*;

fn outputs(taker: &mut Taker) -> Vec<TakeOutput> {
    core::iter::from_fn(|| taker.poll_output()).collect()
}

const A: Source = Source(1);
const B: Source = Source(2);
const P0: PieceIndex = PieceIndex(0);
const P1: PieceIndex = PieceIndex(1);

fn two_holders(pieces: u32) -> Taker {
    let mut taker = Taker::new(Pieces::none(pieces));
    taker.open(Instant(0), A);
    taker.open(Instant(0), B);
    let first = if pieces == 1 { 1 } else { 2 };
    assert_eq!(
        outputs(&mut taker),
        [TakeOutput::Credit(A, first), TakeOutput::Credit(B, first)]
    );
    taker
}

#[test]
fn a_choice_is_told_to_the_others() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(1), A, P0));
    assert_eq!(outputs(&mut taker), [TakeOutput::Settled(B, P0)]);
    assert!(
        !taker.handle_choice(Instant(2), B, P0),
        "chosen by two at once: the first one sends"
    );
    assert_eq!(
        outputs(&mut taker),
        [TakeOutput::Refuse(B, P0), TakeOutput::Credit(B, 1)]
    );
    assert!(taker.handle_piece(Instant(3), A, P0));
    assert!(taker.verified().contains(P0) && taker.settled().len() == 1);
}

#[test]
fn more_than_the_credits_is_not_taken() {
    let mut taker = two_holders(9);
    assert!(taker.handle_choice(Instant(1), A, P0) && taker.handle_choice(Instant(1), A, P1));
    assert!(
        !taker.handle_choice(Instant(1), A, PieceIndex(2)),
        "no credit left"
    );
    assert!(
        !taker.handle_choice(Instant(1), B, PieceIndex(99)),
        "no such piece"
    );
}

#[test]
fn what_a_lost_holder_owed_is_wanted_from_others() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(1), A, P0));
    outputs(&mut taker);
    taker.close(Instant(2), A);
    assert_eq!(outputs(&mut taker), [TakeOutput::Want(B, P0)]);
    assert!(taker.handle_choice(Instant(2), B, P0));
}

#[test]
fn a_choice_that_crossed_with_our_word_is_asked_for_again() {
    let mut taker = two_holders(4);
    // B is told that A sends it, and takes back what it had just chosen; by then A is gone and the choice is in.
    assert!(taker.handle_choice(Instant(1), A, P0));
    taker.close(Instant(2), A);
    assert!(taker.handle_choice(Instant(2), B, P0));
    taker.open(Instant(3), A);
    outputs(&mut taker);
    taker.handle_cancel(B, P0);
    assert_eq!(
        outputs(&mut taker),
        [TakeOutput::Want(A, P0), TakeOutput::Credit(B, 1)]
    );
    assert!(
        taker.handle_choice(Instant(4), B, P0),
        "B has heard that it is wanted"
    );
    // What is expected from another is not touched.
    outputs(&mut taker);
    taker.handle_cancel(A, P0);
    assert!(outputs(&mut taker).is_empty() && taker.expects(B, P0));
}

#[test]
fn a_stalled_holder_loses_its_pieces_and_then_its_place() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(0), A, P0));
    taker.handle_progress(Instant(0), A);
    outputs(&mut taker);
    let stall = taker.deadline().expect("something is expected");
    assert_eq!(stall, Instant::ZERO.after(STALL));
    taker.handle_timeout(stall);
    assert_eq!(outputs(&mut taker), [TakeOutput::Want(B, P0)]);
    assert!(taker.handle_choice(stall, B, P0), "another may send it now");
    assert!(!taker.expects(A, P0));
    outputs(&mut taker);
    // It comes from the first one after all, and counts once.
    assert!(taker.handle_piece(stall, A, P0));
    assert!(!taker.handle_piece(stall, B, P0));
    assert!(taker.handle_choice(stall, A, P1));
    outputs(&mut taker);
    let end = stall.after(STALL_GIVE_UP);
    taker.handle_timeout(end);
    assert!(outputs(&mut taker).contains(&TakeOutput::Drop(A)));
    assert_eq!(taker.holders(), 1);
}

#[test]
fn who_has_only_announced_a_piece_may_let_it_wait() {
    let mut taker = two_holders(4);
    taker.close(Instant(2), B);
    assert!(taker.handle_choice(Instant(0), A, P0));
    outputs(&mut taker);
    let due = Instant::ZERO.after(SLOW_PIECE);
    assert_eq!(taker.deadline(), Some(due));
    taker.handle_word(Instant(9), A);
    assert_eq!(
        taker.deadline(),
        Some(due.after(Span(9))),
        "its uplink is busy, it says"
    );
    taker.handle_timeout(due.after(Span(9)));
    taker.open(due, B);
    assert!(taker.handle_choice(due, B, P0), "it is wanted from others");
}

#[test]
fn a_holder_that_has_become_slow_is_relieved_though_it_is_not_silent() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(0), A, P0) && taker.handle_choice(Instant(0), B, P1));
    assert!(taker.handle_piece(Instant(9), B, P1));
    outputs(&mut taker);
    let late = Instant::ZERO.after(SLOW_PIECE);
    for millis in 1..10 {
        taker.handle_progress(Instant::ZERO.after(Span::from_millis(500 * millis)), A);
        taker.handle_timeout(Instant::ZERO.after(Span::from_millis(500 * millis)));
        assert!(
            outputs(&mut taker).is_empty(),
            "a byte now and then is a sign of life"
        );
    }
    assert_eq!(taker.deadline(), Some(late));
    taker.handle_timeout(late);
    assert_eq!(outputs(&mut taker), [TakeOutput::Want(B, P0)]);
    assert!(taker.handle_choice(late, B, P0));
    assert!(outputs(&mut taker).contains(&TakeOutput::Settled(A, P0)));
}

#[test]
fn what_is_overdue_counts_until_another_has_chosen_it() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(0), A, P0) && taker.handle_choice(Instant(0), A, P1));
    taker.handle_progress(Instant(0), A);
    let stall = Instant::ZERO.after(STALL);
    taker.handle_timeout(stall);
    assert!(!taker.settled().contains(P0), "others may send it");
    assert!(taker.expects(A, P0) && taker.expects(A, P1));
    assert!(taker.handle_choice(stall, B, P1));
    assert!(taker.expects(A, P0) && !taker.expects(A, P1));
    outputs(&mut taker);
    assert!(taker.handle_piece(stall, A, P0));
    let told = outputs(&mut taker);
    assert!(told.contains(&TakeOutput::Settled(B, P0)), "{told:?}");
    // Who is gone brings nothing more.
    taker.handle_timeout(stall.after(SLOW_PIECE));
    taker.close(Instant(2), B);
    outputs(&mut taker);
    assert!(!taker.expects(B, P1) && taker.handle_choice(stall, A, P1));
}

#[test]
fn one_that_announces_and_goes_on_talking_keeps_nothing_from_one_that_waits() {
    let mut taker = two_holders(2);
    assert!(taker.handle_choice(Instant(0), A, P0) && taker.handle_choice(Instant(0), A, P1));
    outputs(&mut taker);
    let due = Instant::ZERO.after(SLOW_PIECE);
    for millis in (0..5_000).step_by(500) {
        taker.handle_word(Instant::ZERO.after(Span::from_millis(millis)), A);
        assert_eq!(taker.deadline(), Some(due));
    }
    taker.handle_timeout(due);
    assert_eq!(
        outputs(&mut taker),
        [TakeOutput::Want(B, P0), TakeOutput::Want(B, P1)]
    );
}

#[test]
fn where_all_are_slow_nothing_is_begun_again() {
    let mut taker = two_holders(9);
    let slow = Span(SLOW_PIECE.0 * 3 / 4);
    let mut now = Instant(0);
    for piece in (0..4).map(PieceIndex) {
        let source = if piece.0 % 2 == 0 { A } else { B };
        assert!(taker.handle_choice(now, source, piece));
        outputs(&mut taker);
        now = now.after(slow);
        taker.handle_progress(now, source);
        taker.handle_timeout(now);
        assert!(outputs(&mut taker).is_empty());
        assert!(taker.handle_piece(now, source, piece));
    }
}

#[test]
fn what_another_sends_is_not_held_against_the_first() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(0), A, P0));
    taker.handle_progress(Instant(0), A);
    let stall = Instant::ZERO.after(STALL);
    taker.handle_timeout(stall);
    assert!(taker.handle_choice(stall, B, P0));
    outputs(&mut taker);
    // The first one goes on, with another piece; it was told not to send the one it lost.
    assert!(taker.handle_choice(stall, A, P1));
    assert!(taker.handle_piece(stall, A, P1) && taker.handle_piece(stall, B, P0));
    outputs(&mut taker);
    assert_eq!(taker.deadline(), None, "nobody owes anything");
    taker.handle_timeout(stall.after(STALL_GIVE_UP));
    assert!(outputs(&mut taker).is_empty() && taker.holders() == 2);
}

#[test]
fn a_holder_that_lost_all_its_pieces_must_still_be_heard_of() {
    let mut taker = two_holders(4);
    assert!(taker.handle_choice(Instant(0), A, P0));
    taker.handle_progress(Instant(0), A);
    let stall = Instant::ZERO.after(STALL);
    taker.handle_timeout(stall);
    assert!(taker.handle_choice(stall, B, P0) && taker.handle_piece(stall, B, P0));
    taker.handle_timeout(Instant::ZERO.after(STALL_GIVE_UP));
    assert!(outputs(&mut taker).contains(&TakeOutput::Drop(A)));
}

#[test]
fn the_last_piece_finishes() {
    let mut taker = two_holders(1);
    assert!(taker.handle_choice(Instant(0), A, P0));
    assert!(taker.handle_piece(Instant(1), A, P0));
    assert!(outputs(&mut taker).contains(&TakeOutput::Finished));
}

#[test]
fn a_fast_holder_gets_a_wider_window() {
    let mut taker = Taker::new(Pieces::none(1_000));
    taker.open(Instant(0), A);
    let (mut now, mut credits, mut next) = (Instant(0), 0, 0);
    for _ in 0..300 {
        for output in outputs(&mut taker) {
            if let TakeOutput::Credit(_, more) = output {
                credits += u32::from(more);
            }
        }
        now = now.after(Span::from_millis(1));
        let piece = PieceIndex(next);
        assert!(taker.handle_choice(now, A, piece));
        assert!(taker.handle_piece(now, A, piece));
        next += 1;
    }
    let window = credits - next;
    assert!(
        (2..=WINDOW_PIECES_MAX).contains(&window) && window > 4,
        "{window}"
    );
}

#[test]
fn what_nobody_has_or_hopes_for_is_given_up() {
    let mut taker = two_holders(4);
    let at = |millis| Instant::ZERO.after(Span::from_millis(millis));
    assert_eq!(taker.deadline(), None, "either may have something");
    taker.handle_dry(at(1_000), A, Span::from_millis(900));
    assert_eq!(taker.hoped(at(1_100)), at(1_100), "the other may");
    taker.handle_dry(at(1_200), B, Span(Span::from_millis(200).0 - HEARSAY.0));
    assert_eq!(taker.hoped(at(5_000)), at(1_000));
    let lost = at(1_000).after(HOPE_LOST);
    assert_eq!(taker.deadline(), Some(lost));
    assert!(!taker.is_hopeless(Instant(lost.0 - 1)) && taker.is_hopeless(lost));
    // What each has heard of the other's hope is no hope.
    taker.handle_dry(lost, A, lost.since(at(1_000)));
    assert!(taker.is_hopeless(lost));
    // Somebody chooses, or owes, or comes: there is hope.
    assert!(taker.handle_choice(lost, A, P0));
    assert!(!taker.is_hopeless(lost));
    taker.handle_dry(lost, A, HOPE_LOST);
    assert!(!taker.is_hopeless(lost), "it owes a piece");
    taker.close(lost, A);
    assert_eq!(
        taker.hoped(lost.after(HOPE_LOST)),
        lost,
        "it was there until then"
    );
    assert!(taker.is_hopeless(lost.after(HOPE_LOST)));
    assert_eq!(taker.missing().as_slice(), core::slice::from_ref(&(0..4)));
    taker.open(lost.after(HOPE_LOST), A);
    assert!(!taker.is_hopeless(lost.after(HOPE_LOST)), "a newcomer");
}
