//! The random life of an RS and its peers: they join, share, leave, crash and come back while the network
//! misbehaves; then everything heals, and everything must be right.

use super::{
    Actor, Broken, Check, Event, Network, NetworkSettings, PeerNode, PlantedFault, Question, RsNode,
    RsRemains, Step, Trace, TraceHash, World,
};
use crate::id::{ContentId, Cookie, Incarnation};
use crate::name::{ContentName, Host, PeerName};
use crate::proto::{Identity, Membership, MembershipEvent, Policy, RegistrationSettings};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::{ContentInfo, ContentKey, ContentKind, PeerAddress, Text};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioSettings {
    /// Where all its randomness comes from.
    pub seed: u64,
    /// How many peers there are.
    pub peers: u8,
    /// How often something is done to one of them, or to the network.
    pub acts: u32,
    /// A fault that a test plants.
    pub fault: Option<PlantedFault>,
    /// Keep the trace's lines, for people.
    pub keep_lines: bool,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The hash of all that happened.
    pub hash: TraceHash,
    /// How many events that was.
    pub events: u64,
    /// The property that did not hold, if one did not: then the run ended there.
    pub broken: Option<Broken>,
    /// The trace's lines, if they were kept.
    pub lines: Vec<String>,
}

/// Shorter than in real use, so that leases end within a run.
const LEASE: Span = Span::from_secs(600);
/// Contents to share; few, so that they are shared again and again.
const CONTENTS: u8 = 5;

/// A peer as its user knows it: what survives a crash.
#[derive(Debug)]
struct Person {
    address: SocketAddr,
    incarnation: Incarnation,
    cookie: Option<Cookie>,
    wants_in: bool,
    shared: BTreeMap<ContentKey, (ContentInfo, bool)>,
}

#[derive(Debug)]
struct Scenario {
    rs: SocketAddr,
    registration: RegistrationSettings,
    fault: Option<PlantedFault>,
    /// What the RS left behind, while it is down.
    remains: Option<RsRemains>,
    /// Then a reboot would be judged by what the wall clock said.
    wall_was_wrong: bool,
    rng: Rng,
    world: World<Actor>,
    check: Check,
    people: Vec<Person>,
}

/// Runs one life from its beginning to its end, or to the first property that does not hold.
pub fn run(settings: ScenarioSettings) -> Outcome {
    let mut scenario = Scenario::new(settings);
    let broken = scenario.live(settings.acts).err();
    Outcome {
        hash: scenario.world.trace.hash(),
        events: scenario.world.trace.events(),
        broken,
        lines: scenario.world.trace.lines().to_vec(),
    }
}

fn content(number: u8) -> ContentInfo {
    let name = format!("document-{number}.txt");
    ContentInfo {
        kind: ContentKind::File,
        id: ContentId(*blake3::hash(name.as_bytes()).as_bytes()),
        name: ContentName::new(name).unwrap_or_else(|_| unreachable!("a plain name")),
        bytes: 1_000,
        modified: 0,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    }
}

impl Scenario {
    fn new(settings: ScenarioSettings) -> Self {
        let mut rng = Rng::from_seed(settings.seed);
        let mut fork = || Rng::from_seed(rng.next_u64());
        let network = Network::new(NetworkSettings::bad(&mut fork()), fork());
        let mut world = World::new(network, Trace::new(settings.keep_lines));
        let rs = SocketAddr::from(([10, 0, 0, 1], 65_423));
        let policies = [Policy::LeastUsed, Policy::MostRecent, Policy::Rotate];
        let policy = policies[usize::from(settings.peers) % policies.len()];
        let registration = RegistrationSettings { lease: LEASE, policy };
        let node = RsNode::new(registration, world.now(), fork(), settings.fault);
        world.put(rs, Some(Actor::Rs(Box::new(node))));
        let people = (0..settings.peers).map(|peer| Person {
            address: SocketAddr::from(([10, 0, 1, peer], 6_000)),
            incarnation: Incarnation(0),
            cookie: None,
            wants_in: true,
            shared: BTreeMap::new(),
        });
        let mut scenario = Self {
            rs,
            registration,
            fault: settings.fault,
            remains: None,
            wall_was_wrong: false,
            people: people.collect(),
            check: Check::new(rs, LEASE),
            world,
            rng,
        };
        for peer in 0..scenario.people.len() {
            scenario.start(peer);
        }
        scenario
    }

    /// Starts a peer, for the first time or after a crash: it remembers its cookie and finds its files.
    fn start(&mut self, peer: usize) {
        let rng = Rng::from_seed(self.rng.next_u64());
        let person = &mut self.people[peer];
        person.incarnation = Incarnation(person.incarnation.0 + 1);
        let name = PeerName::new(format!("peer-{peer}")).unwrap_or_else(|_| unreachable!("a plain name"));
        let identity = Identity {
            name,
            host: None,
            port: person.address.port(),
            os: "virtual".to_owned(),
            cookie: person.cookie,
            incarnation: person.incarnation,
        };
        let mut membership = Membership::new(identity, rng);
        membership.want(person.wants_in);
        for (info, complete) in person.shared.values() {
            membership.share(info.clone(), *complete);
        }
        let mut node = PeerNode::new(self.rs, membership);
        node.drive(self.world.now());
        let address = person.address;
        self.world.put(address, Some(Actor::Peer(Box::new(node))));
    }

