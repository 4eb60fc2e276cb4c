//! What is measured of rings in which nodes come, die and are cut off from each other.
//!
//! Belongs here: bringing that about, and counting. Does not: how it is shown.

use super::check::RingCheck;
use super::ideal::IdealRing;
use super::measure::{Lookups, pick};
use super::sample::sample_record;
use super::world::{NodeIndex, RingNetwork, RingWorld};
use crate::name::ContentName;
use crate::proto::chord::{CommandNumber, RingCommand, RingEvent, RingNode, RingSettings, Standing};
use crate::ring::{NodeAddress, RingId};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::Wanted;
use core::ops::Range;
use std::collections::{BTreeMap, BTreeSet};

/// What lookups came to while nodes come and die.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Churn {
    /// Joins a second, and as many deaths.
    pub rate: f64,
    /// The lookups; right is every one that is not wrong.
    pub lookups: Lookups,
    /// Nodes that died.
    pub deaths: usize,
    /// Nodes that had to join anew, for all they listed had died.
    pub lost: usize,
}

/// So many nodes, of which one joins and one dies every so often, and one lookup a second, asked once.
pub fn churn(settings: RingSettings, nodes: usize, every: Span, minutes: u64, seed: u64) -> Churn {
    let ring = IdealRing::of(settings, nodes, seed);
    let mut world = RingWorld::new(slow(), Rng::from_seed(seed));
    let mut rng = Rng::from_seed(!seed);
    let contact = grow(&ring, &mut world, settings);
    let mut check = RingCheck::new(settings.successors);
    let mut churn = Churn {
        rate: 1.0 / every.as_secs_f64(),
        ..Churn::default()
    };
    let mut open: BTreeMap<(NodeIndex, CommandNumber), (RingId, Instant)> = BTreeMap::new();
    let end = world.now().after(Span::from_secs(minutes * 60));
    let second = Span::from_secs(1);
    let exponential = |rng: &mut Rng, mean: Span| waiting(rng, mean);
    let mut next = [second, every, every].map(|mean| world.now().after(exponential(&mut rng, mean)));
    world.take_events();
    while world.now() < end {
        let until = next[0].min(next[1]).min(next[2]);
        while world.step(until) {
            drop(check.look(&mut world));
            for (index, event) in world.take_events() {
                churn_heed(&check, &mut open, index, event, &mut churn);
            }
        }
        let members: Vec<NodeIndex> = world
            .nodes()
            .filter(|(_, node)| matches!(node.standing(), Standing::In | Standing::Young))
            .map(|(index, _)| index)
            .collect();
        let any = members[pick(&mut rng, members.len())];
        if until == next[0] {
            let key = RingId(rng.bytes());
            let now = world.now();
            churn.lookups.asked += 1;
            if let Some(number) = world.command(any, RingCommand::Lookup(key, None)) {
                open.insert((any, number), (key, now));
            }
            next[0] = until.after(exponential(&mut rng, second));
        } else if until == next[1] {
            let index = world.add(settings);
            let by = world.node(any).map_or(contact, |node| node.me().address);
            world.command(index, RingCommand::Join(vec![by]));
            next[1] = until.after(exponential(&mut rng, every));
        } else {
            // Of a dead asker's lookups nothing is expected.
            open.retain(|(index, _), _| {
                churn.lookups.asked -= usize::from(*index == any);
                *index != any
            });
            world.kill(any);
            churn.deaths += 1;
            next[2] = until.after(exponential(&mut rng, every));
        }
    }
    churn.lookups.asked -= open.len();
    churn
}

fn churn_heed(
    check: &RingCheck,
    open: &mut BTreeMap<(NodeIndex, CommandNumber), (RingId, Instant)>,
    index: NodeIndex,
    event: RingEvent,
    churn: &mut Churn,
) {
    match event {
        RingEvent::Found(number, found) => {
            if let Some((key, since)) = open.remove(&(index, number)) {
                let right = check.better(key, found.owner.id, since).is_none();
                churn.lookups.add(&found, right);
            }
        }
        RingEvent::Failed(number, _) => {
            churn.lookups.failed += usize::from(open.remove(&(index, number)).is_some());
        }
        RingEvent::Lost => churn.lost += 1,
        _ => {}
    }
}

const fn slow() -> RingNetwork {
    RingNetwork {
        delay_min: Span::from_millis(20),
        delay_max: Span::from_millis(80),
        lost_one_in: 0,
        refuses: true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a random number as a part of one")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a wait is short and not negative"
)]
fn waiting(rng: &mut Rng, mean: Span) -> Span {
    let part = ((rng.below(1 << 32) + 1) as f64) / (1_u64 << 32) as f64;
    Span((-part.ln() * mean.0 as f64) as u64)
}

