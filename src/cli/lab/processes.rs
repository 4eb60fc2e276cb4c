//! The processes of a run: started, spoken to by line, heard by line, and never left behind.
//!
//! Belongs here: pipes, exits and their guard. Not here: what the lines mean (`menu`).
//! Invariant: when [`Processes`] is dropped, every process it started has ended and is reaped. A process is
//! reaped only by its owner here, so a signal can never hit a stranger with a reused number.

#![allow(clippy::disallowed_types, reason = "real processes run in real time")]

use super::interrupt::Interrupt;
use crate::cli::failure::{Exit, Failure};
use crossbeam_channel::{Receiver, Sender, bounded, select, unbounded};
use p2pdi::name::printable;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a process may take to stop when asked, before it is made to.
const GRACE: Duration = Duration::from_secs(5);

/// How long the last words of a process that has ended may take to arrive.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// How long after a failed download its holder may be found dead.
const DEATH_WAIT: Duration = Duration::from_millis(500);

/// How many of its last lines on stderr are kept.
const LAST_WORDS_LINES: usize = 8;

/// How the standard library writes exit code 0.
const ENDED_WELL: &str = "exit status: 0";

/// Which process: its place in the order of starting.
pub(super) type Which = usize;

/// Something a process did.
#[derive(Debug)]
pub(super) struct Heard {
    /// Which one.
    pub(super) who: Which,
    /// When, as its pipe was read.
    pub(super) at: Instant,
    /// What.
    pub(super) what: Deed,
}

/// What a process can do.
#[derive(Debug)]
pub(super) enum Deed {
    /// A line on its stdout.
    Line(String),
    /// It has ended, and nothing more will come.
    Ended,
}

struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    ended: bool,
    last_words: Arc<Mutex<VecDeque<String>>>,
    /// Disconnected when stderr is read to its end.
    stderr_open: Receiver<()>,
}

/// All processes of a run.
pub(super) struct Processes<'a> {
    interrupt: &'a Interrupt,
    running: Vec<Process>,
    sender: Sender<Heard>,
    heard: Receiver<Heard>,
}

impl<'a> Processes<'a> {
    /// None yet.
    pub(super) fn new(interrupt: &'a Interrupt) -> Self {
        let (sender, heard) = unbounded();
        Self {
            interrupt,
            running: Vec::new(),
            sender,
            heard,
        }
    }

