//! The ring in the simulator: a thousand lives in which the invariant is looked at after every step, what was published of
//! Chord, records that outlive their keepers, and rings that were cut in two.

use p2pdi::name::ContentName;
use p2pdi::proto::chord::{Member, RingCommand, RingEvent, RingNode, RingSettings, Standing};
use p2pdi::ring::{NodeAddress, RingHash, RingSpace};
use p2pdi::rng::Rng;
use p2pdi::sim::ring::{
    NodeIndex, PlantedRingFault, RingCheck, RingLife, RingNetwork, RingSchedule, RingWorld, failures, load,
    measured_settings, partition, paths, run_ring, sample_record,
};
use p2pdi::time::Span;
use p2pdi::wire::{GossipRecord, List, RingKeyOf, RingRecord, Wanted};
use std::net::SocketAddr;

#[path = "ring/records.rs"]
mod records;
#[path = "ring/vectors.rs"]
mod vectors;

fn settings(successors: usize) -> RingSettings {
    let space = RingSpace::new(160, RingHash::Blake3).expect("bits");
    RingSettings {
        successors,
        ..RingSettings::usual(space)
    }
}

fn pass(world: &mut RingWorld, secs: u64) {
    let end = world.now().after(Span::from_secs(secs));
    world.run(end);
}

/// A ring of so many nodes that has come to rest.
fn ring_of(nodes: usize, settings: RingSettings, seed: u64) -> RingWorld {
    let mut world = RingWorld::new(RingNetwork::perfect(), Rng::from_seed(seed));
    let first = world.add(settings);
    world.command(first, RingCommand::Found);
    let contact = world.node(first).expect("alive").me().address;
    for _ in 1..nodes {
        let node = world.add(settings);
        world.command(node, RingCommand::Join(vec![contact]));
    }
    rest(&mut world);
    world
}

fn rest(world: &mut RingWorld) {
    let end = world.now().after(Span::from_secs(600));
    while !RingCheck::is_ideal(world) {
        assert!(world.now() < end, "no ideal ring");
        pass(world, 1);
    }
}

#[test]
fn a_ring_comes_together_young_at_first() {
    for (nodes, successors) in [(1, 4), (2, 4), (4, 4), (5, 4), (6, 4), (20, 1), (20, 8)] {
        let world = ring_of(nodes, settings(successors), 1);
        let standing = if nodes > successors {
            Standing::In
        } else {
            Standing::Young
        };
        for (index, node) in world.nodes() {
            assert_eq!(node.standing(), standing, "{nodes} nodes, {index:?}");
        }
    }
}

#[test]
fn a_ring_that_shrinks_is_young_again_and_grows_again() {
    for (successors, left) in [(4, 5), (4, 4), (4, 2), (8, 3), (8, 1), (1, 1), (2, 2)] {
        let settings = settings(successors);
        let mut world = ring_of(successors + 4, settings, 7);
        let away: Vec<NodeIndex> = world.nodes().map(|(index, _)| index).skip(left).collect();
        for (turn, index) in away.into_iter().enumerate() {
            if turn % 2 == 0 {
                world.command(index, RingCommand::Leave);
                pass(&mut world, 1);
            }
            world.kill(index);
            pass(&mut world, 4);
        }
        rest(&mut world);
        let young = world
            .nodes()
            .filter(|(_, node)| node.standing() == Standing::Young)
            .count();
        assert_eq!(young, if left > successors { 0 } else { left });
        let contact = world.node(NodeIndex(0)).expect("alive").me().address;
        for _ in left..successors + 4 {
            let node = world.add(settings);
            world.command(node, RingCommand::Join(vec![contact]));
        }
        rest(&mut world);
    }
}

fn schedule(seed: u64, nodes: usize, successors: usize) -> RingSchedule {
    RingSchedule {
        seed,
        nodes,
        successors,
        acts: 40,
        fault: None,
    }
}

