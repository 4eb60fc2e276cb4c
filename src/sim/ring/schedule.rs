//! A ring's life by chance: nodes come, go, die and come back, lookups run, and the network is bad; then there is quiet,
//! in which everything has to find its place.

use super::check::{RingBroken, RingCheck};
use super::planted::PlantedRingFault;
use super::world::{NodeIndex, RingNetwork, RingWorld};
use crate::proto::chord::{CommandNumber, RingCommand, RingEvent, RingSettings, Standing};
use crate::ring::{NodeAddress, RingHash, RingId, RingSpace};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use std::collections::{BTreeMap, BTreeSet};

/// One life.
#[derive(Clone, Copy, Debug)]
pub struct RingSchedule {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many nodes there are at the beginning.
    pub nodes: usize,
    /// Entries of a list.
    pub successors: usize,
    /// How many things happen.
    pub acts: u32,
    /// What is done wrong on purpose.
    pub fault: Option<PlantedRingFault>,
}

/// What a life was like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingLife {
    /// What did not hold, if something did not.
    pub broken: Option<RingBroken>,
    /// How often the state had changed and was looked at.
    pub looks: u64,
    /// Nodes that died.
    pub deaths: u32,
    /// Nodes that left.
    pub departures: u32,
    /// Nodes that were members.
    pub joins: u32,
    /// Lookups that named an owner.
    pub found: u32,
    /// Lookups that failed.
    pub failed: u32,
    /// How long the quiet lasted until all was ideal.
    pub settled: Option<Span>,
    /// Messages sent.
    pub messages: u64,
}

struct Life {
    schedule: RingSchedule,
    settings: RingSettings,
    rng: Rng,
    world: RingWorld,
    check: RingCheck,
    life: RingLife,
    lookups: BTreeMap<(NodeIndex, CommandNumber), (RingId, Instant)>,
    /// Nodes that leave or have left: not to be counted on.
    leaving: BTreeSet<NodeIndex>,
    dead: Vec<NodeIndex>,
}

/// Runs a life to its end, or to the first thing that does not hold.
pub fn run_ring(schedule: RingSchedule) -> RingLife {
    let mut rng = Rng::from_seed(schedule.seed);
    let world = RingWorld::new(bad_network(&mut rng), Rng::from_seed(schedule.seed ^ 0xa5a5));
    let mut settings =
        RingSettings::usual(RingSpace::new(160, RingHash::Blake3).unwrap_or_else(unreachable_space));
    settings.successors = schedule.successors;
    let mut life = Life {
        schedule,
        settings,
        rng,
        world,
        check: RingCheck::new(schedule.successors),
        life: RingLife::default(),
        lookups: BTreeMap::new(),
        leaving: BTreeSet::new(),
        dead: Vec::new(),
    };
    life.life.broken = life.live().err();
    life.life.looks = life.check.looks();
    life.life.messages = life.world.messages();
    life.life
}

fn unreachable_space() -> RingSpace {
    unreachable!("160 bits are allowed")
}

fn bad_network(rng: &mut Rng) -> RingNetwork {
    RingNetwork {
        delay_min: Span::from_millis(1),
        delay_max: Span::from_millis(1 + rng.below(700)),
        lost_one_in: rng.below(3) * (3 + rng.below(30)),
        refuses: rng.one_in(2),
    }
}

impl Life {
    fn live(&mut self) -> Result<(), RingBroken> {
        let first = self.world.add(self.settings);
        self.world.command(first, RingCommand::Found);
        if self.schedule.fault == Some(PlantedRingFault::NoYoungRing) {
            self.world.plant(PlantedRingFault::NoYoungRing);
        }
        for _ in 1..self.schedule.nodes {
            self.pass(300)?;
            self.come();
        }
        self.wait_for_members()?;
        if let Some(fault) = self.schedule.fault {
            self.world.plant(fault);
        }
        for _ in 0..self.schedule.acts {
            self.act()?;
            let pause = [10, 200, 3_000, 10_000][pick(&mut self.rng, 4)];
            self.pass(pause)?;
        }
        self.come_to_rest()
    }

    /// Lets up to so many milliseconds pass.
    fn pass(&mut self, millis: u64) -> Result<(), RingBroken> {
        let end = self
            .world
            .now()
            .after(Span::from_millis(self.rng.below(millis + 1)));
        self.run(end)
    }

