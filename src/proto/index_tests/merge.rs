//! The merge rule, claim by claim.

use super::*;

#[test]
fn the_higher_sequence_wins_whatever_its_life() {
    let mut index = index(1);
    assert_eq!(index.hear(START, [claim(2, 5, 1_000)]), 1);
    assert_eq!(
        index.hear(START, [claim(2, 4, 7_200)]),
        0,
        "older news is no news"
    );
    assert_eq!(index.named(START, "x"), [("192.0.2.2".to_owned(), 1_000)]);
    assert_eq!(
        index.hear(START, [claim(2, 6, 7_000)]),
        1,
        "the holder spoke again"
    );
    assert_eq!(index.named(START, "x")[0].1, 7_000);
    assert_eq!(
        index.hear(START, [claim(2, 7, 10)]),
        1,
        "also when it has less to say"
    );
    assert_eq!(index.named(START, "x")[0].1, 10);
}

#[test]
fn hearsay_never_raises_a_life() {
    let mut index = index(1);
    index.hear(START, [claim(2, 5, 1_000)]);
    for second in 1..1_000 {
        assert_eq!(index.hear(secs(second), [claim(2, 5, 7_200)]), 0);
    }
    assert_eq!(index.named(secs(999), "x")[0].1, 1);
    assert!(index.named(secs(1_000), "x").is_empty());
    // It may shorten one.
    index.hear(secs(1_000), [claim(3, 5, 1_000)]);
    assert_eq!(index.hear(secs(1_000), [claim(3, 5, 20)]), 1);
    assert_eq!(index.named(secs(1_000), "x")[0].1, 20);
}

#[test]
fn no_life_is_longer_than_a_lease() {
    let mut index = index(1);
    index.hear(START, [claim(2, u64::MAX, u32::MAX)]);
    assert_eq!(index.named(START, "x")[0].1, LEASE_SECS);
    assert_eq!(index.hear(START, [claim(3, 1, 0)]), 0, "a life that is over");
}

#[test]
fn a_withdrawal_is_remembered_and_told_on() {
    let mut holder = index(2);
    holder.hold_whole("x");
    let mut near = index(3);
    let mut far = index(4);
    for told in holder.told(START, 9_999) {
        near.merge(START, &address(2), &told);
    }
    for told in near.told(START, 9_999) {
        far.merge(START, &address(3), &told);
    }
    assert_eq!(far.named(START, "x")[0].0, "192.0.2.2");
    holder.withdraw(secs(10), &content("x").key());
    for told in holder.told(secs(10), 9_999) {
        near.merge(secs(10), &address(2), &told);
    }
    assert!(near.named(secs(10), "x").is_empty());
    assert_eq!(near.known(secs(10)).count(), 0);
    // Old hearsay does not bring it back.
    for told in far.told(secs(11), 9_999) {
        near.merge(secs(11), &address(4), &told);
    }
    assert!(near.named(secs(11), "x").is_empty());
    for told in near.told(secs(12), 9_999) {
        far.merge(secs(12), &address(3), &told);
    }
    assert!(far.named(secs(12), "x").is_empty());
    // The holder shares it again.
    holder.hold_whole("x");
    for told in holder.told(secs(20), 9_999) {
        near.merge(secs(20), &address(2), &told);
    }
    assert_eq!(near.named(secs(20), "x").len(), 1);
}

/// The sequence counts seconds: a holder may say two things under one number.
#[test]
fn what_a_holder_takes_back_within_a_second_is_taken_back() {
    let (held, gone) = (
        claim(2, 5, 7_200),
        GossipRecord {
            withdrawn: true,
            ..claim(2, 5, 7_200)
        },
    );
    for order in [[held.clone(), gone.clone()], [gone.clone(), held.clone()]] {
        let mut index = index(1);
        index.hear(START, order);
        assert!(index.named(START, "x").is_empty());
    }
    let mut index = index(1);
    index.hear(START, [held]);
    index.hear(secs(1), [gone]);
    assert!(index.named(secs(1), "x").is_empty(), "also when it arrives later");
    assert_eq!(
        index.told_of(secs(1), "x")[0].remaining_secs,
        7_199,
        "without a longer life"
    );
}

#[test]
fn nobody_speaks_for_us() {
    let mut index = index(1);
    assert_eq!(index.hear(START, [claim(1, 9, 7_200)]), 0);
    assert_eq!(index.learned_counts(), (0, 0));
    // We may learn an address of ours only after others told us of it.
    index.hear(START, [claim(2, 1, 7_200), claim(3, 1, 7_200)]);
    index.add_own_address(address(2));
    assert_eq!(index.named(START, "x"), [("192.0.2.3".to_owned(), 7_200)]);
    assert_eq!(index.learned_counts(), (1, 1));
    index.add_own_address(address(3));
    assert_eq!(index.learned_counts(), (0, 0));
    assert_eq!(index.deadline(), None);
}