/// Brings a ring of these members into being by joins, and lets it come to rest.
fn grow(ring: &IdealRing, world: &mut RingWorld, settings: RingSettings) -> NodeAddress {
    let first = world.add(settings);
    world.command(first, RingCommand::Found);
    let contact = world
        .node(first)
        .map_or_else(|| ring.members()[0].address, |node| node.me().address);
    for _ in 1..ring.members().len() {
        let index = world.add(settings);
        world.command(index, RingCommand::Join(vec![contact]));
        let soon = world.now().after(Span::from_secs(1));
        world.run(soon);
    }
    for _ in 0..10 * ring.members().len() {
        if RingCheck::is_ideal(world) {
            break;
        }
        let soon = world.now().after(settings.stabilize);
        world.run(soon);
    }
    contact
}

/// What became of a ring that was cut in two and joined again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Partition {
    /// Nodes, half of which were cut off.
    pub nodes: usize,
    /// True if each half was a ring in the meantime.
    pub halves: bool,
    /// How long after the cut was mended there was one ring; none if it was not within ten minutes.
    pub healed: Option<Span>,
    /// Records that the ring acknowledged, before and in both halves.
    pub records: usize,
    /// Records found when there was one ring.
    pub found: usize,
}

/// Every other node is cut off for two minutes.
pub fn partition(settings: RingSettings, nodes: usize, records: usize, seed: u64) -> Partition {
    let ring = IdealRing::of(settings, nodes, seed);
    let mut world = RingWorld::new(slow(), Rng::from_seed(seed));
    grow(&ring, &mut world, settings);
    let pass = |world: &mut RingWorld, secs| {
        let end = world.now().after(Span::from_secs(secs));
        world.run(end);
    };
    let mut kept = publish(&mut world, nodes, 0..records / 2, 60);
    for at in (0..nodes).step_by(2) {
        world.part(NodeIndex(at), 1);
    }
    pass(&mut world, 100);
    kept.append(&mut publish(&mut world, nodes, records / 2..records, 20));
    let (one, other): (Vec<NodeIndex>, Vec<NodeIndex>) =
        (0..nodes).map(NodeIndex).partition(|at| at.0 % 2 == 0);
    let mut partition = Partition {
        nodes,
        halves: [one, other].iter().all(|half| is_ring_of(&world, half)),
        records: kept.len(),
        ..Partition::default()
    };
    for at in 0..nodes {
        world.part(NodeIndex(at), 0);
    }
    let mended = world.now();
    while partition.healed.is_none() && world.now().since(mended) < Span::from_secs(600) {
        pass(&mut world, 1);
        if RingCheck::is_ideal(&world) {
            partition.healed = Some(world.now().since(mended));
        }
    }
    pass(&mut world, 5);
    partition.found = count_found(&mut world, nodes, &kept);
    partition
}

/// True if each of these has the next of these as successor.
fn is_ring_of(world: &RingWorld, half: &[NodeIndex]) -> bool {
    let nodes: Vec<&RingNode> = half.iter().filter_map(|at| world.node(*at)).collect();
    let ids: BTreeSet<RingId> = nodes.iter().map(|node| node.me().id).collect();
    nodes.iter().all(|node| {
        let after = ids.range(node.me().id..).nth(1).or(ids.first());
        node.successors().first().map(|next| next.id).as_ref() == after
    })
}

/// Publishes records, each from some node, and tells those that the ring has acknowledged some seconds later.
fn publish(world: &mut RingWorld, nodes: usize, numbers: Range<usize>, wait_secs: u64) -> Vec<usize> {
    world.take_events();
    let mut open = BTreeMap::new();
    for number in numbers {
        let by = NodeIndex(number % nodes);
        let record = world.node(by).and_then(|node| sample_record(number, node));
        let command = record.and_then(|record| world.command(by, RingCommand::Publish(Box::new(record))));
        open.extend(command.map(|command| ((by, command), number)));
    }
    let end = world.now().after(Span::from_secs(wait_secs));
    world.run(end);
    let events = world.take_events().into_iter();
    let stored = events.filter_map(|(by, event)| match event {
        RingEvent::Stored(command, _) => open.remove(&(by, command)),
        _ => None,
    });
    stored.collect()
}

/// Looks for every record from some node.
fn count_found(world: &mut RingWorld, nodes: usize, numbers: &[usize]) -> usize {
    world.take_events();
    let mut open = BTreeSet::new();
    for number in numbers {
        let asker = NodeIndex(number * 7 % nodes);
        let name = ContentName::new(format!("file {number}"));
        let wanted = name.ok().map(Wanted::Name);
        let command = wanted.and_then(|wanted| world.command(asker, RingCommand::Fetch(wanted, None)));
        open.extend(command.map(|command| (asker, command)));
    }
    let end = world.now().after(Span::from_secs(60));
    world.run(end);
    let events = world.take_events().into_iter();
    let found = events.filter(|(index, event)| {
        matches!(event, RingEvent::Fetched(number, records) if open.contains(&(*index, *number)) && !records.is_empty())
    });
    found.count()
}
