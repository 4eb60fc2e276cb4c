//! What a run prints when it is done: a table for people, or one JSON object.
//!
//! Belongs here: layout on stdout. Not here: the figures.

use super::folder::Files;
use super::outcome::Outcome;
use super::run::peer_name;
use crate::cli::failure::Failure;
use std::io::Write;

/// Prints the run to stdout.
///
/// # Errors
/// Stdout is closed.
pub(super) fn print(outcome: &Outcome, files: &Files, json: bool) -> Result<(), Failure> {
    let text = if json {
        object(outcome, files)
    } else {
        table(outcome, files)
    };
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::io("standard output", &error))
}

fn object(outcome: &Outcome, files: &Files) -> String {
    let mut value = outcome.summary.to_json();
    value["csv"] = files.csv.display().to_string().into();
    value["svg"] = files.svg.display().to_string().into();
    format!("{value}\n")
}

fn table(outcome: &Outcome, files: &Files) -> String {
    let summary = &outcome.summary;
    let by_peer = outcome.by_peer();
    let mut text = format!(
        "{:<14}{:>9}{:>12}{:>10}\n",
        "peer", "documents", "bytes", "seconds"
    );
    for peer in (0..usize::try_from(summary.peers).unwrap_or(0)).map(peer_name) {
        let rows = by_peer
            .iter()
            .find(|(name, _)| *name == peer)
            .map_or(&[][..], |(_, rows)| rows);
        let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
        let secs = rows
            .last()
            .map_or("-".to_owned(), |row| format!("{:.2}", row.cumulative_secs));
        text.push_str(&format!("{peer:<14}{:>9}{bytes:>12}{secs:>10}\n", rows.len()));
    }
    text.push_str(&format!("{:<35}{:>10.2}\n", "slowest peer", summary.slowest_secs));
    text.push_str(&format!(
        "{:<35}{:>10.2}\n",
        "lower bound, the busiest uplink", summary.bound_secs
    ));
    let ratio = summary
        .ratio()
        .map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
    text.push_str(&format!("{:<35}{ratio:>10}\n", "ratio"));
    text.push_str(&format!(
        "verified {} files; picture: {}\n",
        summary.verified,
        files.svg.display()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::super::Task;
    use super::super::outcome::tests::made_up;
    use super::*;

    #[test]
    fn the_table_is_aligned_and_ends_with_the_picture() {
        let files = Files {
            csv: "out/task1.csv".into(),
            svg: "out/curves.svg".into(),
        };
        let text = table(&made_up(Task::Centralized, 2, 0.0, 20.0, 16.0), &files);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "P1                    0           0         -");
        assert_eq!(lines[2], "P2                   50     4500000     20.00");
        assert!(
            lines[..10].iter().all(|line| line.len() == lines[0].len()),
            "{text}"
        );
        assert_eq!(lines[10], "verified 250 files; picture: out/curves.svg");
        assert_eq!(lines.len(), 11);
    }

    #[test]
    fn the_object_is_one_line_with_the_paths() {
        let files = Files {
            csv: "a.csv".into(),
            svg: "b.svg".into(),
        };
        let text = object(&made_up(Task::Centralized, 2, 0.0, 20.0, 16.0), &files);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (value["csv"].as_str(), value["svg"].as_str()),
            (Some("a.csv"), Some("b.svg"))
        );
        assert_eq!(text.lines().count(), 1);
    }
}
