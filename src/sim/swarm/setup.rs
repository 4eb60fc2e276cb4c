//! What is simulated: the content, the peers and their links, and what goes wrong.

use crate::limits::{ANNOUNCE_AHEAD, PIECE_BYTES_MIN};
use crate::proto::transfer::Turns;
use crate::rate::Rate;
use crate::rng::Rng;
use crate::time::{Instant, Span};

/// One peer, as it is planned.
#[derive(Clone, Debug)]
pub struct PeerPlan {
    /// Its uplink.
    pub up: Rate,
    /// Its downlink.
    pub down: Rate,
    /// When it comes.
    pub joins: Instant,
    /// When it goes, with all it owes; none if it stays to the end.
    pub leaves: Option<Instant>,
    /// Its uplink stops at this moment, for so long.
    pub stalls: Vec<(Instant, Span)>,
    /// At these moments all its connections break.
    pub cuts: Vec<Instant>,
    /// False for a freeloader, which serves nobody.
    pub gives: bool,
    /// True if every piece it sends is wrong.
    pub lies: bool,
}

impl PeerPlan {
    /// A peer that is there from the beginning to the end, with the same rate both ways.
    pub const fn even(rate: Rate) -> Self {
        Self {
            up: rate,
            down: rate,
            joins: Instant::ZERO,
            leaves: None,
            stalls: Vec::new(),
            cuts: Vec::new(),
            gives: true,
            lies: false,
        }
    }
}

/// A number below a small bound.
fn small(rng: &mut Rng, below: u32) -> u32 {
    u32::try_from(rng.below(u64::from(below))).unwrap_or(0)
}

/// A run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many pieces the content has.
    pub pieces: u32,
    /// Their size.
    pub piece_bytes: u64,
    /// What is sent in one go; control is heard between two.
    pub chunk_bytes: u64,
    /// How long a message or the first bit of a chunk travels.
    pub latency: Span,
    /// By how much the latency of a pair of peers may exceed [`Setup::latency`].
    pub latency_spread: Span,
    /// The one that has everything at the beginning.
    pub source: PeerPlan,
    /// The others, which have nothing.
    pub peers: Vec<PeerPlan>,
    /// How many pieces share an uplink: 1 sends one after another.
    pub at_once: usize,
    /// How far ahead of its bytes a piece is announced.
    pub announce_ahead: Span,
    /// Whose turn it is at an uplink.
    pub turns: Turns,
    /// Up to so many peers, everybody knows everybody.
    pub mesh_peers_max: usize,
    /// In a larger swarm, how many others a peer looks for besides the source.
    pub acquaintances: usize,
    /// Each peer knows only the one before it, and the first one the source.
    pub in_line: bool,
    /// A peer that has everything leaves at once, as `get` without `--linger` does.
    pub leaves_when_done: bool,
}

impl Setup {
    /// `peers` equal peers and a source like them, nothing goes wrong: the numbers of BENCHMARKS.md.
    pub fn even(peers: usize, pieces: u32, rate: Rate, seed: u64) -> Self {
        Self {
            seed,
            pieces,
            piece_bytes: PIECE_BYTES_MIN,
            chunk_bytes: PIECE_BYTES_MIN / 4,
            latency: Span(200),
            latency_spread: Span::ZERO,
            source: PeerPlan::even(rate),
            peers: vec![PeerPlan::even(rate); peers],
            at_once: 1,
            announce_ahead: ANNOUNCE_AHEAD,
            turns: Turns::GiversFirst,
            mesh_peers_max: 40,
            acquaintances: 16,
            in_line: false,
            leaves_when_done: false,
        }
    }

    /// A small swarm in which links differ and connections break, and peers come late, leave, stall, lie or give
    /// nothing, as the seed has it.
    pub fn with_faults(seed: u64, fastest: Rate) -> Self {
        let mut rng = Rng::from_seed(seed);
        let rate = |rng: &mut Rng| {
            let part = 5_u64.pow(small(rng, 3));
            Rate::from_bytes_per_sec(fastest.bytes_per_sec() / part).unwrap_or(fastest)
        };
        let millis = |rng: &mut Rng, below| Instant::ZERO.after(Span::from_millis(rng.below(below)));
        let count = 1 + rng.below(8);
        let mut peers = Vec::new();
        for _ in 0..count {
            let late = rng.one_in(4);
            let mut plan = PeerPlan {
                up: rate(&mut rng),
                down: rate(&mut rng),
                joins: if late {
                    millis(&mut rng, 1_000)
                } else {
                    Instant::ZERO
                },
                leaves: None,
                stalls: Vec::new(),
                cuts: Vec::new(),
                gives: !rng.one_in(6),
                lies: rng.one_in(6),
            };
            if rng.one_in(4) {
                plan.leaves = Some(plan.joins.after(Span::from_millis(rng.below(600))));
            }
            if rng.one_in(4) {
                plan.stalls = vec![(millis(&mut rng, 500), Span::from_millis(rng.below(40_000)))];
            }
            if rng.one_in(4) {
                plan.cuts = (0..=rng.below(4)).map(|_| millis(&mut rng, 2_000)).collect();
            }
            peers.push(plan);
        }
        let mut setup = Self::even(0, 1 + small(&mut rng, 24), fastest, seed);
        setup.peers = peers;
        if rng.one_in(8) {
            setup.source.stalls = vec![(millis(&mut rng, 300), Span::from_millis(rng.below(25_000)))];
        }
        if rng.one_in(8) {
            setup.source.cuts = vec![millis(&mut rng, 500), millis(&mut rng, 5_000)];
        }
        setup.latency = Span(rng.below(20_000));
        setup.latency_spread = Span(rng.below(30_000));
        setup.at_once = 1 + small(&mut rng, 4) as usize;
        setup.announce_ahead = Span(rng.below(100_000));
        setup.leaves_when_done = rng.one_in(3);
        if rng.one_in(3) {
            setup.mesh_peers_max = 3;
            setup.acquaintances = 2;
        }
        setup
    }

    /// The content's length.
    pub const fn content_bytes(&self) -> u64 {
        self.pieces as u64 * self.piece_bytes
    }

    /// No swarm can be faster: the source must send everything once, the slowest downlink must take it, and all
    /// uplinks together must send it to everybody.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a run fit into 53 bits")]
    pub fn bound_secs(&self) -> f64 {
        let bytes = self.content_bytes() as f64;
        let all = core::iter::once(&self.source).chain(self.peers.iter().filter(|peer| peer.gives));
        let up: u64 = all.map(|peer| peer.up.bytes_per_sec()).sum();
        let down = self.peers.iter().map(|peer| peer.down.bytes_per_sec()).min();
        let spread = self.peers.len() as f64 * bytes / up as f64;
        (bytes / self.source.up.bytes_per_sec() as f64)
            .max(down.map_or(0.0, |down| bytes / down as f64))
            .max(spread)
    }
}
