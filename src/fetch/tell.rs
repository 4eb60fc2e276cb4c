//! What the holders of a content are told: credits, what is settled, what is wanted after all.
//!
//! Belongs here: turning what the [`Taker`] wants done into frames, several words in one where they can wait for each
//! other. Does not: when that is. Invariant: what is said of one piece arrives in the order in which it was true.

use super::swarm::{State, Swarm};
use crate::limits::{PEER_IDLE, SETTLED_TOGETHER_MAX};
use crate::proto::transfer::{Source, TakeOutput, Taker};
use crate::time::Span;
use crate::wire::{Credit, List, Message, Settled, Want};
use std::collections::BTreeMap;

/// A holder that has been told nothing for so long is told that we are here: after [`PEER_IDLE`] it would think that we are
/// not.
const STILL_HERE: Span = Span(PEER_IDLE.0 / 3);

impl Swarm<'_> {
    /// The fetching thread goes to ask an index, or is back: nothing waits for it meanwhile.
    pub(super) fn go_away(&self, away: bool) {
        let mut state = self.state.lock();
        state.away = away;
        self.pump(&mut state);
    }

    /// Does what the taker wants done. Settled pieces are left to the fetching thread, which is woken and tells those of
    /// [`SETTLED_WAIT`](crate::limits::SETTLED_WAIT) in one frame. A holder that hears another word, or has chosen such a piece, is told at once.
    pub(super) fn pump(&self, state: &mut State) {
        let settled_together = if state.away { 1 } else { SETTLED_TOGETHER_MAX };
        self.pump_with(state, settled_together);
    }

    /// The same, telling of settled pieces where there are so many.
    pub(super) fn pump_with(&self, state: &mut State, settled_together: usize) {
        let now = self.clock.at();
        let mut frames: BTreeMap<Source, Vec<Message>> = BTreeMap::new();
        while let Some(output) = state.taker.as_mut().and_then(Taker::poll_output) {
            let request = |source: &Source| state.lines.get(source).map(|line| line.request);
            match output {
                TakeOutput::Finished => state.over = true,
                TakeOutput::Drop(source) => {
                    if let Some(line) = state.lines.get_mut(&source) {
                        line.silent = true;
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
                TakeOutput::Refuse(source, piece) => {
                    if let Some(line) = state.lines.get_mut(&source) {
                        line.settled.push(piece);
                        frames.entry(source).or_default();
                    }
                }
                TakeOutput::Want(source, piece) => {
                    let Some(line) = state.lines.get_mut(&source) else {
                        continue;
                    };
                    let (request, frames) = (line.request, frames.entry(source).or_default());
                    // In this order: it may be on its way, chosen before anybody else did.
                    if line.settled.contains(&piece) {
                        let pieces = List::first_of(line.settled.drain(..));
                        frames.push(Settled { request, pieces }.into());
                    }
                    let pieces = List::first_of([piece]);
                    frames.push(Want { request, pieces }.into());
                }
            }
        }
        let mut untold = false;
        for (source, line) in &mut state.lines {
            // Beside another word it costs nothing.
            let due = frames.contains_key(source) || line.settled.len() >= settled_together;
            if due && !line.settled.is_empty() {
                let pieces = List::first_of(line.settled.drain(..));
                let told = Settled {
                    request: line.request,
                    pieces,
                };
                let frames = frames.entry(*source).or_default();
                // Before credits, which it would have used for these, and after what is wanted.
                let wants = |message: &Message| matches!(message, Message::Want(_));
                let place = frames.iter().rposition(wants).map_or(0, |last| last + 1);
                frames.insert(place, told.into());
            }
            untold |= !line.settled.is_empty();
        }
        for (source, line) in &state.lines {
            if !frames.contains_key(source) && now.since(line.told) >= STILL_HERE {
                let still_here = Credit {
                    request: line.request,
                    pieces: 0,
                };
                frames.insert(*source, vec![still_here.into()]);
            }
        }
        for (source, messages) in frames {
            if let Some(line) = state.lines.get_mut(&source) {
                line.told = now;
                // A line that takes no more is noticed by its own thread.
                if line.writer.send_promptly(&messages).is_err() {
                    line.writer.shut();
                }
            }
        }
        if state.over {
            state.lines.values().for_each(|line| line.writer.shut());
        }
        // The fetching thread looks after what was not told now.
        if state.over || untold && !core::mem::replace(&mut state.untold, untold) {
            self.changed.notify_all();
        }
    }
}
