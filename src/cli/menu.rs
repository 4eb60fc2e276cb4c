//! `p2pdi peer --menu`: the numbered menu of the original programs, for a person or a script on stdin.
//!
//! Every choice answers with one result: a text, or with `--json` one object. Questions go to stderr.

use super::failure::{Exit, Failure};
use super::get::{fetch_failure, locate_failure};
use super::progress::{Progress, Showing};
use super::query::conn_failure;
use super::say;
use super::show::{content_columns, fetched_json, listing_json, peer_json, size, table};
use crossbeam_channel::{Receiver, unbounded};
use p2pdi::fetch::Fetcher;
use p2pdi::locate::{LocateFault, Located, Request};
use p2pdi::name::{ContentName, HostPort};
use p2pdi::net::{Clock, Pacer, Stop};
use p2pdi::peer::{Peer, RsMember};
use p2pdi::wire::{ContentInfo, ContentKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
    clock: Clock,
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
        clock: Clock::start(),
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
                menu.say(Outcome {
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

    fn say(&self, outcome: Outcome) {
        if self.json {
            say::result(&outcome.json.to_string())
        } else {
            say::result(&outcome.text)
        }
    }

    fn tell(&self, outcome: Result<Outcome, Failure>) {
        match outcome {
            Ok(outcome) => self.say(outcome),
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
            "11" | "12" | "13" | "14" | "15" | "16" => Err(Failure::new(
                Exit::Failed,
                format!("{choice} comes with the ring, which is not built yet"),
            )),
            other => Err(Failure::usage(format!("{other}: no such choice; ? shows them"))),
        }
    }

    fn member(&self) -> Result<&RsMember, Failure> {
        self.peer
            .member()
            .ok_or_else(|| Failure::usage("this peer has no RS: start it with --rs HOST:PORT"))
    }

    fn register(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        self.peer.wait_for_scan();
        member.want(true);
        let settled = member.wait_settled(self.stop);
        let lease_secs = settled.map_err(|fault| Failure::new(Exit::Failed, fault.to_string()))?;
        let refused = member.refused();
        if let Some((key, code, text)) = refused.first() {
            let text = p2pdi::name::printable(text);
            return Err(Failure::new(
                Exit::Refused,
                format!("{}: refused ({}): {text}", key.name, code.code()),
            ));
        }
        let contents = self
            .peer
            .shares()
            .all()
            .iter()
            .filter(|info| info.kind == ContentKind::File)
            .count();
        Ok(Outcome {
            text: format!(
                "registered at {} as {}, with {contents} files, for {lease_secs} s",
                member.address(),
                self.peer.name()
            ),
            json: json!({
                "event": "registered",
                "name": self.peer.name().as_str(),
                "lease_secs": lease_secs,
                "contents": contents,
            }),
        })
    }

    fn leave(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        member.want(false);
        member
            .wait_settled(self.stop)
            .map_err(|fault| Failure::new(Exit::Failed, fault.to_string()))?;
        Ok(Outcome {
            text: format!("left {}", member.address()),
            json: json!({ "event": "left" }),
        })
    }

    fn pquery(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        let asked = member.client().active_peers(member.cookie());
        let peers = asked.map_err(|error| conn_failure(format!("RS {}", member.address()), &error))?;
        let rows: Vec<Vec<String>> = peers
            .iter()
            .map(|peer| {
                let address = HostPort {
                    host: peer.host.clone(),
                    port: peer.port,
                };
                vec![
                    peer.name.to_string(),
                    address.to_string(),
                    format!("{} s", peer.lease_secs),
                ]
            })
            .collect();
        let text = if rows.is_empty() {
            "no active peer".to_owned()
        } else {
            table(&["NAME", "ADDRESS", "LEASE"], &rows)
        };
        let peers: Vec<Value> = peers.iter().map(peer_json).collect();
        Ok(Outcome {
            text,
            json: json!({ "event": "peers", "peers": peers }),
        })
    }

    fn rfc_query(&self) -> Result<Outcome, Failure> {
        let neighbours = self
            .peer
            .neighbours(self.given)
            .map_err(|error| conn_failure("RS", &error))?;
        let mut answered = 0;
        let mut silent = Vec::new();
        for address in &neighbours {
            match self.peer.ask_index(address) {
                Ok(_) => answered += 1,
                Err(error) => silent.push(format!("{address}: {error}")),
            }
        }
        let contents = self.known().len();
        let mut text = format!(
            "{answered} of {} peers answered; {contents} files known",
            neighbours.len()
        );
        silent.iter().for_each(|line| text.push_str(&format!("\n{line}")));
        let json = json!({ "event": "index", "peers": answered, "contents": contents, "silent": silent });
        Ok(Outcome { text, json })
    }

    /// Every file heard of or held, by name and id.
    fn known(&self) -> BTreeMap<p2pdi::wire::ContentKey, ContentInfo> {
        let index = self.peer.index().lock();
        let local = index.local().values().map(|content| &content.info);
        let all = index
            .known(self.clock.at())
            .chain(local)
            .filter(|info| info.kind == ContentKind::File);
        all.map(|info| (info.key(), info.clone())).collect()
    }

    fn list(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        let asked = member.client().list(ContentKind::File);
        let listings = asked.map_err(|error| conn_failure(format!("RS {}", member.address()), &error))?;
        let rows: Vec<Vec<String>> = listings
            .iter()
            .map(|listing| content_columns(&listing.content))
            .collect();
        let text = if rows.is_empty() {
            "nothing is registered".to_owned()
        } else {
            table(&["NAME", "ID", "SIZE", "MODIFIED", "WHAT"], &rows)
        };
        let contents: Vec<Value> = listings.iter().map(listing_json).collect();
        Ok(Outcome {
            text,
            json: json!({ "event": "list", "contents": contents }),
        })
    }

    fn ask_what(&self) -> Result<Request, Failure> {
        let text = self.ask("what (name, id, number): ").unwrap_or_default();
        Request::parse(&text).ok_or_else(|| Failure::usage(format!("{text}: not a name, an id or a number")))
    }

    /// What a request means, in our own index and at the RS.
    fn locate(&self, request: &Request) -> Result<Located, Failure> {
        let mut found: BTreeMap<_, Located> = BTreeMap::new();
        for wanted in &request.readings {
            let heard = self.peer.index().lock().find(self.clock.at(), wanted);
            for content in heard {
                let holders = content
                    .holders
                    .iter()
                    .map(|(holder, _)| (holder.host.clone(), holder.port));
                add(&mut found, content.info, holders);
            }
            if found.is_empty()
                && let Some(member) = self.peer.member()
            {
                let asked = member.client().search(wanted);
                for listing in
                    asked.map_err(|error| conn_failure(format!("RS {}", member.address()), &error))?
                {
                    let holders = listing
                        .holders
                        .iter()
                        .map(|holder| (holder.host.clone(), holder.port));
                    add(&mut found, listing.content.clone(), holders);
                }
            }
            found.retain(|_, located| request.accepts(&located.info));
            if !found.is_empty() {
                break;
            }
        }
        let fault = match found.len() {
            1 => None,
            0 => Some(LocateFault::NotFound(Vec::new())),
            _ => Some(LocateFault::Ambiguous(
                found.values().map(|located| located.info.clone()).collect(),
            )),
        };
        match (fault, found.into_values().next()) {
            (None, Some(located)) => Ok(located),
            (fault, _) => Err(locate_failure(
                request.text(),
                fault.unwrap_or(LocateFault::NotFound(Vec::new())),
            )),
        }
    }

    fn search(&self) -> Result<Outcome, Failure> {
        let request = self.ask_what()?;
        let located = self.locate(&request)?;
        let holders: Vec<String> = located.holders.iter().map(ToString::to_string).collect();
        let json = json!({
            "event": "found",
            "name": located.info.name.as_str(),
            "id": located.info.id.to_string(),
            "bytes": located.info.bytes,
            "holders": holders,
        });
        Ok(Outcome {
            text: format!("{}: held by {}", located.info.name, holders.join(", ")),
            json,
        })
    }

    fn download_one(&mut self) -> Result<Outcome, Failure> {
        let request = self.ask_what()?;
        let located = self.locate(&request);
        if let (Ok(located), false) = (&located, self.json) {
            for (number, holder) in located.holders.iter().enumerate() {
                say::note(&format!("  {}  {holder}", number + 1));
            }
        }
        // The answer is read even if there is nothing to choose from: a script has written it already.
        let answer = self
            .ask("holder (its number or HOST:PORT; empty for the first that works): ")
            .unwrap_or_default();
        let located = located?;
        let by_number = |text: &str| {
            located
                .holders
                .get(text.parse::<usize>().ok()?.checked_sub(1)?)
                .cloned()
        };
        let holders = match answer.as_str() {
            "" => located.holders.clone(),
            text => vec![by_number(text).or_else(|| HostPort::parse(text)).ok_or_else(|| {
                Failure::usage(format!("{text}: neither a number from the list nor HOST:PORT"))
            })?],
        };
        self.download(&Located { holders, ..located })
    }

    fn download(&mut self, located: &Located) -> Result<Outcome, Failure> {
        let no_place =
            || Failure::usage("where to? start this peer with --dir DIR: downloads go into the first");
        let fetcher = self.fetcher.as_mut().ok_or_else(no_place)?;
        let info = &located.info;
        let mut progress = Progress::new(if self.json { Showing::Quiet } else { Showing::Bar }, info);
        let fetched = fetcher.fetch(info, &mut located.holders.iter().cloned(), &mut progress);
        progress.finish();
        let fetched = fetched.map_err(|fault| fetch_failure(info, fault))?;
        self.peer.add_fetched(&fetched.path, info);
        for account in fetched
            .holders
            .iter()
            .filter(|account| !account.failures.is_empty())
        {
            self.peer.index().lock().mark_unreachable(&account.address);
            if let Some(member) = self.peer.member() {
                let _ = member.client().report(&account.address);
            }
        }
        let secs = fetched.took.as_secs_f64();
        let text = format!("{}  {}  verified, in {secs:.2} s", info.name, size(info.bytes));
        Ok(Outcome {
            text,
            json: fetched_json(info, &fetched),
        })
    }

    fn download_all(&mut self) -> Result<Outcome, Failure> {
        self.rfc_query()?;
        let held = self.peer.shares().all();
        let missing: Vec<ContentInfo> = self
            .known()
            .into_values()
            .filter(|info| !held.iter().any(|held| held.id == info.id))
            .collect();
        let (mut fetched, mut failed) = (0, Vec::new());
        for info in missing {
            let wanted = p2pdi::wire::Wanted::Id(info.id);
            let heard = self.peer.index().lock().find(self.clock.at(), &wanted);
            let holders = heard.iter().flat_map(|content| &content.holders);
            let holders = holders
                .map(|(holder, _)| HostPort {
                    host: holder.host.clone(),
                    port: holder.port,
                })
                .collect();
            match self.download(&Located { info, holders }) {
                Ok(outcome) => {
                    fetched += 1;
                    if !self.json {
                        say::result(&outcome.text);
                    }
                }
                Err(failure) => failed.push(failure.text),
            }
        }
        let mut text = format!("{fetched} files downloaded");
        failed.iter().for_each(|line| text.push_str(&format!("\n{line}")));
        Ok(Outcome {
            text,
            json: json!({ "event": "downloaded", "files": fetched, "failed": failed }),
        })
    }

    fn share(&self) -> Result<Outcome, Failure> {
        let text = self.ask("file: ").unwrap_or_default();
        let path = Path::new(&text)
            .canonicalize()
            .map_err(|error| Failure::io(&text, &error))?;
        if !path.is_file() {
            return Err(Failure::usage(format!(
                "{text}: not a file; whole directories are shared by --dir"
            )));
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| ContentName::new(name).ok());
        let name = name.ok_or_else(|| Failure::usage(format!("{text}: its name cannot be shared")))?;
        self.peer.shares().add_file(PathBuf::from(&path), name.clone());
        self.peer.wait_for_scan();
        Ok(Outcome {
            text: format!("{name} is shared"),
            json: json!({ "event": "shared", "name": name.as_str() }),
        })
    }

    fn withdraw(&self) -> Result<Outcome, Failure> {
        let text = self.ask("name: ").unwrap_or_default();
        let known = ContentName::new(text.as_str())
            .ok()
            .filter(|name| self.peer.shares().hide(name));
        let name =
            known.ok_or_else(|| Failure::new(Exit::NotFound, format!("{text}: not shared by this peer")))?;
        self.peer.wait_for_scan();
        let json = json!({ "event": "withdrawn", "name": name.as_str() });
        Ok(Outcome {
            text: format!("{name} is withdrawn; the file itself stays"),
            json,
        })
    }
}

fn add(
    found: &mut BTreeMap<p2pdi::id::ContentId, Located>,
    info: ContentInfo,
    holders: impl Iterator<Item = (p2pdi::name::Host, u16)>,
) {
    let located = found.entry(info.id).or_insert_with(|| Located {
        info,
        holders: Vec::new(),
    });
    located
        .holders
        .extend(holders.map(|(host, port)| HostPort { host, port }));
}
