//! The figures of the original report: three nodes on a circle of 10 bits, and the naive ring of 6.

use super::{pass, rest};
use p2pdi::proto::chord::{RingCommand, RingEvent, RingSettings};
use p2pdi::ring::{NodeAddress, RingHash, RingId, RingSpace};
use p2pdi::rng::Rng;
use p2pdi::sim::ring::{NodeIndex, RingNetwork, RingWorld};
use std::net::SocketAddr;

fn at(port: u16) -> NodeAddress {
    SocketAddr::from(([127, 0, 0, 1], port)).into()
}

fn report(fingers: bool) -> RingSettings {
    let space = RingSpace::new(10, RingHash::Sha1).expect("bits");
    RingSettings {
        fingers,
        ..RingSettings::usual(space)
    }
}

/// Nodes 797 and 724, in this order.
fn two(settings: RingSettings) -> RingWorld {
    let mut world = RingWorld::new(RingNetwork::perfect(), Rng::from_seed(1));
    let first = world.add_at(settings, at(5_000));
    world.command(first, RingCommand::Found);
    let second = world.add_at(settings, at(5_500));
    world.command(second, RingCommand::Join(vec![at(5_000)]));
    rest(&mut world);
    world
}

fn id(id: RingId) -> u64 {
    id.as_u64().expect("ten bits")
}

fn table(world: &RingWorld, node: usize) -> Vec<(u64, u64)> {
    let fingers = world.node(NodeIndex(node)).expect("alive").fingers();
    fingers
        .iter()
        .map(|(start, finger)| (id(*start), id(finger.id)))
        .collect()
}

fn owner(world: &mut RingWorld, asker: usize, key: RingId) -> (u64, Vec<u64>, u32) {
    world.take_events();
    world.command(NodeIndex(asker), RingCommand::Lookup(key, None));
    pass(world, 5);
    let found = world
        .take_events()
        .into_iter()
        .find_map(|(_, event)| match event {
            RingEvent::Found(_, owner) => Some(owner),
            _ => None,
        });
    let found = found.expect("an owner");
    (
        id(found.owner.id),
        found.next.iter().map(|next| id(next.id)).collect(),
        found.hops,
    )
}

#[test]
fn three_nodes_have_the_fingers_of_the_report() {
    let mut world = two(report(true));
    let starts = [725, 726, 728, 732, 740, 756, 788, 852, 980, 212];
    let of_two = [797, 797, 797, 797, 797, 797, 797, 724, 724, 724];
    assert_eq!(
        table(&world, 1),
        starts.into_iter().zip(of_two).collect::<Vec<_>>()
    );
    let third = world.add_at(report(true), at(6_000));
    world.command(third, RingCommand::Join(vec![at(5_500)]));
    rest(&mut world);
    let of_three = [797, 797, 797, 797, 797, 797, 797, 993, 993, 724];
    assert_eq!(
        table(&world, 1),
        starts.into_iter().zip(of_three).collect::<Vec<_>>()
    );
    let neighbours = world.node(NodeIndex(1)).expect("alive");
    assert_eq!(neighbours.predecessor().map(|before| id(before.id)), Some(993));
    let after: Vec<u64> = neighbours.successors().iter().map(|next| id(next.id)).collect();
    assert_eq!(after, [797, 993]);
}

#[test]
fn the_file_in_lands_on_797_and_then_on_993() {
    for fingers in [true, false] {
        let settings = report(fingers);
        let mut world = two(settings);
        let third = world.add_at(settings, at(6_000));
        world.command(third, RingCommand::Join(vec![at(5_500)]));
        rest(&mut world);
        let key = settings.space.key_of_name("in");
        assert_eq!(id(key), 751);
        for asker in 0..3 {
            let (owner, next, _) = owner(&mut world, asker, key);
            assert_eq!((owner, next[0]), (797, 993), "asked by {asker}");
        }
        world.kill(NodeIndex(0));
        for asker in 1..3 {
            assert_eq!(owner(&mut world, asker, key).0, 993, "with 797 dead");
        }
    }
}

/// Ports of addresses on one host whose ids are these.
fn ports_of(space: RingSpace, ids: &[u64]) -> Vec<u16> {
    let port_of = |wanted: &u64| (1..=u16::MAX).find(|port| id(space.id_of(at(*port))) == *wanted);
    ids.iter()
        .map(|wanted| port_of(wanted).expect("a port of this id"))
        .collect()
}

#[test]
fn the_naive_ring_of_the_report_walks_to_its_owners() {
    let ids = [1, 12, 13, 25, 32, 40, 48, 60];
    let space = RingSpace::new(6, RingHash::Sha1).expect("bits");
    let settings = RingSettings {
        fingers: false,
        successors: 1,
        ..RingSettings::usual(space)
    };
    let ports = ports_of(space, &ids);
    let mut world = RingWorld::new(RingNetwork::perfect(), Rng::from_seed(1));
    for (number, port) in ports.iter().enumerate() {
        let node = world.add_at(settings, at(*port));
        if number == 0 {
            world.command(node, RingCommand::Found);
        } else {
            world.command(node, RingCommand::Join(vec![at(ports[0])]));
        }
        pass(&mut world, 5);
    }
    rest(&mut world);
    for (key, right) in [(51, 60), (60, 60), (61, 1)] {
        for asker in 0..ids.len() {
            assert_eq!(
                owner(&mut world, asker, RingId::from_u64(key)).0,
                right,
                "key {key}"
            );
        }
    }
    // From node 1 to the key 51: 12, 13, 25, 32, 40 and 48 are asked the way.
    assert_eq!(owner(&mut world, 0, RingId::from_u64(51)), (60, vec![1], 6));
}
