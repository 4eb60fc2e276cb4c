//! Real processes for whole tests: started on port 0, spoken to, and never left running.
#![allow(
    clippy::disallowed_types,
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "each test uses what it needs of this"
)]

mod words;

pub use words::{
    JOURNAL_HEAD_BYTES, JOURNAL_RECORD_BYTES, Words, holder_of_big, pieces_kept, pieces_kept_are_right, text,
    until_hashed,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Nothing here waits longer for one event.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// The program, with a state of its own.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p2pdi"));
    // A test must not meet the state of the person who runs it.
    command.env(
        "XDG_STATE_HOME",
        std::env::temp_dir().join(format!("p2pdi-test-{}", std::process::id())),
    );
    command
}

/// A command that ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Its stdout, a JSON value a line.
    pub fn json(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// It ended with this code, and said this among other things.
    pub fn must_fail(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.stderr);
        assert!(self.stderr.contains(words), "{}", self.stderr);
    }
}

/// Runs a command to its end.
pub fn run(args: &[&str]) -> Ended {
    let output = program()
        .args(args)
        .stdin(Stdio::null())
        .output()
        .expect("p2pdi runs");
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// A process that serves; killed when dropped.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// `HOST:PORT` from its first line.
    pub address: String,
}

/// Starts a command; its address is empty until [`serve`] has read it.
pub fn spawn(args: &[&str]) -> Running {
    let mut command = program();
    command.args(args);
    spawn_command(command)
}

/// Starts a command that was made up elsewhere.
pub fn spawn_command(mut command: Command) -> Running {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("p2pdi starts");
    let lines = read_lines(child.stdout.take().expect("stdout"));
    let errors = read_lines(child.stderr.take().expect("stderr"));
    let stdin = child.stdin.take();
    Running {
        child,
        stdin,
        lines,
        errors,
        address: String::new(),
    }
}

/// Starts a command that serves, and waits until it does.
pub fn serve(args: &[&str]) -> Running {
    served(spawn(args))
}

/// The same, for a command that becomes ours: a shell that sets limits first.
pub fn serve_command(command: Command) -> Running {
    served(spawn_command(command))
}

fn served(mut running: Running) -> Running {
    let line = running.line();
    running.address = line.strip_prefix("listening on ").expect("listening").to_owned();
    running
}

/// An RS.
pub fn rs(more: &[&str]) -> Running {
    serve(&[&["rs", "--listen", "127.0.0.1:0"], more].concat())
}

/// A peer with a menu and JSON answers, sharing `dir`, its state in `state`.
pub fn menu_peer(rs: &Running, name: &str, dir: &Path, state: &Path, more: &[&str]) -> Running {
    let words = Words::peer(name, dir, state).rs(rs).and(&["--menu", "--json"]);
    words.and(more).serve()
}

/// A peer that registers by itself.
pub fn peer(rs: &Running, name: &str, dir: &Path, state: &Path, more: &[&str]) -> Running {
    Words::peer(name, dir, state).rs(rs).and(more).serve()
}

fn read_lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = unbounded();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

impl Running {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line on stdout.
    pub fn line(&self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                let stderr: Vec<String> = self.errors.try_iter().collect();
                panic!(
                    "no line from the process ({error}); it said: {}",
                    stderr.join("\n")
                );
            }
        }
    }

    /// Its next line on stdout; none if that has ended.
    pub fn says(&self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(error) => panic!("no line and no end: {error}"),
        }
    }

    /// What it has said on stderr since the last call.
    pub fn stderr(&self) -> String {
        self.errors.try_iter().collect::<Vec<_>>().join("\n")
    }

    /// Its next line on stderr.
    pub fn stderr_line(&self) -> String {
        self.errors.recv_timeout(PATIENCE).expect("a line on stderr")
    }

    /// All it says on stderr until it ends.
    pub fn last_words(&self) -> String {
        self.errors.iter().collect::<Vec<_>>().join("\n")
    }

    /// Types lines into its menu and reads the one answer.
    pub fn choose(&mut self, lines: &[&str]) -> Value {
        let stdin = self.stdin.as_mut().expect("a menu");
        for line in lines {
            writeln!(stdin, "{line}").expect("typed");
        }
        stdin.flush().expect("typed");
        serde_json::from_str(&self.line()).expect("a line of JSON")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([signal, &self.id().to_string()])
            .status()
            .expect("kill runs");
        assert!(sent.success(), "kill {signal}");
    }

    /// Kills it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Stops it as an operator would, and gives its end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.end()
    }

    /// Its end, if it has come.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("waited")
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        eventually("the process to end", || self.ended())
    }

    /// Every line it still says until its stdout ends.
    pub fn rest(&self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return rest,
                Err(error) => panic!("stdout does not end: {error}"),
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer: for what only another process knows.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(30));
    }
}

/// The names of the active peers at an RS.
pub fn active_peers(rs: &Running) -> Vec<String> {
    let asked = run(&["peers", "--rs", &rs.address, "--json"]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    let named = asked
        .json()
        .into_iter()
        .filter_map(|peer| peer["name"].as_str().map(str::to_owned));
    named.collect()
}

/// Waits until an RS lists so many contents.
pub fn until_listed(rs: &Running, contents: usize) -> Vec<Value> {
    eventually("contents to be listed", || {
        let listed = run(&["list", "--rs", &rs.address, "--json"]).json();
        (listed
            .iter()
            .filter(|content| content["name"].is_string())
            .count()
            == contents)
            .then_some(listed)
    })
}

/// Writes a file of pseudo-random bytes.
pub fn write_random(path: &Path, bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new()
        .update(&seed.to_be_bytes())
        .finalize_xof()
        .fill(&mut content);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    std::fs::write(path, &content).expect("written");
    content
}
