//! The plain rule of the tracker with parts, to compare with: part i of n comes from holder i.
//!
//! Belongs here: the split, and a thread for each part that asks its holder for runs of bytes. Does not: the landing,
//! the journal and who is told what is here, which are the swarm's (`swarm.rs`). While all holders work nothing is
//! taken from one and given to another, so it takes as long as the slowest part; a holder that fails has the rest of
//! its part asked of the next. Invariant: the parts cover every piece once, and a piece counts only when its bytes have
//! the proven value.

use super::account::AttemptFault;
use super::source::{ask_manifest, download, no_pieces};
use super::stopwatch::{self, Phase};
use super::swarm::Swarm;
use super::{HolderSource, Watcher};
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::{ANSWER_TIMEOUT, CHUNK_BYTES_MAX, SOURCES_MAX};
use crate::name::HostPort;
use crate::net::{Conn, Incoming};
use crate::proto::transfer::{PieceHasher, Source, Taker, piece_count, piece_span};
use crate::wire::{Final, Message, features};
use core::ops::Range;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

/// The fetching thread looks around this often, for progress.
const LOOK: Duration = Duration::from_millis(100);

/// Part `part` of `parts`: consecutive, by whole numbers, no two differing by more than one.
pub(super) fn split(count: u32, part: usize, parts: usize) -> Range<u32> {
    let border = |part: usize| {
        let border = u64::from(count) * part as u64 / parts.max(1) as u64;
        u32::try_from(border).unwrap_or(count)
    };
    border(part)..border(part + 1)
}

/// Those that have failed in this round, each of which is asked no more.
type Failed = Mutex<BTreeSet<HostPort>>;

/// Takes the parts from those known; what is missing after all of them have failed, from whoever else is found.
pub(super) fn oversee(
    swarm: &Swarm<'_>,
    mut known: Vec<HostPort>,
    more: &mut dyn HolderSource,
    watcher: &mut dyn Watcher,
) {
    let mut tried: BTreeSet<HostPort> = BTreeSet::new();
    loop {
        known.retain(|holder| tried.insert(holder.clone()));
        let later = known.split_off(known.len().min(SOURCES_MAX));
        later.iter().for_each(|holder| {
            tried.remove(holder);
        });
        let failed = Failed::default();
        let begun = known.iter().any(|holder| begin(swarm, holder, &failed));
        tell(swarm, watcher);
        if begun && !swarm.is_over() {
            std::thread::scope(|scope| {
                for part in 0..known.len() {
                    let (known, failed) = (&known, &failed);
                    swarm.state.lock().running += 1;
                    let thread = std::thread::Builder::new().name("fetch-part".to_owned());
                    let spawned = thread.spawn_scoped(scope, move || run_part(swarm, part, known, failed));
                    if let Err(error) = spawned {
                        log::warn!("no thread for a part: {error}");
                        swarm.state.lock().running -= 1;
                    }
                }
                while tell(swarm, watcher) {
                    swarm.changed.wait_for(&mut swarm.state.lock(), LOOK);
                }
            });
        }
        tell(swarm, watcher);
        if swarm.is_over() || swarm.stop().is_set() {
            return;
        }
        known = if later.is_empty() {
            more.more(&tried)
        } else {
            later
        };
        if known.is_empty() {
            return;
        }
    }
}

/// Tells how far it is; true while parts are on their way.
fn tell(swarm: &Swarm<'_>, watcher: &mut dyn Watcher) -> bool {
    let mut state = swarm.state.lock();
    let standing = state.standing(swarm.clock.at());
    let (failed, running) = (core::mem::take(&mut state.failed), state.running > 0);
    drop(state);
    failed
        .iter()
        .for_each(|(holder, why)| watcher.failed(holder, why));
    watcher.advanced(&standing);
    running
}

/// Gets the piece values, if they are not here yet; false if this holder does not give them.
fn begin(swarm: &Swarm<'_>, holder: &HostPort, failed: &Failed) -> bool {
    if !swarm.needs_manifest() {
        return true;
    }
    let asked = connect(swarm, holder).and_then(|mut conn| ask_manifest(swarm, &mut conn));
    let begun = asked.and_then(|manifest| swarm.set_manifest(manifest).map_err(AttemptFault::Disk));
    match begun {
        Ok(()) => true,
        Err(fault) => {
            failed.lock().insert(holder.clone());
            swarm.state.lock().ended_badly(holder, fault);
            false
        }
    }
}

impl Swarm<'_> {
    /// A holder is reached of which ranges are asked, and which is told nothing.
    fn join(&self) -> Source {
        stopwatch::lap(Phase::Reaching);
        let mut state = self.state.lock();
        let source = Source(state.next);
        state.next += 1;
        let now = self.clock.at();
        if let Some(taker) = state.taker.as_mut() {
            taker.open(now, source);
        }
        // Nobody listens, so what it wants said goes nowhere.
        self.pump_with(&mut state, usize::MAX);
        source
    }

    /// The runs of pieces among these that are not here yet.
    fn missing_runs(&self, pieces: &Range<u32>) -> Vec<Range<u32>> {
        let state = self.state.lock();
        let missing = state.taker.as_ref().map(Taker::missing).unwrap_or_default();
        let among = |run: Range<u32>| run.start.max(pieces.start)..run.end.min(pieces.end);
        missing
            .into_iter()
            .map(among)
            .filter(|run| !run.is_empty())
            .collect()
    }
}

