//! The batch: shared out, asked ahead, taken back.

use super::*;
use crate::time::Span;

fn at(millis: u64) -> Instant {
    Instant::ZERO.after(Span::from_millis(millis))
}

fn batch(holders: usize, contents: usize) -> Batch {
    let mut batch = Batch::new(holders, (0..contents).map(|_| (1_000, (0..holders).collect())));
    for holder in 0..holders {
        batch.open(Source(holder as u64), holder);
    }
    batch
}

/// Takes everything a connection owes.
fn take_all(batch: &mut Batch, now: Instant, source: Source) -> usize {
    core::iter::from_fn(|| batch.owed(source).map(|_| batch.came(now, source)))
        .filter(|first| *first)
        .count()
}

#[test]
fn the_quick_get_more_of_the_list() {
    let mut batch = batch(2, 400);
    let (mut quick, mut slow) = (0, 0);
    for round in 0_u64.. {
        batch.asks(at(round * 10), Source(0));
        batch.asks(at(round * 10), Source(1));
        if batch.is_settled() {
            break;
        }
        quick += take_all(&mut batch, at(round * 10 + 5), Source(0));
        if round % 50 == 49 {
            slow += take_all(&mut batch, at(round * 10 + 5), Source(1));
        }
        if batch.waiting() == 0 {
            slow += take_all(&mut batch, at(round * 10 + 5), Source(1));
        }
    }
    assert_eq!(quick + slow, 400);
    assert!(slow < 40, "{slow} of a holder that is a hundred times slower");
}

#[test]
fn so_many_and_so_much_is_asked_ahead() {
    let mut batch = batch(1, 10_000);
    let mut most = 0;
    for round in 0..200 {
        most = most.max(batch.asks(at(round), Source(0)).len());
        take_all(&mut batch, at(round), Source(0));
    }
    assert_eq!(most, SMALL_AHEAD_MAX);
    let big = SMALL_AHEAD_BYTES_MAX / 3;
    let mut batch = Batch::new(1, (0..9).map(|_| (big, vec![0])));
    batch.open(Source(0), 0);
    assert_eq!(batch.asks(at(0), Source(0)).len(), 3);
    let mut batch = Batch::new(
        1,
        [(SMALL_AHEAD_BYTES_MAX * 9, vec![0]), (1, vec![0])].into_iter(),
    );
    batch.open(Source(0), 0);
    assert_eq!(batch.asks(at(0), Source(0)), [0], "a large one comes alone");
}

#[test]
fn what_one_owed_is_asked_of_others_first() {
    let mut batch = batch(2, 30);
    let owed = batch.asks(at(0), Source(0));
    assert_eq!(batch.close(Source(0)), owed);
    batch.give_up(0);
    assert_eq!(batch.asks(at(1), Source(1)), owed);
    while !batch.is_settled() {
        assert!(take_all(&mut batch, at(2), Source(1)) > 0);
        batch.asks(at(2), Source(1));
    }
}

#[test]
fn who_lacks_a_content_is_asked_for_the_others() {
    let mut batch = batch(2, 3);
    assert_eq!(batch.asks(at(0), Source(0)), [0, 1, 2]);
    batch.lacks(Source(0));
    assert_eq!(batch.asks(at(0), Source(1)), [0]);
    batch.lacks(Source(1));
    assert!(!batch.is_settled(), "two are owed");
    assert_eq!(take_all(&mut batch, at(1), Source(0)), 2);
    assert!(batch.is_settled(), "one was asked in vain of everybody");
}

#[test]
fn with_nobody_left_all_is_settled() {
    let mut batch = batch(1, 5);
    batch.asks(at(0), Source(0));
    batch.close(Source(0));
    assert!(!batch.is_settled());
    batch.give_up(0);
    assert!(batch.is_settled());
    assert!(Batch::new(0, [(1, Vec::new())].into_iter()).is_settled());
}

#[test]
fn the_late_are_helped_once() {
    let mut batch = Batch::new(3, [(1_000, vec![0, 1, 2])].into_iter());
    (0..3).for_each(|holder| batch.open(Source(holder as u64), holder));
    assert_eq!(batch.asks(at(0), Source(0)), [0]);
    assert_eq!(batch.asks(at(4_000), Source(1)), [] as [usize; 0]);
    assert_eq!(batch.asks(at(6_000), Source(1)), [0]);
    assert_eq!(
        batch.asks(at(6_000), Source(2)),
        [] as [usize; 0],
        "two are enough"
    );
    assert!(batch.came(at(6_100), Source(1)));
    assert!(batch.is_settled());
    assert!(!batch.came(at(7_000), Source(0)), "it is here already");
}
