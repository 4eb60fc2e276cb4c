//! The swarm in the simulator: how near to the bound it comes, and a thousand runs in which things go wrong.

use p2pdi::rate::Rate;
use p2pdi::sim::swarm::{Setup, run};

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
    assert_eq!(run(setup(7)), run(setup(7)));
    assert_ne!(run(setup(7)).trace, run(setup(8)).trace);
}

#[test]
fn whatever_goes_wrong_everybody_who_stays_gets_everything() {
    for seed in 0..1_000 {
        let report = run(Setup::with_faults(seed, fast()));
        assert!(report.everybody, "seed {seed}: {report:#?}");
    }
}

#[test]
#[ignore = "figures, to look at"]
fn figures() {
    for pieces in [256, 1_024] {
        for peers in [5, 15, 100, 1_000] {
            if peers * pieces as usize > 300_000 {
                continue;
            }
            for lead in [0, 1, 4] {
                let mut setup = Setup::even(peers, pieces, fast(), 1);
                setup.lead_chunks = lead;
                let r = run(setup);
                println!(
                    "N={peers} K={pieces} lead={lead}: {:.3} src {:.3} waste {:.4} even {:.2} steps {} refused {}",
                    r.ratio(),
                    r.source_contents,
                    r.waste,
                    r.evenness(),
                    r.steps,
                    r.peers.iter().map(|p| p.refused).sum::<u32>()
                );
            }
        }
    }
}
