//! The swarm in the simulator: how near to the bound it comes, and a thousand runs in which things go wrong.

use p2pdi::limits::HOPE_LOST;
use p2pdi::proto::transfer::Turns;
use p2pdi::rate::Rate;
use p2pdi::sim::swarm::{PeerPlan, Setup, run};
use p2pdi::time::{Instant, Span};

fn fast() -> Rate {
    Rate::parse("100mbit").expect("a rate")
}

#[test]
fn the_swarm_is_near_the_bound() {
    for (peers, pieces, most) in [
        (5, 256, 1.10),
        (5, 1_024, 1.10),
        (15, 256, 1.12),
        (15, 1_024, 1.12),
    ] {
        let report = run(Setup::even(peers, pieces, fast(), 1));
        assert!(report.everybody);
        assert!(
            report.ratio() <= most,
            "{peers} peers, {pieces} pieces: {:.3} of the bound, {:.2} F from the source, waste {:.3}",
            report.ratio(),
            report.source_contents,
            report.waste,
        );
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let setup = |seed| Setup::with_faults(seed, fast());
    let mut traces = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let report = run(setup(seed));
        assert_eq!(report, run(setup(seed)), "seed {seed}");
        traces.insert(report.trace);
    }
    // In a few of them nobody is to stay, and nothing happens.
    assert!(traces.len() > 90, "{} traces of 100 seeds", traces.len());
}

#[test]
fn whatever_goes_wrong_everybody_who_stays_gets_everything() {
    let (mut left, mut exposed, mut steps) = (0, 0, 0);
    for seed in 0..1_000 {
        let setup = Setup::with_faults(seed, fast());
        left += setup.peers.iter().filter(|plan| plan.leaves.is_some()).count();
        let report = run(setup);
        assert!(report.everybody, "seed {seed}: {report:#?}");
        exposed += report.peers.iter().map(|peer| peer.exposed).sum::<u32>();
        steps += report.steps;
    }
    println!("{steps} steps; {left} peers left in the middle, liars were given up {exposed} times");
    assert!(
        left > 500 && exposed > 500,
        "{left} left, {exposed} lies: a thousand runs without faults"
    );
}

#[test]
fn whoever_gives_up_is_right_and_does_so_soon() {
    let (mut done, mut gave_up, mut slowest) = (0, 0, Span::ZERO);
    for seed in 0..400 {
        let mut setup = Setup::with_faults(seed, fast());
        let left = Instant::ZERO.after(Span::from_millis(seed * 37 % 1_500));
        setup.source.leaves = Some(left);
        setup.source.stalls.clear();
        setup.peers.iter_mut().for_each(|plan| plan.stalls.clear());
        setup.in_line = seed % 4 == 0;
        let plans = setup.peers.clone();
        // That nobody has what is given up is checked by the run itself.
        let report = run(setup);
        for (plan, peer) in plans.iter().zip(&report.peers[1..]) {
            done += usize::from(peer.done.is_some());
            if let Some(at) = peer.gave_up {
                gave_up += 1;
                slowest = slowest.max(at.since(left.max(plan.joins)));
            } else {
                assert!(
                    peer.done.is_some() || plan.leaves.is_some(),
                    "seed {seed}: {report:#?}"
                );
            }
        }
    }
    println!("{done} had everything, {gave_up} gave up, after {slowest:?} at most");
    assert!(
        done > 100 && gave_up > 100,
        "{done} had everything, {gave_up} gave up"
    );
    assert!(slowest < Span(HOPE_LOST.0 * 4), "{slowest:?}");
}

#[test]
fn who_waits_behind_slow_relays_does_not_give_up() {
    let rate = Rate::from_bytes_per_sec(8 * 1_024).expect("not zero");
    let mut setup = Setup::even(6, 4, rate, 1);
    setup.chunk_bytes = 2 * 1_024;
    setup.in_line = true;
    let (piece, last) = (Span::from_secs(8).0, 6);
    let report = run(setup);
    assert!(report.everybody, "{report:#?}");
    let first = report.peers[last].done.expect("done").since(Instant::ZERO);
    assert!(
        first.0 > 6 * piece,
        "the last one waited long for its first piece: {first:?}"
    );
}

fn mbit(mbit: u64) -> Rate {
    Rate::from_bytes_per_sec(mbit * 125_000).expect("not zero")
}

/// How many bounds a swarm of 100 takes in which every third peer is unlike the others.
fn ratio_with(change: impl Fn(usize, &mut PeerPlan)) -> f64 {
    let mut setup = Setup::even(100, 256, fast(), 1);
    for (number, plan) in setup.peers.iter_mut().enumerate() {
        change(number, plan);
    }
    let report = run(setup);
    assert!(report.everybody);
    report.ratio()
}

#[test]
fn unequal_links_are_used_as_they_are() {
    let up = ratio_with(|number, plan| {
        plan.up = mbit([20, 100, 400][number % 3]);
        plan.down = mbit(1_000);
    });
    let down = ratio_with(|number, plan| plan.down = mbit([50, 100, 400][number % 3]));
    // Announcing ahead costs slow uplinks some of their last pieces.
    assert!(up <= 1.21 && down <= 1.05, "{up:.3} {down:.3}");
}

#[test]
fn who_leaves_costs_the_others_no_wait() {
    let early = ratio_with(|number, plan| plan.leaves = (number % 3 == 0).then_some(Instant(700_000)));
    let mut setup = Setup::even(100, 256, fast(), 1);
    setup.leaves_when_done = true;
    let done = run(setup).ratio();
    assert!(early <= 1.18 && done <= 1.22, "{early:.3} {done:.3}");
}

#[test]
fn who_comes_late_takes_no_longer_than_one_that_was_there() {
    let mut setup = Setup::even(30, 256, fast(), 1);
    for plan in setup.peers.iter_mut().step_by(3) {
        plan.joins = Instant(700_000);
    }
    let report = run(setup);
    let took = report.took_secs(|number| number % 3 == 1);
    assert!(
        took.iter().all(|secs| *secs <= 1.12 * report.bound_secs),
        "{took:?}"
    );
}

#[test]
fn pieces_may_share_an_uplink() {
    for at_once in [2, 4] {
        let mut setup = Setup::even(15, 256, fast(), 1);
        setup.at_once = at_once;
        assert!(run(setup).ratio() <= 1.12, "{at_once} at once");
    }
}

#[test]
fn who_gives_nothing_waits_for_those_who_give_and_does_not_starve() {
    for (peers, freeloaders) in [(15, 5), (100, 30)] {
        let last = |turns| {
            let mut setup = Setup::even(peers, 256, fast(), 1);
            setup.turns = turns;
            for plan in setup.peers.iter_mut().skip(peers - freeloaders) {
                plan.gives = false;
            }
            let report = run(setup);
            let last = |took: Vec<f64>| took.last().copied().expect("somebody");
            let givers = last(report.took_secs(|number| number <= peers - freeloaders));
            (
                givers,
                last(report.took_secs(|number| number > peers - freeloaders)),
            )
        };
        let (before, ruled) = (last(Turns::NeediestFirst), last(Turns::GiversFirst));
        let figures = format!("{peers} peers: (givers, freeloaders) {before:?}, with the rule {ruled:?}");
        assert!(ruled.0 < 0.9 * before.0, "{figures}");
        assert!(ruled.1 > ruled.0 && ruled.1 < 2.0 * before.1, "{figures}");
    }
}
