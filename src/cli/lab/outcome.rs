//! What a run found out: one row a download and one summary a run, and their two files, CSV and JSON.
//!
//! Belongs here: the values and their text both ways. Not here: where the files lie (`folder`), pictures.
//! Invariant: what [`Outcome::to_csv`] and [`Summary::to_json`] write, [`Outcome::parse`] reads again.

use super::{Order, Task, csv};
use serde_json::{Value, json};

/// One download.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Who downloaded: `P3`.
    pub(super) peer: String,
    /// Its how manieth, from 1.
    pub(super) n: u64,
    /// What.
    pub(super) document: String,
    /// From whom: `P1`.
    pub(super) holder: String,
    /// How long it is.
    pub(super) bytes: u64,
    /// How long the download took, by the peer's own clock.
    pub(super) secs: f64,
    /// When it was done, since all began, by the lab's clock.
    pub(super) cumulative_secs: f64,
}

/// The account of a whole run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Summary {
    /// Which task, and order.
    pub(super) task: Task,
    /// How many peers took part.
    pub(super) peers: u64,
    /// How many documents there were.
    pub(super) documents: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// What every uplink was limited to.
    pub(super) up_limit_bytes_per_sec: u64,
    /// When the last peer had its last document.
    pub(super) slowest_secs: f64,
    /// What the busiest uplink needs at least.
    pub(super) bound_secs: f64,
    /// How many downloaded files equal their original, byte for byte.
    pub(super) verified: u64,
}

/// A run: what the files hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The account.
    pub(super) summary: Summary,
    /// Every download, by peer and then by number.
    pub(super) rows: Vec<Row>,
}

const COLUMNS: [&str; 9] = [
    "task",
    "order",
    "peer",
    "n",
    "document",
    "holder",
    "bytes",
    "secs",
    "cumulative_secs",
];

impl Summary {
    /// The slowest peer's time over the lower bound; none if nothing had to be sent.
    pub(super) fn ratio(&self) -> Option<f64> {
        (self.bound_secs > 0.0).then(|| self.slowest_secs / self.bound_secs)
    }

    /// The keys scripts look for.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "task": task_text(self.task),
            "order": order_text(self.task),
            "peers": self.peers,
            "documents": self.documents,
            "bytes": self.bytes,
            "up_limit_bytes_per_sec": self.up_limit_bytes_per_sec,
            "slowest_secs": round(self.slowest_secs),
            "bound_secs": round(self.bound_secs),
            "ratio": self.ratio().map(round),
            "verified": self.verified,
        })
    }

    fn parse(text: &str, task: Task) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let whole = |key: &str| {
            value[key]
                .as_u64()
                .ok_or_else(|| format!("`{key}` is not a whole number"))
        };
        let secs = |key: &str| {
            value[key]
                .as_f64()
                .filter(|secs| *secs >= 0.0)
                .ok_or_else(|| format!("`{key}` is not a time"))
        };
        if value["task"] != task_text(task) || value["order"].as_str() != order_text(task) {
            return Err("it is of another task or order".to_owned());
        }
        Ok(Self {
            task,
            peers: whole("peers")?,
            documents: whole("documents")?,
            bytes: whole("bytes")?,
            up_limit_bytes_per_sec: whole("up_limit_bytes_per_sec")?,
            slowest_secs: secs("slowest_secs")?,
            bound_secs: secs("bound_secs")?,
            verified: whole("verified")?,
        })
    }
}

impl Outcome {
    /// All rows below a line of column names.
    pub(super) fn to_csv(&self) -> String {
        let (task, order) = (
            task_text(self.summary.task),
            order_text(self.summary.task).unwrap_or(""),
        );
        let mut text = csv::line(&COLUMNS);
        for row in &self.rows {
            text.push_str(&csv::line(&[
                task,
                order,
                &row.peer,
                &row.n.to_string(),
                &row.document,
                &row.holder,
                &row.bytes.to_string(),
                &format!("{:.6}", row.secs),
                &format!("{:.6}", row.cumulative_secs),
            ]));
        }
        text
    }

    /// Reads a run of `task` from its two files' texts.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn parse(csv_text: &str, json_text: &str, task: Task) -> Result<Self, String> {
        let summary = Summary::parse(json_text, task)?;
        let mut records = csv::records(csv_text).into_iter();
        if records.next().is_none_or(|header| header != COLUMNS) {
            return Err(format!("its first line is not `{}`", COLUMNS.join(",")));
        }
        let rows = (2..)
            .zip(records)
            .map(|(n, record)| Row::parse(&record).ok_or_else(|| format!("record {n} is not a download")))
            .collect::<Result<Vec<_>, _>>()?;
        if rows.is_empty() {
            Err("it has no downloads".to_owned())
        } else {
            Ok(Self { summary, rows })
        }
    }

    /// The rows of each peer, in the order the peers first appear.
    pub(super) fn by_peer(&self) -> Vec<(&str, Vec<&Row>)> {
        let mut peers: Vec<(&str, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            match peers.iter_mut().find(|(peer, _)| *peer == row.peer) {
                Some((_, rows)) => rows.push(row),
                None => peers.push((&row.peer, vec![row])),
            }
        }
        peers
    }
}

