//! The ring in the simulator.

use p2pdi::proto::chord::{RingCommand, RingEvent, RingSettings, Standing};
use p2pdi::ring::{RingHash, RingSpace};
use p2pdi::rng::Rng;
use p2pdi::sim::ring::{NodeIndex, RingLife, RingNetwork, RingSchedule, RingWorld, run_ring};
use p2pdi::time::{Instant, Span};

fn settings(successors: usize) -> RingSettings {
    let space = RingSpace::new(160, RingHash::Blake3).expect("bits");
    RingSettings {
        successors,
        ..RingSettings::usual(space)
    }
}

#[test]
fn a_ring_comes_together_and_finds_its_keys() {
    for (nodes, successors) in [(1, 4), (2, 4), (3, 4), (5, 4), (6, 4), (20, 4), (20, 1), (20, 8)] {
        let settings = settings(successors);
        let mut world = RingWorld::new(RingNetwork::perfect(), Rng::from_seed(1));
        let first = world.add(settings);
        world.command(first, RingCommand::Found);
        let contact = world.node(first).expect("alive").me().address;
        for _ in 1..nodes {
            let node = world.add(settings);
            world.command(node, RingCommand::Join(vec![contact]));
        }
        world.run(Instant::ZERO.after(Span::from_secs(120)));
        let mut members: Vec<_> = world.nodes().map(|(_, node)| node.me()).collect();
        members.sort_by_key(|member| member.id);
        for (index, node) in world.nodes() {
            let standing = if nodes > successors {
                Standing::In
            } else {
                Standing::Young
            };
            assert_eq!(node.standing(), standing, "{nodes} nodes, {index:?}");
            let at = members
                .iter()
                .position(|member| *member == node.me())
                .expect("a member");
            let after = (1..nodes).map(|step| members[(at + step) % nodes]);
            let after: Vec<_> = after.take(successors).collect();
            assert_eq!(node.successors(), after, "{nodes} nodes, {index:?}");
            let before = (nodes > 1).then(|| members[(at + nodes - 1) % nodes]);
            assert_eq!(node.predecessor(), before);
        }
        world.take_events();
        for key in 0..50_u32 {
            let key = settings.space.key_of_name(&key.to_string());
            let asker = NodeIndex(usize::from(key.0[0]) % nodes);
            let number = world
                .command(asker, RingCommand::Lookup(key, None))
                .expect("alive");
            let end = world.now().after(Span::from_secs(1));
            world.run(end);
            let right = members
                .iter()
                .find(|member| member.id >= key)
                .unwrap_or(&members[0]);
            let found = world
                .take_events()
                .into_iter()
                .find_map(|(_, event)| match event {
                    RingEvent::Found(of, owner) if of == number => Some(owner),
                    _ => None,
                });
            assert_eq!(found.expect("an owner").owner, *right);
        }
    }
}

fn life(seed: u64, nodes: usize, successors: usize, acts: u32) -> RingLife {
    let schedule = RingSchedule {
        seed,
        nodes,
        successors,
        acts,
        fault: None,
    };
    let life = run_ring(schedule);
    if let Some(broken) = &life.broken {
        panic!("{schedule:?}: {broken}");
    }
    life
}

#[test]
fn small_rings_keep_their_invariant_and_come_to_rest() {
    let mut lives = 0;
    let (mut deaths, mut departures, mut joins, mut found, mut failed, mut looks) = (0, 0, 0, 0, 0, 0);
    let mut longest = 0.0_f64;
    for successors in 1..=4 {
        for nodes in 1..=successors + 2 {
            for seed in 0..50 {
                let life = life(
                    seed * 1_000 + u64::try_from(nodes).expect("few"),
                    nodes,
                    successors,
                    30,
                );
                lives += 1;
                deaths += life.deaths;
                departures += life.departures;
                joins += life.joins;
                found += life.found;
                failed += life.failed;
                looks += life.looks;
                longest = longest.max(life.settled.map_or(0.0, |span| span.as_secs_f64()));
            }
        }
    }
    println!(
        "{lives} lives, {joins} joins, {deaths} deaths, {departures} departures, {found} found, {failed} failed, {looks} looks, longest {longest}"
    );
}
