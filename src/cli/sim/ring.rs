//! `p2pdi sim ring`: the experiments of the Chord papers with our nodes, beside the published figures.
//!
//! Belongs here: which experiments, the published figures, table, CSV and JSON. Not here: how they are done
//! (`p2pdi::sim::ring`) and the picture.

use super::super::failure::{Exit, Failure};
use super::super::lab::csv;
use super::super::line::Line;
use super::super::say;
use super::{ring_picture, write};
use p2pdi::limits::{SIMULATED_LOOKUPS_MAX, SIMULATED_RING_NODES_MAX};
use p2pdi::proto::chord::RingSettings;
use p2pdi::sim::ring::{Lookups, churn, failures, load, measured_settings, partition, paths};
use p2pdi::time::Span;
use serde_json::{Map, Value, json};

const LOOKUPS: u64 = 10_000;
/// Rings of 2^3 to 2^14 nodes.
const SIZES: core::ops::RangeInclusive<u32> = 3..=14;
/// Below this many nodes where they happen to lie decides, so several rings are measured.
const SMALL: usize = 512;
const RINGS: u64 = 20;
/// A lookup without fingers takes half as many steps as there are nodes.
const NAIVE_LOOKUPS: usize = 100;
const SUCCESSORS: usize = 8;

/// One figure, and what was published.
#[derive(Debug)]
struct Figure {
    experiment: &'static str,
    setting: String,
    name: &'static str,
    value: f64,
    published: Option<f64>,
}

/// One point of the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    /// log2 of the nodes.
    pub(super) exponent: f64,
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) naive: f64,
}

/// The figures so far; each is told as it comes.
#[derive(Debug)]
struct Report {
    figures: Vec<Figure>,
    json: bool,
}

impl Report {
    fn tell(
        &mut self,
        experiment: &'static str,
        setting: &str,
        figures: &[(&'static str, f64, Option<f64>)],
    ) {
        if self.json {
            let mut object = Map::new();
            object.insert("experiment".to_owned(), json!(experiment));
            object.insert("setting".to_owned(), json!(setting));
            for (name, value, published) in figures {
                let key = name.replace(' ', "_");
                if let Some(published) = published {
                    object.insert(format!("{key}_published"), json!(published));
                }
                object.insert(key, json!(value));
            }
            say::result(&Value::Object(object).to_string());
        }
        for (name, value, published) in figures {
            let figure = Figure {
                experiment,
                setting: setting.to_owned(),
                name,
                value: *value,
                published: *published,
            };
            if !self.json {
                say::result(&row(&figure));
            }
            self.figures.push(figure);
        }
    }

    fn csv(&self) -> String {
        let mut text = csv::line(&["experiment", "setting", "figure", "value", "published"]);
        for figure in &self.figures {
            let published = figure.published.map_or(String::new(), |value| value.to_string());
            let value = figure.value.to_string();
            text += &csv::line(&[
                figure.experiment,
                &figure.setting,
                figure.name,
                &value,
                &published,
            ]);
        }
        text
    }
}

fn head() -> String {
    format!(
        "{:10} {:26} {:26} {:>12} {:>10}",
        "experiment", "setting", "figure", "value", "published"
    )
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.3}")
    }
}

fn row(figure: &Figure) -> String {
    format!(
        "{:10} {:26} {:26} {:>12} {:>10}",
        figure.experiment,
        figure.setting,
        figure.name,
        short(figure.value),
        figure.published.map_or("-".to_owned(), short)
    )
}

