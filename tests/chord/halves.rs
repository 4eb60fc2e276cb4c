//! A ring cut into two halves that live on by themselves, and joined again: one ring, and nothing is lost.

use super::deaths::whole;
use super::live::{client, in_order, is_ring, until};
use super::node;
use super::process::{Running, text, write_random};
use super::space::{CLIENTS, CLIENTS_IP, SERVER, SERVER_IP, Space};
use p2pdi::limits::RING_SUCCESSORS;
use p2pdi::name::ContentName;
use p2pdi::net::Stop;
use p2pdi::proto::chord::Member;
use p2pdi::wire::Wanted;
use std::path::Path;
use std::time::{Duration, Instant};

/// Nodes of each half: more than lists are long, or a half would be young again.
const NODES: usize = 16;
/// What each node shares.
const SHARES: usize = 8;
const CUT: Duration = Duration::from_secs(120);
/// How long the halves may take to be one ring again.
const JOINED_WITHIN: Duration = Duration::from_secs(60);
const LISTED: usize = RING_SUCCESSORS as usize;

struct Half {
    machine: usize,
    nodes: Vec<Running>,
}

fn shared(place: &Path, machine: usize, number: usize) -> std::path::PathBuf {
    place.join(format!("shared-{machine}-{number}"))
}

fn wanted(name: &str) -> Wanted {
    Wanted::Name(ContentName::new(name).expect("a name"))
}

/// The nodes on one machine.
fn half(space: &Space, place: &Path, machine: usize, contact: Option<&str>) -> Half {
    let ip = [SERVER_IP, CLIENTS_IP][machine];
    let mut nodes: Vec<Running> = Vec::new();
    for number in 0..NODES {
        let dir = shared(place, machine, number);
        for share in 0..SHARES {
            write_random(&dir.join(format!("{machine}-{number}-{share}")), 50, share as u64);
        }
        let contact = contact
            .or(nodes.first().map(|first| first.address.as_str()))
            .map(str::to_owned);
        let joins = contact
            .as_ref()
            .map_or(vec![], |contact| vec!["--ring", contact.as_str()]);
        let place = place.join(format!("{machine}-{number}"));
        let words = [&joins[..], &["--dir", text(&dir)]].concat();
        nodes.push(space.on(machine, || node(&place, &format!("{ip}:0"), "chord", &words)));
    }
    Half { machine, nodes }
}

/// True if each half's nodes have the neighbours that they should have among `members`, and list so many in order.
fn agree(space: &Space, halves: &[&Half], members: &[Member], listed: usize) -> bool {
    halves
        .iter()
        .all(|half| space.on(half.machine, || is_ring(&half.nodes, members, listed)))
}

/// How many of these are found by way of a node of a half.
fn found(space: &Space, half: &Half, names: &[String]) -> usize {
    space.on(half.machine, || {
        let stop = Stop::new();
        let client = client(&half.nodes[0], &stop);
        let is_found = |name: &&String| {
            client
                .records(&wanted(name))
                .is_ok_and(|records| !records.is_empty())
        };
        let count = names.iter().filter(is_found).count();
        stop.trigger();
        count
    })
}

#[test]
fn halves_that_were_cut_from_each_other_become_one_ring() {
    if !whole() {
        println!("left to make ordeal: a cut of two minutes; tests/ring.rs does it in virtual time");
        return;
    }
    let Some(space) = Space::new() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let place = place.path();
    let one = half(&space, place, SERVER, None);
    let other = half(&space, place, CLIENTS, Some(&one.nodes[0].address));
    let all = in_order(one.nodes.iter().chain(&other.nodes));
    let halves = [&one, &other];
    let patience = Duration::from_secs(180);
    let formed = until("the ring to come together", patience, || {
        agree(&space, &halves, &all, LISTED)
    });
    let mut names: Vec<String> = Vec::new();
    for machine in [SERVER, CLIENTS] {
        for number in 0..NODES {
            names.extend((0..SHARES).map(|share| format!("{machine}-{number}-{share}")));
        }
    }
    let all_found = |names: &[String]| {
        halves
            .iter()
            .all(|half| found(&space, half, names) == names.len())
    };
    until("all to be published", patience, || all_found(&names));
    println!(
        "{} nodes, {} names; one ring {:.1} s after the last had started",
        all.len(),
        names.len(),
        formed.as_secs_f64()
    );

    space.cut(true);
    let cut = Instant::now();
    let apart: Vec<Vec<Member>> = halves.iter().map(|half| in_order(&half.nodes)).collect();
    until("each half to be a ring", CUT, || {
        halves
            .iter()
            .zip(&apart)
            .all(|(half, members)| agree(&space, &[half], members, LISTED))
    });
    println!("two rings {:.1} s after the cut", cut.elapsed().as_secs_f64());
    let kept: Vec<usize> = halves.iter().map(|half| found(&space, half, &names)).collect();
    println!(
        "meanwhile one half finds {} of them, the other {}",
        kept[0], kept[1]
    );
    // Each half learns something that the other cannot.
    for half in halves {
        let name = format!("new-{}", half.machine);
        write_random(&shared(place, half.machine, 3).join(&name), 50, 1);
        until("it to be published", patience, || {
            found(&space, half, std::slice::from_ref(&name)) == 1
        });
        names.push(name);
    }
    until("the cut to have lasted", CUT * 2, || cut.elapsed() >= CUT);

    space.cut(false);
    let joined = Instant::now();
    // Looking is not to keep the machine from joining them.
    let agrees = |listed: usize| {
        std::thread::park_timeout(Duration::from_millis(200));
        agree(&space, &halves, &all, listed)
    };
    let one_ring = until("one ring", patience, || agrees(1));
    until("all to be found everywhere", patience, || all_found(&names));
    let found = joined.elapsed();
    until("whole lists", patience, || agrees(LISTED));
    println!(
        "joined: one ring {:.1} s after, all {} names found from both sides {:.1} s after, whole lists {:.1} s after",
        one_ring.as_secs_f64(),
        names.len(),
        found.as_secs_f64(),
        joined.elapsed().as_secs_f64()
    );
    assert!(
        one_ring < JOINED_WITHIN && found < JOINED_WITHIN,
        "later than {JOINED_WITHIN:?}"
    );
}
