//! One thread of a load: its sockets, its clients, and the loop that drives a plan with them.

use super::LoadSettings;
use super::carrier::{Carrier, Heard};
use super::plan::{Asked, Plan, Step};
use super::timer::Timer;
use super::world::Client;
use crate::id::{Cookie, RequestNumber};
use crate::net::{Clock, ConnError, Stop};
use crate::time::{Instant, Span};
use core::ops::Range;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io;

/// A client and the request it waits for.
struct Seat {
    client: Client,
    asked: Option<Asked>,
}

/// What happened to requests that were not answered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    pub(super) unanswered: u64,
    pub(super) repeats: u64,
    pub(super) closed: u64,
}

/// One thread's share of a load.
pub(super) struct Worker {
    poll: Poll,
    timer: Timer,
    /// `None` once it is closed. The seat of number n is on carrier n modulo their count.
    carriers: Vec<Option<Carrier>>,
    seats: Vec<Seat>,
    /// Seats without a request under way.
    free: VecDeque<usize>,
    waiting: usize,
    /// The last number used: numbers grow under every cookie.
    number: RequestNumber,
    clock: Clock,
    /// Peers that joined as part of the load.
    pub(super) joined: Vec<Cookie>,
}

/// Without an event the loop looks about this often: for datagrams to repeat, and for the stop.
const LOOK: Span = Span::from_millis(20);

impl Worker {
    /// Opens a thread's share of all connections.
    ///
    /// # Errors
    /// The RS is not reached or refuses.
    pub(super) fn open(
        settings: &LoadSettings,
        connections: Range<usize>,
        clock: Clock,
    ) -> Result<Self, ConnError> {
        let poll = Poll::new()?;
        let timer = Timer::new()?;
        timer.register(&poll, Token(connections.len()))?;
        let mut carriers = Vec::new();
        for number in 0..connections.len() {
            let mut carrier = Carrier::open(&settings.rs, settings.transport)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(carrier.source(), Token(number), interest)?;
            carriers.push(Some(carrier));
        }
        let seat = |number| Seat {
            client: Client::new(number),
            asked: None,
        };
        Ok(Self {
            poll,
            timer,
            carriers,
            seats: (connections.start * settings.window..connections.end * settings.window)
                .map(seat)
                .collect(),
            free: VecDeque::new(),
            waiting: 0,
            number: RequestNumber(0),
            clock,
            joined: Vec::new(),
        })
    }

    /// Does all of a plan, or what can be done of it in its time.
    ///
    /// # Errors
    /// An answer that makes the rest meaningless, or the operating system's.
    pub(super) fn drive(&mut self, plan: &mut impl Plan, stop: &Stop) -> Result<Losses, ConnError> {
        let mut losses = Losses::default();
        let mut events = Events::with_capacity(1_024);
        let mut heard = Vec::new();
        let mut looked = self.clock.at();
        self.free = (0..self.seats.len()).collect();
        loop {
            let wake = self.issue(plan, &mut losses);
            if self.free.is_empty() && self.waiting == 0 {
                break;
            }
            self.wait(&mut events, wake)?;
            for event in &events {
                self.hear(event.token().0, plan, &mut heard, &mut losses)?;
            }
            let now = self.clock.at();
            if now.since(looked) >= LOOK {
                looked = now;
                self.retry(now, &mut losses);
                if now >= plan.gives_up_at() || plan.heeds_stop() && stop.is_set() {
                    break;
                }
            }
        }
        self.settle(&mut losses);
        Ok(losses)
    }

    /// Asks for every free client that has something to ask now; says when the next one has.
    fn issue(&mut self, plan: &mut impl Plan, losses: &mut Losses) -> Option<Instant> {
        let mut touched = Vec::new();
        let mut wake = None;
        while let Some(seat) = self.free.pop_front() {
            let at = seat % self.carriers.len();
            let Some(carrier) = &mut self.carriers[at] else {
                continue;
            };
            let Seat { client, asked } = &mut self.seats[seat];
            let number = self.number.next();
            let now = self.clock.at();
            match plan.next(now, client, number) {
                Step::Ask {
                    kind,
                    intended,
                    request,
                } => {
                    self.number = number;
                    *asked = Some(Asked { kind, intended });
                    carrier.ask(now, seat, number, request);
                    self.waiting += 1;
                    if touched.last() != Some(&at) {
                        touched.push(at);
                    }
                }
                Step::WaitUntil(at) => {
                    self.free.push_front(seat);
                    wake = Some(at);
                    break;
                }
                Step::Rest => {}
            }
        }
        for at in touched {
            if self.carriers[at]
                .as_mut()
                .is_some_and(|carrier| carrier.flush().is_err())
            {
                self.close(at, losses);
            }
        }
        wake
    }

    fn wait(&mut self, events: &mut Events, wake: Option<Instant>) -> io::Result<()> {
        let span = wake.map(|wake| wake.since(self.clock.at()));
        if let Some(span) = span.filter(|span| *span < LOOK) {
            self.timer.wake_after(span)?;
        }
        match self.poll.poll(events, Some(LOOK.to_std())) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn hear(
        &mut self,
        at: usize,
        plan: &mut impl Plan,
        heard: &mut Vec<Heard>,
        losses: &mut Losses,
    ) -> Result<(), ConnError> {
        // The timer's token is behind those of the carriers.
        let Some(Some(carrier)) = self.carriers.get_mut(at) else {
            return Ok(());
        };
        let ended = carrier.hear(self.clock.at(), heard).is_err();
        let now = self.clock.at();
        for answered in heard.drain(..) {
            let seat = &mut self.seats[answered.client];
            if let Some(asked) = seat.asked.take() {
                self.waiting -= 1;
                self.free.push_back(answered.client);
                plan.answered(now, &mut seat.client, &asked, answered.answer)?;
            }
        }
        if ended {
            self.close(at, losses);
        }
        Ok(())
    }

    fn retry(&mut self, now: Instant, losses: &mut Losses) {
        for carrier in self.carriers.iter_mut().flatten() {
            for client in carrier.retry(now) {
                self.seats[client].asked = None;
                self.waiting -= 1;
                self.free.push_back(client);
                losses.unanswered += 1;
            }
        }
    }

    /// A connection that the RS has closed: its clients rest from now on.
    fn close(&mut self, at: usize, losses: &mut Losses) {
        let Some(mut carrier) = self.carriers[at].take() else {
            return;
        };
        losses.closed += 1;
        losses.unanswered += carrier.give_up();
        losses.repeats += carrier.take_repeats();
        let _ = self.poll.registry().deregister(carrier.source());
        let seats = self.seats.iter_mut().skip(at).step_by(self.carriers.len());
        for seat in seats {
            self.waiting -= usize::from(seat.asked.take().is_some());
        }
    }

    /// Ends a phase: whatever is under way now is given up.
    fn settle(&mut self, losses: &mut Losses) {
        for carrier in self.carriers.iter_mut().flatten() {
            losses.unanswered += carrier.give_up();
            losses.repeats += carrier.take_repeats();
        }
        for seat in &mut self.seats {
            seat.asked = None;
        }
        self.waiting = 0;
    }
}
