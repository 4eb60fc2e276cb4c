//! Many nodes killed at once: lookups are never wrong, and soon all right; no record is lost that anybody keeps.

use super::live::{client, in_order, keepers, kept_at, neighbours, until_ring};
use super::process::{Running, eventually, text, write_random};
use super::{live, node};
use p2pdi::limits::{RING_REPLICAS, RING_STABILIZE, RING_SUCCESSORS};
use p2pdi::name::ContentName;
use p2pdi::net::Stop;
use p2pdi::proto::chord::Member;
use p2pdi::ring::RingId;
use p2pdi::rng::Rng;
use p2pdi::wire::Wanted;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

/// What each node shares.
pub(super) const SHARES: usize = 4;
/// Lookups by way of each node.
const LOOKUPS: usize = 10;

/// All of it, and not only what CI has time for.
pub(super) fn whole() -> bool {
    std::env::var_os("P2PDI_ORDEAL").is_some()
}

pub(super) fn name(node: usize, share: usize) -> String {
    format!("node-{node}-{share}")
}

/// So many nodes that are one ring, each sharing something of its own.
fn ring(place: &Path, count: usize) -> Vec<Running> {
    let begun = Instant::now();
    let start = |number: usize, contact: &[&str]| {
        let dir = place.join(format!("shared-{number}"));
        for share in 0..SHARES {
            write_random(
                &dir.join(name(number, share)),
                100,
                (number * SHARES + share) as u64,
            );
        }
        let place = place.join(number.to_string());
        node(
            &place,
            "127.0.0.1:0",
            "chord",
            &[contact, &["--dir", text(&dir)]].concat(),
        )
    };
    let first = start(0, &[]);
    let contact = first.address.clone();
    let mut nodes = vec![first];
    nodes.extend((1..count).map(|number| start(number, &["--ring", &contact])));
    until_ring(&nodes, whole());
    println!(
        "{count} nodes are one ring after {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    nodes
}

/// Where what was shared is kept when the ring is at rest: one entry a record.
fn records(nodes: &[Running]) -> Vec<(Wanted, Vec<Member>)> {
    let members = in_order(nodes);
    let replicas = usize::from(RING_REPLICAS);
    let names = (0..nodes.len()).flat_map(|number| (0..SHARES).map(move |share| name(number, share)));
    let records = names.map(|name| {
        let key = live::space().key_of_name(&name);
        let wanted = Wanted::Name(ContentName::new(name).expect("a name"));
        (wanted, keepers(&members, key, replicas))
    });
    records.collect()
}

/// Waits until all that are to keep a record do.
fn until_kept(records: &[(Wanted, Vec<Member>)]) {
    for (wanted, keepers) in records {
        for keeper in keepers {
            eventually("a record to be kept", || {
                (!kept_at(SocketAddr::from(keeper.address), wanted).is_empty()).then_some(())
            });
        }
    }
}

/// Those that are to die: a draw that leaves everybody else somebody whom it lists.
fn draw(nodes: &[Running], count: usize, rng: &mut Rng) -> Vec<usize> {
    loop {
        let mut numbers: Vec<usize> = (0..nodes.len()).collect();
        for i in 0..count {
            let left = (nodes.len() - i) as u64;
            numbers.swap(i, i + usize::try_from(rng.below(left)).expect("small"));
        }
        let (dead, alive) = numbers.split_at(count);
        let is_alive = |address: &SocketAddr| {
            alive
                .iter()
                .any(|number| nodes[*number].address == address.to_string())
        };
        let all_list_some = alive.iter().all(|number| {
            let (_, list) = neighbours(&nodes[*number]).expect("a member");
            list.iter().any(is_alive)
        });
        if all_list_some {
            return dead.to_vec();
        }
        println!("a draw that leaves somebody nobody is drawn again");
    }
}

/// Ends some of the nodes, all of them at one moment, as a power cut would: those that are left, and when it was.
fn kill(nodes: Vec<Running>, dead: &[usize]) -> (Vec<Running>, Instant) {
    let ids: Vec<String> = dead
        .iter()
        .map(|number| nodes[*number].id().to_string())
        .collect();
    let killed = std::process::Command::new("kill")
        .arg("-KILL")
        .args(&ids)
        .status();
    assert!(killed.expect("kill runs").success());
    let died = Instant::now();
    let (mut alive, mut number) = (Vec::new(), 0);
    for mut node in nodes {
        if dead.contains(&number) {
            node.end();
        } else {
            alive.push(node);
        }
        number += 1;
    }
    (alive, died)
}

#[derive(Default)]
struct Tally {
    right: usize,
    wrong: usize,
    failed: usize,
    timeouts: u32,
}

/// Looks keys up by way of every node at once.
fn look_up(nodes: &[Running], seed: u64) -> Tally {
    let members = in_order(nodes);
    let by_way_of = |number: usize, node: &Running| {
        let mut rng = Rng::from_seed(seed * 1_000 + number as u64);
        let stop = Stop::new();
        let client = client(node, &stop);
        let mut tally = Tally::default();
        for _ in 0..LOOKUPS {
            let key = RingId(rng.bytes());
            match client.look_up(key) {
                Ok(found) if found.owner.address == keepers(&members, key, 1)[0].address => {
                    tally.right += 1;
                    tally.timeouts += found.timeouts;
                }
                Ok(found) => {
                    println!("WRONG: {key:?} at {:?}, by way of {}", found.owner, node.address);
                    tally.wrong += 1;
                }
                Err(_) => tally.failed += 1,
            }
        }
        stop.trigger();
        tally
    };
    std::thread::scope(|scope| {
        let numbered = nodes.iter().enumerate();
        let threads: Vec<_> = numbered
            .map(|(number, node)| scope.spawn(move || by_way_of(number, node)))
            .collect();
        let mut sum = Tally::default();
        for thread in threads {
            let tally = thread.join().expect("looked up");
            sum.right += tally.right;
            sum.wrong += tally.wrong;
            sum.failed += tally.failed;
            sum.timeouts += tally.timeouts;
        }
        sum
    })
}

fn half_die(count: usize, seed: u64) {
    let place = tempfile::tempdir().expect("a directory");
    let nodes = ring(place.path(), count);
    let records = records(&nodes);
    until_kept(&records);
    let dead = draw(&nodes, count / 2, &mut Rng::from_seed(seed));
    let (alive, died) = kill(nodes, &dead);
    let at_once = look_up(&alive, seed);
    let all = LOOKUPS * alive.len();
    println!(
        "{} of {count} died: {} of {all} lookups right at once, {} wrong, {} failed, {:.2} timeouts a lookup, {:.1} s",
        dead.len(),
        at_once.right,
        at_once.wrong,
        at_once.failed,
        f64::from(at_once.timeouts) / at_once.right as f64,
        died.elapsed().as_secs_f64()
    );
    assert_eq!(at_once.wrong, 0);
    assert!(at_once.right * 100 >= 96 * all, "{} of {all}", at_once.right);
    // Soon all of them are, and stay so.
    let patience = RING_STABILIZE.to_std() * 10;
    let soon = loop {
        let tally = look_up(&alive, seed + 1);
        assert_eq!(tally.wrong, 0);
        if tally.right == all {
            break died.elapsed();
        }
        assert!(
            died.elapsed() < patience,
            "{} of {all} after {patience:?}",
            tally.right
        );
    };
    until_ring(&alive, whole());
    println!(
        "all {all} right {:.1} s after; one ring {:.1} s after",
        soon.as_secs_f64(),
        died.elapsed().as_secs_f64()
    );
    // What anybody keeps who is left is found.
    let stop = Stop::new();
    let client = client(&alive[0], &stop);
    let is_alive = |keeper: &Member| {
        alive
            .iter()
            .any(|node| node.address == keeper.address.to_string())
    };
    let (survived, lost): (Vec<_>, Vec<_>) = records
        .iter()
        .partition(|(_, keepers)| keepers.iter().any(is_alive));
    for (wanted, _) in &survived {
        let found = client.records(wanted).expect("an owner");
        assert_eq!(found.len(), 1, "{wanted:?}");
    }
    println!(
        "{} of {} records had a keeper left, and were found; {} had none",
        survived.len(),
        records.len(),
        lost.len()
    );
    stop.trigger();
}

#[test]
fn half_of_the_nodes_die_at_once() {
    if whole() {
        for seed in 1..=3 {
            half_die(64, seed);
        }
    } else {
        // As many as lists are long and one more: everybody lists everybody from the beginning.
        half_die(usize::from(RING_SUCCESSORS) + 1, 1);
    }
}

#[test]
fn who_lists_only_dead_nodes_joins_again() {
    if !whole() {
        println!(
            "left to make ordeal: a list of dead nodes is a period for each; tests/ring.rs does it in virtual time"
        );
        return;
    }
    let place = tempfile::tempdir().expect("a directory");
    let nodes = ring(place.path(), 12);
    let lone = in_order(&nodes)[0];
    let at = nodes
        .iter()
        .position(|node| node.address == lone.address.to_string());
    let (_, list) = neighbours(&nodes[at.expect("one of them")]).expect("a member");
    let dead: Vec<usize> = (0..nodes.len())
        .filter(|number| list.iter().any(|next| next.to_string() == nodes[*number].address))
        .collect();
    assert_eq!(dead.len(), 8, "all that it lists");
    let (alive, died) = kill(nodes, &dead);
    until_ring(&alive, true);
    println!("one ring again {:.1} s after", died.elapsed().as_secs_f64());
    let tally = look_up(&alive, 1);
    assert_eq!((tally.right, tally.wrong), (LOOKUPS * alive.len(), 0));
}