    /// Starts this same program with other arguments, under a name for people.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(&mut self, name: &str, args: &[OsString]) -> Result<Which, Failure> {
        let fault = |error| Failure::io(format_args!("starting {name}"), &error);
        let program = std::env::current_exe().map_err(fault)?;
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C reaches the lab alone, which then stops everybody in order.
            .process_group(0)
            .spawn()
            .map_err(fault)?;
        let who = self.running.len();
        let pid = Pid::from_child(&child);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let last_words = Arc::new(Mutex::new(VecDeque::new()));
        let (open, stderr_open) = bounded(0);
        // Guarded before anything else can fail.
        self.running.push(Process {
            name: name.to_owned(),
            child,
            stdin,
            ended: false,
            last_words: Arc::clone(&last_words),
            stderr_open,
        });
        let sender = self.sender.clone();
        let reader = std::thread::Builder::new().name(format!("{name}-stdout"));
        reader
            .spawn(move || {
                let tell = |what| {
                    sender
                        .send(Heard {
                            who,
                            at: Instant::now(),
                            what,
                        })
                        .is_ok()
                };
                if let Some(stdout) = stdout {
                    each_line(stdout, |line| tell(Deed::Line(line)));
                }
                // NOWAIT leaves the process to its owner, who alone reaps it.
                let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
                while waitid(WaitId::Pid(pid), ended).is_err_and(|error| error == rustix::io::Errno::INTR) {}
                tell(Deed::Ended);
            })
            .map_err(fault)?;
        let reader = std::thread::Builder::new().name(format!("{name}-stderr"));
        reader
            .spawn(move || {
                let _open_until_the_end: Sender<()> = open;
                if let Some(stderr) = stderr {
                    each_line(stderr, |line| {
                        let mut words = last_words.lock();
                        words.push_back(printable(&line));
                        while words.len() > LAST_WORDS_LINES {
                            words.pop_front();
                        }
                        true
                    });
                }
            })
            .map_err(fault)?;
        Ok(who)
    }

    /// Writes to its stdin.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) fn write(&mut self, who: Which, text: &str) -> Result<(), Failure> {
        let process = &mut self.running[who];
        let written = process
            .stdin
            .as_mut()
            .map_or(Err(std::io::ErrorKind::BrokenPipe.into()), |stdin| {
                stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush())
            });
        written.map_err(|error| self.failure(who, Exit::Failed, &format!("does not read its stdin: {error}")))
    }

    /// The next line of anybody; `awaiting` says for people what is awaited.
    ///
    /// # Errors
    /// A process ended, a signal came, or the deadline passed.
    pub(super) fn next_line(
        &mut self,
        deadline: Instant,
        awaiting: &str,
    ) -> Result<(Which, Instant, String), Failure> {
        let heard = self.next(deadline, awaiting)?;
        match heard.what {
            Deed::Line(line) => Ok((heard.who, heard.at, line)),
            Deed::Ended => {
                let how = self.reap(heard.who);
                Err(self.failure(heard.who, Exit::Failed, &format!("ended early ({how})")))
            }
        }
    }

    /// The failure of one that has ended, or does so within [`DEATH_WAIT`]: the cause of what others report.
    pub(super) fn death(&mut self) -> Option<Failure> {
        let deadline = Instant::now() + DEATH_WAIT;
        while let Ok(heard) = self.heard.recv_deadline(deadline) {
            if matches!(heard.what, Deed::Ended) {
                let how = self.reap(heard.who);
                return Some(self.failure(heard.who, Exit::Failed, &format!("ended early ({how})")));
            }
        }
        None
    }

    /// Takes what each of these says last, one line, and waits until all have ended by themselves, and well.
    ///
    /// # Errors
    /// One ended badly or without a word, another one ended too, a signal came, or the deadline passed.
    pub(super) fn last_lines(
        &mut self,
        leaving: &[Which],
        deadline: Instant,
    ) -> Result<Vec<String>, Failure> {
        let mut last: Vec<Option<String>> = vec![None; leaving.len()];
        while leaving.iter().any(|&who| !self.running[who].ended) {
            let heard = self.next(deadline, "the end of all peers")?;
            let place = leaving.iter().position(|&who| who == heard.who);
            match (heard.what, place) {
                (Deed::Line(line), Some(place)) => last[place] = Some(line),
                (Deed::Line(_), None) => {}
                (Deed::Ended, place) => {
                    let how = self.reap(heard.who);
                    if how != ENDED_WELL || place.is_none_or(|place| last[place].is_none()) {
                        return Err(self.failure(heard.who, Exit::Failed, &format!("ended badly ({how})")));
                    }
                }
            }
        }
        Ok(last.into_iter().flatten().collect())
    }

    /// A failure of this process: its name, what, and its last lines on stderr.
    pub(super) fn failure(&self, who: Which, exit: Exit, what: &str) -> Failure {
        let process = &self.running[who];
        if process.ended {
            // Only ever disconnects; what it said last may still be on its way.
            let _ = process.stderr_open.recv_timeout(LAST_WORDS_WAIT);
        }
        let words = process.last_words.lock();
        let mut text = format!("{} {what}", process.name);
        if !words.is_empty() {
            text.push_str(&format!(
                "; the last lines of its stderr:\n  {}",
                Vec::from(words.clone()).join("\n  ")
            ));
        }
        Failure::new(exit, text)
    }

    fn next(&mut self, deadline: Instant, awaiting: &str) -> Result<Heard, Failure> {
        self.interrupt.check()?;
        select! {
            recv(self.interrupt.arrived()) -> _ => Err(Interrupt::failure()),
            recv(self.heard) -> heard => heard.map_err(|_| Failure::new(Exit::Failed, "no process is left")),
            default(deadline.saturating_duration_since(Instant::now())) => {
                Err(Failure::new(Exit::Failed, format!("gave up after too long, awaiting {awaiting}")))
            }
        }
    }

    /// Reaps a process that is known to have ended; how it did, for people.
    fn reap(&mut self, who: Which) -> String {
        let process = &mut self.running[who];
        process.ended = true;
        process
            .child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string())
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        for process in self.running.iter_mut().filter(|process| !process.ended) {
            process.stdin = None;
            // Fails only for a process that is already gone, and it is ours until it is reaped.
            let _ = kill_process(Pid::from_child(&process.child), Signal::TERM);
        }
        let deadline = Instant::now() + GRACE;
        while self.running.iter().any(|process| !process.ended) {
            let Ok(heard) = self.heard.recv_deadline(deadline) else {
                break;
            };
            if matches!(heard.what, Deed::Ended) {
                self.reap(heard.who);
            }
        }
        for process in self.running.iter_mut().filter(|process| !process.ended) {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

/// Calls `take` for each line, whatever its bytes, until the end or until `take` has enough.
fn each_line(pipe: impl Read, mut take: impl FnMut(String) -> bool) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        line.clear();
        if !take(text) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::test_kill_process;

    /// Not a test: what the tests below start, for the program that runs them is the only one they know.
    #[test]
    #[ignore = "the child of other tests"]
    fn echoing_child() {
        for line in std::io::stdin().lines() {
            match line.expect("a line").as_str() {
                "fall" => {
                    eprintln!("these are my last words");
                    std::process::exit(3);
                }
                line => println!("echo {line}"),
            }
        }
    }

    fn start(processes: &mut Processes<'_>) -> Which {
        let name = "cli::lab::processes::tests::echoing_child";
        let args = ["--exact", name, "--ignored", "--nocapture"].map(OsString::from);
        processes.start("P9", &args).expect("a child")
    }

    fn hear(processes: &mut Processes<'_>, wanted: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while processes.next_line(deadline, wanted)?.2 != wanted {}
        Ok(())
    }

    #[test]
    fn what_is_dropped_is_gone_and_reaped() {
        let interrupt = Interrupt::watch().unwrap();
        let mut processes = Processes::new(&interrupt);
        let who = [start(&mut processes), start(&mut processes)];
        processes.write(who[1], "hello\n").unwrap();
        hear(&mut processes, "echo hello").unwrap();
        let pids: Vec<Pid> = processes
            .running
            .iter()
            .map(|process| Pid::from_child(&process.child))
            .collect();
        assert!(pids.iter().all(|&pid| test_kill_process(pid).is_ok()));
        drop(processes);
        assert!(pids.iter().all(|&pid| test_kill_process(pid).is_err()));
    }

    #[test]
    fn one_that_dies_is_named_with_its_last_words() {
        let interrupt = Interrupt::watch().unwrap();
        let mut processes = Processes::new(&interrupt);
        let who = start(&mut processes);
        processes.write(who, "fall\n").unwrap();
        let failure = hear(&mut processes, "never").unwrap_err();
        assert!(
            failure.text.starts_with("P9 ended early (exit status: 3)"),
            "{failure}"
        );
        assert!(failure.text.contains("these are my last words"), "{failure}");
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let interrupt = Interrupt::watch().unwrap();
        let mut processes = Processes::new(&interrupt);
        let failure = processes.next_line(Instant::now(), "rain").unwrap_err();
        assert!(failure.text.contains("rain"), "{failure}");
    }
}
