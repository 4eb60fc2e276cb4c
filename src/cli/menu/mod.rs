//! `p2pdi peer --menu`: the numbered menu of the original programs, for a person or a script on stdin.
//!
//! Every choice answers with one result: a text, or with `--json` one object. Questions go to stderr.

mod download;
mod membership;
mod ring;

use super::failure::Failure;
use super::say;
use crossbeam_channel::{Receiver, unbounded};
use p2pdi::fetch::Fetcher;
use p2pdi::name::HostPort;
use p2pdi::net::{Pacer, Stop};
use p2pdi::peer::{Peer, RsMember};
use serde_json::{Value, json};
use std::time::Duration;

/// The choices, as the reports number them.
const CHOICES: &[(&str, &str)] = &[
    ("1", "register"),
    ("2", "leave"),
    ("3", "active peers (PQuery)"),
    ("4", "ask all active peers for their index (RFCQuery)"),
    ("5", "download everything that is not here"),
    ("6", "list what is registered"),
    ("7", "search"),
    ("8", "download one, from a holder of your choice"),
    ("9", "share a file"),
    ("10", "withdraw a file"),
    ("11", "join the ring"),
    ("12", "leave the ring"),
    ("13", "upload to the ring"),
    ("14", "download by the ring"),
    ("15", "finger table"),
    ("16", "predecessor and successors"),
    ("0", "quit"),
];

/// What a choice came to: for people, and for scripts.
struct Outcome {
    text: String,
    json: Value,
}

struct Menu<'a> {
    peer: &'a Peer,
    given: &'a [HostPort],
    fetcher: Option<Fetcher<'a>>,
    json: bool,
    lines: Receiver<String>,
    stop: &'a Stop,
}

/// Runs the menu until its end, the end of stdin, or the stop.
pub(super) fn run(peer: &Peer, given: &[HostPort], down: &Pacer, json: bool, stop: &Stop) {
    let fetcher = peer
        .shares()
        .first_directory()
        .map(|out| Fetcher::new(out.to_owned(), down, stop.clone()));
    let mut menu = Menu {
        peer,
        given,
        fetcher,
        json,
        lines: read_lines(),
        stop,
    };
    if !json {
        menu.show_choices();
    }
    while let Some(choice) = menu.ask("choice (? shows them): ") {
        match choice.as_str() {
            "" => {}
            "?" => menu.show_choices(),
            "0" => {
                menu.say(&Outcome {
                    text: "goodbye".to_owned(),
                    json: json!({ "event": "quit" }),
                });
                return;
            }
            choice => {
                let outcome = menu.choose(choice);
                menu.tell(outcome);
            }
        }
    }
}

/// Stdin, read by a thread of its own: a stop must not wait for somebody to type.
fn read_lines() -> Receiver<String> {
    let (sender, lines) = unbounded();
    let reader = std::thread::Builder::new().name("menu-stdin".to_owned());
    let _ = reader.spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line.trim().to_owned()).is_err() {
                break;
            }
        }
    });
    lines
}

impl Menu<'_> {
    fn show_choices(&self) {
        for (number, what) in CHOICES {
            say::note(&format!("  {number:>2}  {what}"));
        }
    }

    /// The next line; none at the end of stdin or when stopped.
    fn ask(&self, question: &str) -> Option<String> {
        if !self.json {
            say::prompt(question);
        }
        loop {
            match self.lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => return Some(line),
                Err(error) if error.is_disconnected() || self.stop.is_set() => return None,
                Err(_) => {}
            }
        }
    }

    fn say(&self, outcome: &Outcome) {
        if self.json {
            say::result(&outcome.json.to_string());
        } else {
            say::result(&outcome.text);
        }
    }

    fn tell(&self, outcome: Result<Outcome, Failure>) {
        match outcome {
            Ok(outcome) => self.say(&outcome),
            Err(failure) if self.json => {
                let event = json!({ "event": "failed", "error": failure.text, "exit": failure.exit.code() });
                say::result(&event.to_string());
            }
            Err(failure) => say::note(&failure.text),
        }
    }

    fn choose(&mut self, choice: &str) -> Result<Outcome, Failure> {
        match choice {
            "1" => self.register(),
            "2" => self.leave(),
            "3" => self.pquery(),
            "4" => self.rfc_query(),
            "5" => self.download_all(),
            "6" => self.list(),
            "7" => self.search(),
            "8" => self.download_one(),
            "9" => self.share(),
            "10" => self.withdraw(),
            "11" => self.join_ring(),
            "12" => self.leave_ring(),
            "13" => self.upload_to_ring(),
            "14" => self.download_by_ring(),
            "15" => self.finger_table(),
            "16" => self.ring_neighbours(),
            other => Err(Failure::usage(format!("{other}: no such choice; ? shows them"))),
        }
    }

    fn member(&self) -> Result<&RsMember, Failure> {
        self.peer
            .member()
            .ok_or_else(|| Failure::usage("this peer has no RS: start it with --rs HOST:PORT"))
    }
}