impl Row {
    fn parse(record: &[String]) -> Option<Self> {
        let [_, _, peer, n, document, holder, bytes, secs, cumulative] = record else {
            return None;
        };
        let time = |text: &str| {
            text.parse::<f64>()
                .ok()
                .filter(|secs| secs.is_finite() && *secs >= 0.0)
        };
        Some(Self {
            peer: peer.clone(),
            n: n.parse().ok()?,
            document: document.clone(),
            holder: holder.clone(),
            bytes: bytes.parse().ok()?,
            secs: time(secs)?,
            cumulative_secs: time(cumulative)?,
        })
    }
}

/// `task1` or `task2`.
pub(super) fn task_text(task: Task) -> &'static str {
    match task {
        Task::Centralized => "task1",
        Task::Distributed(_) => "task2",
    }
}

/// The order as the command line names it; none where there is only one.
pub(super) fn order_text(task: Task) -> Option<&'static str> {
    match task {
        Task::Centralized => None,
        Task::Distributed(Order::Best) => Some("best"),
        Task::Distributed(Order::WorstOrder) => Some("worst-order"),
        Task::Distributed(Order::WorstRelay) => Some("worst-relay"),
    }
}

/// Microseconds are finer than anything here is measured.
fn round(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A made-up run: so many peers from `first` on, beginning and finishing at these seconds.
    pub(in super::super) fn made_up(
        task: Task,
        first: usize,
        start_secs: f64,
        slowest: f64,
        bound: f64,
    ) -> Outcome {
        let mut rows = Vec::new();
        for peer in first..=6 {
            let bend = 0.9 + 0.04 * f64::from(u32::try_from(peer).unwrap());
            let mut before = start_secs;
            for n in 1..=50_u32 {
                let at = start_secs + (slowest - start_secs) * (f64::from(n) / 50.0).powf(bend);
                rows.push(Row {
                    peer: format!("P{peer}"),
                    n: u64::from(n),
                    document: format!("a \"document\", {n}\n.txt"),
                    holder: "P1".to_owned(),
                    bytes: 90_000,
                    secs: at - before,
                    cumulative_secs: at,
                });
                before = at;
            }
        }
        let summary = Summary {
            task,
            peers: 6,
            documents: 60,
            bytes: 5_478_000,
            up_limit_bytes_per_sec: 2_500_000,
            slowest_secs: slowest,
            bound_secs: bound,
            verified: 250,
        };
        Outcome { summary, rows }
    }

    #[test]
    fn files_read_back_what_was_written() {
        let task = Task::Distributed(Order::WorstOrder);
        let outcome = made_up(task, 1, 0.0, 10.25, 4.5);
        let (csv, json) = (outcome.to_csv(), outcome.summary.to_json().to_string());
        let read = Outcome::parse(&csv, &json, task).unwrap();
        assert_eq!(read.summary, outcome.summary);
        assert_eq!(read.rows.len(), 300);
        assert_eq!(read.rows[17].document, outcome.rows[17].document);
        assert!((read.rows[299].cumulative_secs - outcome.rows[299].cumulative_secs).abs() < 1e-6);
        assert_eq!(read.to_csv(), csv);
        assert_eq!(read.by_peer().len(), 6);
        assert!(csv.starts_with(
            "task,order,peer,n,document,holder,bytes,secs,cumulative_secs\ntask2,worst-order,P1,1,"
        ));
    }

    #[test]
    fn foreign_files_are_named_not_believed() {
        let outcome = made_up(Task::Centralized, 2, 0.0, 20.0, 18.0);
        let (csv, json) = (outcome.to_csv(), outcome.summary.to_json().to_string());
        let parse = |csv: &str, json: &str| Outcome::parse(csv, json, Task::Centralized).unwrap_err();
        assert!(parse("a,b\n", &json).contains("first line"));
        assert!(parse(&csv.replacen(",90000,", ",x,", 1), &json).contains("record 2"));
        assert!(parse(&csv, "{}").contains("another task"));
        assert!(parse(&csv, "{").contains("EOF"));
        assert!(parse(&csv, &json.replace("20.0", "-1")).contains("slowest_secs"));
    }

    #[test]
    fn the_summary_has_the_keys_scripts_read() {
        let value = made_up(Task::Centralized, 2, 0.0, 20.0, 16.0).summary.to_json();
        assert_eq!(value["order"], Value::Null);
        assert_eq!(value["task"], "task1");
        assert_eq!(value["ratio"], 1.25);
        assert_eq!(value["verified"], 250);
    }
}
