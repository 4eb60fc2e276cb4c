//! `p2pdi get`.

mod batch;
mod failing;
mod serving;
mod tree;

pub(super) use failing::{fetch_failure, locate_failure};

use super::failure::{Exit, Failure};
use super::line::Line;
use super::peer::{modes, open_state};
use super::progress::{Progress, Showing};
use super::query::transport;
use super::show::{fetched_json, short_id, size};
use super::signals::stop_on_signals;
use super::why::{why_json, why_shown, why_text};
use super::{ring, say};
use core::cell::{Cell, RefCell};
use crossbeam_channel::{Sender, unbounded};
use p2pdi::fetch::{Fetched, Fetcher, HolderSource, Order, Standing, Strategy, Unfetched, Watcher};
use p2pdi::limits::SMALL_BYTES_MAX;
use p2pdi::locate::{Located, Locator, Request};
use p2pdi::name::{ContentName, HostPort, PeerName, printable};
use p2pdi::net::{Clock, Pacer, RingClient, RsClient, RsLink, Stop};
use p2pdi::peer::RingWish;
use p2pdi::wire::{ContentInfo, Tree};
use serde_json::json;
use serving::Serving;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};
use tree::Come;

/// How long to serve after the last fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Linger {
    Secs(u64),
    Forever,
}

fn linger(text: &str) -> Option<Linger> {
    if text == "forever" {
        Some(Linger::Forever)
    } else {
        text.parse().ok().map(Linger::Secs)
    }
}

/// What the command line asks for.
struct Task {
    requests: Vec<Request>,
    all: bool,
    showing: Showing,
    why: bool,
    strategy: Strategy,
    out: PathBuf,
    linger: Linger,
}

fn task(line: &mut Line) -> Result<Task, Failure> {
    let (json, quiet, all) = (
        line.switch("--json"),
        line.switch("--quiet"),
        line.switch("--all"),
    );
    let showing = match (json, quiet) {
        (true, _) => Showing::Events,
        (false, true) => Showing::Quiet,
        (false, false) => Showing::Bar,
    };
    let why = line.switch("--why");
    let out = line.path("--out")?.unwrap_or_else(|| PathBuf::from("."));
    let linger = line
        .value("--linger", "seconds or forever", linger)?
        .unwrap_or(Linger::Secs(0));
    let strategies = [("swarm", Strategy::Swarm), ("parts", Strategy::Parts)];
    let strategy = line.word("--strategy", &strategies)?.pop().unwrap_or_default();
    let mut requests = Vec::new();
    for text in line.operands() {
        let bad = || Failure::usage(format!("{}: not a name, an id or a number", printable(text)));
        requests.push(Request::parse(text).ok_or_else(bad)?);
    }
    match (all, requests.is_empty()) {
        (false, true) => Err(Failure::usage(
            "get what? give a name, an id, name@id-prefix, or --all",
        )),
        (true, false) => Err(Failure::usage("--all means everything: leave the names out")),
        _ => Ok(Task {
            requests,
            all,
            showing,
            why,
            strategy,
            out,
            linger,
        }),
    }
}

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let task = task(&mut line)?;
    let rs = line.address("--rs")?;
    let peers = line.addresses("--peer")?;
    let node = line.address("--ring")?;
    if rs.is_none() && peers.is_empty() && node.is_none() {
        return Err(Failure::usage(
            "from where? give --rs HOST:PORT, --ring HOST:PORT or --peer HOST:PORT",
        ));
    }
    if task.all && rs.is_none() && peers.is_empty() {
        return Err(Failure::usage(
            "--all: a ring finds contents by name or id and has no list of them: name them, or give --rs or --peer too",
        ));
    }
    let modes = modes(&mut line)?;
    if modes.ring.is_some() && node.is_none() {
        return Err(Failure::usage(
            "--mode chord and naive look in a ring: name a node of it with --ring",
        ));
    }
    let transport = transport(&mut line)?;
    let (up_limit, down_limit) = (line.rate("--up-limit")?, line.rate("--down-limit")?);
    let (name, state) = (line.peer_name()?, line.path("--state")?);
    let listens = line.address("--listen")?;
    let listen = Line::listen_at(listens.clone(), "0.0.0.0:0")?;
    say::start_log("warn");
    let stop = Stop::new();
    let signalled = stop_on_signals(&stop)?;
    let clock = Clock::start();

    let ring = ring_client(node.as_ref(), rs.is_none() && peers.is_empty(), clock, &stop)?;
    let given = state.map(|state| open_state(Some(state), "get")).transpose()?;
    let serving = Serving {
        rs: rs.clone(),
        transport,
        central: modes.central,
        ring: ring.as_ref().map(|ring| RingWish {
            settings: ring.settings(),
            contacts: node.into_iter().collect(),
            member: false,
        }),
        listen,
        name: name.clone(),
        state: Mutex::new(Cell::new(given)),
        up_limit,
        clock,
        stop: stop.clone(),
        peer: OnceLock::new(),
    };
    if listens.is_some() || task.linger != Linger::Secs(0) {
        let listening = format!("listening on {}", serving.begin_now()?.address());
        if task.showing == Showing::Events {
            say::note(&listening);
        } else {
            say::result(&listening);
        }
    }

    let client = rs.map(|rs| RsClient::new(RsLink::new(rs, transport, clock, stop.clone())));
    let me = name
        .or_else(|| PeerName::new("get").ok())
        .ok_or_else(|| Failure::usage("--name"))?;
    let locator = Locator::new(
        client.as_ref(),
        modes.central,
        modes.gossip,
        &peers,
        me,
        clock,
        stop.clone(),
    )
    .and_ring(ring);
    let down = Pacer::new(clock, down_limit);
    let fetcher = Fetcher::new(task.out.clone(), &down, stop.clone()).by(task.strategy);
    let mut getting = Getting {
        locator: RefCell::new(locator),
        fetcher: fetcher.sharing(&serving),
        showing: task.showing,
        why: task.why,
        serving: &serving,
        lost: None,
    };
    let ended = getting
        .get_telling(client.as_ref(), &task)
        .map_err(|failure| match signalled.is_set() {
            true => Failure::new(
                Exit::Interrupted,
                "interrupted; the same command goes on where it stopped",
            ),
            false => failure,
        });
    if let Some(peer) = serving.peer() {
        if ended.is_ok() {
            wait(task.linger, &stop);
        }
        stop.trigger();
        peer.join();
    }
    ended
}

