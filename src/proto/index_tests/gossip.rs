//! Peers that ask each other for hours: the living stay known, the dead die everywhere.

use super::*;
use crate::limits::GOSSIP_ROUND;

/// Peer `i` listens at 192.0.2.(10 + i) and holds content `i`.
struct Ring {
    now: Instant,
    peers: Vec<Index>,
    dead: Vec<usize>,
}

fn ip(peer: usize) -> u8 {
    u8::try_from(10 + peer).expect("a small ring")
}

impl Ring {
    fn of(size: usize) -> Self {
        let mut peers: Vec<Index> = (0..size).map(|peer| index(ip(peer))).collect();
        for (peer, index) in peers.iter_mut().enumerate() {
            index.hold_whole(&format!("content-{peer}"));
        }
        Self {
            now: START,
            peers,
            dead: Vec::new(),
        }
    }

    /// Everybody asks its two neighbours, who tell all that they know.
    fn round(&mut self) {
        let size = self.peers.len();
        for asker in (0..size).filter(|peer| !self.dead.contains(peer)) {
            for other in [(asker + 1) % size, (asker + size - 1) % size] {
                if self.dead.contains(&other) {
                    self.peers[asker].mark_unreachable(&address(ip(other)));
                    continue;
                }
                for told in self.peers[other].told(self.now, 600) {
                    self.peers[asker].merge(self.now, &address(ip(other)), &told);
                }
            }
            self.peers[asker].handle_timeout(self.now);
        }
        self.now = self.now.after(GOSSIP_ROUND);
    }

    fn live(&mut self, secs: u64) {
        for _ in 0..Span::from_secs(secs).0 / GOSSIP_ROUND.0 {
            self.round();
        }
    }

    /// Who, of the living, has a claim about the content of `peer`, known or not to be withdrawn.
    fn remember(&self, peer: usize) -> usize {
        let key = content(&format!("content-{peer}")).key();
        let living = (0..self.peers.len()).filter(|index| !self.dead.contains(index));
        living
            .filter(|index| self.peers[*index].learned.contains_key(&key))
            .count()
    }

    fn name(&self, peer: usize) -> usize {
        let living = (0..self.peers.len()).filter(|index| !self.dead.contains(index));
        living
            .filter(|index| {
                !self.peers[*index]
                    .named(self.now, &format!("content-{peer}"))
                    .is_empty()
            })
            .count()
    }
}

#[test]
fn the_dead_die_everywhere_and_the_living_stay() {
    let mut ring = Ring::of(8);
    ring.live(600);
    assert!((0..8).all(|peer| ring.name(peer) == 7), "all know all others");
    ring.dead.push(3);
    ring.live(u64::from(LEASE_SECS));
    assert_eq!(ring.remember(3), 0, "a lease after its death nobody remembers it");
    ring.live(4 * u64::from(LEASE_SECS));
    assert_eq!(ring.remember(3), 0);
    assert!((0..8).filter(|peer| *peer != 3).all(|peer| ring.name(peer) == 6));
}

#[test]
fn nobody_gives_a_claim_a_longer_life_than_its_holder_did() {
    let mut ring = Ring::of(6);
    ring.live(300);
    ring.dead.push(0);
    let died = ring.now;
    for _ in 0..100 {
        ring.round();
        let left = u64::from(LEASE_SECS).saturating_sub(ring.now.since(died).as_secs());
        for index in &ring.peers[1..] {
            for (_, remaining) in index.named(ring.now, "content-0") {
                assert!(u64::from(remaining) <= left);
            }
        }
    }
}

#[test]
fn a_withdrawal_spreads_and_stays() {
    let mut ring = Ring::of(6);
    ring.live(600);
    let now = ring.now;
    ring.peers[2].withdraw(now, &content("content-2").key());
    ring.live(300);
    assert_eq!(ring.name(2), 0);
    ring.live(2 * u64::from(LEASE_SECS));
    assert_eq!((ring.name(2), ring.remember(2)), (0, 0));
    ring.peers[2].hold_whole("content-2");
    ring.live(300);
    assert_eq!(ring.name(2), 5, "and is no obstacle for ever");
}

#[test]
fn one_that_comes_back_is_known_again() {
    let mut ring = Ring::of(5);
    ring.live(300);
    ring.dead.push(1);
    ring.live(1_200);
    ring.dead.clear();
    let mut reborn = Index::new(peer_name("peer-11"), 6_000, Incarnation(2));
    reborn.add_own_address(address(ip(1)));
    reborn.hold_whole("content-1");
    ring.peers[1] = reborn;
    ring.live(300);
    assert_eq!(ring.name(1), 4);
}
