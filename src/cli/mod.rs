//! The face: everything that is printed, asked and exited with.
//!
//! Belongs here: the command line, help, tables, JSON, progress, the menu, exit codes. Does not: anything
//! that works without being looked at. Invariant: stdout carries results only, stderr everything else, and
//! whatever came from the network is made printable first.
#![allow(
    clippy::disallowed_types,
    reason = "the face reads files, clocks and addresses for people"
)]

mod commands;
mod failure;
mod get;
mod hash;
mod hashing;
mod keeping;
mod lab;
mod line;
mod load;
mod menu;
mod peer;
mod progress;
mod put;
mod query;
mod ring;
mod rs;
mod say;
mod show;
mod signals;
mod sim;
mod status;
mod why;

use commands::{COMMANDS, nearest};
use failure::{Exit, Failure};
use line::Line;
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs a command line.
pub(crate) fn run(args: Vec<OsString>) -> ExitCode {
    match dispatch(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::failure(&format!("p2pdi: {failure}"));
            ExitCode::from(failure.exit.code())
        }
    }
}

fn dispatch(args: Vec<OsString>) -> Result<(), Failure> {
    let mut words = Vec::new();
    for arg in args {
        let text = arg
            .into_string()
            .map_err(|arg| Failure::usage(format!("{}: not UTF-8", arg.display())))?;
        words.push(text);
    }
    let asks_help = words.iter().any(|word| word == "--help" || word == "-h");
    let Some(first) = words.first().cloned() else {
        say::note(&commands::overview());
        return Err(Failure::usage("which command? `p2pdi help` lists them"));
    };
    match first.as_str() {
        "help" | "--help" | "-h" => {
            match words.get(1) {
                Some(name) => say::result(&commands::help(command_of(name)?)),
                None => say::result(&commands::overview()),
            }
            return Ok(());
        }
        "version" | "--version" | "-V" => {
            say::result(&format!("p2pdi {}", env!("CARGO_PKG_VERSION")));
            return Ok(());
        }
        _ => {}
    }
    let command = command_of(&first)?;
    if asks_help {
        say::result(&commands::help(command));
        return Ok(());
    }
    let line = Line::parse(command, words.split_off(1))?;
    match command.name {
        "rs" => rs::run(line),
        "peer" => peer::run(line),
        "get" => get::run(line),
        "list" => query::list(line),
        "peers" => query::peers(line),
        "search" => query::search(line),
        "index" => query::index(line),
        "status" => status::run(line),
        "ring" => ring::command(line),
        "hash" => hash::run(line),
        "lab" => lab::command(line),
        "sim" => sim::command(line),
        "load" => load::run(line),
        other => Err(Failure::new(
            Exit::Failed,
            format!("{other} is in the table of commands and nowhere else"),
        )),
    }
}

/// The command of a name, or what to type instead.
fn command_of(name: &str) -> Result<&'static commands::CommandRow, Failure> {
    commands::find(name).ok_or_else(|| {
        let names = COMMANDS.iter().map(|command| command.name);
        let hint = nearest(name, names).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        let name = p2pdi::name::printable(name);
        Failure::usage(format!(
            "unknown command `{name}`{hint} (`p2pdi help` lists them)"
        ))
    })
}
