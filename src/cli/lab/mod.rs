//! `p2pdi lab`: the two tasks of the original reports, run for real and measured.
//!
//! One RS and six peers as processes of this same program, sixty documents, every uplink limited; what comes
//! out is a table, a CSV of every download and a picture. Belongs here: the run from options to output. Not
//! here: anything a peer does; the lab only types its menu and reads its answers.

mod compare;
pub(super) mod csv;
mod curves;
mod deal;
mod documents;
mod folder;
mod generated;
mod interrupt;
mod menu;
mod natural;
mod outcome;
pub(super) mod panel;
mod plan;
mod processes;
mod run;
mod table;

use super::line::Line;
use crate::cli::failure::Failure;
use folder::Folder;
use interrupt::Interrupt;
use outcome::{Outcome, Summary};
use p2pdi::rate::Rate;
use plan::{PEERS, Plan};
use std::path::PathBuf;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct LabOptions {
    /// What to run.
    pub(crate) task: Task,
    /// Where the documents are; without it our own specifications and made-up ones.
    pub(crate) docs: Option<PathBuf>,
    /// What every peer's uplink is limited to.
    pub(crate) up_limit: Rate,
    /// Where the CSV, the JSON and the picture go.
    pub(crate) out: PathBuf,
    /// One JSON object instead of a table.
    pub(crate) json: bool,
}

/// The two tasks of the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Task 1: one peer has everything, five take it.
    Centralized,
    /// Task 2: everybody has a sixth and takes the rest.
    Distributed(Order),
}

/// In which order the documents of task 2 are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::enum_variant_names,
    reason = "as the reports and the command line name them"
)]
pub(crate) enum Order {
    /// Each peer begins at its next neighbour, so every uplink has one downloader.
    Best,
    /// Everybody takes the documents in the same order, so all meet at one uplink.
    WorstOrder,
    /// One peer first takes everything, and only then serves everybody.
    WorstRelay,
}

/// What the peers' uplinks are limited to when nothing is said: a network that is slower than this machine.
const UP_LIMIT: &str = "20mbit";

/// Runs what a command line asks for.
pub(crate) fn command(mut line: Line) -> Result<(), Failure> {
    let orders = [
        ("best", Order::Best),
        ("worst-order", Order::WorstOrder),
        ("worst-relay", Order::WorstRelay),
    ];
    let order = line.word("--order", &orders)?.pop();
    let operands: Vec<&str> = line.operands().iter().map(String::as_str).collect();
    let task = match (operands.as_slice(), order) {
        (["task1"], None) => Task::Centralized,
        (["task1"], Some(_)) => return Err(Failure::usage("task1 has no order: leave --order out")),
        (["task2"], order) => Task::Distributed(order.unwrap_or(Order::Best)),
        _ => {
            return Err(Failure::usage(
                "which experiment? lab task1, or lab task2 --order best",
            ));
        }
    };
    let up_limit = line.rate("--up-limit")?.or_else(|| Rate::parse(UP_LIMIT));
    let options = LabOptions {
        task,
        docs: line.path("--docs")?,
        up_limit: up_limit.ok_or_else(|| Failure::usage("--up-limit RATE"))?,
        out: line.path("--out")?.unwrap_or_else(|| PathBuf::from("lab")),
        json: line.switch("--json"),
    };
    run(&options)
}

/// Runs a task, leaves its files, and prints what came out.
///
/// # Errors
/// Bad input, a process that failed (named, with its last words), content that differs, or a signal.
pub(crate) fn run(options: &LabOptions) -> Result<(), Failure> {
    let interrupt = Interrupt::watch()?;
    let folder = Folder::create(&options.out)?;
    let scratch = tempfile::Builder::new()
        .prefix("p2pdi-lab-")
        .tempdir()
        .map_err(|error| Failure::io("a temporary directory", &error))?;
    let documents = documents::take(options.docs.as_deref(), &run::originals(scratch.path())?)?;
    let sizes: Vec<u64> = documents.iter().map(|document| document.bytes).collect();
    let plan = Plan::new(&sizes, options.task);
    let ground = run::Ground {
        documents: &documents,
        plan: &plan,
        up_limit: options.up_limit,
        root: scratch.path(),
    };
    let rows = run::measure(&ground, &interrupt)?;
    let verified = compare::verify(&ground, &interrupt)?;
    let summary = Summary {
        task: options.task,
        peers: PEERS as u64,
        documents: documents.len() as u64,
        bytes: sizes.iter().sum(),
        up_limit_bytes_per_sec: options.up_limit.bytes_per_sec(),
        slowest_secs: rows.iter().map(|row| row.cumulative_secs).fold(0.0, f64::max),
        bound_secs: plan.bound_secs(&sizes, options.up_limit),
        verified,
    };
    let outcome = Outcome { summary, rows };
    let files = folder.keep(&outcome)?;
    table::print(&outcome, &files, options.json)
}
