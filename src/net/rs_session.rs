//! One connection at the RS: bytes in, whole frames answered, bytes out. Never blocks.
//!
//! Invariant: a session holds at most one unfinished frame of input and a bounded amount of output; a
//! client that does not take its answers is not read from.

use super::places::Place;
use super::{Dropped, Service, Turn};
use crate::limits::{
    CHUNK_BYTES_MAX, FRAME_DEADLINE, HELLO_DEADLINE, RS_ANSWERS_WAITING_BYTES_MAX, RS_IDLE, SEND_DEADLINE,
};
use crate::proto::{Asker, bad_bytes, refusal};
use crate::storage::ChangeCount;
use crate::time::{Instant, Now};
use crate::wire::{
    DecodeError, Fault, FrameHeader, HEADER_BYTES, Message, Refusal, encode_frame, features, hello,
};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};

/// How a session stands after it was driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to do until the socket is ready again.
    Waiting,
    /// There is more to do at once, after others had their turn.
    Again,
    /// It is over: drop it.
    Ended,
}

/// Bytes read in one turn: enough for many requests, little enough to be fair.
const TURN_BYTES: usize = 64 * 1024;
/// Room for an answer of a usual length.
const ANSWER_BYTES: usize = 512;
/// Bytes read at once, by one session after the other.
pub(super) type ReadBuffer = [u8; 16 * 1024];

/// An answer that waits for the store, and those behind it.
#[derive(Debug)]
struct Held {
    /// Where it begins in the output.
    from: usize,
    /// What it waits for.
    after: ChangeCount,
    /// When its request came.
    came: Instant,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: TcpStream,
    asker: Asker,
    /// Free again when this is dropped.
    _place: Option<Place>,
    /// What it was last known to hold.
    pub(super) counted_bytes: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    held: VecDeque<Held>,
    greeted: bool,
    /// When it was opened.
    opened_at: Instant,
    /// Bytes of answers taken since [`Session::stuck_since`].
    taken_bytes: usize,
    /// After the output: close.
    ending: bool,
    /// The poll has told that the client will send no more.
    pub(super) hung_up: bool,
    /// All that it sent is read.
    closed: bool,
    /// Whole frames are waiting in the input for room in the output.
    backlog: bool,
    /// Since when an unfinished frame, or an answer nobody takes, has been waiting.
    stuck_since: Option<Instant>,
    /// When it last asked something.
    pub(super) active_at: Instant,
}

impl Session {
    pub(super) fn new(stream: TcpStream, asker: Asker, place: Option<Place>, now: Instant) -> Self {
        Self {
            stream,
            asker,
            _place: place,
            counted_bytes: 0,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            held: VecDeque::new(),
            greeted: false,
            opened_at: now,
            taken_bytes: 0,
            ending: false,
            hung_up: false,
            closed: false,
            backlog: false,
            stuck_since: None,
            active_at: now,
        }
    }

    /// True while it neither asks nor is owed anything: it may be closed when its place is needed.
    pub(super) fn is_idle(&self) -> bool {
        self.input.is_empty() && self.output.is_empty()
    }

    /// True while answers wait for the store: drive it when more is settled.
    pub(super) fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Who goes first when room is needed: those that have not even greeted, then those that asked longest ago.
    pub(super) const fn idle_rank(&self) -> u64 {
        if self.greeted {
            self.active_at.0 | 1 << 63
        } else {
            self.opened_at.0
        }
    }

    /// Memory that its unfinished input and its waiting output take: as it was known before, and now.
    pub(super) const fn note_held_bytes(&mut self) -> (usize, usize) {
        let now = self.input.capacity() + self.output.capacity();
        (core::mem::replace(&mut self.counted_bytes, now), now)
    }

    /// Why it has to go, if it has been silent or in the middle of something for too long.
    pub(super) fn overdue(&self, now: Instant) -> Option<Dropped> {
        let stuck_since = self.stuck_since.unwrap_or(now);
        let (since, allowed, why) = if !self.greeted {
            (self.opened_at, HELLO_DEADLINE, Dropped::NoHello)
        } else if self.is_idle() {
            (self.active_at, RS_IDLE, Dropped::Idle)
        } else if self.output.is_empty() {
            (stuck_since, FRAME_DEADLINE, Dropped::SlowFrame)
        } else {
            (stuck_since, SEND_DEADLINE, Dropped::SlowReader)
        };
        (now.since(since) > allowed).then_some(why)
    }

    /// Reads what is there, answers it, writes what can be written.
    pub(super) fn drive(&mut self, now: Now, service: &dyn Service, buffer: &mut ReadBuffer) -> Progress {
        let progress = self.turn(now, service, buffer).unwrap_or(Progress::Ended);
        if self.is_idle() {
            // Ten thousand idle clients must not each keep the largest buffer they ever needed.
            self.input = Vec::new();
            self.output = Vec::new();
            self.stuck_since = None;
        } else if self.stuck_since.is_none() {
            self.stuck_since = Some(now.at);
        }
        progress
    }