/// The ring that a node is in. If contents can be found otherwise too, a node that does not answer is no failure.
fn ring_client(
    node: Option<&HostPort>,
    alone: bool,
    clock: Clock,
    stop: &Stop,
) -> Result<Option<RingClient>, Failure> {
    match node.map(|node| ring::client(node, clock, stop)) {
        Some(Err(failure)) if !alone => {
            say::note(&format!("p2pdi: {failure}"));
            Ok(None)
        }
        client => client.transpose(),
    }
}

fn wait(linger: Linger, stop: &Stop) {
    match linger {
        Linger::Secs(secs) => match Instant::now().checked_add(Duration::from_secs(secs)) {
            Some(end) => drop(stop.wait_until(end)),
            None => stop.wait(),
        },
        Linger::Forever => stop.wait(),
    }
}

struct Getting<'a> {
    locator: RefCell<Locator<'a>>,
    fetcher: Fetcher<'a>,
    showing: Showing,
    why: bool,
    serving: &'a Serving,
    /// Holders that failed, on their way to the RS.
    lost: Option<Sender<HostPort>>,
}

impl<'a> Getting<'a> {
    /// Gets everything, and tells the RS at once who does not serve: it looks after them. A thread of its own waits
    /// for it, so that an RS that does not answer holds up no fetch.
    fn get_telling(&mut self, rs: Option<&RsClient>, task: &Task) -> Result<(), Failure> {
        let (sender, lost) = unbounded();
        self.lost = Some(sender);
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("get-report".to_owned());
            let tell = move || {
                for holder in lost {
                    let answering = rs.filter(|rs| !rs.is_silent());
                    if let Some(Err(error)) = answering.map(|rs| rs.report(&holder)) {
                        log::debug!("reporting {holder}: {error}");
                    }
                }
            };
            if let Err(error) = thread.spawn_scoped(scope, tell) {
                log::warn!("no thread to tell the RS of holders that fail: {error}");
            }
            let ended = self.get_all(task);
            self.lost = None;
            ended
        })
    }

    /// Gets everything; one that fails does not keep the others. The heaviest failure is the command's.
    fn get_all(&mut self, task: &Task) -> Result<(), Failure> {
        let mut worst: Option<Failure> = None;
        let mut note = |failure: Failure| {
            let heavier = worst
                .as_ref()
                .is_none_or(|worst| failure.exit.code() > worst.exit.code());
            if let Some(lighter) = if heavier {
                worst.replace(failure)
            } else {
                Some(failure)
            } {
                say::note(&format!("p2pdi: {lighter}"));
            }
        };
        if task.all {
            let found = self
                .locator
                .get_mut()
                .all()
                .map_err(|fault| locate_failure("--all", fault))?;
            self.get_located(one_of_each_name(found, &mut note), &mut note);
        }
        let mut found = Vec::new();
        for request in &task.requests {
            let located = self.locator.get_mut().locate(request);
            match located.map_err(|fault| locate_failure(request.text(), fault)) {
                Ok(located) => found.push(located),
                Err(failure) => note(failure),
            }
        }
        self.get_located(one_of_each_name(found, &mut note), &mut note);
        worst.map_or(Ok(()), Err)
    }

    fn holders(&self, id: p2pdi::id::ContentId, known: Vec<HostPort>) -> Holders<'_, 'a> {
        let locator = &self.locator;
        Holders { known, locator, id }
    }

    /// Gets a content that comes by pieces.
    fn get_large(&self, order: Order, of_tree: Option<&RefCell<Come>>) -> Result<(), Failure> {
        let info = order.info;
        let mut holders = self.holders(info.id, order.holders);
        let mut told = self.told(&info, holders.known.len());
        let fetched = self.fetcher.fetch(&info, &mut holders, &mut told);
        told.progress.finish();
        let fetched = fetched.map_err(|unfetched| self.not_got(&info, &unfetched))?;
        if let Some(executable) = order.executable {
            let mended = self.fetcher.set_executable(&info.name, executable);
            mended.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        }
        self.got(&info, &fetched, of_tree);
        Ok(())
    }

    /// What a directory consists of.
    fn fetch_tree(&self, located: &Located) -> Result<Tree, Failure> {
        let info = &located.info;
        let mut holders = self.holders(info.id, located.holders.clone());
        let mut told = self.told(info, holders.known.len());
        let tree = self.fetcher.fetch_tree(info, &mut holders, &mut told);
        told.progress.finish();
        tree.map_err(|unfetched| self.not_got(info, &unfetched))
    }

    fn told(&self, info: &ContentInfo, holders: usize) -> Told<'_, 'a> {
        Told {
            progress: Progress::new(self.showing, info, holders),
            getting: self,
        }
    }

    /// A content is there: it is shared on, by itself or with its directory, and told of.
    fn got(&self, listed: &ContentInfo, fetched: &Fetched, of_tree: Option<&RefCell<Come>>) {
        // The id proves the length; what was listed may have been another.
        let info = &ContentInfo {
            bytes: fetched.manifest.bytes(),
            ..listed.clone()
        };
        if let Some(peer) = self.serving.peer() {
            match of_tree {
                None => peer.add_fetched(&fetched.path, info, &fetched.manifest),
                Some(_) if info.bytes > SMALL_BYTES_MAX => peer.end_part(&fetched.path, info),
                Some(_) => {}
            }
        }
        if let Some(come) = of_tree {
            come.borrow_mut().add(fetched);
        }
        if of_tree.is_none() || self.showing == Showing::Events {
            self.show(info, fetched);
        }
    }

    /// A content could not be got: the account of what was tried, if it was asked for, and the failure.
    fn not_got(&self, info: &ContentInfo, unfetched: &Unfetched) -> Failure {
        if self.why {
            let account = &unfetched.account;
            if self.showing == Showing::Events {
                let (name, id) = (info.name.as_str(), info.id.to_string());
                let event = json!({ "event": "why", "name": name, "id": id, "why": why_json(account) });
                say::result(&event.to_string());
            } else {
                say::result(&format!("{}\n{}", info.name, why_text(account)));
            }
        }
        fetch_failure(info, unfetched)
    }

    /// A holder did not serve: it is not named again, and the RS is told.
    fn report(&self, holder: &HostPort) {
        self.locator.borrow_mut().lost(holder);
        if let Some(lost) = &self.lost {
            let _ = lost.send(holder.clone());
        }
    }

    fn show(&self, info: &ContentInfo, fetched: &Fetched) {
        match self.showing {
            Showing::Events => say::result(&fetched_json(info, fetched, self.why).to_string()),
            Showing::Quiet => {}
            Showing::Bar => {
                let from: Vec<String> = fetched
                    .account
                    .holders
                    .iter()
                    .filter(|account| account.bytes > 0 || account.failures.is_empty())
                    .map(|account| account.address.to_string())
                    .collect();
                let from = if from.is_empty() {
                    "what was here".to_owned()
                } else {
                    from.join(", ")
                };
                let (bytes, secs) = (size(info.bytes), fetched.account.took.as_secs_f64());
                say::result(&format!(
                    "{}  {bytes}  verified  from {from} in {secs:.2} s",
                    info.name
                ));
            }
        }
        if self.why && self.showing != Showing::Events {
            say::result(&why_shown(&fetched.account));
        }
    }
}