#[test]
fn a_holder_that_did_not_answer_is_named_again_on_its_own_word() {
    let mut index = index(1);
    index.hear(START, [claim(2, 5, 7_200), claim(3, 5, 7_000)]);
    index.mark_unreachable(&address(2));
    assert_eq!(index.named(START, "x"), [("192.0.2.3".to_owned(), 7_000)]);
    let told = index.told_of(START, "x");
    assert_eq!(told.len(), 1, "and is not told on");
    index.hear(secs(1), [claim(2, 5, 7_199)]);
    index.hear(secs(1), [claim(2, 5, 5_000)]);
    index.hear(secs(1), [claim(2, 4, 7_200)]);
    assert_eq!(index.named(secs(1), "x").len(), 1, "hearsay does not clear it");
    index.hear(secs(2), [claim(2, 6, 100)]);
    assert_eq!(index.named(secs(2), "x").len(), 2);
}

#[test]
fn a_record_without_a_host_is_the_senders() {
    let mut index = index(1);
    let own = GossipRecord {
        host: None,
        port: 6_007,
        ..claim(2, 5, 7_200)
    };
    index.merge(START, &address(9), &entry("x", [own]));
    let found = index.find(START, &Wanted::Id(content("x").id));
    let holder = &found[0].holders[0].0;
    assert_eq!((holder.host.as_str(), holder.port), ("192.0.2.9", 6_007));
}

#[test]
fn a_loopback_address_stays_on_its_machine() {
    let loopback = HostPort {
        host: Host::new("127.0.0.1").expect("a host"),
        port: 6_000,
    };
    let here = GossipRecord {
        host: Some(loopback.host.clone()),
        ..claim(2, 5, 7_200)
    };
    let mut index = index(1);
    assert_eq!(
        index.hear(START, [here.clone()]),
        0,
        "from elsewhere it would mean our own machine"
    );
    assert_eq!(index.merge(START, &loopback, &entry("x", [here])), 1);
    // Told on: others reach it where they reached us.
    let told = index.told_of(START, "x");
    assert_eq!(told[0].host, Some(host(1)));
    let near = Asker::over_tcp([127, 0, 0, 1].into(), [127, 0, 0, 1].into());
    let query = IndexQuery {
        request: RequestNumber(1),
        after: None,
    };
    let Message::Index(page) = index.handle_query(START, &near, &query) else {
        panic!("refused");
    };
    assert_eq!(page.contents[0].holders[0].host, Some(loopback.host));
}

#[test]
fn holders_are_named_complete_first_and_longest_living_first() {
    let mut index = index(1);
    let part = GossipRecord {
        complete: false,
        ..claim(2, 1, 7_200)
    };
    index.hear(START, [part, claim(3, 1, 100), claim(4, 1, 200)]);
    let named: Vec<String> = index
        .named(START, "x")
        .into_iter()
        .map(|(host, _)| host)
        .collect();
    assert_eq!(named, ["192.0.2.4", "192.0.2.3", "192.0.2.2"]);
}

#[test]
fn contents_are_found_by_name_id_and_number() {
    let mut index = index(1);
    index.merge(START, &address(9), &entry("docs/rfc768.txt", [claim(2, 1, 100)]));
    let info = content("docs/rfc768.txt");
    for wanted in [
        Wanted::Name(info.name.clone()),
        Wanted::Id(info.id),
        Wanted::Number(RfcNumber(768)),
    ] {
        assert_eq!(index.find(START, &wanted)[0].info, info, "{wanted:?}");
    }
    assert!(index.find(START, &Wanted::Number(RfcNumber(1))).is_empty());
}

#[test]
fn what_it_holds_itself_has_a_whole_lease_whenever_it_is_asked() {
    let mut index = index(1);
    index.hold_whole("x");
    let first = index.told_of(START, "x")[0].clone();
    let later = index.told_of(secs(20_000), "x")[0].clone();
    assert_eq!(
        (first.remaining_secs, later.remaining_secs),
        (LEASE_SECS, LEASE_SECS)
    );
    assert_eq!((first.host, first.port), (None, 6_000));
    assert!(later.sequence > first.sequence);
    let mut reborn = Index::new(peer_name("peer-1"), 6_000, Incarnation(2));
    reborn.hold_whole("x");
    assert!(reborn.told_of(Instant::ZERO, "x")[0].sequence > later.sequence);
}

#[test]
fn a_withdrawal_is_told_for_a_lease_and_then_forgotten() {
    let mut index = index(1);
    index.hold_whole("x");
    index.withdraw(START, &content("x").key());
    assert!(index.local().is_empty());
    let told = index.told_of(secs(100), "x");
    assert!(told[0].withdrawn && told[0].remaining_secs == LEASE_SECS - 100);
    assert!(index.told_of(secs(7_200), "x").is_empty(), "though no timer ran");
    index.handle_timeout(secs(7_200));
    assert!(index.withdrawn.is_empty());
    index.withdraw(START, &content("never held").key());
    assert!(index.withdrawn.is_empty());
}
