//! Records: kept by their owners and those after them, handed on as nodes come and go, and bounded.

use super::*;
use p2pdi::id::{ContentId, RequestNumber, RfcNumber};
use p2pdi::limits::RING_LEAVE_WAIT;
use p2pdi::ring::RingId;
use p2pdi::wire::{RingMember, RingStore};

fn record(number: usize, of: &RingNode, sequence: u64, remaining_secs: u32) -> RingRecord {
    let mut record = sample_record(number, of).expect("a record");
    if number % 2 == 1 {
        record.key = RingKeyOf::Id;
    }
    record.place = number == 0;
    let claim = record.holders.iter().next().expect("a holder").clone();
    record.holders = List::first_of([GossipRecord {
        sequence,
        remaining_secs,
        ..claim
    }]);
    record
}

fn wanted(number: usize) -> Wanted {
    let name = format!("file {number}");
    if number % 2 == 1 {
        Wanted::Id(ContentId(*blake3::hash(name.as_bytes()).as_bytes()))
    } else {
        Wanted::Name(ContentName::new(name).expect("a name"))
    }
}

const RECORDS: usize = 40;

/// A ring in which every record was published, each by some node.
fn published(nodes: usize, settings: RingSettings) -> RingWorld {
    let mut world = ring_of(nodes, settings, 3);
    world.take_events();
    for number in 0..RECORDS {
        let by = NodeIndex(number % nodes);
        let record = record(number, world.node(by).expect("alive"), 1, 7_200);
        world.command(by, RingCommand::Publish(Box::new(record)));
    }
    pass(&mut world, 5);
    let events = world.take_events();
    let stored = events
        .iter()
        .filter(|(_, event)| matches!(event, RingEvent::Stored(..)));
    assert_eq!(stored.count(), RECORDS);
    let placed = events
        .iter()
        .filter(|(_, event)| matches!(event, RingEvent::Place(_)));
    assert_eq!(
        placed.count(),
        nodes.min(settings.replicas),
        "the one content that is to be with its record"
    );
    world
}

fn copies(world: &RingWorld) -> usize {
    world.nodes().map(|(_, node)| node.records_kept().1).sum()
}

fn fetch(world: &mut RingWorld, number: usize, by: NodeIndex) -> Vec<RingRecord> {
    let command = world
        .command(by, RingCommand::Fetch(wanted(number), None))
        .expect("alive");
    pass(world, 20);
    let found = world
        .take_events()
        .into_iter()
        .find_map(|(index, event)| match event {
            RingEvent::Fetched(of, records) if index == by && of == command => Some(records),
            _ => None,
        });
    found.expect("an answer")
}

fn all_are_found(world: &mut RingWorld, when: &str) {
    world.take_events();
    let nodes: Vec<NodeIndex> = world.nodes().map(|(index, _)| index).collect();
    let mut open = Vec::new();
    for number in 0..RECORDS {
        let by = nodes[number * 7 % nodes.len()];
        let command = world.command(by, RingCommand::Fetch(wanted(number), None));
        open.push((by, command.expect("alive")));
    }
    pass(world, 20);
    let events = world.take_events();
    for (number, (by, command)) in open.into_iter().enumerate() {
        let found = events.iter().any(|(index, event)| {
            *index == by
                && matches!(event, RingEvent::Fetched(of, records) if *of == command && records.len() == 1)
        });
        assert!(found, "{when}: file {number}");
    }
}

#[test]
fn records_outlive_those_that_keep_them() {
    for (nodes, successors) in [(3, 8), (6, 8), (12, 4), (40, 8)] {
        let settings = settings(successors);
        let mut world = published(nodes, settings);
        assert_eq!(copies(&world), RECORDS * nodes.min(settings.replicas));
        all_are_found(&mut world, "at rest");
        let contact = world.node(NodeIndex(0)).expect("alive").me().address;
        for _ in 0..3 {
            let node = world.add(settings);
            world.command(node, RingCommand::Join(vec![contact]));
            pass(&mut world, 1);
            all_are_found(&mut world, "while one joins");
        }
        rest(&mut world);
        // With three copies two may die at once; then the copies are made anew, and two more may.
        for _ in 0..2 {
            let alive: Vec<NodeIndex> = world.nodes().map(|(index, _)| index).collect();
            world.kill(alive[0]);
            world.kill(alive[1]);
            all_are_found(&mut world, "right after two died");
            rest(&mut world);
            pass(&mut world, 10);
            let all = RECORDS * world.nodes().count().min(settings.replicas);
            assert!(copies(&world) >= all, "{} copies, not {all}", copies(&world));
        }
        let leaver = world.nodes().map(|(index, _)| index).next().expect("somebody");
        world.command(leaver, RingCommand::Leave);
        pass(&mut world, 2);
        assert!(world.take_events().contains(&(leaver, RingEvent::Left)));
        world.kill(leaver);
        all_are_found(&mut world, "right after one left");
    }
}

