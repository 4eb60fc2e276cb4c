//! `p2pdi sim`: the real machines in a simulated world, and how near they come to the bound, or to what was published.
//!
//! Belongs here: which runs, the table, the JSON. Not here: the worlds (`p2pdi::sim`) and the pictures.

mod picture;
mod ring;
mod ring_picture;

use super::failure::{Exit, Failure};
use super::line::Line;
use super::say;
use p2pdi::limits::{SIMULATED_PEERS_MAX, SIMULATED_PIECES_MAX};
use p2pdi::proto::transfer::Turns;
use p2pdi::rate::Rate;
use p2pdi::sim::swarm::{Report, Setup, run};
use p2pdi::time::Span;
use serde_json::{Value, json};
use std::path::Path;

/// The swarms that are run when none is asked for: a lab, a classroom, a floor, a campus.
const NODES: [u64; 4] = [5, 15, 100, 1_000];
const PIECES: u64 = 256;
const UP: &str = "100mbit";
/// Half a round trip in a switched network.
const LATENCY: Span = Span(200);

/// A run and what came out.
#[derive(Debug)]
struct Outcome {
    nodes: usize,
    freeloaders: usize,
    turns: Turns,
    pieces: u32,
    report: Report,
}

/// Runs what a command line asks for.
pub(super) fn command(mut line: Line) -> Result<(), Failure> {
    let operands: Vec<&str> = line.operands().iter().map(String::as_str).collect();
    match operands.as_slice() {
        ["swarm"] => {
            refuse(&mut line, &["--lookups"], "ring")?;
            swarm(line)
        }
        ["ring"] => {
            refuse(
                &mut line,
                &["--pieces", "--up", "--latency-ms", "--freeloaders"],
                "swarm",
            )?;
            ring::command(line)
        }
        _ => Err(Failure::usage("simulate what? sim swarm, or sim ring")),
    }
}

/// Options that only the other simulation knows.
fn refuse(line: &mut Line, flags: &[&'static str], other: &str) -> Result<(), Failure> {
    for flag in flags {
        if line.value(flag, "a value", |_| Some(()))?.is_some() {
            return Err(Failure::usage(format!("{flag} is for sim {other}")));
        }
    }
    Ok(())
}

fn swarm(mut line: Line) -> Result<(), Failure> {
    let nodes = line.number("--nodes", 1..=SIMULATED_PEERS_MAX)?;
    let pieces = line
        .number("--pieces", 1..=SIMULATED_PIECES_MAX)?
        .unwrap_or(PIECES);
    let seed = line.number("--seed", 0..=u64::MAX)?.unwrap_or(1);
    let up = line.rate("--up")?.or_else(|| Rate::parse(UP));
    let up = up.ok_or_else(|| Failure::usage("--up RATE"))?;
    let latency = line.value("--latency-ms", "milliseconds from 0 to 10000", millis)?;
    let freeloaders = line
        .number("--freeloaders", 0..=SIMULATED_PEERS_MAX)?
        .unwrap_or(0);
    let out = line.path("--out")?;
    let json = line.switch("--json");

    let all = nodes.map_or(NODES.to_vec(), |nodes| vec![nodes]);
    if let Some(few) = all.iter().find(|nodes| **nodes < freeloaders) {
        return Err(Failure::usage(format!(
            "--freeloaders {freeloaders}: there are only {few} peers"
        )));
    }
    let rules: &[Turns] = if freeloaders == 0 {
        &[Turns::GiversFirst]
    } else {
        &[Turns::NeediestFirst, Turns::GiversFirst]
    };
    let mut outcomes = Vec::new();
    if !json {
        say::result(&head(freeloaders > 0));
    }
    for nodes in all {
        for turns in rules {
            let (nodes, givers) = (count(nodes), count(nodes - freeloaders));
            let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
            let mut setup = Setup::even(nodes, pieces, up, seed);
            setup.latency = latency.unwrap_or(LATENCY);
            setup.turns = *turns;
            for peer in setup.peers.iter_mut().skip(givers) {
                peer.gives = false;
            }
            let outcome = Outcome {
                nodes,
                freeloaders: nodes - givers,
                turns: *turns,
                pieces,
                report: run(setup),
            };
            let text = if json {
                object(&outcome).to_string()
            } else {
                row(&outcome)
            };
            say::result(&text);
            outcomes.push(outcome);
        }
    }
    if let Some(directory) = out {
        let path = directory.join("swarm.svg");
        let svg = picture::draw(&outcomes)
            .map_err(|error| Failure::new(Exit::Failed, format!("the picture cannot be drawn: {error}")))?;
        write(&path, &svg)?;
        say::note(&format!("picture: {}", path.display()));
    }
    Ok(())
}

/// Writes a file of results, and the directories above it.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let above = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    above
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Failure::io(path.display(), &error))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Milliseconds, with a fraction.
fn millis(text: &str) -> Option<Span> {
    let millis: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked on the same line"
    )]
    (0.0..=10_000.0)
        .contains(&millis)
        .then(|| Span((millis * 1_000.0).round() as u64))
}

