//! A content that comes by pieces from many holders at once.
//!
//! One thread a holder (`source.rs`) shares the [`Taker`] behind a lock; the fetching thread starts them, shows
//! progress and looks after those that stall. Invariant: no lock is held while a thread waits for the network;
//! the short frames that tell holders what is settled are the exception, and go to sockets with room.

use super::account::{Accounts, AttemptFault};
use super::source::take_from;
use super::{FetchFault, Fetcher, HolderSource, Sharing, Watcher};
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::{SOURCES_MAX, TWO_STREAMS_BYTES};
use crate::name::HostPort;
use crate::net::{Clock, Conn, ConnWriter, Offer, Pacer, Stop};
use crate::proto::transfer::{Manifest, Pieces, Source, TakeOutput, Taker, piece_span};
use crate::storage::{Landing, Mapped};
use crate::wire::{ContentInfo, Credit, HaveMap, List, Message, Rest, Settled, Want};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The fetching thread looks around this often, for progress and for holders that stall.
const LOOK: Duration = Duration::from_millis(100);

/// A holder's connection, as the others see it.
struct Line {
    writer: Arc<ConnWriter>,
    request: RequestNumber,
    /// Pieces it has yet to be told are settled: together they cost one frame.
    settled: Vec<PieceIndex>,
}

/// So many settled pieces are told at once; fewer when the fetching thread next looks around.
const SETTLED_TOGETHER: usize = 16;

struct State {
    taker: Option<Taker>,
    lines: BTreeMap<Source, Line>,
    next: u64,
    /// Addresses heard of and not yet tried.
    heard: Vec<HostPort>,
    accounts: Accounts,
    /// Threads that are running.
    running: usize,
    /// Holders that failed since the fetching thread last looked.
    failed: Vec<(HostPort, String)>,
    /// Holders that serve contents only whole.
    whole_only: Vec<HostPort>,
    disk: Option<io::Error>,
    bytes_here: u64,
    over: bool,
}

/// One content on its way here.
pub(super) struct Swarm<'a> {
    content: &'a ContentInfo,
    landing: Landing,
    manifest: OnceLock<Arc<Manifest>>,
    offer: OnceLock<Arc<Offer>>,
    sharing: Option<&'a dyn Sharing>,
    state: Mutex<State>,
    changed: Condvar,
    down: &'a Pacer,
    clock: Clock,
    stop: &'a Stop,
}