#[test]
fn two_nodes_leave_their_records_to_the_last() {
    let mut world = published(3, settings(8));
    for leaver in [0, 2] {
        world.command(NodeIndex(leaver), RingCommand::Leave);
        pass(&mut world, 10);
        world.kill(NodeIndex(leaver));
    }
    all_are_found(&mut world, "alone");
}

#[test]
fn claims_expire_unless_their_holder_renews_them() {
    let settings = settings(4);
    let mut world = ring_of(8, settings, 3);
    for (sequence, secs) in [(1, 100), (2, 100)] {
        for number in 0..2 {
            // Only the first is renewed.
            if number == 0 || sequence == 1 {
                let record = record(number, world.node(NodeIndex(0)).expect("alive"), sequence, secs);
                world.command(NodeIndex(0), RingCommand::Publish(Box::new(record)));
            }
        }
        pass(&mut world, 60);
    }
    world.take_events();
    assert_eq!(fetch(&mut world, 0, NodeIndex(3)).len(), 1, "renewed");
    assert_eq!(fetch(&mut world, 1, NodeIndex(3)), [], "not renewed");
    pass(&mut world, 100);
    assert_eq!(fetch(&mut world, 0, NodeIndex(3)), []);
    pass(&mut world, 100);
    assert_eq!(copies(&world), 0, "forgotten by all");
}

#[test]
fn a_node_keeps_no_more_than_it_may() {
    for (claims_max, claims_per_holder_max, most) in [(5, 100, 5), (100, 3, 3 * 8)] {
        let settings = RingSettings {
            claims_max,
            claims_per_holder_max,
            ..settings(8)
        };
        let mut world = ring_of(4, settings, 3);
        for number in 0..RECORDS {
            let by = NodeIndex(number % 4);
            let record = record(number, world.node(by).expect("alive"), 1, 7_200);
            world.command(by, RingCommand::Publish(Box::new(record)));
        }
        pass(&mut world, 60);
        for (_, node) in world.nodes() {
            assert!(node.records_kept().1 <= most, "{:?}", node.records_kept());
        }
        let refused = |(_, event): &(NodeIndex, RingEvent)| matches!(event, RingEvent::Failed(_, fault) if fault.to_string().contains("429"));
        assert!(world.take_events().iter().any(refused));
    }
}

#[test]
fn who_leaves_does_not_wait_for_ever() {
    let mut world = published(12, settings(4));
    let alone = NodeIndex(5);
    // Nobody can take its records.
    world.part(alone, 1);
    world.take_events();
    world.command(alone, RingCommand::Leave);
    let left = |world: &mut RingWorld| world.take_events().contains(&(alone, RingEvent::Left));
    pass(&mut world, RING_LEAVE_WAIT.as_secs() - 1);
    let early = left(&mut world);
    pass(&mut world, 2);
    assert!(early || left(&mut world));
}

/// Who is next after whom, by id.
fn order(world: &RingWorld) -> Vec<NodeIndex> {
    let mut order: Vec<(RingId, NodeIndex)> = world.nodes().map(|(at, node)| (node.me().id, at)).collect();
    order.sort();
    order.into_iter().map(|(_, at)| at).collect()
}

#[test]
fn a_dead_keeper_is_not_offered_its_copies_again_and_again() {
    let mut world = published(12, settings(4));
    let before = world.messages();
    pass(&mut world, 6);
    let calm = world.messages() - before;
    let dead = order(&world)[5];
    world.kill(dead);
    let before = world.messages();
    pass(&mut world, 6);
    let then = world.messages() - before;
    assert!(then < 3 * calm + 100, "{then} messages, and {calm} at rest");
}

