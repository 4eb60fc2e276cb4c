//! Many small contents at once: asked for ahead over a few connections, verified in memory, named in groups.
//!
//! Belongs here: what is here already, the fetching thread, and what is told of each content. Does not: which
//! content is asked of whom (`proto/transfer/batch.rs`), one connection (`lane.rs`), the files (`storage/group.rs`).
//! Invariant: every content is told of exactly once, and a file appears only if its bytes have the id.

use super::account::{Account, Accounts, AttemptFault, HolderAccount};
use super::{FetchFault, Fetched, Fetcher, Unfetched};
use crate::id::ContentId;
use crate::limits::{SMALL_GROUP_FILES, SOURCES_MAX};
use crate::name::HostPort;
use crate::net::{Clock, ConnWriter, Pacer, Stop};
use crate::proto::transfer::{Batch, BatchHolder, BatchItem, Manifest, Source};
use crate::storage::{Group, Part};
use crate::time::Span;
use crate::wire::ContentInfo;
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A content that is wanted, and who is said to hold it.
#[derive(Clone, Debug)]
pub struct Order {
    /// The content.
    pub info: ContentInfo,
    /// Its holders, the best first.
    pub holders: Vec<HostPort>,
    /// Whether its owner may execute it, if that is known.
    pub executable: Option<bool>,
}

/// Told what becomes of many contents; an order is meant by its place.
pub trait Receiving {
    /// Others than those tried who may hold a content, after everybody known has failed.
    fn more(&mut self, order: usize, tried: &BTreeSet<HostPort>) -> Vec<HostPort>;
    /// This holder failed; others are tried.
    fn failed(&mut self, holder: &HostPort, why: &str);
    /// So many bytes of all have come.
    fn advanced(&mut self, bytes: u64);
    /// A content is there, or is not to be had.
    fn ended(&mut self, order: usize, result: Result<Fetched, Unfetched>);
}

/// The fetching thread looks around this often.
const LOOK: Duration = Duration::from_millis(100);
/// What has come is given its name after this, however little it is.
const NAMED_WITHIN: Span = Span::from_millis(1_000);
/// Contents for each connection, or it is not worth opening.
const WORTH_A_LANE: usize = 4;
/// And for a second one to a lone holder.
const WORTH_A_SECOND: usize = 16;

/// Why a content did not come from those who were asked for it.
enum Unhad {
    /// All of them failed.
    Failed(Accounts),
    /// It is longer than was listed.
    Longer,
    /// Nobody else need be asked.
    Fault(FetchFault),
}

/// A content that has come.
pub(super) struct Landed {
    order: usize,
    item: BatchItem,
    part: Part,
    manifest: Arc<Manifest>,
}

pub(super) struct State {
    pub(super) batch: Batch,
    pub(super) accounts: BTreeMap<BatchItem, Accounts>,
    /// Written, and without their names yet.
    pub(super) landed: Vec<Landed>,
    /// So many more are being given theirs.
    pub(super) naming: usize,
    /// Contents of which our own disk wants nothing, by order.
    pub(super) refused: Vec<(usize, io::Error)>,
    /// Contents of which some holder sent more than was listed and comes whole: so it may be, and they come by pieces.
    pub(super) longer: BTreeMap<BatchItem, Vec<BatchHolder>>,
    /// What is kept in memory.
    pub(super) kept: Option<Vec<u8>>,
    /// Holders that failed since the fetching thread last looked.
    pub(super) failed: Vec<(HostPort, String)>,
    /// Those who were given up, and why.
    pub(super) gone: Vec<(BatchHolder, AttemptFault)>,
    pub(super) lines: BTreeMap<Source, Arc<ConnWriter>>,
    pub(super) lanes: Vec<usize>,
    pub(super) running: usize,
    pub(super) next: u64,
    pub(super) bytes: u64,
    pub(super) disk: Option<io::Error>,
    pub(super) over: bool,
}

/// A batch on its way here.
pub(super) struct Work<'a> {
    pub(super) orders: &'a [Order],
    /// The content of each item, and the orders that want it.
    pub(super) items: Vec<(&'a ContentInfo, Vec<usize>)>,
    pub(super) holders: Vec<HostPort>,
    /// None where contents are kept in memory.
    pub(super) group: Option<&'a Group>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) clock: Clock,
    pub(super) down: &'a Pacer,
    pub(super) stop: &'a Stop,
    /// What connections are watched by: it ends them all when all is over, those too that are only being reached.
    pub(super) reaching: Stop,
}