impl<'a> Swarm<'a> {
    pub(super) const fn content(&self) -> &'a ContentInfo {
        self.content
    }

    pub(super) const fn landing(&self) -> &Landing {
        &self.landing
    }

    pub(super) const fn stop(&self) -> &Stop {
        self.stop
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().over
    }

    pub(super) fn needs_manifest(&self) -> bool {
        self.manifest.get().is_none()
    }

    pub(super) fn value(&self, piece: PieceIndex) -> Option<[u8; 32]> {
        self.manifest.get()?.value(piece)
    }

    /// The piece values are proven: what an earlier run has left can be counted, and offered to others.
    pub(super) fn set_manifest(&self, manifest: Manifest) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.taker.is_some() {
            return Ok(());
        }
        let present = self.landing.present(&manifest)?;
        let manifest = Arc::clone(self.manifest.get_or_init(|| Arc::new(manifest)));
        state.bytes_here = present.iter().map(|piece| self.piece_bytes(piece)).sum();
        state.over |= present.is_all();
        state.taker = Some(Taker::new(present.clone()));
        drop(state);
        if let Some(sharing) = self.sharing {
            self.offer_part(sharing, manifest, present)?;
        }
        self.changed.notify_all();
        Ok(())
    }

    fn offer_part(&self, sharing: &dyn Sharing, manifest: Arc<Manifest>, present: Pieces) -> io::Result<()> {
        let mapped = Mapped::of_part(self.landing.share()?, self.content.bytes)?;
        // Holders of a part break ties differently, each by the port it has.
        let seed = u64::from(sharing.port()) << 16 | u64::from(std::process::id());
        let offer = Arc::new(Offer::new(manifest, mapped, present, Some(seed)));
        sharing.begin(self.content, &offer);
        let _ = self.offer.set(offer);
        Ok(())
    }

    fn piece_bytes(&self, piece: PieceIndex) -> u64 {
        let span = piece_span(self.content.bytes, piece);
        span.end - span.start
    }

    /// A holder is reached: it is told what is settled, and gets its first credits.
    pub(super) fn open(&self, conn: &Conn, request: RequestNumber) -> Result<Source, AttemptFault> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(taker) = state.taker.as_mut() else {
            return Err(AttemptFault::NoPieces);
        };
        let source = Source(state.next);
        state.next += 1;
        let port = self.sharing.map_or(0, Sharing::port);
        let map = HaveMap {
            request,
            id: self.content.id,
            port,
            map: Rest(taker.settled().to_map()),
        };
        conn.send(&map.into())?;
        state.lines.insert(
            source,
            Line {
                writer: Arc::clone(conn.writer()),
                request,
                settled: Vec::new(),
            },
        );
        taker.open(self.clock.at(), source);
        self.pump(state);
        Ok(source)
    }

    /// A holder's thread ends.
    pub(super) fn close(&self, source: Source) {
        let mut state = self.state.lock();
        state.lines.remove(&source);
        if let Some(taker) = state.taker.as_mut() {
            taker.close(source);
        }
        self.pump(&mut state);
    }

    /// A holder has chosen a piece; true if it is needed from it.
    pub(super) fn chosen(&self, source: Source, piece: PieceIndex) -> bool {
        let mut state = self.state.lock();
        let now = self.clock.at();
        let needed = state
            .taker
            .as_mut()
            .is_some_and(|taker| taker.handle_choice(now, source, piece));
        self.pump(&mut state);
        needed
    }

    /// True if this piece is still to come from this holder.
    pub(super) fn expects(&self, source: Source, piece: PieceIndex) -> bool {
        self.state
            .lock()
            .taker
            .as_ref()
            .is_some_and(|taker| taker.expects(source, piece))
    }

    /// Bytes came from a holder.
    pub(super) fn received(
        &self,
        source: Source,
        holder: &HostPort,
        bytes: usize,
    ) -> Result<(), AttemptFault> {
        {
            let mut state = self.state.lock();
            let now = self.clock.at();
            if let Some(taker) = state.taker.as_mut() {
                taker.handle_progress(now, source);
            }
            state.accounts.of(holder).bytes += bytes as u64;
        }
        if self.down.wait(bytes, self.stop) {
            Err(AttemptFault::Interrupted)
        } else {
            Ok(())
        }
    }

    /// A piece is here and right.
    pub(super) fn verified(&self, source: Source, piece: PieceIndex, first: bool) -> io::Result<()> {
        self.landing.piece_done(piece)?;
        if let Some(offer) = self.offer.get() {
            offer.gain(piece, first);
        }
        let mut state = self.state.lock();
        let now = self.clock.at();
        let fresh = state
            .taker
            .as_mut()
            .is_some_and(|taker| taker.handle_piece(now, source, piece));
        if fresh {
            state.bytes_here += self.piece_bytes(piece);
        }
        self.pump(&mut state);
        Ok(())
    }

    /// Somebody named other holders.
    pub(super) fn hear_of(&self, addresses: impl Iterator<Item = HostPort>) {
        let mut state = self.state.lock();
        state.heard.extend(addresses);
        self.changed.notify_all();
    }

    /// Does what the taker wants done.
    fn pump(&self, state: &mut State) {
        self.pump_with(state, SETTLED_TOGETHER);
    }

    /// The same, telling of settled pieces where there are so many.
    fn pump_with(&self, state: &mut State, settled_together: usize) {
        let mut frames: BTreeMap<Source, Vec<Message>> = BTreeMap::new();
        while let Some(output) = state.taker.as_mut().and_then(Taker::poll_output) {
            let request = |source: &Source| state.lines.get(source).map(|line| line.request);
            match output {
                TakeOutput::Finished => state.over = true,
                TakeOutput::Drop(source) => {
                    if let Some(line) = state.lines.get(&source) {
                        line.writer.shut();
                    }
                }
                TakeOutput::Credit(source, pieces) => {
                    if let Some(request) = request(&source) {
                        frames
                            .entry(source)
                            .or_default()
                            .push(Credit { request, pieces }.into());
                    }
                }
                TakeOutput::Settled(source, piece) => {
                    if let Some(line) = state.lines.get_mut(&source) {
                        line.settled.push(piece);
                    }
                }
                TakeOutput::Want(source, piece) => {
                    if let Some(request) = request(&source) {
                        let pieces = List::first_of([piece]);
                        frames
                            .entry(source)
                            .or_default()
                            .push(Want { request, pieces }.into());
                    }
                }
            }
        }
        for (source, line) in &mut state.lines {
            if line.settled.len() >= settled_together.max(1) {
                let pieces = List::first_of(line.settled.drain(..));
                let told = Settled {
                    request: line.request,
                    pieces,
                };
                frames.entry(*source).or_default().insert(0, told.into());
            }
        }
        for (source, messages) in frames {
            if let Some(line) = state.lines.get(&source) {
                // A line that takes no more is noticed by its own thread.
                let sent = messages.iter().try_for_each(|message| line.writer.send(message));
                if sent.is_err() {
                    line.writer.shut();
                }
            }
        }
        if state.over {
            state.lines.values().for_each(|line| line.writer.shut());
        }
        self.changed.notify_all();
    }

    fn run_source(&self, holder: &HostPort) {
        let ended = take_from(self, holder);
        let mut state = self.state.lock();
        state.running -= 1;
        state.accounts.of(holder);
        if let Err(fault) = ended
            && !state.over
            && !self.stop.is_set()
        {
            match fault {
                AttemptFault::Disk(error) => {
                    state.over = true;
                    state.lines.values().for_each(|line| line.writer.shut());
                    state.disk.get_or_insert(error);
                }
                AttemptFault::NoPieces => state.whole_only.push(holder.clone()),
                AttemptFault::Interrupted => {}
                fault => {
                    state.failed.push((holder.clone(), fault.to_string()));
                    state.accounts.failed(holder, &fault);
                }
            }
        }
        self.changed.notify_all();
    }
}

