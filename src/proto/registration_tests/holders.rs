//! Who holds what: names, policies, searches.

use super::*;

#[test]
fn one_name_one_content_name_one_peer() {
    let mut stage = Stage::new();
    let a = stage.join("same", 10);
    let b = stage.join("same", 11);
    let c = stage.join("other", 12);
    pdu!(Ack, stage.register(a, "x"));
    pdu!(Ack, stage.register(a, "x"));
    let (code, text) = refused(stage.register(b, "x"));
    assert_eq!(code, Refusal::NameTaken);
    assert!(text.contains("x already: choose another peer name"), "{text}");
    let mut other_bytes = content("x");
    other_bytes.id = ContentId([1; 32]);
    let register = stage.register_message(b, other_bytes, true);
    assert_eq!(
        refusal_code(stage.tell(register)),
        Refusal::NameTaken,
        "the rule goes by the content's name, not by its bytes"
    );
    pdu!(Ack, stage.register(b, "y"));
    pdu!(Ack, stage.register(c, "x"));
    pdu!(Ack, stage.deregister(a, "x"));
    pdu!(Ack, stage.register(b, "x"));
}

#[test]
fn a_name_is_free_again_when_its_peer_has_gone() {
    for way in 0..3 {
        let mut stage = Stage::new();
        let a = stage.join("same", 10);
        stage.register(a, "x");
        match way {
            0 => drop(stage.leave(a)),
            1 => stage.live(u64::from(LEASE_SECS)),
            // Its lease is over though no timer ran.
            _ => stage.wait(u64::from(LEASE_SECS)),
        }
        let b = stage.join("same", 11);
        pdu!(Ack, stage.register(b, "x"));
        assert_eq!(stage.holders("x"), ["same"], "way {way}");
        // The first comes back: now it is the one that is asked to choose.
        stage.rejoin("same", a);
        assert_eq!(
            refusal_code(stage.register(a, "x")),
            Refusal::NameTaken,
            "way {way}"
        );
    }
}

/// Three holders, and whom the RS names first when each registered a second after the one before.
fn first_named(policy: Policy, searches: usize) -> Vec<String> {
    let mut stage = Stage::with_policy(policy);
    for (name, ip) in [("a", 10), ("b", 11), ("c", 12)] {
        let member = stage.join(name, ip);
        stage.register(member, "x");
        stage.wait(1);
    }
    (0..searches).map(|_| stage.holders("x").remove(0)).collect()
}

#[test]
fn policies_choose_the_first_holder() {
    assert_eq!(first_named(Policy::LeastUsed, 6), ["a", "b", "c", "a", "b", "c"]);
    assert_eq!(first_named(Policy::MostRecent, 3), ["c", "c", "c"]);
    assert_eq!(first_named(Policy::Rotate, 5), ["a", "b", "c", "a", "b"]);
}

#[test]
fn every_holder_is_named_whatever_the_policy() {
    for policy in [Policy::LeastUsed, Policy::MostRecent, Policy::Rotate] {
        let mut stage = Stage::with_policy(policy);
        for (name, ip) in [("a", 10), ("b", 11), ("c", 12)] {
            let member = stage.join(name, ip);
            stage.register(member, "x");
        }
        for _ in 0..4 {
            let mut holders = stage.holders("x");
            holders.sort();
            assert_eq!(holders, ["a", "b", "c"]);
        }
    }
}

#[test]
fn the_most_recent_is_the_one_that_registered_last() {
    let mut stage = Stage::with_policy(Policy::MostRecent);
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    stage.register(a, "x");
    stage.register(b, "x");
    assert_eq!(stage.holders("x"), ["b", "a"]);
    stage.register(a, "x");
    assert_eq!(stage.holders("x"), ["a", "b"]);
}

#[test]
fn a_new_holder_takes_its_share_but_makes_up_for_nothing() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.register(a, "x");
    for _ in 0..10 {
        stage.holders("x");
    }
    let b = stage.join("b", 11);
    stage.register(b, "x");
    let first: Vec<String> = (0..4).map(|_| stage.holders("x").remove(0)).collect();
    assert_eq!(first, ["a", "b", "a", "b"]);
}

