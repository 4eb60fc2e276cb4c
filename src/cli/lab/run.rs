//! One run: an RS and six peers started, talked through their menus, and timed by one clock.
//!
//! Belongs here: the course of a run. Not here: who takes what (`plan`), the words of the menu (`menu`),
//! pipes and exits (`processes`).

#![allow(clippy::disallowed_types, reason = "a run takes real time")]

use super::documents::{Document, distinct_contents};
use super::interrupt::Interrupt;
use super::menu;
use super::outcome::Row;
use super::plan::{Fetch, PEERS, Plan, Stage};
use super::processes::{Processes, Which};
use crate::cli::failure::{Exit, Failure};
use indicatif::{ProgressBar, ProgressStyle};
use p2pdi::name::HostPort;
use p2pdi::rate::Rate;
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long each step but the downloads may take, all peers together.
const STEP_LIMIT: Duration = Duration::from_secs(60);

/// The downloads may take this many times what one uplink would need for all of them, after [`STEP_LIMIT`].
const PATIENCE: f64 = 4.0;

/// What a run stands on.
pub(super) struct Ground<'a> {
    /// The documents, in natural order.
    pub(super) documents: &'a [Document],
    /// Who takes what.
    pub(super) plan: &'a Plan,
    /// What every uplink is limited to.
    pub(super) up_limit: Rate,
    /// A private directory, removed after the run.
    pub(super) root: &'a Path,
}

impl Ground<'_> {
    /// Where a peer keeps what it shares and what it downloads.
    pub(super) fn share(&self, peer: usize) -> PathBuf {
        self.root.join(peer_name(peer)).join("share")
    }

    fn state(&self, peer: usize) -> PathBuf {
        self.root.join(peer_name(peer)).join("state")
    }

    /// Gives every peer its directories and its documents.
    fn hand_out(&self, interrupt: &Interrupt) -> Result<(), Failure> {
        for (peer, holding) in self.plan.holdings.iter().enumerate() {
            make_dir(&self.share(peer))?;
            make_dir(&self.state(peer))?;
            for &document in holding {
                interrupt.check()?;
                let document = &self.documents[document];
                let copied = fs::copy(&document.path, self.share(peer).join(document.name.as_str()));
                let bytes = copied.map_err(|error| Failure::io(document.path.display(), &error))?;
                if bytes != document.bytes {
                    let path = document.path.display();
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("{path}: changed while it was read; run again"),
                    ));
                }
            }
        }
        Ok(())
    }

    fn downloads_limit(&self) -> Duration {
        let sizes: Vec<u64> = self.documents.iter().map(|document| document.bytes).collect();
        let bytes: u64 = self.plan.uplink_bytes(&sizes).iter().sum();
        let secs = PATIENCE * bytes as f64 / self.up_limit.bytes_per_sec() as f64;
        Duration::try_from_secs_f64(secs)
            .unwrap_or(Duration::MAX)
            .saturating_add(STEP_LIMIT)
    }
}

/// `P1` for peer 0.
pub(super) fn peer_name(peer: usize) -> String {
    format!("P{}", peer + 1)
}

/// The directory for made-up documents below `root`.
///
/// # Errors
/// It cannot be made.
pub(super) fn originals(root: &Path) -> Result<PathBuf, Failure> {
    let path = root.join("originals");
    make_dir(&path)?;
    Ok(path)
}

fn make_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| Failure::io(path.display(), &error))
}

/// Runs the plan with real processes; every download, by peer and then by number.
///
/// # Errors
/// A process failed, something took too long, or a signal came. Nothing is left running either way.
pub(super) fn measure(ground: &Ground<'_>, interrupt: &Interrupt) -> Result<Vec<Row>, Failure> {
    ground.hand_out(interrupt)?;
    let contents = distinct_contents(ground.documents)?;
    let mut lab = Lab::start(ground, interrupt)?;
    lab.introduce(contents)?;
    let rows = lab.download()?;
    lab.quit()?;
    Ok(rows)
}

/// The processes and what is known of them.
struct Lab<'a> {
    ground: &'a Ground<'a>,
    processes: Processes<'a>,
    /// Each peer's process, and where it serves.
    peers: Vec<(Which, HostPort)>,
    bar: ProgressBar,
}