const fn rule(turns: Turns) -> &'static str {
    match turns {
        Turns::NeediestFirst => "neediest-first",
        Turns::GiversFirst => "givers-first",
    }
}

impl Outcome {
    /// When the last of those who give was done, and the last of those who do not.
    fn last_secs(&self) -> (Option<f64>, Option<f64>) {
        let givers = self.nodes - self.freeloaders;
        let last = |took: Vec<f64>| took.last().copied();
        (
            last(self.report.took_secs(|number| number <= givers)),
            last(self.report.took_secs(|number| number > givers)),
        )
    }
}

fn head(with_freeloaders: bool) -> String {
    let mut text = format!(
        "{:>6} {:>6} {:>9} {:>9} {:>6} {:>12} {:>7}",
        "peers", "pieces", "seconds", "bound", "ratio", "source sends", "waste"
    );
    if with_freeloaders {
        text.push_str(&format!("  {:14} {:>9} {:>11}", "turns", "givers", "freeloaders"));
    }
    text
}

fn row(outcome: &Outcome) -> String {
    let report = &outcome.report;
    let mut text = format!(
        "{:>6} {:>6} {:>9.3} {:>9.3} {:>6.3} {:>10.3} F {:>6.2}%",
        outcome.nodes,
        outcome.pieces,
        report.secs,
        report.bound_secs,
        report.ratio(),
        report.source_contents,
        report.waste * 100.0
    );
    if outcome.freeloaders > 0 {
        let secs = |secs: Option<f64>| secs.map_or("-".to_owned(), |secs| format!("{secs:.3}"));
        let (givers, freeloaders) = outcome.last_secs();
        text.push_str(&format!(
            "  {:14} {:>9} {:>11}",
            rule(outcome.turns),
            secs(givers),
            secs(freeloaders)
        ));
    }
    text
}

fn object(outcome: &Outcome) -> Value {
    let report = &outcome.report;
    let (givers, freeloaders) = outcome.last_secs();
    json!({
        "nodes": outcome.nodes,
        "pieces": outcome.pieces,
        "secs": report.secs,
        "bound_secs": report.bound_secs,
        "ratio": report.ratio(),
        "source_contents": report.source_contents,
        "waste": report.waste,
        "evenness": report.evenness(),
        "freeloaders": outcome.freeloaders,
        "turns": rule(outcome.turns),
        "givers_secs": givers,
        "freeloaders_secs": freeloaders,
        "everybody": report.everybody,
        "events": report.steps,
        "trace": format!("{:016x}", report.trace),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(nodes: usize, freeloaders: usize) -> Outcome {
        let mut setup = Setup::even(nodes, 16, Rate::parse(UP).expect("a rate"), 1);
        for peer in setup.peers.iter_mut().skip(nodes - freeloaders) {
            peer.gives = false;
        }
        Outcome {
            nodes,
            freeloaders,
            turns: Turns::GiversFirst,
            pieces: 16,
            report: run(setup),
        }
    }

    #[test]
    fn rows_stand_below_their_heads() {
        for freeloaders in [0, 2] {
            let outcome = outcome(5, freeloaders);
            assert_eq!(row(&outcome).len(), head(freeloaders > 0).len());
            assert_eq!(object(&outcome)["nodes"], 5);
        }
    }

    #[test]
    fn latencies_have_fractions_and_ends() {
        assert_eq!(millis("0.2"), Some(Span(200)));
        for text in ["-1", "nan", "inf", "10001", "x", ""] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn the_picture_shows_every_swarm() {
        let svg = picture::draw(&[outcome(5, 0), outcome(15, 5)]).expect("a picture");
        for text in ["5 peers", "15 peers", "the bound"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(picture::draw(&[]).is_ok());
    }
}
