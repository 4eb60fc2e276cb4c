//! What is measured of rings at rest, or right after many have died: lengths of paths, load, lookups that go right.
//!
//! Belongs here: setting up, driving real lookups through the machines, counting. Does not: how it is shown.

use super::ideal::IdealRing;
use super::world::{NodeIndex, RingWorld};
use crate::proto::chord::{CommandNumber, Owner, RingCommand, RingEvent, RingSettings};
use crate::ring::{RingHash, RingId, RingSpace};
use crate::rng::Rng;
use crate::time::Span;
use std::collections::{BTreeMap, BTreeSet};

/// Lookups that run at once.
const AT_ONCE: usize = 500;

/// The circle of all measurements.
pub fn measured_settings(successors: usize, fingers: bool) -> Option<RingSettings> {
    let usual = RingSettings::usual(RingSpace::new(160, RingHash::Sha1)?);
    Some(RingSettings {
        successors,
        fingers,
        ..usual
    })
}

/// What lookups came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lookups {
    /// Lookups begun.
    pub asked: usize,
    /// Those that named the owner.
    pub right: usize,
    /// Those that named another.
    pub wrong: usize,
    /// Those that failed.
    pub failed: usize,
    /// Nodes on the way to the last before the key, of each lookup that named an owner; the asker is none of them, nor is the
    /// owner, which confirms it.
    pub hops: Vec<u32>,
    /// Nodes that were asked and gone, in all.
    pub timeouts: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run fit into 53 bits")]
fn mean(numbers: impl Iterator<Item = u32>) -> f64 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    for number in numbers {
        sum += u64::from(number);
        count += 1;
    }
    sum as f64 / count.max(1) as f64
}

impl Lookups {
    /// The mean of all.
    pub fn mean_hops(&self) -> f64 {
        mean(self.hops.iter().copied())
    }

    /// The mean of those in which somebody had to be asked the way.
    pub fn mean_of_asking(&self) -> f64 {
        mean(self.hops.iter().copied().filter(|hops| *hops > 0))
    }

    /// Gone nodes that were asked, a lookup.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run fit into 53 bits")]
    pub fn timeouts_each(&self) -> f64 {
        self.timeouts as f64 / self.asked.max(1) as f64
    }

    /// The hops that so many of a hundred lookups do not exceed.
    pub fn percentile(&self, percent: usize) -> u32 {
        let mut hops = self.hops.clone();
        hops.sort_unstable();
        let at = (hops.len() * percent / 100).min(hops.len().saturating_sub(1));
        hops.get(at).copied().unwrap_or(0)
    }

    pub(super) fn add(&mut self, owner: &Owner, right: bool) {
        self.right += usize::from(right);
        self.wrong += usize::from(!right);
        self.hops.push(owner.hops);
        self.timeouts += u64::from(owner.timeouts);
    }

    /// Adds what others came to.
    pub fn join(&mut self, other: Self) {
        self.asked += other.asked;
        self.right += other.right;
        self.wrong += other.wrong;
        self.failed += other.failed;
        self.hops.extend(other.hops);
        self.timeouts += other.timeouts;
    }
}

/// Keys that a node neither owns nor finds at its successor, when only such are wanted.
fn draw(rng: &mut Rng, ring: &IdealRing, asker: usize, far: bool) -> RingId {
    loop {
        let key = RingId(rng.bytes());
        let owner = ring.owner(key);
        let near = owner == asker || owner == (asker + 1) % ring.members().len();
        if !far || !near || ring.members().len() < 3 {
            return key;
        }
    }
}

