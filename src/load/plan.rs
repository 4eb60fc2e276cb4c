//! What the clients of a thread do: get ready, be measured, take everything back.
//!
//! Belongs here: which request comes next, and when. Does not: sockets (`worker.rs`, `carrier.rs`).

use super::mix::{Kind, Mix};
use super::tally::Tally;
use super::world::{Client, World};
use crate::id::{Cookie, RequestNumber};
use crate::net::ConnError;
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::{Ack, Leave, Message, Refusal, Register};

/// What an RS said, as far as a client has to know.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// What was asked for.
    Done,
    /// A state change was acknowledged.
    Acknowledged(Ack),
    /// A refusal, and its text.
    Refused(Refusal, String),
}

/// What a client does next.
pub(super) enum Step {
    /// Asks; its latency counts from `intended`.
    Ask {
        kind: Kind,
        intended: Instant,
        request: Message,
    },
    /// Nobody asks before this.
    WaitUntil(Instant),
    /// This client has nothing more to do.
    Rest,
}

/// A phase of the load.
pub(super) trait Plan {
    /// What this client does now, under this request number.
    fn next(&mut self, now: Instant, client: &mut Client, number: RequestNumber) -> Step;

    /// The answer to what it asked.
    ///
    /// # Errors
    /// It makes everything that follows meaningless.
    fn answered(
        &mut self,
        now: Instant,
        client: &mut Client,
        asked: &Asked,
        answer: Answer,
    ) -> Result<(), ConnError>;

    /// Whatever is still open then is given up.
    fn gives_up_at(&self) -> Instant;

    /// True for a phase that an operator's stop ends early.
    fn heeds_stop(&self) -> bool {
        true
    }
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) intended: Instant,
}

/// Getting ready: every client joins, and registers its share of the contents.
pub(super) struct Preparing<'w> {
    pub(super) world: &'w World,
    pub(super) rng: Rng,
    pub(super) gives_up_at: Instant,
}

impl Plan for Preparing<'_> {
    fn next(&mut self, now: Instant, client: &mut Client, number: RequestNumber) -> Step {
        let (kind, request) = match client.cookie {
            None => {
                let who = client.number.to_string();
                (Kind::Join, self.world.join(&who, self.rng.next_u64(), number))
            }
            Some(_) if client.next_content >= self.world.contents => return Step::Rest,
            Some(cookie) => {
                let register = Register {
                    request: number,
                    cookie,
                    content: World::content(client.next_content),
                    complete: true,
                };
                client.next_content += self.world.clients as u64;
                (Kind::Register, register.into())
            }
        };
        Step::Ask {
            kind,
            intended: now,
            request,
        }
    }

    fn answered(
        &mut self,
        _: Instant,
        client: &mut Client,
        _: &Asked,
        answer: Answer,
    ) -> Result<(), ConnError> {
        match answer {
            Answer::Acknowledged(ack) => {
                client.cookie = client.cookie.or(ack.cookie);
                Ok(())
            }
            Answer::Done => Err(ConnError::Unexpected("an answer to another question")),
            Answer::Refused(code, text) => Err(ConnError::Refused(code, text)),
        }
    }

    fn gives_up_at(&self) -> Instant {
        self.gives_up_at
    }
}

/// When requests are meant to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Schedule {
    /// As soon as a client is free.
    Closed,
    /// At fixed times, whatever the answers do: the `next`th, every `step`th is this thread's.
    Open { per_sec: u64, next: u64, step: u64 },
}

/// Being measured.
pub(super) struct Measuring<'w> {
    pub(super) world: &'w World,
    pub(super) mix: &'w Mix,
    pub(super) rng: Rng,
    pub(super) schedule: Schedule,
    pub(super) start: Instant,
    pub(super) end: Instant,
    pub(super) gives_up_at: Instant,
    pub(super) tally: &'w mut Tally,
    /// Peers that joined as part of the load.
    pub(super) joined: &'w mut Vec<Cookie>,
}

impl Measuring<'_> {
    fn intended(&self, now: Instant) -> Instant {
        match self.schedule {
            Schedule::Closed => now.max(self.start),
            Schedule::Open { per_sec, next, .. } => {
                let micros = u128::from(next) * 1_000_000 / u128::from(per_sec);
                self.start.after(Span(u64::try_from(micros).unwrap_or(u64::MAX)))
            }
        }
    }

    /// Intended requests that nobody has sent: known when all is over.
    pub(super) fn unsent(&self) -> u64 {
        let Schedule::Open { per_sec, next, step } = self.schedule else {
            return 0;
        };
        let span = u128::from(self.end.since(self.start).0);
        let all = u64::try_from((span * u128::from(per_sec)).div_ceil(1_000_000)).unwrap_or(u64::MAX);
        all.saturating_sub(next).div_ceil(step)
    }
}

impl Plan for Measuring<'_> {
    fn next(&mut self, now: Instant, client: &mut Client, number: RequestNumber) -> Step {
        let intended = self.intended(now);
        if intended >= self.end {
            return Step::Rest;
        }
        if intended > now {
            return Step::WaitUntil(intended);
        }
        if let Schedule::Open { next, step, .. } = &mut self.schedule {
            *next += *step;
        }
        let kind = self.mix.draw(&mut self.rng);
        let request = self.world.request(kind, client, number, &mut self.rng);
        Step::Ask {
            kind,
            intended,
            request,
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        _: &mut Client,
        asked: &Asked,
        answer: Answer,
    ) -> Result<(), ConnError> {
        let refused = match answer {
            Answer::Refused(code, _) => Some(code),
            Answer::Acknowledged(ack) => {
                self.joined.extend(ack.cookie);
                None
            }
            Answer::Done => None,
        };
        self.tally.record(asked.kind, now.since(asked.intended), refused);
        self.tally.in_time += u64::from(now < self.end);
        Ok(())
    }

    fn gives_up_at(&self) -> Instant {
        self.gives_up_at
    }
}