/// Lives of rings of one size, none of which breaks anything, and all of which come to rest.
fn lives(seeds: core::ops::Range<u64>, nodes: usize, successors: usize) -> RingLife {
    let mut sum = RingLife::default();
    for seed in seeds {
        let schedule = schedule(seed, nodes, successors);
        let life = run_ring(schedule);
        if let Some(broken) = &life.broken {
            panic!("{schedule:?}: {broken}");
        }
        assert!(life.settled.is_some(), "{schedule:?} came to no rest");
        sum.looks += life.looks;
        sum.deaths += life.deaths;
        sum.departures += life.departures;
        sum.joins += life.joins;
        sum.found += life.found;
        sum.failed += life.failed;
    }
    println!("{nodes} nodes, lists of {successors}: {sum:?}");
    sum
}

#[test]
fn what_must_hold_holds_in_rings_as_small_as_their_lists() {
    let mut sum = RingLife::default();
    for successors in 1..=4 {
        for nodes in 1..=successors + 2 {
            let life = lives(0..60, nodes, successors);
            sum.deaths += life.deaths;
            sum.departures += life.departures;
            sum.found += life.found;
        }
    }
    assert!(
        sum.deaths > 2_000 && sum.departures > 500 && sum.found > 5_000,
        "too calm: {sum:?}"
    );
}

#[test]
fn what_must_hold_holds_in_larger_rings() {
    lives(0..50, 16, 4);
    lives(0..30, 16, 8);
    lives(0..8, 64, 8);
    lives(0..2, 256, 8);
}

#[test]
fn the_same_seed_is_the_same_life() {
    for seed in 0..5 {
        let schedule = schedule(seed, 5, 3);
        assert_eq!(run_ring(schedule), run_ring(schedule), "seed {seed}");
    }
}

/// The first that breaks under a planted fault with these words.
fn caught(fault: PlantedRingFault, nodes: usize, successors: usize, words: &str) -> String {
    for seed in 0..40 {
        let life = run_ring(RingSchedule {
            fault: Some(fault),
            ..schedule(seed, nodes, successors)
        });
        if let Some(broken) = life.broken.filter(|broken| broken.0.contains(words)) {
            return broken.0;
        }
    }
    panic!("nobody noticed {fault:?}: {words}")
}

#[test]
fn planted_faults_are_noticed() {
    for (fault, nodes, successors, words) in [
        (
            PlantedRingFault::StaleJoin,
            6,
            3,
            "was a principal, and is skipped",
        ),
        (
            PlantedRingFault::NoYoungRing,
            2,
            1,
            "nobody on this list is alive",
        ),
        (
            PlantedRingFault::UnprobedPredecessor,
            2,
            1,
            "nobody on this list is alive",
        ),
    ] {
        println!("{fault:?}: {}", caught(fault, nodes, successors, words));
    }
}

#[test]
fn paths_are_as_long_as_published() {
    let settings = measured_settings(1, true).expect("a circle");
    for exponent in [3, 5, 7, 10, 12] {
        let nodes = 1_usize << exponent;
        let rings = if nodes < 512 { 20 } else { 2 };
        let mut sum = 0.0;
        for seed in 0..rings {
            let found = paths(settings, nodes, 500, true, seed);
            assert_eq!((found.right, found.wrong, found.failed), (500, 0, 0));
            sum += found.mean_hops();
        }
        let part = sum / f64::from(u32::try_from(rings).expect("few")) / (f64::from(exponent) / 2.0);
        assert!((0.95..=1.05).contains(&part), "{nodes} nodes: {part} of the law");
    }
}

#[test]
fn without_fingers_lookups_walk() {
    let settings = measured_settings(1, false).expect("a circle");
    let [few, many] = [64, 1_024].map(|nodes| {
        let found = paths(settings, nodes, 200, true, 1);
        assert_eq!(found.right, 200);
        found.mean_hops()
    });
    assert!((20.0..45.0).contains(&few), "{few}");
    assert!((12.0..20.0).contains(&(many / few)), "{few}, {many}");
}