/// Drives random lookups of live nodes through a ring, and compares with who is the first alive from the key on.
pub fn look_up(ring: &IdealRing, world: &mut RingWorld, count: usize, far: bool, rng: &mut Rng) -> Lookups {
    let alive: Vec<NodeIndex> = world.nodes().map(|(index, _)| index).collect();
    let is_alive: BTreeSet<NodeIndex> = alive.iter().copied().collect();
    let mut lookups = Lookups::default();
    while lookups.asked < count {
        let mut open: BTreeMap<(NodeIndex, CommandNumber), RingId> = BTreeMap::new();
        for _ in 0..AT_ONCE.min(count - lookups.asked) {
            let asker = alive[pick(rng, alive.len())];
            let key = draw(rng, ring, asker.0, far);
            if let Some(number) = world.command(asker, RingCommand::Lookup(key, None)) {
                open.insert((asker, number), key);
            }
            lookups.asked += 1;
        }
        let end = world.now().after(Span::from_secs(3_600));
        while !open.is_empty() && world.step(end) {
            for (index, event) in world.take_events() {
                heed(ring, &is_alive, &mut open, index, event, &mut lookups);
            }
        }
        for (index, event) in world.take_events() {
            heed(ring, &is_alive, &mut open, index, event, &mut lookups);
        }
        lookups.failed += open.len();
    }
    lookups
}

fn heed(
    ring: &IdealRing,
    alive: &BTreeSet<NodeIndex>,
    open: &mut BTreeMap<(NodeIndex, CommandNumber), RingId>,
    index: NodeIndex,
    event: RingEvent,
    lookups: &mut Lookups,
) {
    match event {
        RingEvent::Found(number, found) => {
            if let Some(key) = open.remove(&(index, number)) {
                let count = ring.members().len();
                let first = ring.owner(key);
                let owner = (0..count)
                    .map(|step| (first + step) % count)
                    .find(|at| alive.contains(&NodeIndex(*at)));
                let right = owner.is_some_and(|at| ring.members()[at] == found.owner);
                lookups.add(&found, right);
            }
        }
        RingEvent::Failed(number, _) if open.remove(&(index, number)).is_some() => lookups.failed += 1,
        _ => {}
    }
}

pub(super) fn pick(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).unwrap_or(0)
}

/// Lookups in a ring at rest. With `far`, only of keys that are neither the asker's nor its successor's.
pub fn paths(settings: RingSettings, nodes: usize, count: usize, far: bool, seed: u64) -> Lookups {
    let ring = IdealRing::of(settings, nodes, seed);
    let mut world = ring.world(seed);
    look_up(&ring, &mut world, count, far, &mut Rng::from_seed(!seed))
}

/// Lookups right after a part of the nodes has died at once, before anybody has noticed.
pub fn failures(settings: RingSettings, nodes: usize, percent: usize, count: usize, seed: u64) -> Lookups {
    let ring = IdealRing::of(settings, nodes, seed);
    let mut world = ring.world(seed);
    let mut rng = Rng::from_seed(!seed);
    let mut left: Vec<usize> = (0..ring.members().len()).collect();
    for _ in 0..ring.members().len() * percent / 100 {
        let at = pick(&mut rng, left.len());
        world.kill(NodeIndex(left.swap_remove(at)));
    }
    look_up(&ring, &mut world, count, false, &mut rng)
}

/// How unevenly keys lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Points of the circle that each node has.
    pub virtual_nodes: usize,
    /// Keys a node.
    pub mean: f64,
    /// The 1st percentile, in means.
    pub low: f64,
    /// The 99th percentile, in means.
    pub high: f64,
    /// The worst node, in means.
    pub worst: f64,
}

/// Which keys which node owns, counted.
#[expect(clippy::cast_precision_loss, reason = "counts of a run fit into 53 bits")]
pub fn load(settings: RingSettings, nodes: usize, virtual_nodes: usize, keys: usize, seed: u64) -> Load {
    let ring = IdealRing::of(settings, nodes * virtual_nodes, seed);
    let mut rng = Rng::from_seed(!seed);
    let mut counts = vec![0_u32; nodes];
    for _ in 0..keys {
        let owner = ring.members()[ring.owner(RingId(rng.bytes()))];
        // Points are numbered in the order of their making.
        let number = usize::try_from(owner.incarnation).unwrap_or(0);
        counts[number % nodes] += 1;
    }
    counts.sort_unstable();
    let mean = keys as f64 / nodes as f64;
    let at = |percent: usize| f64::from(counts[(nodes * percent / 100).min(nodes - 1)]) / mean;
    Load {
        virtual_nodes,
        mean,
        low: at(1),
        high: at(99),
        worst: at(100),
    }
}
