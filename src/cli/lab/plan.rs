//! Who holds what at the start, who downloads what from whom in which order, and how fast that can be.
//!
//! Belongs here: the assignments of the two tasks and the bound that follows from them. Not here: doing it.
//! Peers are numbered from 0 here (P1 is 0), documents by their place in natural order.

use super::deal::deal;
use super::{Order, Task};
use p2pdi::rate::Rate;

/// How many peers take part.
pub(super) const PEERS: usize = 6;

/// How many documents a peer downloads.
pub(super) const DOWNLOADS: usize = 50;

/// One download: which document, from which peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fetch {
    /// The document.
    pub(super) document: usize,
    /// The peer it must come from.
    pub(super) holder: usize,
}

/// What happens at the same time: for each peer its downloads, one after the other.
pub(super) type Stage = [Vec<Fetch>; PEERS];

/// A whole run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The documents each peer has at the start, in the order they are numbered.
    pub(super) holdings: [Vec<usize>; PEERS],
    /// One after the other; a stage begins when the one before is complete.
    pub(super) stages: Vec<Stage>,
}

impl Plan {
    /// The plan of a task for documents of these sizes.
    pub(super) fn new(sizes: &[u64], task: Task) -> Self {
        match task {
            Task::Centralized => Self::centralized(sizes.len()),
            Task::Distributed(order) => Self::distributed(sizes, order),
        }
    }

    fn centralized(documents: usize) -> Self {
        let mut holdings: [Vec<usize>; PEERS] = Default::default();
        holdings[0] = (0..documents).collect();
        let first = (0..documents)
            .take(DOWNLOADS)
            .map(|document| Fetch { document, holder: 0 });
        let first: Vec<Fetch> = first.collect();
        let stage = core::array::from_fn(|peer| if peer == 0 { Vec::new() } else { first.clone() });
        Self {
            holdings,
            stages: vec![stage],
        }
    }

    fn distributed(sizes: &[u64], order: Order) -> Self {
        let mut dealt = deal(sizes, PEERS).into_iter();
        let holdings: [Vec<usize>; PEERS] = core::array::from_fn(|_| dealt.next().unwrap_or_default());
        let of = |holder: usize| {
            holdings[holder]
                .iter()
                .map(move |&document| Fetch { document, holder })
        };
        // What `peer` lacks, the holders taken in the circle that begins after `start`.
        let lacking = |peer: usize, start: usize| -> Vec<Fetch> {
            (1..=PEERS)
                .map(|step| (start + step) % PEERS)
                .filter(|&holder| holder != peer)
                .flat_map(of)
                .collect()
        };
        let in_order = |peer| lacking(peer, PEERS - 1);
        let stages = match order {
            Order::Best => vec![core::array::from_fn(|peer| lacking(peer, peer))],
            Order::WorstOrder => vec![core::array::from_fn(in_order)],
            Order::WorstRelay => {
                let relayed = |peer| {
                    in_order(peer)
                        .into_iter()
                        .map(|fetch| Fetch { holder: 0, ..fetch })
                        .collect()
                };
                vec![
                    core::array::from_fn(|peer| if peer == 0 { in_order(0) } else { Vec::new() }),
                    core::array::from_fn(|peer| if peer == 0 { Vec::new() } else { relayed(peer) }),
                ]
            }
        };
        Self { holdings, stages }
    }

    /// The downloads of one peer, over all stages.
    pub(super) fn fetches(&self, peer: usize) -> impl Iterator<Item = Fetch> {
        self.stages
            .iter()
            .flat_map(move |stage| stage[peer].iter().copied())
    }

    /// How many downloads there are in all.
    pub(super) fn downloads(&self) -> usize {
        self.stages.iter().flatten().map(Vec::len).sum()
    }

    /// What must leave each peer.
    pub(super) fn uplink_bytes(&self, sizes: &[u64]) -> [u64; PEERS] {
        let mut bytes = [0; PEERS];
        for fetch in self.stages.iter().flatten().flatten() {
            bytes[fetch.holder] += sizes[fetch.document];
        }
        bytes
    }