impl Fetcher<'_> {
    /// Fetches a content by pieces, from as many holders as there are.
    pub(super) fn fetch_pieces(
        &mut self,
        content: &ContentInfo,
        known: Vec<HostPort>,
        more: &mut dyn HolderSource,
        accounts: &mut Accounts,
        watcher: &mut dyn Watcher,
    ) -> Result<(PathBuf, Arc<Manifest>), FetchFault> {
        let landing =
            Landing::open(&self.out, &content.name, content.id, content.bytes).map_err(FetchFault::Disk)?;
        let state = State {
            taker: None,
            lines: BTreeMap::new(),
            next: 0,
            heard: Vec::new(),
            accounts: core::mem::take(accounts),
            running: 0,
            failed: Vec::new(),
            whole_only: Vec::new(),
            disk: None,
            bytes_here: 0,
            over: false,
        };
        let swarm = Swarm {
            content,
            landing,
            manifest: OnceLock::new(),
            offer: OnceLock::new(),
            sharing: self.sharing,
            state: Mutex::new(state),
            changed: Condvar::new(),
            down: self.down,
            clock: Clock::start(),
            stop: &self.stop,
        };
        std::thread::scope(|scope| oversee(&swarm, scope, known, more, watcher));
        let Swarm {
            state,
            landing,
            manifest,
            sharing,
            ..
        } = swarm;
        let state = state.into_inner();
        *accounts = state.accounts;
        let whole = state.taker.is_some_and(|taker| taker.verified().is_all());
        if whole && let Some(manifest) = manifest.get() {
            let path = landing.finish().map_err(FetchFault::Disk)?;
            return Ok((path, Arc::clone(manifest)));
        }
        if let Some(sharing) = sharing {
            sharing.give_up(content);
        }
        match state.disk {
            Some(error) => Err(FetchFault::Disk(error)),
            None if self.stop.is_set() => Err(FetchFault::Interrupted),
            None if !state.whole_only.is_empty() => {
                drop(landing);
                self.fetch_whole(content, state.whole_only, more, accounts, watcher)
            }
            None => Err(FetchFault::NoHolderLeft(None, Vec::new())),
        }
    }
}

/// Starts a thread for every holder, shows progress, and ends when the content is whole or nobody is left.
fn oversee<'scope>(
    swarm: &'scope Swarm<'_>,
    scope: &'scope std::thread::Scope<'scope, '_>,
    mut known: Vec<HostPort>,
    more: &mut dyn HolderSource,
    watcher: &mut dyn Watcher,
) {
    let mut tried: BTreeSet<HostPort> = BTreeSet::new();
    let mut waiting: VecDeque<HostPort> = VecDeque::new();
    if let [alone] = known.as_slice()
        && swarm.content.bytes >= TWO_STREAMS_BYTES
    {
        // A second connection to a lone holder; it is tried once more below, by its own name.
        start(swarm, scope, alone.clone());
    }
    loop {
        waiting.extend(known.drain(..).filter(|holder| tried.insert(holder.clone())));
        while swarm.state.lock().running < SOURCES_MAX
            && let Some(holder) = waiting.pop_front()
        {
            start(swarm, scope, holder);
        }
        let mut state = swarm.state.lock();
        let idle = state.running == 0 && state.heard.is_empty();
        if !state.over && !idle && state.heard.is_empty() && state.failed.is_empty() {
            swarm.changed.wait_for(&mut state, LOOK);
        }
        let now = swarm.clock.at();
        if let Some(taker) = state.taker.as_mut() {
            taker.handle_timeout(now);
        }
        swarm.pump_with(&mut state, 1);
        known = core::mem::take(&mut state.heard);
        let (failed, here) = (core::mem::take(&mut state.failed), state.bytes_here);
        let over = state.over || swarm.stop.is_set();
        let nobody = state.running == 0 && known.is_empty() && waiting.is_empty();
        drop(state);
        failed
            .iter()
            .for_each(|(holder, why)| watcher.failed(holder, why));
        watcher.advanced(here);
        if over {
            let state = swarm.state.lock();
            state.lines.values().for_each(|line| line.writer.shut());
            return;
        }
        if nobody {
            known = more
                .more()
                .into_iter()
                .filter(|holder| !tried.contains(holder))
                .collect();
            if known.is_empty() {
                return;
            }
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
