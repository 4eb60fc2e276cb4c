//! The fetching thread: it starts a thread for every holder, shows progress, and looks after those that stall.

use super::account::Accounts;
use super::links::Links;
use super::swarm::{State, Swarm};
use super::{FetchFault, Fetcher, HolderSource, Strategy, Watcher, parts};
use crate::limits::{HOPE_LOST, SETTLED_WAIT, SOURCES_MAX, STALL, STALL_GIVE_UP, TWO_STREAMS_BYTES};
use crate::name::HostPort;
use crate::net::Clock;
use crate::proto::transfer::{Headway, Manifest, Taker};
use crate::storage::Landing;
use crate::time::{Instant, Span};
use crate::wire::ContentInfo;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The fetching thread looks around this often, for progress and for holders that stall.
const LOOK: Duration = Duration::from_millis(100);

/// Without hope for so long, others are looked for.
const FADING: Span = Span(HOPE_LOST.0 / 3);

/// What came of the fetching by pieces.
pub(super) enum Brought {
    /// The content, and where it lies.
    All(PathBuf, Arc<Manifest>),
    /// Nothing: it is proven that the content has this length, and not the one that was listed.
    OtherSize(u64),
}

impl Fetcher<'_> {
    /// Fetches a content by pieces, from as many holders as there are.
    pub(super) fn fetch_pieces(
        &self,
        content: &ContentInfo,
        known: Vec<HostPort>,
        more: &mut dyn HolderSource,
        accounts: &mut Accounts,
        watcher: &mut dyn Watcher,
    ) -> Result<Brought, FetchFault> {
        let state = State {
            taker: None,
            lines: BTreeMap::new(),
            next: 0,
            again: Vec::new(),
            heard: Vec::new(),
            partial: BTreeSet::new(),
            whole: BTreeMap::new(),
            accounts: core::mem::take(accounts),
            running: 0,
            failed: Vec::new(),
            disk: None,
            bytes_here: 0,
            headway: Headway::new(Instant::ZERO),
            over: false,
            hopeless: false,
            hope_told: Instant::ZERO,
            untold: false,
            away: false,
            asking: false,
            true_bytes: None,
        };
        let swarm = Swarm {
            content,
            out: &self.out,
            landing: OnceLock::new(),
            beginning: Mutex::new(()),
            manifest: OnceLock::new(),
            offer: OnceLock::new(),
            sharing: self.sharing,
            state: Mutex::new(state),
            changed: Condvar::new(),
            turns: [const { Mutex::new(()) }; 64],
            down: self.down,
            clock: Clock::start(),
            stop: self.stop.of_part(),
        };
        let links = Links::read();
        match self.strategy {
            Strategy::Swarm => std::thread::scope(|scope| oversee(&swarm, scope, known, more, watcher)),
            Strategy::Parts => parts::oversee(&swarm, known, more, watcher),
        }
        let Swarm {
            state,
            landing,
            manifest,
            sharing,
            offer,
            ..
        } = swarm;
        drop(offer);
        let state = state.into_inner();
        let heaviest = state.accounts.heaviest();
        let missing = state.taker.as_ref().map(Taker::missing).unwrap_or_default();
        *accounts = state.accounts;
        accounts.link_full = links.were_full();
        let landing = landing.into_inner();
        if let Some(bytes) = state.true_bytes {
            landing.iter().for_each(Landing::discard);
            return Ok(Brought::OtherSize(bytes));
        }
        let whole = state.taker.is_some_and(|taker| taker.verified().is_all());
        if whole
            && let Some(manifest) = manifest.get()
            && let Some(landing) = &landing
        {
            let finishing = Clock::start();
            let path = landing.finish().map_err(FetchFault::Disk)?;
            accounts.syncing = finishing.at().since(Instant::ZERO);
            return Ok(Brought::All(path, Arc::clone(manifest)));
        }
        if let Some(sharing) = sharing {
            sharing.give_up(content);
        }
        match state.disk {
            Some(error) => Err(FetchFault::Disk(error)),
            None if self.stop.is_set() => Err(FetchFault::Interrupted),
            None if state.hopeless => Err(FetchFault::NobodyHas(missing, heaviest)),
            None => Err(FetchFault::NoHolderLeft(heaviest)),
        }
    }
}

