//! One connection of a batch: asks ahead, takes the answers in order, verifies each content whole.
//!
//! Invariant: nothing reaches a file before the bytes have the id that was asked for, and a holder that drips is
//! given up: what it owes next must come at a least rate, our own limit not counted.

use super::account::AttemptFault;
use super::many::{Landed, State, Work};
use crate::id::{PieceIndex, RequestNumber};
use crate::limits::{
    ANSWER_TIMEOUT, HOLDER_RETRY, SMALL_BYTES_MAX, SMALL_GROUP_FILES, SMALL_RATE_MIN, SMALL_READ_BYTES,
    STALL_GIVE_UP, TREE_BYTES_MAX,
};
use crate::net::{Conn, ConnError, Incoming};
use crate::proto::transfer::{
    BatchHolder, BatchItem, Manifest, PieceHasher, Source, piece_count, piece_span,
};
use crate::time::Span;
use crate::wire::{ByteRange, Download, Message, Part, Refusal, Wanted, features};
use parking_lot::MutexGuard;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Whether a connection that ended is opened again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Again,
}

/// How a content was answered.
enum Answer {
    /// So many bytes of it are in the buffer.
    Whole(usize),
    /// It does not come from this holder, or not in this way; the connection goes on or not.
    Lacking(AttemptFault, End),
}