/// Taking everything back: whoever has joined leaves.
pub(super) struct Withdrawing<'w> {
    pub(super) joined: &'w mut Vec<Cookie>,
    pub(super) gives_up_at: Instant,
}

impl Plan for Withdrawing<'_> {
    fn next(&mut self, now: Instant, client: &mut Client, number: RequestNumber) -> Step {
        match client.cookie.take().or_else(|| self.joined.pop()) {
            Some(cookie) => Step::Ask {
                kind: Kind::Join,
                intended: now,
                request: Leave {
                    request: number,
                    cookie,
                }
                .into(),
            },
            None => Step::Rest,
        }
    }

    fn answered(&mut self, _: Instant, _: &mut Client, _: &Asked, _: Answer) -> Result<(), ConnError> {
        // Whatever it says: a peer that could not leave ends with its lease.
        Ok(())
    }

    fn gives_up_at(&self) -> Instant {
        self.gives_up_at
    }

    fn heeds_stop(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(5_000_000);

    fn world() -> World {
        World {
            run: 7,
            clients: 2,
            contents: 3,
        }
    }

    fn measuring<'w>(
        world: &'w World,
        mix: &'w Mix,
        schedule: Schedule,
        tally: &'w mut Tally,
        joined: &'w mut Vec<Cookie>,
    ) -> Measuring<'w> {
        let end = START.after(Span::from_secs(1));
        Measuring {
            world,
            mix,
            rng: Rng::from_seed(1),
            schedule,
            start: START,
            end,
            gives_up_at: end,
            tally,
            joined,
        }
    }

    #[test]
    fn a_stall_is_seen_by_every_request_that_was_due_in_it() {
        let (world, mix) = (world(), Mix::parse("search").expect("a mix"));
        let (mut tally, mut joined) = (Tally::default(), Vec::new());
        let schedule = Schedule::Open {
            per_sec: 100,
            next: 0,
            step: 1,
        };
        let mut plan = measuring(&world, &mix, schedule, &mut tally, &mut joined);
        let mut client = Client::new(0);
        assert!(matches!(
            plan.next(Instant::ZERO, &mut client, RequestNumber(1)),
            Step::WaitUntil(START)
        ));
        // The one client there is hears nothing for half a second: fifty requests come too late to be sent in time.
        let mut now = START.after(Span::from_millis(500));
        for _ in 0..50 {
            let Step::Ask { kind, intended, .. } = plan.next(now, &mut client, RequestNumber(1)) else {
                panic!("due and not asked");
            };
            let asked = Asked { kind, intended };
            now = now.after(Span(10));
            plan.answered(now, &mut client, &asked, Answer::Done)
                .expect("counted");
        }
        assert_eq!(plan.unsent(), 50, "those that are due after now");
        let all = tally.all();
        assert_eq!(all.count(), 50);
        assert!(all.within(0.5) >= Span::from_millis(249), "{:?}", all.within(0.5));
        assert!(all.max() >= Span::from_millis(499), "{:?}", all.max());
    }

    #[test]
    fn threads_share_a_rate_out() {
        let (world, mix) = (world(), Mix::parse("search").expect("a mix"));
        let mut due = Vec::new();
        for thread in 0..3 {
            let (mut tally, mut joined) = (Tally::default(), Vec::new());
            let schedule = Schedule::Open {
                per_sec: 10,
                next: thread,
                step: 3,
            };
            let mut plan = measuring(&world, &mix, schedule, &mut tally, &mut joined);
            let late = START.after(Span::from_secs(9));
            while let Step::Ask { intended, .. } = plan.next(late, &mut Client::new(0), RequestNumber(1)) {
                due.push(intended.since(START).0 / 1_000);
            }
            assert_eq!(plan.unsent(), 0);
        }
        due.sort_unstable();
        assert_eq!(due, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900]);
    }

    #[test]
    fn contents_are_shared_out_among_the_clients() {
        let world = world();
        let mut plan = Preparing {
            world: &world,
            rng: Rng::from_seed(1),
            gives_up_at: START,
        };
        let mut names = Vec::new();
        for number in 0..2 {
            let mut client = Client::new(number);
            while let Step::Ask { request, .. } = plan.next(START, &mut client, RequestNumber(1)) {
                match request {
                    Message::Register(register) => names.push(register.content.name.to_string()),
                    _ => client.cookie = Some(Cookie([1; 16])),
                }
            }
        }
        names.sort_unstable();
        assert_eq!(names, ["load/0", "load/1", "load/2"]);
    }

    #[test]
    fn what_is_registered_is_taken_back_the_next_time() {
        let (world, mix) = (world(), Mix::parse("register").expect("a mix"));
        let (mut tally, mut joined) = (Tally::default(), Vec::new());
        let mut plan = measuring(&world, &mix, Schedule::Closed, &mut tally, &mut joined);
        let mut client = Client::new(1);
        let mut registered = Vec::new();
        for _ in 0..4 {
            match plan.next(START, &mut client, RequestNumber(1)) {
                Step::Ask {
                    request: Message::Register(request),
                    ..
                } => registered.push(request.content.key()),
                Step::Ask {
                    request: Message::Deregister(request),
                    ..
                } => assert_eq!(registered.pop(), Some(request.key)),
                _ => panic!("something else"),
            }
        }
        assert!(registered.is_empty());
    }
}