/// Starts a thread for every holder, shows progress, and ends when the content is whole or nobody is left.
fn oversee<'scope>(
    swarm: &'scope Swarm<'_>,
    scope: &'scope std::thread::Scope<'scope, '_>,
    known: Vec<HostPort>,
    more: &mut dyn HolderSource,
    watcher: &mut dyn Watcher,
) {
    let mut tried: BTreeSet<HostPort> = BTreeSet::new();
    // The index's come before those heard of: anybody can name anything.
    let mut waiting: VecDeque<HostPort> = VecDeque::new();
    // Silence after which others are looked for, though some are connected.
    let mut looked_after = Span(STALL.0 * 2);
    let mut faded = false;
    if let [alone] = known.as_slice()
        && swarm.content.bytes >= TWO_STREAMS_BYTES
    {
        // A second connection to a lone holder; it is tried once more below, by its own name.
        start(swarm, scope, alone.clone());
    }
    waiting.extend(known.into_iter().filter(|holder| tried.insert(holder.clone())));
    loop {
        while swarm.state.lock().running < SOURCES_MAX
            && let Some(holder) = waiting.pop_front()
        {
            start(swarm, scope, holder);
        }
        let mut state = swarm.state.lock();
        let idle = state.running == 0 && state.heard.is_empty() && state.again.is_empty();
        if !state.over && !idle && !state.untold && state.heard.is_empty() && state.failed.is_empty() {
            swarm.changed.wait_for(&mut state, LOOK);
        }
        if state.untold && !state.over {
            // What settles meanwhile is told with it.
            swarm.changed.wait_for(&mut state, SETTLED_WAIT.to_std());
        }
        state.untold = false;
        let now = swarm.clock.at();
        if let Some(taker) = state.taker.as_mut() {
            taker.handle_timeout(now);
        }
        swarm.pump_with(&mut state, 1);
        let heard = core::mem::take(&mut state.heard);
        waiting.extend(heard.into_iter().filter(|holder| tried.insert(holder.clone())));
        waiting.extend(state.due_again(now));
        let (failed, standing) = (core::mem::take(&mut state.failed), state.standing(now));
        let (silent, slow) = (state.headway.silent(now), state.headway.is_to_look(now));
        let hoped_before = swarm.hoped_before(&state, now);
        if silent >= STALL_GIVE_UP && !state.over {
            // Everybody is connected and nobody sends: as if they were gone.
            state.give_up_silent();
        }
        let over = state.over || swarm.stop.is_set();
        let tried_all = waiting.is_empty() && state.again.is_empty();
        let nobody = state.running == 0 && tried_all;
        // Those that are tried again later may stay away.
        let bereft = state.running == 0 && !failed.is_empty() && waiting.is_empty();
        let hopeless = hoped_before >= HOPE_LOST && tried_all && !state.over;
        // Whoever is found early is asked before the rest of hope is lost.
        let fading = hoped_before >= FADING;
        let fades = fading && !core::mem::replace(&mut faded, fading);
        faded &= fading;
        drop(state);
        failed
            .iter()
            .for_each(|(holder, why)| watcher.failed(holder, why));
        watcher.advanced(&standing);
        if over {
            let state = swarm.state.lock();
            state.lines.values().for_each(|line| line.writer.shut());
            drop(state);
            // Nobody waits for one that is only being reached.
            swarm.stop.trigger();
            return;
        }
        if nobody || bereft || hopeless || fades || slow || silent >= looked_after {
            looked_after = Span(looked_after.0 + STALL.0);
            swarm.go_away(true);
            let found = more.more(&tried);
            swarm.go_away(false);
            if found.is_empty() && nobody {
                return;
            }
            if found.is_empty() && hopeless {
                swarm.give_up_hope();
            }
            let fresh = found.into_iter().rev();
            fresh
                .filter(|holder| tried.insert(holder.clone()))
                .for_each(|holder| waiting.push_front(holder));
        } else if silent < STALL {
            looked_after = Span(STALL.0 * 2);
        }
    }
}

fn start<'scope>(swarm: &'scope Swarm<'_>, scope: &'scope std::thread::Scope<'scope, '_>, holder: HostPort) {
    swarm.state.lock().running += 1;
    let thread = std::thread::Builder::new().name("fetch-source".to_owned());
    let spawned = thread.spawn_scoped(scope, move || swarm.run_source(&holder));
    if let Err(error) = spawned {
        log::warn!("no thread for a holder: {error}");
        swarm.state.lock().running -= 1;
    }
}