impl Fetcher<'_> {
    /// Fetches contents of which each is small, whatever becomes of the others.
    pub fn fetch_many(&self, orders: &[Order], receiving: &mut dyn Receiving) {
        let begun = Instant::now();
        let group = match Group::open(&self.out) {
            Ok(group) => group,
            Err(error) => {
                for order in 0..orders.len() {
                    let fault = FetchFault::Disk(same(&error));
                    receiving.ended(order, Err(Accounts::default().unfetched(fault, begun.elapsed())));
                }
                return;
            }
        };
        let mut left: Vec<(usize, Vec<HostPort>)> = Vec::new();
        for order in self.missing(orders, &group, begun, receiving) {
            left.push((order, orders[order].holders.clone()));
        }
        let mut asked: Vec<BTreeSet<HostPort>> = vec![BTreeSet::new(); orders.len()];
        let mut accounts: BTreeMap<usize, Accounts> = BTreeMap::new();
        while !left.is_empty() {
            for (order, holders) in &left {
                asked[*order].extend(holders.iter().cloned());
            }
            let unhad = self.fetch_batch(orders, &left, &group, begun, receiving);
            left.clear();
            for (order, unhad) in unhad {
                let all = accounts.entry(order).or_default();
                let fault = match unhad {
                    Unhad::Longer => {
                        self.fetch_longer(order, &orders[order], receiving);
                        continue;
                    }
                    Unhad::Fault(fault) => fault,
                    Unhad::Failed(failed) => {
                        all.merge(&failed);
                        let more = match self.stop.is_set() {
                            true => Vec::new(),
                            false => receiving.more(order, &asked[order]),
                        };
                        if !more.is_empty() {
                            left.push((order, more));
                            continue;
                        }
                        FetchFault::NoHolderLeft(all.heaviest())
                    }
                };
                let unfetched = core::mem::take(all).unfetched(fault, begun.elapsed());
                receiving.ended(order, Err(unfetched));
            }
        }
    }

    /// Asks these holders for these orders; those that are not to be had from them, and why.
    fn fetch_batch(
        &self,
        orders: &[Order],
        wanted: &[(usize, Vec<HostPort>)],
        group: &Group,
        begun: Instant,
        receiving: &mut dyn Receiving,
    ) -> Vec<(usize, Unhad)> {
        let work = self.work(orders, wanted, Some(group));
        let named = std::thread::scope(|scope| work.oversee(scope, begun, receiving));
        let stopped = self.stop.is_set();
        let Work {
            items,
            holders,
            state,
            ..
        } = work;
        let mut state = state.into_inner();
        let mut unhad = Vec::new();
        for (order, error) in state.refused {
            unhad.push((order, Unhad::Fault(FetchFault::Disk(error))));
        }
        let ended: BTreeSet<usize> = unhad.iter().map(|(order, _)| *order).chain(named).collect();
        let offered: BTreeMap<usize, &Vec<HostPort>> =
            wanted.iter().map(|(order, holders)| (*order, holders)).collect();
        for (item, (_, orders)) in items.iter().enumerate() {
            for order in orders.iter().filter(|order| !ended.contains(order)) {
                let fault = match &state.disk {
                    Some(error) => Unhad::Fault(FetchFault::Disk(same(error))),
                    None if stopped => Unhad::Fault(FetchFault::Interrupted),
                    None if state.longer.contains_key(&item) => Unhad::Longer,
                    None => {
                        let accounts = state.accounts.entry(item).or_default();
                        for (holder, why) in &state.gone {
                            let holder = &holders[*holder];
                            if offered.get(order).is_some_and(|offered| offered.contains(holder)) {
                                accounts.failed(holder, why);
                            }
                        }
                        Unhad::Failed(accounts.clone())
                    }
                };
                unhad.push((*order, fault));
            }
        }
        unhad
    }

    pub(super) fn work<'w>(
        &'w self,
        orders: &'w [Order],
        wanted: &[(usize, Vec<HostPort>)],
        group: Option<&'w Group>,
    ) -> Work<'w> {
        let mut holders: Vec<HostPort> = Vec::new();
        let mut numbers: BTreeMap<&HostPort, BatchHolder> = BTreeMap::new();
        // One content under several names, or in several places of a tree, comes once.
        let mut by_id: BTreeMap<(ContentId, u64), BatchItem> = BTreeMap::new();
        let mut items: Vec<(&ContentInfo, Vec<usize>)> = Vec::new();
        let mut held: Vec<Vec<BatchHolder>> = Vec::new();
        for (order, from) in wanted {
            let info = &orders[*order].info;
            let item = *by_id.entry((info.id, info.bytes)).or_insert_with(|| {
                items.push((info, Vec::new()));
                held.push(Vec::new());
                items.len() - 1
            });
            items[item].1.push(*order);
            for holder in from {
                let number = *numbers.entry(holder).or_insert_with(|| {
                    holders.push(holder.clone());
                    holders.len() - 1
                });
                if !held[item].contains(&number) {
                    held[item].push(number);
                }
            }
        }
        let contents = items.iter().zip(held).map(|((info, _), held)| (info.bytes, held));
        let state = State {
            batch: Batch::new(holders.len(), contents),
            accounts: BTreeMap::new(),
            landed: Vec::new(),
            naming: 0,
            refused: Vec::new(),
            longer: BTreeMap::new(),
            kept: None,
            failed: Vec::new(),
            gone: Vec::new(),
            lines: BTreeMap::new(),
            lanes: vec![0; holders.len()],
            running: 0,
            next: 0,
            bytes: 0,
            disk: None,
            over: false,
        };
        Work {
            orders,
            items,
            holders,
            group,
            state: Mutex::new(state),
            changed: Condvar::new(),
            clock: Clock::start(),
            down: self.down,
            stop: &self.stop,
            reaching: self.stop.of_part(),
        }
    }
}