/// Runs what a command line asks for.
pub(super) fn command(mut line: Line) -> Result<(), Failure> {
    let nodes = line.number("--nodes", 1..=SIMULATED_RING_NODES_MAX)?;
    let lookups = line
        .number("--lookups", 1..=SIMULATED_LOOKUPS_MAX)?
        .unwrap_or(LOOKUPS);
    let seed = line.number("--seed", 0..=u64::MAX)?.unwrap_or(1);
    let out = line.path("--out")?;
    let mut report = Report {
        figures: Vec::new(),
        json: line.switch("--json"),
    };
    if !report.json {
        say::result(&head());
    }
    let lookups = count(lookups);
    let points = match nodes {
        Some(nodes) => {
            one_size(&mut report, count(nodes), lookups, seed)?;
            Vec::new()
        }
        None => experiments(&mut report, lookups, seed)?,
    };
    let Some(directory) = out else {
        return Ok(());
    };
    write(&directory.join("ring.csv"), &report.csv())?;
    if !points.is_empty() {
        let svg = ring_picture::draw(&points)
            .map_err(|error| Failure::new(Exit::Failed, format!("the picture cannot be drawn: {error}")))?;
        write(&directory.join("ring.svg"), &svg)?;
    }
    say::note(&format!("results: {}", directory.display()));
    Ok(())
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn settings(successors: usize, fingers: bool) -> Result<RingSettings, Failure> {
    measured_settings(successors, fingers).ok_or_else(|| Failure::new(Exit::Failed, "no circle of 160 bits"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run fit into 53 bits")]
fn float(count: usize) -> f64 {
    count as f64
}

/// A ring of one size, with lists as real nodes have them.
fn one_size(report: &mut Report, nodes: usize, lookups: usize, seed: u64) -> Result<(), Failure> {
    let found = paths(settings(SUCCESSORS, true)?, nodes, lookups, false, seed);
    report.tell(
        "lookups",
        &format!("{nodes} nodes, lists of {SUCCESSORS}"),
        &[
            ("mean hops", found.mean_hops(), None),
            ("most hops", f64::from(found.percentile(100)), None),
            ("right", float(found.right), None),
            ("wrong", float(found.wrong), None),
            ("failed", float(found.failed), None),
        ],
    );
    Ok(())
}

fn experiments(report: &mut Report, lookups: usize, seed: u64) -> Result<Vec<Point>, Failure> {
    let points = path_lengths(report, lookups, seed)?;
    loads(report, seed)?;
    deaths(report, lookups, seed)?;
    unrest(report, seed)?;
    Ok(points)
}

/// Fingers alone, and neither: lists of one. Keys that the asker or its successor owns are left out, for nobody is asked
/// the way to them; the owner, which confirms, is not counted.
fn path_lengths(report: &mut Report, lookups: usize, seed: u64) -> Result<Vec<Point>, Failure> {
    let mut points = Vec::new();
    for exponent in SIZES {
        let nodes = 1_usize << exponent;
        let rings = if nodes < SMALL { RINGS } else { 1 };
        let mut found = Lookups::default();
        for ring in 0..rings {
            let each = lookups.div_ceil(count(rings));
            found.join(paths(
                settings(1, true)?,
                nodes,
                each,
                true,
                seed.wrapping_add(ring),
            ));
        }
        let naive = paths(settings(1, false)?, nodes, NAIVE_LOOKUPS, true, seed);
        let law = f64::from(exponent) / 2.0;
        report.tell(
            "paths",
            &format!("{nodes} nodes, fingers only"),
            &[
                ("mean hops", found.mean_hops(), Some(law)),
                ("part of the law", found.mean_hops() / law, Some(1.0)),
                ("1st percentile", f64::from(found.percentile(1)), None),
                ("99th percentile", f64::from(found.percentile(99)), None),
                ("not right", float(found.wrong + found.failed), Some(0.0)),
                ("naive mean hops", naive.mean_hops(), Some(float(nodes) / 2.0)),
            ],
        );
        points.push(Point {
            exponent: f64::from(exponent),
            mean: found.mean_hops(),
            low: f64::from(found.percentile(1)),
            high: f64::from(found.percentile(99)),
            naive: naive.mean_hops(),
        });
    }
    Ok(points)
}

fn loads(report: &mut Report, seed: u64) -> Result<(), Failure> {
    let settings = settings(SUCCESSORS, true)?;
    let one = load(settings, 10_000, 1, 500_000, seed);
    report.tell(
        "load",
        "10000 nodes, 500000 keys",
        &[
            ("worst node, in means", one.worst, Some(9.1)),
            ("99th percentile, in means", one.high, Some(4.6)),
        ],
    );
    for (virtual_nodes, low, high) in [
        (1, Some(0.0), Some(4.8)),
        (2, None, None),
        (5, None, None),
        (10, None, None),
        (20, Some(0.5), Some(1.6)),
    ] {
        let load = load(settings, 10_000, virtual_nodes, 1_000_000, seed);
        report.tell(
            "load",
            &format!("{virtual_nodes} virtual a node"),
            &[
                ("1st percentile, in means", load.low, low),
                ("99th percentile, in means", load.high, high),
            ],
        );
    }
    Ok(())
}

/// Here the last hop is counted, as the published figures do.
fn deaths(report: &mut Report, lookups: usize, seed: u64) -> Result<(), Failure> {
    let settings = settings(20, true)?;
    for (percent, path, timeouts) in [(0, 3.84, 0.0), (10, 4.03, 0.6), (30, 4.44, 2.0), (50, 5.1, 5.1)] {
        let found = failures(settings, 1_000, percent, lookups, seed);
        report.tell(
            "failures",
            &format!("{percent}% of 1000 die at once"),
            &[
                ("mean path", found.mean_hops() + 1.0, Some(path)),
                ("timeouts a lookup", found.timeouts_each(), Some(timeouts)),
                ("right", float(found.right), Some(float(lookups))),
                ("wrong", float(found.wrong), Some(0.0)),
                ("failed", float(found.failed), Some(0.0)),
            ],
        );
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run fit into 53 bits")]
fn unrest(report: &mut Report, seed: u64) -> Result<(), Failure> {
    let mut slow = settings(SUCCESSORS, true)?;
    slow.stabilize = Span::from_secs(30);
    for (every_secs, published) in [(20, None), (10, Some(3.0)), (5, None)] {
        let churn = churn(slow, 500, Span::from_secs(every_secs), 30, seed);
        let asked = churn.lookups.asked.max(1) as f64;
        report.tell(
            "churn",
            &format!("500 nodes, 1 dies in {every_secs} s"),
            &[
                ("lookups", float(churn.lookups.asked), None),
                (
                    "failed, percent",
                    float(churn.lookups.failed) / asked * 100.0,
                    published,
                ),
                ("wrong", float(churn.lookups.wrong), Some(0.0)),
                ("timeouts a lookup", churn.lookups.timeouts_each(), None),
            ],
        );
    }
    for nodes in [6, 16, 64] {
        let cut = partition(settings(SUCCESSORS, true)?, nodes, 100, seed);
        report.tell(
            "partition",
            &format!("{nodes} nodes, cut for 120 s"),
            &[
                ("two rings meanwhile", float(usize::from(cut.halves)), None),
                (
                    "one ring after, seconds",
                    cut.healed.map_or(f64::NAN, Span::as_secs_f64),
                    None,
                ),
                ("records", float(cut.records), None),
                ("records found", float(cut.found), None),
            ],
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_below_their_heads_and_the_csv_has_all() {
        let mut report = Report {
            figures: Vec::new(),
            json: true,
        };
        one_size(&mut report, 100, 200, 1).expect("a ring");
        assert!(
            report
                .figures
                .iter()
                .all(|figure| row(figure).len() == head().len())
        );
        let records = csv::records(&report.csv());
        assert_eq!(records.len(), 1 + report.figures.len());
        assert_eq!(records[3][2..4], ["right", "200"]);
    }

    #[test]
    fn the_picture_shows_both_rings_and_the_law() {
        let point = |exponent: f64| Point {
            exponent,
            mean: exponent / 2.0,
            low: 0.0,
            high: exponent,
            naive: exponent.exp2() / 2.0,
        };
        let svg = ring_picture::draw(&[point(3.0), point(8.0), point(14.0)]).expect("a picture");
        for text in ["naive", "Chord", "½ log2 N"] {
            assert!(svg.contains(text), "{text}");
        }
    }
}