    fn live(&mut self, acts: u32) -> Result<(), Broken> {
        for _ in 0..acts {
            self.act();
            let longest = [100, 5_000, 60_000, 400_000][self.below(4)];
            let pause = Span::from_millis(self.rng.below(longest));
            self.pass(pause)?;
        }
        self.heal();
        // The very late arrive, the silent find out, and everybody tells what it has to tell.
        self.pass(Span(LEASE.0 * 2))?;
        let shared = self.people.iter().map(|person| {
            let shares = person
                .shared
                .iter()
                .map(|(key, (_, complete))| (key.clone(), *complete));
            (person.address, shares.collect())
        });
        self.check.healed(&self.world, &shared.collect())
    }

    fn pass(&mut self, span: Span) -> Result<(), Broken> {
        let end: Instant = self.world.now().at.after(span);
        while let Some(step) = self.world.step(end) {
            self.take_events(&step);
            self.check.after(&self.world, &step)?;
        }
        Ok(())
    }

    /// A peer writes its cookie down as soon as it has one.
    fn take_events(&mut self, step: &Step) {
        let Event::Datagram(datagram) = &step.event else {
            return;
        };
        let Some(person) = self
            .people
            .iter_mut()
            .find(|person| person.address == datagram.to)
        else {
            return;
        };
        let take = |actor: &mut Actor, _| match actor {
            Actor::Peer(peer) => core::mem::take(&mut peer.events),
            Actor::Rs(_) => Vec::new(),
        };
        for event in self.world.touch(person.address, take).unwrap_or_default() {
            if let MembershipEvent::Joined { cookie, .. } = event {
                person.cookie = Some(cookie);
                self.check.note_joined(person.address);
            }
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.rng.below(bound as u64)).unwrap_or(0)
    }

    fn with_peer(&mut self, peer: usize, with: impl FnOnce(&mut PeerNode)) {
        let address = self.people[peer].address;
        self.world.touch(address, |actor, now| {
            if let Actor::Peer(node) = actor {
                with(node);
                node.drive(now);
            }
        });
    }

    /// Something is done, to a peer or to the network.
    fn act(&mut self) {
        let peer = self.below(self.people.len());
        let address = self.people[peer].address;
        let is_up = self.world.node(address).is_some();
        match self.rng.below(15) {
            12 | 13 => self.restart_rs(),
            // A day back or forth, ten years, or right again. Leases know nothing of it.
            14 => {
                self.world.wall_error_secs = [-86_400, 86_400, 315_360_000, 0][self.below(4)];
                self.wall_was_wrong = true;
            }
            0..3 => self.share(peer),
            3..5 => self.unshare(peer),
            5 => {
                let wants_in = !self.people[peer].wants_in;
                self.people[peer].wants_in = wants_in;
                self.with_peer(peer, |node| node.membership.want(wants_in));
            }
            6 if is_up => self.world.put(address, None),
            6 | 7 if !is_up => self.start(peer),
            7 => {
                let now = self.world.now();
                self.with_peer(peer, |node| node.ask(now, Question::Peers));
            }
            8 => {
                let other = self.below(self.people.len());
                let reported = self.people[other].address;
                let holder = PeerAddress {
                    host: Host::of(reported.ip()),
                    port: reported.port(),
                };
                let now = self.world.now();
                self.with_peer(peer, |node| node.ask(now, Question::Report(holder)));
            }
            9 => {
                let parted = self.rng.one_in(2);
                self.world.network.part(address.ip(), self.rs.ip(), parted);
            }
            10 => {
                let settings = NetworkSettings::bad(&mut self.rng);
                self.world.network.set(settings);
            }
            _ => self.world.network.set(NetworkSettings::perfect()),
        }
    }

    /// Kills the RS, or starts it where it died; after a reboot only the wall clock says how long that took.
    fn restart_rs(&mut self) {
        let rng = Rng::from_seed(self.rng.next_u64());
        if let Some(remains) = self.remains.take() {
            let rebooted = self.world.wall_error_secs == 0 && !self.wall_was_wrong && self.rng.one_in(2);
            let now = self.world.now();
            let node = RsNode::restarted(remains, rebooted, self.registration, now, rng, self.fault);
            self.world.put(self.rs, Some(Actor::Rs(Box::new(node))));
            self.check.note_restarted();
        } else {
            self.remains = self
                .world
                .touch(self.rs, |actor, _| match actor {
                    Actor::Rs(rs) => Some(rs.remains()),
                    Actor::Peer(_) => None,
                })
                .flatten();
            self.world.put(self.rs, None);
        }
    }

    fn share(&mut self, peer: usize) {
        let number = u8::try_from(self.below(usize::from(CONTENTS))).unwrap_or(0);
        let (info, complete) = (content(number), self.rng.one_in(2));
        let person = &mut self.people[peer];
        person.shared.insert(info.key(), (info.clone(), complete));
        self.check.note_shared(person.address, info.key());
        self.with_peer(peer, |node| node.membership.share(info, complete));
    }

    fn unshare(&mut self, peer: usize) {
        let position = self.below(usize::from(CONTENTS));
        let key = self.people[peer].shared.keys().nth(position).cloned();
        if let Some(key) = key {
            self.people[peer].shared.remove(&key);
            self.with_peer(peer, |node| node.membership.unshare(&key));
        }
    }

    /// From now on nothing goes wrong, and everybody wants to be in.
    fn heal(&mut self) {
        self.world.network.set(NetworkSettings::perfect());
        self.world.network.heal();
        self.world.wall_error_secs = 0;
        if self.remains.is_some() {
            self.restart_rs();
        }
        for peer in 0..self.people.len() {
            self.people[peer].wants_in = true;
            if self.world.node(self.people[peer].address).is_none() {
                self.start(peer);
            } else {
                self.with_peer(peer, |node| node.membership.want(true));
            }
        }
    }
}