/// An error that is told of several contents.
fn same(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}

impl Landed {
    pub(super) const fn new(order: usize, item: BatchItem, part: Part, manifest: Arc<Manifest>) -> Self {
        Self {
            order,
            item,
            part,
            manifest,
        }
    }
}

impl Work<'_> {
    /// Starts the connections, gives names to what has come, and ends when all is settled; which orders have ended.
    pub(super) fn oversee<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        begun: Instant,
        receiving: &mut dyn Receiving,
    ) -> Vec<usize> {
        let mut ended = Vec::new();
        let mut named_at = self.clock.at();
        loop {
            let mut state = self.state.lock();
            while let Some(holder) = self.worth_a_lane(&mut state) {
                self.start(scope, &mut state, holder);
            }
            let settled =
                |state: &State| state.batch.is_settled() || state.running == 0 || state.disk.is_some();
            let is_full = |state: &State| state.landed.len() >= SMALL_GROUP_FILES;
            if !state.over && !settled(&state) && !is_full(&state) && state.failed.is_empty() {
                self.changed.wait_for(&mut state, LOOK);
            }
            if !state.over
                && (self.stop.is_set() || settled(&state) && self.worth_a_lane(&mut state).is_none())
            {
                state.over = true;
                state.lines.values().for_each(|line| line.shut());
                self.reaching.trigger();
                self.changed.notify_all();
            }
            // Whoever is writing what has just come says so yet.
            while state.over && !state.lines.is_empty() && !is_full(&state) {
                self.changed.wait(&mut state);
            }
            let finished = state.over && state.lines.is_empty();
            let now = self.clock.at();
            let landed = if finished || is_full(&state) || now.since(named_at) > NAMED_WITHIN {
                named_at = now;
                state.naming = state.landed.len();
                core::mem::take(&mut state.landed)
            } else {
                Vec::new()
            };
            let accounts: Vec<Vec<HolderAccount>> = landed
                .iter()
                .map(|landed| {
                    let accounts = state.accounts.get(&landed.item);
                    accounts.map_or_else(Vec::new, |accounts| accounts.all().to_vec())
                })
                .collect();
            let (failed, bytes) = (core::mem::take(&mut state.failed), state.bytes);
            drop(state);
            self.changed.notify_all();
            failed
                .iter()
                .for_each(|(holder, why)| receiving.failed(holder, why));
            receiving.advanced(bytes);
            ended.extend(give_names(landed, accounts, begun, receiving));
            self.state.lock().naming = 0;
            self.changed.notify_all();
            if finished {
                return ended;
            }
        }
    }

    /// A holder to open a connection to, if one is worth it now.
    fn worth_a_lane(&self, state: &mut State) -> Option<BatchHolder> {
        if state.over || state.running >= SOURCES_MAX || state.disk.is_some() {
            return None;
        }
        let (now, waiting, running) = (self.clock.at(), state.batch.waiting(), state.running);
        (0..self.holders.len()).find(|holder| match state.lanes[*holder] {
            0 => {
                let waits =
                    state.batch.waits_for(*holder) && (running == 0 || waiting >= WORTH_A_LANE * running);
                waits || running > 0 && state.batch.late_for(now, *holder).is_some()
            }
            1 => self.holders.len() == 1 && waiting >= WORTH_A_SECOND,
            _ => false,
        })
    }

    fn start<'scope>(
        &'scope self,
        scope: &'scope std::thread::Scope<'scope, '_>,
        state: &mut State,
        holder: BatchHolder,
    ) {
        state.running += 1;
        state.lanes[holder] += 1;
        let thread = std::thread::Builder::new().name("fetch-small".to_owned());
        if let Err(error) = thread.spawn_scoped(scope, move || self.run_lane(holder)) {
            log::warn!("no thread for a holder: {error}");
            state.running -= 1;
            state.lanes[holder] -= 1;
            let none = AttemptFault::from(error);
            state.batch.give_up(holder);
            state.gone.push((holder, none));
        }
    }
}

fn give_names(
    landed: Vec<Landed>,
    accounts: Vec<Vec<HolderAccount>>,
    begun: Instant,
    receiving: &mut dyn Receiving,
) -> Vec<usize> {
    let mut orders = Vec::new();
    let mut parts = Vec::new();
    for landed in landed {
        orders.push((landed.order, landed.manifest));
        parts.push(landed.part);
    }
    let named: Vec<io::Result<PathBuf>> = Group::name(parts);
    let mut ended = Vec::new();
    for (((order, manifest), holders), path) in orders.into_iter().zip(accounts).zip(named) {
        let account = Account::of(holders, begun.elapsed());
        let result = match path {
            Ok(path) => Ok(Fetched {
                path,
                manifest,
                account,
            }),
            Err(error) => Err(Unfetched {
                fault: FetchFault::Disk(error),
                account: Box::new(account),
            }),
        };
        receiving.ended(order, result);
        ended.push(order);
    }
    ended
}
