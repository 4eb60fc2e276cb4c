//! Pages, and the bounds of what a peer remembers.

use super::*;
use crate::limits::{FRAME_BYTES_MAX, HOLDERS_PER_LISTING_MAX, PAGE_ENTRIES_MAX};

#[test]
fn pages_make_the_whole() {
    let mut index = index(1);
    for file in 0..40 {
        index.hold_whole(&format!("own-{file:02}"));
        let learned = entry(
            &format!("learned-{file:02}"),
            [claim(2, 1, 500), claim(3, 1, 500)],
        );
        index.merge(START, &address(9), &learned);
        index.hold_whole(&format!("gone-{file:02}"));
        index.withdraw(START, &content(&format!("gone-{file:02}")).key());
    }
    let whole = index.told(START, FRAME_BYTES_MAX);
    assert_eq!(whole.len(), 120);
    assert!(
        whole
            .windows(2)
            .all(|pair| pair[0].content.key() < pair[1].content.key())
    );
    assert_eq!(index.told(START, 1_200), whole);
    assert_eq!(index.told(START, 300), whole);
}

/// Contents that are not told must not end a page that others follow.
#[test]
fn what_is_passed_over_does_not_end_the_answer() {
    let mut index = index(1);
    for file in 0..PAGE_ENTRIES_MAX + 10 {
        index.merge(
            START,
            &address(9),
            &entry(&format!("a-{file:05}"), [claim(2, 1, 500)]),
        );
    }
    index.merge(START, &address(9), &entry("z", [claim(3, 1, 500)]));
    index.mark_unreachable(&address(2));
    let told = index.told(START, FRAME_BYTES_MAX);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].content.name.as_str(), "z");
}

#[test]
fn an_entry_longer_than_the_answer_is_refused() {
    let mut index = index(1);
    index.hold_whole("x");
    let asker = Asker {
        answer_bytes_max: 60,
        ..tcp()
    };
    let query = IndexQuery {
        request: RequestNumber(1),
        after: None,
    };
    let answer = index.handle_query(START, &asker, &query);
    assert!(matches!(answer, Message::Error(error) if error.code == Refusal::UseTcp));
}

#[test]
fn holders_remembered_for_a_content_are_bounded() {
    let mut index = index(1);
    let holder = |port| GossipRecord {
        port,
        ..claim(2, 1, 500)
    };
    for port in 1..=u16::try_from(LEARNED_HOLDERS_MAX).expect("a small bound") + 10 {
        index.hear(START, [holder(port)]);
    }
    assert_eq!(index.learned_counts(), (1, LEARNED_HOLDERS_MAX));
    assert_eq!(
        index.hear(
            START,
            [GossipRecord {
                sequence: 2,
                ..holder(1)
            }]
        ),
        1,
        "those known go on"
    );
    assert_eq!(index.told_of(START, "x").len(), HOLDERS_PER_LISTING_MAX);
}

#[test]
fn contents_remembered_are_bounded_and_the_first_to_end_goes() {
    let mut index = index(1).with_room_for(3);
    for (name, life) in [("a", 300), ("b", 100), ("c", 200)] {
        index.merge(START, &address(9), &entry(name, [claim(2, 1, life)]));
    }
    index.merge(
        START,
        &address(9),
        &entry("d", [claim(2, 1, 50), claim(3, 1, 60)]),
    );
    assert_eq!(index.learned_counts(), (3, 4));
    assert!(index.named(START, "b").is_empty());
    // What is over, or is our own, takes nobody's place.
    index.merge(
        START,
        &address(9),
        &entry("e", [claim(2, 1, 0), claim(1, 1, 7_200)]),
    );
    assert_eq!(index.learned_counts(), (3, 4));
    index.handle_timeout(secs(300));
    assert_eq!(index.learned_counts(), (0, 0));
    assert_eq!(index.deadline(), None);
}