impl Work<'_> {
    pub(super) fn run_lane(&self, holder: BatchHolder) {
        let address = &self.holders[holder];
        loop {
            let source = {
                let mut state = self.state.lock();
                state.next += 1;
                Source(state.next)
            };
            let mut came = 0_u64;
            let ended = self.take_over(holder, source, &mut came);
            let mut state = self.state.lock();
            state.lines.remove(&source);
            self.changed.notify_all();
            let owed = state.batch.close(source);
            let again = match ended {
                Ok(end) => end == End::Again,
                Err(AttemptFault::Disk(error)) => {
                    state.disk.get_or_insert(error);
                    false
                }
                Err(AttemptFault::Interrupted) => false,
                Err(_) if state.over || self.stop.is_set() => false,
                Err(fault) => {
                    state.failed.push((address.clone(), fault.to_string()));
                    if let Some(item) = owed.first() {
                        state.accounts.entry(*item).or_default().failed(address, &fault);
                    }
                    // Whoever broke off in the middle is asked again; whoever does so at once is gone. A second
                    // connection that is refused says nothing about the first.
                    let broke_off = came > 0 && !matches!(fault, AttemptFault::Lie(_));
                    let spare = came == 0 && owed.is_empty() && state.lanes[holder] > 1;
                    if !broke_off && !spare && fault.is_busy() && self.waits_for_room(holder, &mut state) {
                        continue;
                    }
                    if !broke_off && !spare {
                        state.batch.give_up(holder);
                        state.gone.push((holder, fault));
                    }
                    broke_off
                }
            };
            if !again || state.over {
                state.running -= 1;
                state.lanes[holder] -= 1;
                self.changed.notify_all();
                return;
            }
        }
    }

    /// Waits until a holder that serves as many as it may is worth another try; false if there are others, or it has been
    /// long enough.
    fn waits_for_room(&self, holder: BatchHolder, state: &mut MutexGuard<'_, State>) -> bool {
        let now = self.clock.at();
        let is_gone = |other: BatchHolder| state.gone.iter().any(|(gone, _)| *gone == other);
        let is_last = (0..self.holders.len()).all(|other| other == holder || is_gone(other));
        if !is_last || now.since(crate::time::Instant::ZERO) >= STALL_GIVE_UP {
            return false;
        }
        let until = self.clock.std_instant(now.after(HOLDER_RETRY));
        let is_over = |state: &State| state.over || self.stop.is_set();
        while !is_over(state) && !self.changed.wait_until(state, until).timed_out() {}
        !is_over(state)
    }

    fn take_over(&self, holder: BatchHolder, source: Source, came: &mut u64) -> Result<End, AttemptFault> {
        let mut conn = Conn::connect(&self.holders[holder], features::HOLDER, &self.reaching)?;
        conn.read_together(SMALL_READ_BYTES);
        {
            let mut state = self.state.lock();
            state.lines.insert(source, Arc::clone(conn.writer()));
            state.batch.open(source, holder);
        }
        let mut buffer = Vec::new();
        let (mut asked, mut answered) = (RequestNumber(0), RequestNumber(0));
        loop {
            let (asks, owed) = {
                let mut state = self.state.lock();
                if state.over {
                    return Ok(End::Done);
                }
                let asks = state.batch.asks(self.clock.at(), source);
                (asks, state.batch.owed(source))
            };
            let ask = |item: &BatchItem| {
                asked = asked.next();
                let range = ByteRange {
                    offset: 0,
                    bytes: u64::MAX,
                };
                let wanted = Wanted::Id(self.items[*item].0.id);
                let (request, part) = (asked, Part::Range(range));
                Message::from(Download {
                    request,
                    wanted,
                    part,
                })
            };
            let requests: Vec<Message> = asks.iter().map(ask).collect();
            if !requests.is_empty() {
                conn.writer().send_all(&requests)?;
            }
            let Some((item, _)) = owed else {
                return Ok(End::Done);
            };
            answered = answered.next();
            match self.receive(&mut conn, answered, item, &mut buffer)? {
                Answer::Whole(bytes) => {
                    *came += 1;
                    self.keep(holder, source, item, &buffer[..bytes])?;
                }
                Answer::Lacking(fault, end) => {
                    let mut state = self.state.lock();
                    if matches!(fault, AttemptFault::Longer) {
                        state.longer.entry(item).or_default().push(holder);
                        self.expose(&mut state, item);
                    } else {
                        self.failed(&mut state, holder, item, &fault);
                    }
                    state.batch.lacks(source);
                    drop(state);
                    self.changed.notify_all();
                    if end == End::Again {
                        return Ok(End::Again);
                    }
                }
            }
        }
    }

    /// The answer to one request, read to its end.
    fn receive(
        &self,
        conn: &mut Conn,
        request: RequestNumber,
        item: BatchItem,
        buffer: &mut Vec<u8>,
    ) -> Result<Answer, AttemptFault> {
        let content = self.items[item].0;
        let listed = content.bytes.min(bytes_max(self.group.is_none()));
        let mut left = Patience::of(listed);
        let mut filled = 0;
        loop {
            let incoming = left.spend(|within| conn.receive(within))?;
            match incoming {
                None => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Some(Incoming::Content(label, bytes)) => {
                    if label.request != request || label.offset != filled as u64 || bytes == 0 {
                        let text = format!("sent bytes of another place ({})", label.offset);
                        return Err(AttemptFault::Lie(text));
                    }
                    // What is listed proves nothing, and the id does.
                    let end = (filled + bytes) as u64;
                    if end > bytes_max(self.group.is_none()) {
                        let longer = match self.group {
                            Some(_) => AttemptFault::Longer,
                            None => AttemptFault::TooLong(end),
                        };
                        return Ok(Answer::Lacking(longer, End::Again));
                    }
                    left.allow(end.saturating_sub(listed.max(filled as u64)));
                    if buffer.len() < filled + bytes {
                        buffer.resize(filled + bytes, 0);
                    }
                    for part in buffer[filled..filled + bytes].chunks_mut(self.down.step_bytes()) {
                        left.spend(|within| conn.read_payload_within(part, within).map_err(ConnError::from))?;
                        if self.down.wait(part.len(), self.stop) {
                            return Err(AttemptFault::Interrupted);
                        }
                    }
                    filled += bytes;
                }
                Some(Incoming::Message(Message::Final(last))) if last.request == request => {
                    if last.id != content.id || last.bytes != filled as u64 {
                        return Err(AttemptFault::Lie("ended with another id or size".to_owned()));
                    }
                    return Ok(Answer::Whole(filled));
                }
                Some(Incoming::Message(other)) => {
                    let is_ours = other.request() == Some(request);
                    return match conn.unexpected(&other) {
                        ConnError::Refused(Refusal::ContentLost, text) if is_ours => {
                            // It cuts the connection: what was on its way may be of either state.
                            let error = ConnError::Refused(Refusal::ContentLost, text);
                            Ok(Answer::Lacking(error.into(), End::Again))
                        }
                        ConnError::Refused(code, text) if is_ours && filled == 0 => {
                            Ok(Answer::Lacking(ConnError::Refused(code, text).into(), End::Done))
                        }
                        error => Err(error.into()),
                    };
                }
            }
        }
    }

    /// Verifies a content, and writes it if nobody else has brought it.
    fn keep(
        &self,
        holder: BatchHolder,
        source: Source,
        item: BatchItem,
        bytes: &[u8],
    ) -> Result<(), AttemptFault> {
        let (content, orders) = &self.items[item];
        let manifest = manifest_of(bytes);
        if manifest.id() != content.id {
            return Err(AttemptFault::Lie("what it sent has another id".to_owned()));
        }
        let first = {
            let mut state = self.state.lock();
            let accounts = state.accounts.entry(item).or_default();
            accounts.of(&self.holders[holder]).bytes += bytes.len() as u64;
            state.bytes += bytes.len() as u64;
            let first = state.batch.came(self.clock.at(), source);
            self.expose(&mut state, item);
            first
        };
        let Some(group) = self.group else {
            self.state.lock().kept = Some(bytes.to_vec());
            return Ok(());
        };
        if !first {
            return Ok(());
        }
        let manifest = Arc::new(manifest);
        for order in orders {
            self.wait_for_room()?;
            let wanted = &self.orders[*order];
            let executable = wanted.executable.unwrap_or(false);
            let put = group.put(&wanted.info.name, content.id, executable, bytes);
            let mut state = self.state.lock();
            match put {
                Ok(part) => {
                    let landed = Landed::new(*order, item, part, Arc::clone(&manifest));
                    state.landed.push(landed);
                }
                Err(error) if is_of_one_file(&error) => state.refused.push((*order, error)),
                Err(error) => return Err(AttemptFault::Disk(error)),
            }
            if state.landed.len() >= SMALL_GROUP_FILES {
                self.changed.notify_all();
            }
        }
        Ok(())
    }

    fn failed(&self, state: &mut State, holder: BatchHolder, item: BatchItem, fault: &AttemptFault) {
        let address = &self.holders[holder];
        state.accounts.entry(item).or_default().failed(address, fault);
        state.failed.push((address.clone(), fault.to_string()));
    }

    /// Once a content is here, who sent more than there is of it was wrong.
    fn expose(&self, state: &mut State, item: BatchItem) {
        if !state.batch.is_here(item) {
            return;
        }
        for holder in state.longer.remove(&item).unwrap_or_default() {
            let bytes = self.items[item].0.bytes;
            let lie = AttemptFault::Lie(format!("sent more than the {bytes} bytes there are"));
            self.failed(state, holder, item, &lie);
        }
    }

    /// What has come is given its name before more is written: each is an open file.
    fn wait_for_room(&self) -> Result<(), AttemptFault> {
        let mut state = self.state.lock();
        while state.landed.len() + state.naming >= 2 * SMALL_GROUP_FILES {
            self.changed.wait(&mut state);
        }
        if state.disk.is_some() || self.stop.is_set() {
            Err(AttemptFault::Interrupted)
        } else {
            Ok(())
        }
    }
}