    /// The lower bound in seconds: what must leave the busiest uplink, over its rate.
    pub(super) fn bound_secs(&self, sizes: &[u64], up_limit: Rate) -> f64 {
        let busiest = self.uplink_bytes(sizes).into_iter().max().unwrap_or(0);
        busiest as f64 / up_limit.bytes_per_sec() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::super::deal::share_bytes;
    use super::*;
    use std::collections::BTreeSet;

    fn sizes() -> Vec<u64> {
        (1..=60).map(|n| n * n * 100).collect()
    }

    const ALL: [Task; 4] = [
        Task::Centralized,
        Task::Distributed(Order::Best),
        Task::Distributed(Order::WorstOrder),
        Task::Distributed(Order::WorstRelay),
    ];

    #[test]
    fn everybody_gets_fifty_it_lacks_from_somebody_who_has_them() {
        for task in ALL {
            let plan = Plan::new(&sizes(), task);
            let mut held: Vec<BTreeSet<usize>> = plan
                .holdings
                .iter()
                .map(|share| share.iter().copied().collect())
                .collect();
            for stage in &plan.stages {
                let before = held.clone();
                for (peer, fetch) in stage
                    .iter()
                    .enumerate()
                    .flat_map(|(p, list)| list.iter().map(move |f| (p, f)))
                {
                    assert!(
                        before[fetch.holder].contains(&fetch.document),
                        "{task:?} P{} {fetch:?}",
                        peer + 1
                    );
                    assert!(held[peer].insert(fetch.document), "{task:?}: twice");
                }
            }
            for peer in 0..PEERS {
                let expected = if task == Task::Centralized && peer == 0 {
                    0
                } else {
                    DOWNLOADS
                };
                assert_eq!(plan.fetches(peer).count(), expected, "{task:?}");
            }
        }
    }

    #[test]
    fn bounds_are_those_of_the_task() {
        let sizes = sizes();
        let rate = Rate::from_bytes_per_sec(1_000).unwrap();
        let bound = |task| Plan::new(&sizes, task).bound_secs(&sizes, rate) * 1_000.0;
        let fifty: u64 = sizes[..50].iter().sum();
        assert!((bound(Task::Centralized) - (5 * fifty) as f64).abs() < 1e-6);

        let shares: Vec<u64> = deal(&sizes, PEERS)
            .iter()
            .map(|share| share_bytes(&sizes, share))
            .collect();
        let largest = 5 * shares.iter().max().unwrap();
        assert!((bound(Task::Distributed(Order::Best)) - largest as f64).abs() < 1e-6);
        assert!((bound(Task::Distributed(Order::WorstOrder)) - largest as f64).abs() < 1e-6);

        let total: u64 = sizes.iter().sum();
        let lacked: u64 = shares[1..].iter().map(|share| total - share).sum();
        assert!((bound(Task::Distributed(Order::WorstRelay)) - lacked as f64).abs() < 1e-6);
    }

    #[test]
    fn the_best_order_gives_every_uplink_one_downloader_at_each_step() {
        let plan = Plan::new(&sizes(), Task::Distributed(Order::Best));
        for n in 0..DOWNLOADS {
            let holders: BTreeSet<usize> = plan.stages[0].iter().map(|list| list[n].holder).collect();
            assert_eq!(holders.len(), PEERS, "download {n}");
        }
        assert_eq!(plan.stages[0][5][0].holder, 0);
    }

    #[test]
    fn the_worst_order_has_all_others_at_the_first_peer() {
        let plan = Plan::new(&sizes(), Task::Distributed(Order::WorstOrder));
        assert!(
            plan.stages[0][1..]
                .iter()
                .all(|list| list[..10].iter().all(|fetch| fetch.holder == 0))
        );
        assert_eq!(plan.stages[0][0][0].holder, 1);
    }
}
