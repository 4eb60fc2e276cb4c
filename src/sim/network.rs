//! A network that loses, repeats, delays, reorders, parts and forges, as its seed says.

use crate::rng::Rng;
use crate::time::Span;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

/// How bad a network is. Odds are "once in so many times"; 0 means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// A datagram is lost.
    pub lost_one_in: u64,
    /// A datagram arrives twice.
    pub repeated_one_in: u64,
    /// A datagram, or a copy of one, is very late.
    pub late_one_in: u64,
    /// Somebody sends the same bytes once more under another's address.
    pub forged_one_in: u64,
    /// The shortest way.
    pub delay_min: Span,
    /// The longest way; datagrams overtake each other within the two.
    pub delay_max: Span,
    /// The longest way of a very late one.
    pub late_max: Span,
}

impl NetworkSettings {
    /// Nothing goes wrong.
    pub const fn perfect() -> Self {
        Self {
            lost_one_in: 0,
            repeated_one_in: 0,
            late_one_in: 0,
            forged_one_in: 0,
            delay_min: Span::from_millis(1),
            delay_max: Span::from_millis(1),
            late_max: Span::from_millis(1),
        }
    }

    /// Everything goes wrong now and then; `rng` says how often.
    pub fn bad(rng: &mut Rng) -> Self {
        let mut odds = |least| least + rng.below(20);
        Self {
            lost_one_in: odds(3),
            repeated_one_in: odds(3),
            late_one_in: odds(8),
            forged_one_in: odds(8),
            delay_min: Span::from_millis(1),
            delay_max: Span::from_millis(1 + rng.below(900)),
            late_max: Span::from_secs(100),
        }
    }
}

/// The ways between addresses.
#[derive(Clone, Debug)]
pub struct Network {
    settings: NetworkSettings,
    parted: BTreeSet<(IpAddr, IpAddr)>,
    rng: Rng,
}

impl Network {
    /// A whole network.
    pub const fn new(settings: NetworkSettings, rng: Rng) -> Self {
        Self {
            settings,
            parted: BTreeSet::new(),
            rng,
        }
    }

    /// From now on it is as good as this.
    pub const fn set(&mut self, settings: NetworkSettings) {
        self.settings = settings;
    }

    /// From now on nothing passes between the two, or everything does.
    pub fn part(&mut self, one: IpAddr, other: IpAddr, parted: bool) {
        let pair = (one.min(other), one.max(other));
        if parted {
            self.parted.insert(pair);
        } else {
            self.parted.remove(&pair);
        }
    }

    /// Nothing is parted any more.
    pub fn heal(&mut self) {
        self.parted.clear();
    }

    /// True if something may pass between the two.
    pub fn joins(&self, one: IpAddr, other: IpAddr) -> bool {
        !self.parted.contains(&(one.min(other), one.max(other)))
    }

    fn happens(&mut self, one_in: u64) -> bool {
        one_in > 0 && self.rng.one_in(one_in)
    }

    /// How long one passage takes.
    pub fn delay(&mut self) -> Span {
        let longest = if self.happens(self.settings.late_one_in) {
            self.settings.late_max
        } else {
            self.settings.delay_max
        };
        let spread = longest.0.saturating_sub(self.settings.delay_min.0);
        Span(self.settings.delay_min.0 + self.rng.below(spread + 1))
    }

    /// How long each copy of a datagram that arrives is under way.
    pub fn carry(&mut self, from: SocketAddr, to: SocketAddr) -> Vec<Span> {
        let mut copies = Vec::new();
        if self.joins(from.ip(), to.ip()) && !self.happens(self.settings.lost_one_in) {
            copies.push(self.delay());
        }
        if !copies.is_empty() && self.happens(self.settings.repeated_one_in) {
            copies.push(self.delay());
        }
        copies
    }

    /// Whose address somebody forges on a copy of a datagram, if somebody does.
    pub fn forge(&mut self, addresses: &[SocketAddr]) -> Option<SocketAddr> {
        if addresses.is_empty() || !self.happens(self.settings.forged_one_in) {
            return None;
        }
        let position = self.rng.below(addresses.len() as u64);
        addresses.get(usize::try_from(position).ok()?).copied()
    }
}