#[test]
fn half_may_die_at_once() {
    let settings = measured_settings(20, true).expect("a circle");
    for percent in [0, 10, 30, 50] {
        let found = failures(settings, 1_000, percent, 10_000, 1);
        assert_eq!(found.wrong, 0, "{percent}%");
        assert!(found.right >= 9_999, "{percent}%: {} right", found.right);
        assert!(
            found.mean_hops() + 1.0 <= 5.5,
            "{percent}%: {}",
            found.mean_hops()
        );
    }
}

#[test]
fn keys_lie_as_unevenly_as_published() {
    let settings = measured_settings(8, true).expect("a circle");
    let one = load(settings, 10_000, 1, 500_000, 1);
    assert!(
        (7.0..12.0).contains(&one.worst) && (4.2..5.2).contains(&one.high),
        "{one:?}"
    );
    let many = load(settings, 10_000, 20, 1_000_000, 1);
    assert!(
        (1.4..1.8).contains(&many.high) && (0.4..0.6).contains(&many.low),
        "{many:?}"
    );
}

#[test]
fn halves_become_one_ring_again_and_no_record_is_lost() {
    for nodes in [4, 6, 12, 40] {
        let settings = RingSettings {
            successors: if nodes == 12 { 4 } else { 8 },
            ..settings(8)
        };
        let cut = partition(settings, nodes, 60, 3);
        assert!(cut.halves, "{cut:?}");
        assert!(
            cut.healed.is_some_and(|span| span <= Span::from_secs(60)),
            "{cut:?}"
        );
        assert_eq!((cut.records, cut.found), (60, 60), "{cut:?}");
    }
}

#[test]
fn who_has_lost_everybody_comes_back_by_those_it_remembers() {
    let mut world = ring_of(12, settings(2), 4);
    let mut order: Vec<(NodeIndex, Member)> = world.nodes().map(|(index, node)| (index, node.me())).collect();
    order.sort_by_key(|(_, member)| member.id);
    // Both successors of the first.
    world.kill(order[1].0);
    world.kill(order[2].0);
    world.take_events();
    pass(&mut world, 60);
    let lost = |(index, event): &(NodeIndex, RingEvent)| *index == order[0].0 && *event == RingEvent::Lost;
    assert!(world.take_events().iter().any(lost));
    rest(&mut world);
}

#[test]
fn a_ring_of_another_shape_is_refused_with_both_shapes() {
    let mut world = ring_of(3, settings(8), 1);
    let contact = world.node(NodeIndex(0)).expect("alive").me().address;
    let stranger = world.add(settings(4));
    world.take_events();
    world.command(stranger, RingCommand::Join(vec![contact]));
    pass(&mut world, 1);
    let refused = world
        .take_events()
        .into_iter()
        .find_map(|(index, event)| match event {
            RingEvent::Refused(_, text) if index == stranger => Some(text),
            _ => None,
        });
    let text = refused.expect("a refusal");
    assert!(
        text.contains("lists of 8") && text.contains("lists of 4"),
        "{text}"
    );
    assert_eq!(world.node(stranger).map(RingNode::standing), Some(Standing::Out));
}

#[test]
fn a_host_has_only_so_many_nodes() {
    let settings = RingSettings {
        ids_per_host: 3,
        ..settings(8)
    };
    let address = |port: u16| NodeAddress::from(SocketAddr::from(([192, 0, 2, 1], port)));
    let mut world = RingWorld::new(RingNetwork::perfect(), Rng::from_seed(1));
    let first = world.add_at(settings, address(1));
    world.command(first, RingCommand::Found);
    for port in 2..=4 {
        let node = world.add_at(settings, address(port));
        world.command(node, RingCommand::Join(vec![address(1)]));
        pass(&mut world, 2);
    }
    let refused: Vec<RingEvent> = world.take_events().into_iter().map(|(_, event)| event).collect();
    let named = |event: &RingEvent| matches!(event, RingEvent::Refused(_, text) if text.contains("192.0.2.1 has 3 nodes here already"));
    assert!(refused.iter().any(named), "{refused:?}");
    assert_eq!(
        world
            .nodes()
            .filter(|(_, node)| node.standing() == Standing::Young)
            .count(),
        3
    );
}