impl<'a> Lab<'a> {
    fn start(ground: &'a Ground<'a>, interrupt: &'a Interrupt) -> Result<Self, Failure> {
        let bar = ProgressBar::new(ground.plan.downloads() as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg:20} {bar:40} {pos}/{len} documents  {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_message("starting");
        let mut processes = Processes::new(interrupt);
        let rs_args = ["rs".into(), "--listen".into(), "127.0.0.1:0".into()];
        let rs = processes.start("the RS", &rs_args)?;
        let deadline = after(STEP_LIMIT);
        let rs_address = serving(&mut processes, &[rs], deadline)?;
        let mut which = Vec::new();
        for peer in 0..PEERS {
            which.push(processes.start(&peer_name(peer), &peer_args(ground, peer, &rs_address[0]))?);
        }
        let addresses = serving(&mut processes, &which, deadline)?;
        let peers = which.into_iter().zip(addresses).collect();
        Ok(Self {
            ground,
            processes,
            peers,
            bar,
        })
    }

    /// Everybody registers, learns of everybody, and learns of every document.
    fn introduce(&mut self, contents: usize) -> Result<(), Failure> {
        self.ask_all(menu::REGISTER, "registered")?;
        for (peer, answer) in self.ask_all(menu::PEER_QUERY, "peers")?.iter().enumerate() {
            let known = |address: &HostPort| {
                answer["peers"].as_array().is_some_and(|peers| {
                    peers.iter().any(|other| {
                        other["host"] == address.host.as_str() && other["port"] == u64::from(address.port)
                    })
                })
            };
            for (other, (_, address)) in self.peers.iter().enumerate() {
                if other != peer && !known(address) {
                    let what = format!("was not told of {} at {address}: {answer}", peer_name(other));
                    return Err(self.failure(peer, Exit::Failed, &what));
                }
            }
        }
        for (peer, answer) in self.ask_all(menu::INDEX_QUERY, "index")?.iter().enumerate() {
            if answer["contents"]
                .as_u64()
                .is_none_or(|known| known < contents as u64)
            {
                let what = format!("does not know all {contents} contents after its query: {answer}");
                return Err(self.failure(peer, Exit::Failed, &what));
            }
        }
        Ok(())
    }

    /// Writes the same line to all peers and returns their answers, by peer.
    fn ask_all(&mut self, line: &str, wanted: &str) -> Result<Vec<Value>, Failure> {
        self.bar.set_message(wanted.to_owned());
        let deadline = after(STEP_LIMIT);
        for peer in 0..PEERS {
            self.processes.write(self.peers[peer].0, line)?;
        }
        let mut answers = vec![None; PEERS];
        while answers.contains(&None) {
            let awaiting = format!("`{wanted}` from {}", missing(&answers));
            let (peer, _, text) = self.next_of_a_peer(deadline, &awaiting)?;
            answers[peer] =
                Some(self.answer(peer, &text, wanted, &format!("menu line {}", line.trim_end()))?);
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// Gives all their orders at once and takes the time of every answer.
    fn download(&mut self) -> Result<Vec<Row>, Failure> {
        let deadline = after(self.ground.downloads_limit());
        let begin = Instant::now();
        let mut rows: Vec<Vec<Row>> = vec![Vec::new(); PEERS];
        self.bar.set_message("downloading");
        for stage in &self.ground.plan.stages {
            self.order(stage)?;
            let mut ordered: Vec<VecDeque<Fetch>> =
                stage.iter().map(|list| list.iter().copied().collect()).collect();
            while ordered.iter().any(|list| !list.is_empty()) {
                let (peer, at, text) = self.next_of_a_peer(deadline, &self.unfinished(&ordered))?;
                let Some(fetch) = ordered[peer].pop_front() else {
                    return Err(self.failure(peer, Exit::Failed, &format!("answered unasked: {text}")));
                };
                let n = rows[peer].len() as u64 + 1;
                let row = self.done(peer, n, fetch, &text, at.duration_since(begin));
                // Whoever served may have died; that is then what went wrong.
                rows[peer].push(row.map_err(|failure| self.processes.death().unwrap_or(failure))?);
                self.bar.inc(1);
            }
        }
        self.bar.finish_and_clear();
        Ok(rows.into_iter().flatten().collect())
    }

    fn order(&mut self, stage: &Stage) -> Result<(), Failure> {
        for (peer, fetches) in stage.iter().enumerate() {
            let lines = |fetch: &Fetch| {
                menu::download(
                    &self.ground.documents[fetch.document].name,
                    &self.peers[fetch.holder].1,
                )
            };
            let text: String = fetches.iter().map(lines).collect();
            self.processes.write(self.peers[peer].0, &text)?;
        }
        Ok(())
    }

    fn done(
        &self,
        peer: usize,
        n: u64,
        fetch: Fetch,
        text: &str,
        cumulative: Duration,
    ) -> Result<Row, Failure> {
        let document = &self.ground.documents[fetch.document];
        let what = format!("download of {} from {}", document.name, peer_name(fetch.holder));
        let value = self.answer(peer, text, "done", &what)?;
        let done = menu::done(&value, &document.name, &self.peers[fetch.holder].1)
            .map_err(|fault| self.failure(peer, Exit::Failed, &fault))?;
        if done.bytes != document.bytes {
            let fault = format!("{what}: {} bytes instead of {}", done.bytes, document.bytes);
            return Err(self.failure(peer, Exit::Unverified, &fault));
        }
        Ok(Row {
            peer: peer_name(peer),
            n,
            document: document.name.to_string(),
            holder: peer_name(fetch.holder),
            bytes: document.bytes,
            secs: done.secs,
            cumulative_secs: cumulative.as_secs_f64(),
        })
    }

    /// Everybody leaves and ends; the RS ends when the processes are dropped.
    fn quit(&mut self) -> Result<(), Failure> {
        let leaving: Vec<Which> = self.peers.iter().map(|(which, _)| *which).collect();
        for &who in &leaving {
            self.processes.write(who, menu::QUIT)?;
        }
        for (peer, text) in self
            .processes
            .last_lines(&leaving, after(STEP_LIMIT))?
            .iter()
            .enumerate()
        {
            self.answer(peer, text, "quit", "menu line 0")?;
        }
        Ok(())
    }

    fn next_of_a_peer(
        &mut self,
        deadline: Instant,
        awaiting: &str,
    ) -> Result<(usize, Instant, String), Failure> {
        loop {
            let (who, at, text) = self.processes.next_line(deadline, awaiting)?;
            // The RS has said where it serves; whatever else it prints is no answer to anybody.
            if let Some(peer) = self.peers.iter().position(|(which, _)| *which == who) {
                return Ok((peer, at, text));
            }
        }
    }

    fn answer(&self, peer: usize, text: &str, wanted: &str, what: &str) -> Result<Value, Failure> {
        menu::answer(text, wanted)
            .map_err(|misfit| self.failure(peer, misfit.exit, &format!("({what}) {}", misfit.text)))
    }

    fn failure(&self, peer: usize, exit: Exit, what: &str) -> Failure {
        self.processes.failure(self.peers[peer].0, exit, what)
    }

    /// For people: who still owes what.
    fn unfinished(&self, ordered: &[VecDeque<Fetch>]) -> String {
        let owed = ordered.iter().enumerate().filter_map(|(peer, list)| {
            let next = &self.ground.documents[list.front()?.document].name;
            Some(format!("{} ({} to go, next {next})", peer_name(peer), list.len()))
        });
        owed.collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where these processes serve, once all have said so.
fn serving(
    processes: &mut Processes<'_>,
    which: &[Which],
    deadline: Instant,
) -> Result<Vec<HostPort>, Failure> {
    let mut addresses: Vec<Option<HostPort>> = vec![None; which.len()];
    while addresses.contains(&None) {
        let (who, _, text) = processes.next_line(deadline, "`listening on HOST:PORT`")?;
        let Some(place) = which.iter().position(|&other| other == who) else {
            continue;
        };
        let Some(address) = menu::listening_on(&text) else {
            let what = format!(
                "began with `{}` instead of `listening on HOST:PORT`",
                p2pdi::name::printable(&text)
            );
            return Err(processes.failure(who, Exit::Failed, &what));
        };
        addresses[place] = Some(address);
    }
    Ok(addresses.into_iter().flatten().collect())
}

fn peer_args(ground: &Ground<'_>, peer: usize, rs: &HostPort) -> Vec<OsString> {
    let mut args: Vec<OsString> = ["peer", "--menu", "--json", "--listen", "127.0.0.1:0"]
        .map(Into::into)
        .into();
    args.extend(["--mode", "central", "--mode", "gossip", "--rs"].map(OsString::from));
    args.extend([rs.to_string().into(), "--name".into(), peer_name(peer).into()]);
    args.extend([
        "--up-limit".into(),
        format!("{}B", ground.up_limit.bytes_per_sec()).into(),
    ]);
    args.extend([
        "--dir".into(),
        ground.share(peer).into(),
        "--state".into(),
        ground.state(peer).into(),
    ]);
    args
}

fn missing(answers: &[Option<Value>]) -> String {
    let open = answers.iter().enumerate().filter(|(_, answer)| answer.is_none());
    open.map(|(peer, _)| peer_name(peer))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The point of time that lies so far ahead; as good as never if there is none.
fn after(span: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);
    let now = Instant::now();
    now.checked_add(span.min(FOREVER)).unwrap_or(now)
}
