//! What must hold after every step, told by a ledger of its own and not by the machines.
//!
//! Invariant: it only looks. A broken property is our own bug, so it ends the run.

use super::events::PeerNumber;
use super::setup::Setup;
use super::world::World;
use crate::id::PieceIndex;
use crate::proto::transfer::{Pieces, Source};
use std::collections::{BTreeMap, BTreeSet};

/// Peers times pieces up to which a peer's pieces are gone through after every step.
const THOROUGH_MAX: usize = 1_000;
/// In larger runs, after every so manieth.
const THOROUGH_EVERY: u64 = 4_096;

/// What really happened, noted beside the machines.
#[derive(Debug)]
pub(super) struct Ledger {
    have: Vec<Pieces>,
    liars: Vec<bool>,
    credits: BTreeMap<(PeerNumber, PeerNumber), u32>,
    sent_bytes: u64,
    received_bytes: u64,
    lost_bytes: u64,
}

impl Ledger {
    pub(super) fn new(setup: &Setup) -> Self {
        let mut have = vec![Pieces::none(setup.pieces); setup.peers.len() + 1];
        have[0] = Pieces::all(setup.pieces);
        let plans = core::iter::once(&setup.source).chain(&setup.peers);
        Self {
            have,
            liars: plans.map(|plan| plan.lies).collect(),
            credits: BTreeMap::new(),
            sent_bytes: 0,
            received_bytes: 0,
            lost_bytes: 0,
        }
    }

    pub(super) fn opened(&mut self, holder: PeerNumber, getter: PeerNumber) {
        self.credits.insert((holder, getter), 0);
    }

    pub(super) fn credited(&mut self, holder: PeerNumber, getter: PeerNumber, more: u32) {
        *self.credits.entry((holder, getter)).or_default() += more;
    }

    /// Nobody sends what it has not, nor more than it was granted.
    pub(super) fn chose(&mut self, holder: PeerNumber, getter: PeerNumber, piece: PieceIndex) {
        assert!(
            self.have[holder as usize].contains(piece),
            "peer {holder} chose piece {} and has it not",
            piece.0
        );
        let credits = self.credits.entry((holder, getter)).or_default();
        assert!(*credits > 0, "peer {holder} has no credit of peer {getter}");
        *credits -= 1;
    }

    pub(super) fn sent(&mut self, bytes: u64) {
        self.sent_bytes += bytes;
    }

    pub(super) fn received(&mut self, bytes: u64) {
        self.received_bytes += bytes;
    }

    pub(super) fn lost(&mut self, bytes: u64) {
        self.lost_bytes += bytes;
    }

    pub(super) fn gained(&mut self, getter: PeerNumber, holder: PeerNumber, piece: PieceIndex) {
        assert!(
            !self.liars[holder as usize],
            "peer {getter} took wrong bytes of peer {holder}"
        );
        assert!(
            self.have[getter as usize].insert(piece),
            "peer {getter} gained piece {} twice",
            piece.0
        );
    }
}

impl World {
    /// After a step that touched these two.
    pub(super) fn check(&self, one: PeerNumber, other: Option<PeerNumber>) {
        let small = self.peers.len() * self.setup.pieces as usize <= THOROUGH_MAX;
        if small || self.events.steps().is_multiple_of(THOROUGH_EVERY) {
            self.check_pieces(one);
            other.into_iter().for_each(|other| self.check_pieces(other));
        }
        let came = self.ledger.received_bytes + self.ledger.lost_bytes;
        assert!(came <= self.ledger.sent_bytes, "bytes from nowhere");
    }

    /// Every piece of a peer is in exactly one state, and its two machines and the ledger agree on what is here.
    fn check_pieces(&self, number: PeerNumber) {
        let peer = &self.peers[number as usize];
        let have = &self.ledger.have[number as usize];
        assert_eq!(peer.giver.have(), have, "peer {number} offers what it has");
        if number != 0 {
            assert_eq!(peer.taker.verified(), have, "peer {number} has what it verified");
        }
        for liar in &peer.liars {
            assert!(
                self.ledger.liars[*liar as usize] && !peer.holders.contains_key(liar),
                "peer {number} blames peer {liar}"
            );
        }
        for piece in (0..self.setup.pieces).map(PieceIndex) {
            let expected = |holder: &&PeerNumber| peer.taker.expects(Source(u64::from(**holder)), piece);
            let from = peer.holders.keys().filter(expected).count();
            let states = from + usize::from(have.contains(piece));
            assert!(
                states <= 1,
                "peer {number}, piece {}: in {states} states",
                piece.0
            );
        }
    }

    /// Whoever concludes that what it lacks is nowhere is right: nobody from whom it could come has anything of it.
    pub(super) fn check_hopeless(&self, number: PeerNumber) {
        let mut upstream = BTreeSet::from([number]);
        let mut next = vec![number];
        while let Some(one) = next.pop() {
            let sends = |other: &PeerNumber| {
                let peer = &self.peers[*other as usize];
                peer.here && peer.plan.gives && !peer.plan.lies
            };
            let holders = self.peers[one as usize].holders.keys().copied();
            next.extend(holders.filter(sends).filter(|other| upstream.insert(*other)));
        }
        let have = &self.ledger.have[number as usize];
        for other in upstream {
            assert!(
                have.holds_all_of(&self.ledger.have[other as usize]),
                "peer {number} has given up, and peer {other} has what it lacks"
            );
        }
    }

    /// At the end: everybody who stayed has everything, and every byte sent has come or was lost on its way to
    /// one that left.
    pub(super) fn check_all(&self) {
        assert_eq!(
            self.ledger.sent_bytes,
            self.ledger.received_bytes + self.ledger.lost_bytes,
            "every byte has come or was lost on its way"
        );
        for number in 0..PeerNumber::try_from(self.peers.len()).unwrap_or(PeerNumber::MAX) {
            self.check_pieces(number);
        }
        for (number, peer) in self.peers.iter().enumerate() {
            let gained = u64::from(peer.report.pieces) * self.setup.piece_bytes;
            assert!(
                gained <= peer.report.received_bytes,
                "peer {number} gained what did not come"
            );
            if peer.report.done.is_some() {
                assert!(
                    self.ledger.have[number].is_all(),
                    "peer {number} has finished with holes"
                );
            }
        }
    }
}
