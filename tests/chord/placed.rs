//! What the ring places at its nodes: bounded by what lies on their disks, and given up when others are to keep it.

use super::live::{client, in_order, keepers, space};
use super::process::{Running, Words, eventually, run, text, until_hashed, write_random};
use super::{ask, get, node};
use p2pdi::fetch::{FetchFault, Fetcher, Standing, Watcher};
use p2pdi::id::ContentId;
use p2pdi::limits::{RING_PLACED_GIB_MAX, RING_REPLICAS};
use p2pdi::name::{ContentName, HostPort};
use p2pdi::net::{Clock, Pacer, Stop};
use p2pdi::wire::{ContentInfo, ContentKind, Text, Wanted};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Nodes of one ring, and their states.
fn nodes(place: &Path, count: usize) -> Vec<(Running, PathBuf)> {
    let mut nodes: Vec<(Running, PathBuf)> = Vec::new();
    for number in 0..count {
        let contact = nodes.first().map_or("", |(first, _)| &first.address).to_owned();
        let contact: &[&str] = if contact.is_empty() {
            &[]
        } else {
            &["--ring", &contact]
        };
        let place = place.join(number.to_string());
        let node = node(&place, "127.0.0.1:0", "chord", contact);
        eventually("the node to be a member", || ask(&["neighbours"], &node).pop());
        nodes.push((node, place.join("state-127.0.0.1-0")));
    }
    nodes
}

fn id_of(content: &[u8]) -> ContentId {
    ContentId(*blake3::hash(content).as_bytes())
}

/// Where a node keeps a content for the ring.
fn kept_in(state: &Path, content: &[u8]) -> PathBuf {
    state.join("ring").join(id_of(content).to_string())
}

#[test]
fn a_node_without_room_says_so_and_the_others_keep_the_file() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    // What an earlier fetch has left takes all the room there is: it counts with its length.
    let full = place.join("1/state-127.0.0.1-0/ring").join("5a".repeat(32));
    std::fs::create_dir_all(&full).expect("a directory");
    let part = std::fs::File::create(full.join(".x.p2pdi-part")).expect("a file");
    part.set_len(RING_PLACED_GIB_MAX << 30).expect("a sparse file");
    let nodes = nodes(place, 3);
    let content = write_random(&place.join("in"), 5_000, 1);
    for _ in 0..2 {
        // The second time it has to be asked anew: what it said the first time does not count.
        let put = run(&[
            "ring",
            "put",
            text(&place.join("in")),
            "--node",
            &nodes[0].0.address,
        ]);
        assert_eq!(put.code, 4, "{}", put.stderr);
        let says = format!("no room for it at {}; kept by 2 of 3", nodes[1].0.address);
        assert!(put.stderr.contains(&says), "{}", put.stderr);
    }
    let log = nodes[1].0.stderr();
    assert!(
        log.contains("in: not kept for the ring: it has 5000 bytes, and there is room for 0"),
        "{log}"
    );
    assert!(
        get(place, "in", &nodes[1].0) == (0, Some(content.clone())),
        "got from the others"
    );
    assert!(!kept_in(&nodes[1].1, &content).join("in").exists());
}

#[test]
fn nothing_longer_than_there_is_room_for_is_fetched_whatever_is_listed() {
    struct Unwatched;
    impl Watcher for Unwatched {
        fn advanced(&mut self, _standing: &Standing) {}
        fn failed(&mut self, holder: &HostPort, why: &str) {
            println!("{holder}: {why}");
        }
    }
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let content = write_random(&place.join("dir/big"), 600_000, 1);
    let holder = Words::peer("holder", &place.join("dir"), &place.join("state")).serve();
    until_hashed(&holder, "big");
    let (stop, down) = (Stop::new(), Pacer::new(Clock::start(), None));
    // Listed as it is, shorter, and as short as what comes whole.
    for bytes in [600_000, 300_000, 10] {
        let info = ContentInfo {
            kind: ContentKind::File,
            id: id_of(&content),
            name: ContentName::new("big").expect("a name"),
            bytes,
            modified: 0,
            media_type: Text::cut("x/y"),
            number: None,
            title: None,
        };
        let out = place.join(format!("out-{bytes}"));
        let fetcher = Fetcher::new(out.clone(), &down, stop.clone()).at_most(400_000);
        let mut holders = vec![HostPort::parse(&holder.address).expect("an address")];
        let unfetched = fetcher
            .fetch(&info, &mut holders, &mut Unwatched)
            .expect_err("too long");
        assert!(
            matches!(&unfetched.fault, FetchFault::Disk(error) if error.kind() == ErrorKind::FileTooLarge),
            "{bytes}: {:?}",
            unfetched.fault
        );
        let left = p2pdi::storage::measure(&out);
        assert!(left.0 == 0 && left.1 <= 400_000, "{bytes}: {left:?} lie there");
    }
}