#[test]
fn what_is_left_to_a_dead_node_is_left_to_the_next() {
    let settings = RingSettings {
        replicas: 1,
        ..settings(4)
    };
    let mut world = published(12, settings);
    let order = order(&world);
    for at in [2, 7] {
        // Nobody has noticed yet that the heir is dead; it kept the only copies of what it owned itself.
        let heir = world.node(order[at + 1]).expect("alive").records_kept().1;
        let copies = copies(&world) - heir;
        world.kill(order[at + 1]);
        world.command(order[at], RingCommand::Leave);
        pass(&mut world, 8);
        assert!(world.take_events().contains(&(order[at], RingEvent::Left)));
        let left = world.node(order[at]).expect("alive").records_kept().1;
        world.kill(order[at]);
        assert_eq!((left, self::copies(&world)), (0, copies));
        rest(&mut world);
    }
}

#[test]
fn all_holders_are_told_to_those_that_keep_copies() {
    const HOLDERS: u16 = 150;
    let mut world = ring_of(5, settings(4), 3);
    for port in 0..HOLDERS {
        let node = NodeIndex(usize::from(port % 5));
        let mut record = record(2, world.node(node).expect("alive"), 1, 7_200);
        let claim = GossipRecord {
            port: 1 + port,
            withdrawn: port < 100,
            ..record.holders.iter().next().expect("one").clone()
        };
        record.holders = List::first_of([claim]);
        // A node that publishes for its own address only; here many are to hold it, so they share the machine.
        let owner = owner_of(&mut world, 2);
        let store = RingStore {
            request: RequestNumber(1),
            ring: settings(4).shape(),
            sender: RingMember {
                address: NodeAddress {
                    port: 1 + port,
                    ..world.node(node).expect("alive").me().address
                },
                incarnation: 0,
            },
            copy: false,
            records: List::first_of([record]),
        };
        world.ask(node, owner, store.into());
        pass(&mut world, 1);
    }
    pass(&mut world, 5);
    assert_eq!(copies(&world), 3 * usize::from(HOLDERS));
    let found = fetch(&mut world, 2, NodeIndex(1));
    assert_eq!(found.len(), 1);
    let live = found[0].holders.iter().filter(|claim| !claim.withdrawn).count();
    assert_eq!(live, usize::from(HOLDERS - 100), "those that have it come first");
}

fn owner_of(world: &mut RingWorld, number: usize) -> NodeIndex {
    let Wanted::Name(name) = wanted(number) else {
        panic!("by name");
    };
    let order = order(world);
    let space = settings(4).space;
    let key = space.key_of_name(name.as_str());
    let owner = order
        .iter()
        .find(|at| world.node(**at).is_some_and(|node| node.me().id >= key));
    *owner.unwrap_or(&order[0])
}

#[test]
fn many_records_are_found_soon_after_a_split() {
    let cut = partition(settings(8), 40, 3_000, 5);
    assert!(cut.healed.is_some(), "{cut:?}");
    assert_eq!(cut.found, cut.records, "{cut:?}");
}

#[test]
fn documents_are_found_by_their_number() {
    let mut world = ring_of(12, settings(4), 3);
    let by = NodeIndex(3);
    for (name, key) in [
        ("docs/rfc7.txt", RingKeyOf::Number),
        ("rfc7.txt", RingKeyOf::Name),
    ] {
        let mut record = record(0, world.node(by).expect("alive"), 1, 7_200);
        record.key = key;
        record.place = false;
        record.content.name = ContentName::new(name).expect("a name");
        record.content.number = Some(RfcNumber(7));
        world.command(by, RingCommand::Publish(Box::new(record)));
    }
    pass(&mut world, 5);
    for (number, names) in [(7, vec!["docs/rfc7.txt"]), (8, vec![])] {
        world.take_events();
        let wanted = Wanted::Number(RfcNumber(number));
        world.command(NodeIndex(9), RingCommand::Fetch(wanted, None));
        pass(&mut world, 5);
        let found = world
            .take_events()
            .into_iter()
            .find_map(|(_, event)| match event {
                RingEvent::Fetched(_, records) => Some(records),
                _ => None,
            });
        let found = found.expect("an answer");
        let found: Vec<&str> = found.iter().map(|record| record.content.name.as_str()).collect();
        assert_eq!(found, names);
    }
}

#[test]
fn small_halves_become_one_ring() {
    // Seeds in which the last member of a young half had become the predecessor of a node of the other, and found itself.
    for (nodes, successors, seed) in [(10, 5, 97), (14, 8, 97), (16, 8, 1)] {
        let cut = partition(settings(successors), nodes, 20, seed);
        assert!(cut.halves && cut.healed.is_some(), "{nodes}: {cut:?}");
        assert_eq!((cut.records, cut.found), (20, 20), "{nodes}");
    }
}
