//! Hundreds of lives of an RS and its peers on a bad network; and that the checks would notice.

use p2pdi::sim::{Outcome, PlantedFault, ScenarioSettings, run};

fn settings(seed: u64) -> ScenarioSettings {
    ScenarioSettings {
        seed,
        peers: u8::try_from(2 + seed % 5).expect("a few"),
        acts: 30,
        fault: None,
        keep_lines: false,
    }
}

/// The end of the trace of a life that went wrong, for whoever looks for the fault.
fn story(settings: ScenarioSettings) -> String {
    let again: Outcome = run(ScenarioSettings {
        keep_lines: true,
        ..settings
    });
    let from = again.lines.len().saturating_sub(60);
    again.lines[from..].join("\n")
}

#[test]
fn what_must_hold_holds_on_a_bad_network() {
    for seed in 0..400 {
        let settings = settings(seed);
        let outcome = run(settings);
        if let Some(broken) = outcome.broken {
            panic!("{settings:?}: {broken}\n{}", story(settings));
        }
        assert!(
            outcome.events > 100,
            "seed {seed}: a life without events shows nothing"
        );
    }
}

#[test]
fn one_seed_one_trace() {
    let mut hashes = Vec::new();
    for seed in [0, 7, 8] {
        let (one, other) = (run(settings(seed)), run(settings(seed)));
        assert_eq!((one.hash, one.events), (other.hash, other.events), "seed {seed}");
        hashes.push(one.hash.0);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 3, "other seeds, other traces");
}

/// The words of the first property that breaks under a planted fault, over a few dozen seeds.
fn caught(fault: PlantedFault) -> String {
    for seed in 0..60 {
        let outcome = run(ScenarioSettings {
            fault: Some(fault),
            ..settings(seed)
        });
        if let Some(broken) = outcome.broken {
            return broken.0;
        }
    }
    panic!("nothing noticed {fault:?}")
}

#[test]
fn planted_faults_are_noticed() {
    for (fault, words) in [
        (PlantedFault::ForgetsNumbers, "Joins and"),
        (PlantedFault::TakesAnyToken, "without a token"),
        (PlantedFault::SlowClock, "is handed out, silent for"),
        (PlantedFault::ForgetsDeregister, " is"),
        (PlantedFault::AnswersEarly, "after a restart it is not"),
        (PlantedFault::RenewsAtRestart, "is handed out, silent for"),
    ] {
        let broken = caught(fault);
        assert!(broken.contains(words), "{fault:?}: {broken}");
    }
}