#[test]
fn what_others_are_to_keep_is_given_up_when_they_do() {
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let mut nodes = nodes(place, 5);
    let (mut old, state) = nodes.pop().expect("a node");
    // A name that belongs to the others.
    let members = in_order(nodes.iter().map(|(node, _)| node).chain([&old]));
    let to_keep = |name: &str| keepers(&members, space().key_of_name(name), usize::from(RING_REPLICAS));
    let at_old = |name: &String| {
        to_keep(name)
            .iter()
            .any(|node| node.address.to_string() == old.address)
    };
    let name = (0..)
        .map(|number| format!("song-{number}"))
        .find(|name| !at_old(name));
    let name = name.expect("a name");
    let keepers: Vec<String> = to_keep(&name)
        .iter()
        .map(|node| node.address.to_string())
        .collect();
    let address = old.address.clone();
    old.kill();
    // Two contents of one name, kept when it was still this node that was to.
    let contents = [1, 2].map(|seed| {
        let content = blake3::hash(&[seed]).as_bytes().to_vec();
        std::fs::create_dir_all(kept_in(&state, &content)).expect("a directory");
        std::fs::write(kept_in(&state, &content).join(&name), &content).expect("written");
        content
    });
    let again = || {
        let words = [
            "peer",
            "--mode",
            "chord",
            "--listen",
            &address,
            "--state",
            text(&state),
        ];
        super::process::serve(&[&words[..], &["--ring", &nodes[0].0.address]].concat())
    };
    let mut old = again();
    for (node, state) in nodes.iter().filter(|(node, _)| keepers.contains(&node.address)) {
        for content in &contents {
            eventually("the content to be kept", || {
                let kept = std::fs::read(kept_in(state, content).join(&name)).ok();
                (kept.as_ref() == Some(content)).then_some(())
            });
            let id = id_of(content);
            println!("{} keeps {id}", node.address);
        }
    }
    // And those that are to say so.
    let stop = Stop::new();
    let asker = client(&nodes[0].0, &stop);
    eventually("all to be known", || {
        let records = asker
            .records(&Wanted::Name(ContentName::new(name.as_str()).ok()?))
            .ok()?;
        let whole =
            |port: u16| move |claim: &&p2pdi::wire::GossipRecord| claim.port == port && claim.complete;
        let all = records.iter().all(|record| {
            let ports = keepers
                .iter()
                .filter_map(|keeper| keeper.rsplit(':').next()?.parse().ok());
            ports
                .into_iter()
                .all(|port| record.holders.iter().any(|claim| whole(port)(&claim)))
        });
        (records.len() == 2 && all).then_some(())
    });
    stop.trigger();
    old.kill();
    let old = again();
    for content in &contents {
        eventually("the content to be given up", || {
            (!kept_in(&state, content).exists()).then_some(())
        });
    }
    let said = old.stderr();
    assert!(
        said.contains(&format!("{name}: others keep it for the ring now")),
        "{said}"
    );
    let out = place.join("out");
    for content in &contents {
        // What this node was handed as the owner of a key comes a moment after it is one.
        eventually("the content to be got from the others", || {
            let got = Words::get(&id_of(content).to_string(), &out)
                .and(&["--ring", &old.address])
                .run();
            (got.code == 0).then_some(())
        });
        assert_eq!(&std::fs::read(out.join(&name)).expect("fetched"), content);
        std::fs::remove_dir_all(&out).expect("removed");
    }
}