    fn run(&mut self, end: Instant) -> Result<(), RingBroken> {
        self.check.look(&mut self.world)?;
        while self.world.step(end) {
            self.check.look(&mut self.world)?;
            for (index, event) in self.world.take_events() {
                self.hear(index, event)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, index: NodeIndex, event: RingEvent) -> Result<(), RingBroken> {
        match event {
            RingEvent::Joined => self.life.joins += 1,
            RingEvent::Left => {
                self.life.departures += 1;
                self.world.kill(index);
                self.leaving.remove(&index);
                self.dead.push(index);
            }
            // Those it was told of have died meanwhile.
            RingEvent::NobodyThere => {
                let contacts = self.some_members();
                self.world.restart(index, self.settings);
                self.world.command(index, RingCommand::Join(contacts));
            }
            RingEvent::Lost => return Err(RingBroken(format!("{index:?} has lost everybody"))),
            RingEvent::Refused(code, text) => return Err(RingBroken(format!("{code:?}: {text}"))),
            RingEvent::Found(number, owner) => {
                self.life.found += 1;
                let (key, since) = self.lookups.remove(&(index, number)).unwrap_or_default();
                if let Some(better) = self.check.better(key, owner.owner.id, since) {
                    return Err(RingBroken(format!(
                        "wrong: {owner:?}, and {better} comes before it"
                    )));
                }
            }
            RingEvent::Failed(..) => self.life.failed += 1,
            RingEvent::Stored(..) | RingEvent::Fetched(..) | RingEvent::Place(_) => {}
        }
        Ok(())
    }

    fn members(&self) -> Vec<NodeIndex> {
        let nodes = self.world.nodes();
        let members = nodes.filter(|(index, node)| {
            matches!(node.standing(), Standing::In | Standing::Young) && !self.leaving.contains(index)
        });
        members.map(|(index, _)| index).collect()
    }

    fn some_members(&mut self) -> Vec<NodeAddress> {
        let members = self.members();
        let mut some = Vec::new();
        for _ in 0..3 {
            if let Some(index) = members.get(pick(&mut self.rng, members.len())) {
                some.extend(self.world.node(*index).map(|node| node.me().address));
            }
        }
        some
    }

    fn come(&mut self) {
        if self.is_small() && !self.leaving.is_empty() {
            return;
        }
        let contacts = self.some_members();
        let again = self.rng.one_in(2).then(|| self.dead.pop()).flatten();
        let index = match again {
            Some(index) => {
                self.world.restart(index, self.settings);
                index
            }
            None => self.world.add(self.settings),
        };
        self.world.command(index, RingCommand::Join(contacts));
    }

    fn act(&mut self) -> Result<(), RingBroken> {
        let members = self.members();
        let Some(any) = members.get(pick(&mut self.rng, members.len())).copied() else {
            return Ok(());
        };
        match self.rng.below(10) {
            0..3 => self.come(),
            3..5 => self.kill(any)?,
            5 => {
                for _ in 0..1 + self.rng.below(4) {
                    let members = self.members();
                    let at = pick(&mut self.rng, members.len());
                    self.kill(members[at])?;
                }
            }
            6 => self.depart(any),
            7 => {
                let network = bad_network(&mut self.rng);
                self.world.set_network(network);
            }
            _ => {
                for _ in 0..1 + self.rng.below(4) {
                    let key = RingId(self.rng.bytes());
                    let at = pick(&mut self.rng, members.len());
                    let now = self.world.now();
                    if let Some(number) = self.world.command(members[at], RingCommand::Lookup(key, None)) {
                        self.lookups.insert((members[at], number), (key, now));
                    }
                }
            }
        }
        Ok(())
    }

    /// Those that leave count as gone already, for they may go at any moment.
    fn would_bear(&self, one: NodeIndex) -> bool {
        let mut dying = self.leaving.clone();
        dying.insert(one);
        self.check.would_bear(&self.world, &dying)
    }

    fn kill(&mut self, index: NodeIndex) -> Result<(), RingBroken> {
        if self.world.node(index).is_some() && self.would_bear(index) {
            self.world.kill(index);
            self.leaving.remove(&index);
            self.dead.push(index);
            self.life.deaths += 1;
        }
        self.check.look(&mut self.world)
    }

    fn count(&self, standing: Standing) -> usize {
        let nodes = self.world.nodes();
        nodes.filter(|(_, node)| node.standing() == standing).count()
    }

    /// Young, or about to be.
    fn is_small(&self) -> bool {
        let members = self.count(Standing::Young) + self.count(Standing::In);
        self.count(Standing::Young) > 0 || members <= self.schedule.successors + 1
    }

    /// A young ring must not grow up with a member that is about to leave: who leads cannot know.
    fn may_grow_up(&self) -> bool {
        let left_out = self.count(Standing::Young) > 0 && self.count(Standing::In) > 0;
        left_out || self.is_small() && self.count(Standing::Joining) > 0
    }

    fn depart(&mut self, index: NodeIndex) {
        if self.would_bear(index) && !self.may_grow_up() {
            self.leaving.insert(index);
            self.world.command(index, RingCommand::Leave);
        }
    }

    fn wait_for_members(&mut self) -> Result<(), RingBroken> {
        for _ in 0..200 {
            let nodes = self.world.nodes().count();
            if self.members().len() == nodes {
                return Ok(());
            }
            let end = self.world.now().after(self.settings.stabilize);
            self.run(end)?;
        }
        Err(RingBroken("some never became members".to_owned()))
    }

    fn come_to_rest(&mut self) -> Result<(), RingBroken> {
        let quiet = self.world.now();
        let periods = 60 + 8 * self.world.nodes().count();
        for _ in 0..periods {
            if RingCheck::is_ideal(&self.world) {
                self.life.settled = Some(self.world.now().since(quiet));
                return Ok(());
            }
            let end = self.world.now().after(self.settings.stabilize);
            self.run(end)?;
        }
        let nodes = self.world.nodes().map(|(_, node)| {
            format!(
                "{:?} {:?} < {:?} > {:?} busy {}",
                node.standing(),
                node.predecessor().map(|before| before.id),
                node.me().id,
                node.successors().iter().map(|next| next.id).collect::<Vec<_>>(),
                node.is_busy()
            )
        });
        Err(RingBroken(format!(
            "no ideal ring: {:#?}",
            nodes.collect::<Vec<_>>()
        )))
    }
}

fn pick(rng: &mut Rng, count: usize) -> usize {
    usize::try_from(rng.below(count as u64)).unwrap_or(0)
}