/// What was located, but of each name one content: two have no place beside each other.
fn one_of_each_name(found: Vec<Located>, note: &mut dyn FnMut(Failure)) -> Vec<Located> {
    let mut named: BTreeMap<ContentName, Located> = BTreeMap::new();
    for located in found {
        let (name, id) = (located.info.name.clone(), located.info.id);
        let first = named.entry(name).or_insert(located);
        if first.info.id != id {
            let (name, id) = (&first.info.name, short_id(id));
            let text = format!("{name}: a second content has this name; get it apart as {name}@{id}");
            note(Failure::new(Exit::Refused, text));
        }
    }
    named.into_values().collect()
}

/// Shows one fetch, and tells the RS who fails as it happens.
struct Told<'t, 'g> {
    progress: Progress,
    getting: &'t Getting<'g>,
}

impl Watcher for Told<'_, '_> {
    fn advanced(&mut self, standing: &Standing) {
        self.progress.advanced(standing);
    }

    fn failed(&mut self, holder: &HostPort, why: &str) {
        self.progress.failed(holder, why);
        self.getting.report(holder);
    }
}

/// The holders of a content: those known, and when they have failed, whoever else can be found.
struct Holders<'l, 'a> {
    known: Vec<HostPort>,
    locator: &'l RefCell<Locator<'a>>,
    id: p2pdi::id::ContentId,
}

impl HolderSource for Holders<'_, '_> {
    fn known(&mut self) -> Vec<HostPort> {
        self.known.clone()
    }

    fn more(&mut self, tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        self.locator.borrow_mut().more_holders(self.id, tried)
    }
}