/// What may come whole, whatever was listed: a tree is kept in memory, and nothing else can bring it.
const fn bytes_max(is_tree: bool) -> u64 {
    if is_tree { TREE_BYTES_MAX } else { SMALL_BYTES_MAX }
}

/// True if the error is about the name, and others may well be written.
fn is_of_one_file(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::ResourceBusy
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidFilename
    )
}

fn manifest_of(bytes: &[u8]) -> Manifest {
    let length = bytes.len() as u64;
    let value = |piece| {
        let span = piece_span(length, PieceIndex(piece));
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        let mut hasher = PieceHasher::new(length, PieceIndex(piece));
        hasher.update(&bytes[place(span.start)..place(span.end)]);
        hasher.finish()
    };
    Manifest::of_values(length, (0..piece_count(length)).map(value).collect())
}

/// How long a content may still be waited for.
struct Patience(Span);

impl Patience {
    fn of(bytes: u64) -> Self {
        let mut patience = Self(ANSWER_TIMEOUT);
        patience.allow(bytes);
        patience
    }

    /// So many bytes more may come.
    const fn allow(&mut self, bytes: u64) {
        self.0 = Span(self.0.0.saturating_add(Span::from_secs(bytes / SMALL_RATE_MIN).0));
    }

    /// Waits for no longer than is left, and counts it.
    fn spend<T>(&mut self, wait: impl FnOnce(Span) -> Result<T, ConnError>) -> Result<T, AttemptFault> {
        let begun = Instant::now();
        let within = Span(self.0.0.min(ANSWER_TIMEOUT.0));
        let result = wait(within);
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0 = Span(self.0.0.saturating_sub(took));
        if self.0 == Span::ZERO {
            return Err(AttemptFault::Silent);
        }
        Ok(result?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_may_be_so_long_and_no_longer() {
        assert_eq!(bytes_max(true), TREE_BYTES_MAX);
        assert_eq!(bytes_max(false), SMALL_BYTES_MAX);
    }

    #[test]
    fn who_drips_is_waited_for_so_long() {
        assert_eq!(Patience::of(0).0, ANSWER_TIMEOUT);
        assert_eq!(
            Patience::of(10 * SMALL_RATE_MIN).0.as_secs(),
            ANSWER_TIMEOUT.as_secs() + 10
        );
        let mut left = Patience::of(0);
        let drip = |_| {
            std::thread::park_timeout(std::time::Duration::from_millis(5));
            Ok(())
        };
        assert!(left.spend(drip).is_ok());
        assert!(left.0 < ANSWER_TIMEOUT, "it counts");
        let ended = Patience(Span::from_millis(1)).spend(drip).err();
        assert!(matches!(ended, Some(AttemptFault::Silent)), "{ended:?}");
    }
}