    fn turn(&mut self, now: Now, service: &dyn Service, buffer: &mut ReadBuffer) -> io::Result<Progress> {
        self.write(now.at, service)?;
        let had_backlog = self.backlog;
        let mut progress = Progress::Waiting;
        if !self.ending && !self.is_full() {
            if !self.backlog && !self.closed {
                progress = self.read(buffer)?;
            }
            self.answer_frames(now, service);
            self.write(now.at, service)?;
        }
        let all_asked = self.ending || self.closed && !self.backlog;
        if all_asked && self.output.is_empty() {
            return Ok(Progress::Ended);
        }
        // The socket tells when it has room again, but not that we stopped in the middle of the input, nor a
        // second time of what came while we did not read.
        let unread = had_backlog && !self.backlog && !self.closed;
        Ok(if unread || self.backlog && !self.is_full() {
            Progress::Again
        } else {
            progress
        })
    }

    fn is_full(&self) -> bool {
        self.output.len() - self.written >= RS_ANSWERS_WAITING_BYTES_MAX
    }

    fn read(&mut self, buffer: &mut ReadBuffer) -> io::Result<Progress> {
        let mut turn_bytes = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => {
                    self.closed = true;
                    return Ok(Progress::Waiting);
                }
                Ok(bytes) => {
                    self.input.extend_from_slice(&buffer[..bytes]);
                    turn_bytes += bytes;
                    if turn_bytes >= TURN_BYTES {
                        return Ok(Progress::Again);
                    }
                    // It was empty, and the poll tells of its next byte; of its end it may have told already.
                    if bytes < buffer.len() && !self.hung_up {
                        return Ok(Progress::Waiting);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Waiting),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers the whole frames of the input, as far as the output has room.
    fn answer_frames(&mut self, now: Now, service: &dyn Service) {
        let input = core::mem::take(&mut self.input);
        let mut rest = input.as_slice();
        let mut turn = service.turn(now);
        loop {
            self.backlog = self.is_full();
            if self.backlog {
                break;
            }
            match next_frame(&mut rest) {
                Ok(Some(message)) => {
                    self.active_at = now.at;
                    self.stuck_since = None;
                    self.answer(now.at, &message, service, &mut *turn);
                }
                Ok(None) => break,
                Err(error) => {
                    service.account().note_dropped(Dropped::Unreadable);
                    self.end_with(&bad_bytes(error));
                    rest = &[];
                    break;
                }
            }
            if self.ending {
                rest = &[];
                break;
            }
        }
        self.input = rest.to_vec();
    }

    fn answer(&mut self, now: Instant, message: &Message, service: &dyn Service, turn: &mut dyn Turn) {
        match message {
            Message::Version(version) if !self.greeted => match version.common() {
                Ok(_) => {
                    self.greeted = true;
                    encode_frame(&hello(features::REGISTRATION), &mut self.output);
                }
                // It speaks something else: what we say would be noise to it.
                Err(error) if error.fault == Fault::Magic => self.ending = true,
                Err(error) => self.end_with(&bad_bytes(error)),
            },
            other if !self.greeted => {
                let text = "the first frame of a connection is V, the version";
                self.end_with(&refusal(
                    other.request().unwrap_or_default(),
                    Refusal::BadFrame,
                    text,
                ));
            }
            request => {
                let (answer, after) = turn.answer(&self.asker, request);
                if after > service.settled() {
                    let (from, came) = (self.output.len(), now);
                    self.held.push_back(Held { from, after, came });
                }
                self.output.reserve(ANSWER_BYTES);
                encode_frame(&answer, &mut self.output);
            }
        }
    }

    /// Sends a last frame and closes.
    pub(super) fn end_with(&mut self, last: &Message) {
        encode_frame(last, &mut self.output);
        self.ending = true;
    }

    fn write(&mut self, now: Instant, service: &dyn Service) -> io::Result<()> {
        while let Some(held) = self.held.pop_front_if(|held| held.after <= service.settled()) {
            service.account().note_wait(now.since(held.came));
        }
        let end = self.held.front().map_or(self.output.len(), |held| held.from);
        while self.written < end {
            match self.stream.write(&self.output[self.written..end]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    self.written += bytes;
                    self.taken_bytes += bytes;
                    // A byte now and then is not reading.
                    if self.taken_bytes >= CHUNK_BYTES_MAX {
                        self.taken_bytes = 0;
                        self.stuck_since = Some(now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            self.taken_bytes = 0;
        }
        Ok(())
    }
}

/// Takes the first whole frame off `rest`; `None` if it is not all there yet.
fn next_frame(rest: &mut &[u8]) -> Result<Option<Message>, DecodeError> {
    let Some(header) = rest.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    let header = FrameHeader::decode(*header)?;
    if rest.len() < HEADER_BYTES + header.bytes {
        return Ok(None);
    }
    let (frame, after) = rest.split_at(HEADER_BYTES + header.bytes);
    *rest = after;
    Message::decode(header.letter, &frame[HEADER_BYTES..]).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RequestNumber;
    use crate::net::{Account, Kept};
    use crate::time::Span;
    use crate::wire::StatusQuery;
    use std::net::{Ipv4Addr, TcpListener};
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    fn session() -> (Session, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("connected");
        let (stream, from) = listener.accept().expect("accepted");
        let asker = Asker::over_tcp(from.ip(), from.ip());
        stream.set_nonblocking(true).expect("set");
        let stream = TcpStream::from_std(stream);
        (Session::new(stream, asker, None, Instant::ZERO), client)
    }

    #[test]
    fn who_says_nothing_goes_in_time_and_who_has_asked_lately_stays() {
        let (mut session, _client) = session();
        let after = |span: Span| Instant::ZERO.after(span);
        let more = Span::from_millis(1);
        assert_eq!(session.overdue(after(HELLO_DEADLINE)), None);
        assert_eq!(
            session.overdue(after(HELLO_DEADLINE).after(more)),
            Some(Dropped::NoHello)
        );
        session.greeted = true;
        assert_eq!(session.overdue(after(RS_IDLE)), None);
        assert_eq!(session.overdue(after(RS_IDLE).after(more)), Some(Dropped::Idle));
        session.active_at = after(RS_IDLE);
        assert_eq!(session.overdue(after(RS_IDLE).after(more)), None);
        session.input = vec![0];
        session.stuck_since = Some(Instant::ZERO);
        assert_eq!(session.overdue(after(FRAME_DEADLINE)), None);
        assert_eq!(
            session.overdue(after(FRAME_DEADLINE).after(more)),
            Some(Dropped::SlowFrame)
        );
        session.output = vec![0];
        assert_eq!(session.overdue(after(SEND_DEADLINE)), None);
        assert_eq!(
            session.overdue(after(SEND_DEADLINE).after(more)),
            Some(Dropped::SlowReader)
        );
    }

    /// A service whose store settles when it is told to.
    struct Slow {
        account: Account,
        settled: AtomicU64,
    }

    impl Service for Slow {
        fn turn(&self, _: Now) -> Box<dyn Turn + '_> {
            Box::new(Busy)
        }
        fn account(&self) -> &Account {
            &self.account
        }
        fn settled(&self) -> ChangeCount {
            ChangeCount(self.settled.load(Relaxed))
        }
        fn tell_settled(&self, _: Box<dyn Fn() + Send + Sync>) {}
    }

    struct Busy;

    impl Turn for Busy {
        fn answer(&mut self, _: &Asker, request: &Message) -> (Message, ChangeCount) {
            let request = request.request().unwrap_or_default();
            (refusal(request, Refusal::Busy, "no"), ChangeCount(1))
        }
    }

    #[test]
    fn the_wait_for_the_store_is_part_of_what_the_account_calls_slowest() {
        let (mut session, mut client) = session();
        session.greeted = true;
        let service = Slow {
            account: Account::new(Instant::ZERO),
            settled: AtomicU64::new(0),
        };
        let slowest_us = || {
            let told = service
                .account
                .tell(Instant::ZERO, RequestNumber(1), Kept::default());
            told.slowest_us
        };
        let at = |millis| Now {
            at: Instant::ZERO.after(Span::from_millis(millis)),
            ..Now::default()
        };
        let request = RequestNumber(1);
        let mut question = Vec::new();
        encode_frame(&StatusQuery { request }.into(), &mut question);
        client.write_all(&question).expect("sent");
        let mut buffer = [0; size_of::<ReadBuffer>()];
        while !session.is_held() {
            session.drive(at(0), &service, &mut buffer);
        }
        session.drive(at(3), &service, &mut buffer);
        assert!(session.is_held());
        assert_eq!(slowest_us(), 0);
        service.settled.store(1, Relaxed);
        session.drive(at(70), &service, &mut buffer);
        assert!(session.is_idle());
        assert_eq!(slowest_us(), 70_000);
    }

    #[test]
    fn those_that_have_not_greeted_make_room_first() {
        let ((mut old, _a), (new, _b)) = (session(), session());
        old.greeted = true;
        assert!(new.idle_rank() < old.idle_rank());
        let rank = old.idle_rank();
        old.active_at = Instant::ZERO.after(Span::from_secs(1));
        assert!(old.idle_rank() > rank);
    }
}