fn connect(swarm: &Swarm<'_>, holder: &HostPort) -> Result<Conn, AttemptFault> {
    let conn = Conn::connect(holder, features::HOLDER | features::PIECES, swarm.stop())?;
    if conn.features() & features::PIECES == 0 {
        return Err(no_pieces(swarm));
    }
    Ok(conn)
}

/// Takes a part from its holder; the rest of it from the next one where that fails, and so on around.
fn run_part(swarm: &Swarm<'_>, part: usize, known: &[HostPort], failed: &Failed) {
    let pieces = split(piece_count(swarm.content().bytes), part, known.len());
    for holder in known.iter().cycle().skip(part).take(known.len()) {
        if failed.lock().contains(holder) || swarm.is_over() || swarm.stop().is_set() {
            continue;
        }
        stopwatch::start();
        swarm.state.lock().come(swarm.clock.at(), holder);
        let ended = take_part(swarm, holder, pieces.clone());
        let spent = stopwatch::stop();
        let mut state = swarm.state.lock();
        state.gone(swarm.clock.at(), holder, &spent);
        match ended {
            Ok(()) => break,
            Err(fault) => {
                failed.lock().insert(holder.clone());
                if !swarm.stop().is_set() {
                    state.ended_badly(holder, fault);
                }
            }
        }
    }
    swarm.state.lock().running -= 1;
    swarm.changed.notify_all();
}

/// Takes what is missing of a part from one holder.
fn take_part(swarm: &Swarm<'_>, holder: &HostPort, pieces: Range<u32>) -> Result<(), AttemptFault> {
    let mut missing = swarm.missing_runs(&pieces).into_iter().peekable();
    if missing.peek().is_none() {
        return Ok(());
    }
    let mut conn = connect(swarm, holder)?;
    let source = swarm.join();
    let ended = (1..)
        .map(RequestNumber)
        .zip(missing)
        .try_for_each(|(request, run)| take_run(swarm, source, holder, &mut conn, request, run));
    swarm.close(source);
    ended
}

/// Takes consecutive pieces by one download of their bytes.
fn take_run(
    swarm: &Swarm<'_>,
    source: Source,
    holder: &HostPort,
    conn: &mut Conn,
    request: RequestNumber,
    run: Range<u32>,
) -> Result<(), AttemptFault> {
    let (id, bytes) = (swarm.content().id, swarm.content().bytes);
    let mut at = piece_span(bytes, PieceIndex(run.start)).start;
    let end = piece_span(bytes, PieceIndex(run.end.saturating_sub(1))).end;
    conn.send(&download(request, id, &(at..end)).into())?;
    let mut buffer = vec![0; CHUNK_BYTES_MAX];
    let mut arriving: Option<(PieceIndex, PieceHasher)> = None;
    loop {
        match conn.receive(ANSWER_TIMEOUT)? {
            Some(Incoming::Content(label, length)) => {
                let span = piece_span(bytes, label.piece);
                let fits = label.request == request && label.offset == at && span.contains(&at);
                if !fits || length == 0 || at + length as u64 > span.end.min(end) {
                    let text = format!("sent bytes of another place ({})", label.offset);
                    return Err(AttemptFault::Lie(text));
                }
                let (piece, hasher) = arriving.get_or_insert_with(|| {
                    swarm.chosen(source, label.piece);
                    (label.piece, PieceHasher::new(bytes, label.piece))
                });
                for step in buffer[..length].chunks_mut(swarm.step_bytes()) {
                    conn.read_payload(step)?;
                    swarm.received(source, holder, step.len())?;
                }
                hasher.update(&buffer[..length]);
                swarm
                    .write(source, *piece, at, &buffer[..length])
                    .map_err(AttemptFault::Disk)?;
                at += length as u64;
                if at == span.end {
                    let (piece, value) = (*piece, hasher.finish());
                    arriving = None;
                    if swarm.value(piece) != Some(value) {
                        let text = format!("sent wrong bytes for piece {}", piece.0);
                        return Err(AttemptFault::Lie(text));
                    }
                    swarm
                        .verified(source, holder, piece, false)
                        .map_err(AttemptFault::Disk)?;
                }
            }
            Some(Incoming::Message(Message::Final(last))) if last.request == request => {
                stopwatch::lap(Phase::Idle);
                return ended(&last, at == end);
            }
            Some(Incoming::Message(other)) => return Err(conn.unexpected(&other).into()),
            None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        }
    }
}

fn ended(last: &Final, complete: bool) -> Result<(), AttemptFault> {
    if complete {
        Ok(())
    } else {
        let text = format!("ended before the range's end, of {} bytes", last.bytes);
        Err(AttemptFault::Lie(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sixty_one_over_seven_holders_lose_nothing() {
        let parts: Vec<u32> = (0..7)
            .map(|part| split(61, part, 7))
            .map(|part| part.end - part.start)
            .collect();
        assert_eq!(parts.iter().sum::<u32>(), 61, "{parts:?}");
        assert_eq!(split(61, 6, 7).end, 61, "the last one is there");
    }

    proptest! {
        #[test]
        fn parts_cover_everything_once(count in any::<u32>(), parts in 1_usize..64) {
            let mut at = 0;
            for part in 0..parts {
                let range = split(count, part, parts);
                prop_assert_eq!(range.start, at);
                let even = u64::from(count) / parts as u64;
                let length = u64::from(range.end - range.start);
                prop_assert!(length == even || length == even + 1);
                at = range.end;
            }
            prop_assert_eq!(at, count);
        }
    }
}