#[test]
fn whoever_has_all_of_it_comes_first() {
    for policy in [Policy::LeastUsed, Policy::MostRecent, Policy::Rotate] {
        let mut stage = Stage::with_policy(policy);
        let part = stage.join("part", 10);
        let whole = stage.join("whole", 11);
        let late = stage.join("late", 12);
        stage.register(whole, "x");
        for member in [part, late] {
            let register = stage.register_message(member, content("x"), false);
            stage.tell(register);
        }
        for _ in 0..4 {
            let found = pdu!(Found, stage.search("x"));
            let complete: Vec<bool> = found.contents[0].holders.iter().map(|h| h.complete).collect();
            assert_eq!(complete, [true, false, false], "{policy:?}");
        }
        // To register again when the last piece has come is enough.
        stage.register(part, "x");
        let found = pdu!(Found, stage.search("x"));
        assert_eq!(found.contents[0].holders.iter().filter(|h| h.complete).count(), 2);
        assert_eq!(found.contents[0].holders_total, 3);
    }
}

#[test]
fn contents_are_found_by_name_id_and_number() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let info = content("docs/rfc768.txt");
    stage.register(a, "docs/rfc768.txt");
    stage.register(a, "copy");
    for wanted in [
        Wanted::Name(info.name.clone()),
        Wanted::Id(info.id),
        Wanted::Number(RfcNumber(768)),
    ] {
        let search = stage.search_message(wanted.clone());
        let found = pdu!(Found, stage.tell(search));
        assert_eq!(found.contents.len(), 1, "{wanted:?}");
        assert_eq!(found.contents[0].content, info);
    }
    for wanted in [
        Wanted::Name(content_name("rfc768.txt")),
        Wanted::Id(ContentId([9; 32])),
        Wanted::Number(RfcNumber(1)),
    ] {
        let search = stage.search_message(wanted);
        let (code, text) = refused(stage.tell(search));
        assert_eq!(
            (code, text.as_str()),
            (Refusal::NotFound, "nobody has registered it")
        );
    }
}

#[test]
fn one_name_may_mean_two_contents_and_one_content_have_two_names() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    stage.register(a, "x");
    let mut other_bytes = content("x");
    other_bytes.id = ContentId([1; 32]);
    let register = stage.register_message(b, other_bytes, true);
    stage.tell(register);
    let mut other_name = content("x");
    other_name.name = content_name("y");
    let register = stage.register_message(b, other_name, true);
    stage.tell(register);
    assert_eq!(pdu!(Found, stage.search("x")).contents.len(), 2);
    let by_id = stage.search_message(Wanted::Id(content("x").id));
    let found = pdu!(Found, stage.tell(by_id));
    let names: Vec<&str> = found.contents.iter().map(|c| c.content.name.as_str()).collect();
    assert_eq!(names, ["x", "y"]);
}

/// Holders may describe the same bytes differently: the RS must neither mix nor leak what they say.
#[test]
fn a_description_goes_with_its_record() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    let b = stage.join("b", 11);
    let empty = format!("{:?}", stage.rs.catalog);
    stage.register(a, "x");
    let numbered = |number| ContentInfo {
        number: Some(RfcNumber(number)),
        ..content("x")
    };
    let found = |stage: &mut Stage, number| {
        let search = stage.search_message(Wanted::Number(RfcNumber(number)));
        matches!(stage.tell(search), Message::Found(_))
    };
    // A second holder does not change what the first one said.
    let register = stage.register_message(b, numbered(5), true);
    stage.tell(register);
    assert!(!found(&mut stage, 5));
    // The only holder left corrects it.
    stage.deregister(a, "x");
    for number in [5, 6] {
        let register = stage.register_message(b, numbered(number), true);
        stage.tell(register);
        assert!(found(&mut stage, number));
    }
    assert!(!found(&mut stage, 5));
    stage.deregister(b, "x");
    assert!(!found(&mut stage, 6));
    let (order_of, bare) = (|text: &str| text.split("order:").next().map(str::to_owned), empty);
    assert_eq!(
        order_of(&format!("{:?}", stage.rs.catalog)),
        order_of(&bare),
        "nothing is left behind"
    );
}

#[test]
fn files_and_trees_are_listed_apart() {
    let mut stage = Stage::new();
    let a = stage.join("a", 10);
    stage.register(a, "file");
    let tree = ContentInfo {
        kind: ContentKind::Tree,
        ..content("tree")
    };
    let register = stage.register_message(a, tree, true);
    stage.tell(register);
    for (kind, name) in [(ContentKind::File, "file"), (ContentKind::Tree, "tree")] {
        let request = stage.number();
        let after = None;
        let listed = pdu!(Contents, stage.tell(ListContents { request, kind, after }));
        assert_eq!(listed.contents.len(), 1);
        assert_eq!(listed.contents[0].content.name.as_str(), name);
    }
}
