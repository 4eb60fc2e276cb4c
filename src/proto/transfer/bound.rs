//! What bounded a transfer: the time of the threads that took it, divided among causes.
//!
//! Belongs here: the arithmetic from measured spans to causes, and which of them is the verdict. Does not: reading
//! clocks, words for people. Invariant: the spans of the causes add up to the time the transfer took, give or take a
//! microsecond for each division.

use crate::time::Span;

/// Where the time of one holder's threads went, as they measured it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Connecting, and asking for piece values.
    pub reaching: Span,
    /// Waiting for the holder to begin a piece.
    pub idle: Span,
    /// Reading bytes of pieces: waiting for them, and copying them.
    pub receiving: Span,
    /// Waiting for our own limit.
    pub limited: Span,
    /// Hashing.
    pub hashing: Span,
    /// Writing, with the processor's part of it.
    pub writing: Span,
    /// The processor's part of writing: copying into the cache.
    pub writing_cpu: Span,
    /// The processor's part of everything.
    pub cpu: Span,
    /// Ready to run, and waiting for a processor.
    pub queued: Span,
}

impl Spent {
    /// Adds the time of another thread.
    pub fn add(&mut self, other: &Self) {
        for (here, there) in [
            (&mut self.reaching, other.reaching),
            (&mut self.idle, other.idle),
            (&mut self.receiving, other.receiving),
            (&mut self.limited, other.limited),
            (&mut self.hashing, other.hashing),
            (&mut self.writing, other.writing),
            (&mut self.writing_cpu, other.writing_cpu),
            (&mut self.cpu, other.cpu),
            (&mut self.queued, other.queued),
        ] {
            here.0 = here.0.saturating_add(there.0);
        }
    }

    /// Waiting for bytes, with nothing to do meanwhile.
    pub const fn waited(&self) -> Span {
        let taking = self.receiving.0.saturating_add(self.hashing.0);
        let at_work = self.cpu.0.saturating_sub(self.writing_cpu.0);
        Span(taking.saturating_sub(at_work).saturating_sub(self.queued.0))
    }

    /// What held this line up while pieces were coming.
    const fn causes(&self) -> [(Cause, Span); 4] {
        let disk = self.writing.0.saturating_sub(self.writing_cpu.0);
        [
            (Cause::Theirs, self.waited()),
            (Cause::OwnLimit, self.limited),
            (Cause::Processor, Span(self.cpu.0.saturating_add(self.queued.0))),
            (Cause::Disk, Span(disk)),
        ]
    }
}

/// What can bound a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// What holders send, by their limit or their link, or the network between.
    Theirs,
    /// Our own link is full.
    OwnLink,
    /// The limit we were given.
    OwnLimit,
    /// Our processor: copying and hashing.
    Processor,
    /// Our disk.
    Disk,
    /// No holder had anything that we had not.
    Nobody,
    /// Connecting, and asking for piece values.
    Reaching,
}

impl Cause {
    /// All of them, in the order they are told.
    pub const ALL: [Self; 7] = [
        Self::Theirs,
        Self::OwnLink,
        Self::OwnLimit,
        Self::Processor,
        Self::Disk,
        Self::Nobody,
        Self::Reaching,
    ];
}

/// A transfer, as it was measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// From its beginning to its end.
    pub took: Span,
    /// Waiting at the end until everything was on the disk.
    pub syncing: Span,
    /// No holder was sending, before the first did.
    pub reaching: Span,
    /// No holder was sending, though one that has everything was connected: its turns were others'.
    pub turns: Span,
    /// No holder was sending, and none was known to have everything.
    pub nobody: Span,
    /// Our link carried what it can.
    pub link_full: bool,
    /// Each holder's bytes, and where its threads' time went.
    pub lines: Vec<(u64, Spent)>,
}

/// Which cause took how much of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    took: Span,
    spans: [Span; Cause::ALL.len()],
}

impl Bound {
    /// Takes in what bounded another transfer.
    pub fn join(&mut self, other: &Self) {
        self.took.0 = self.took.0.saturating_add(other.took.0);
        for (here, there) in self.spans.iter_mut().zip(other.spans) {
            here.0 = here.0.saturating_add(there.0);
        }
    }

    /// Divides the time of a transfer. While pieces were coming, each line speaks for as much of the time as it
    /// brought of the bytes: a slow holder beside a fast one bounds little. `None` if nothing was sent.
    pub fn of(measured: &Measured) -> Option<Self> {
        let spoken: Vec<(u64, u64, &Spent)> = measured
            .lines
            .iter()
            .map(|(bytes, spent)| (*bytes, spent.causes().iter().map(|(_, span)| span.0).sum(), spent))
            .filter(|(bytes, held_up, _)| *bytes > 0 && *held_up > 0)
            .collect();
        let bytes: u64 = spoken.iter().map(|(bytes, ..)| bytes).sum();
        if bytes == 0 {
            return None;
        }
        let mut bound = Self {
            took: measured.took,
            spans: [Span::ZERO; Cause::ALL.len()],
        };
        let mut left = measured.took;
        for (cause, span) in [
            (Cause::Disk, measured.syncing),
            (Cause::Reaching, measured.reaching),
            (Cause::Nobody, measured.nobody),
            (Cause::Theirs, measured.turns),
        ] {
            let span = span.min(left);
            left = Span(left.0 - span.0);
            bound.add(cause, span);
        }
        for (brought, held_up, spent) in &spoken {
            for (cause, span) in spent.causes() {
                let cause = match cause {
                    Cause::Theirs if measured.link_full => Cause::OwnLink,
                    other => other,
                };
                let share = u128::from(left.0) * u128::from(*brought) * u128::from(span.0);
                let share = share / (u128::from(bytes) * u128::from(*held_up));
                bound.add(cause, Span(u64::try_from(share).unwrap_or(u64::MAX)));
            }
        }
        Some(bound)
    }

    fn add(&mut self, cause: Cause, span: Span) {
        let here = &mut self.spans[cause as usize].0;
        *here = here.saturating_add(span.0);
    }

    /// The time of a cause.
    pub const fn span(&self, cause: Cause) -> Span {
        self.spans[cause as usize]
    }

    /// The share of a cause, in hundredths.
    pub const fn percent(&self, cause: Cause) -> u64 {
        let took = if self.took.0 == 0 { 1 } else { self.took.0 };
        (self.span(cause).0.saturating_mul(100) + took / 2) / took
    }

    /// The causes that took any time, the heaviest first. The first is the verdict.
    pub fn heaviest(&self) -> Vec<Cause> {
        let mut causes: Vec<Cause> = Cause::ALL
            .into_iter()
            .filter(|cause| self.span(*cause) > Span::ZERO)
            .collect();
        causes.sort_by_key(|cause| core::cmp::Reverse(self.span(*cause)));
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn secs(secs: u64) -> Span {
        Span::from_secs(secs)
    }

    fn verdict(measured: &Measured) -> Cause {
        Bound::of(measured).expect("a bound").heaviest()[0]
    }

    fn alone(spent: Spent) -> Measured {
        Measured {
            took: secs(10),
            lines: vec![(1_000, spent)],
            ..Measured::default()
        }
    }

    /// A thread that waits for bytes: the processor did next to nothing.
    fn waiting() -> Spent {
        Spent {
            receiving: secs(9),
            cpu: Span::from_millis(200),
            ..Spent::default()
        }
    }

    fn busy() -> Spent {
        Spent {
            receiving: secs(4),
            hashing: secs(4),
            writing: secs(2),
            writing_cpu: secs(2),
            cpu: secs(9),
            queued: secs(1),
            ..Spent::default()
        }
    }

    #[test]
    fn each_cause_has_its_verdict() {
        assert_eq!(verdict(&alone(waiting())), Cause::Theirs);
        let full = Measured {
            link_full: true,
            ..alone(waiting())
        };
        assert_eq!(verdict(&full), Cause::OwnLink);
        let limited = Spent {
            limited: secs(8),
            cpu: secs(1),
            ..Spent::default()
        };
        assert_eq!(verdict(&alone(limited)), Cause::OwnLimit);
        assert_eq!(verdict(&alone(busy())), Cause::Processor);
        let slow_disk = Spent {
            receiving: secs(1),
            writing: secs(8),
            writing_cpu: secs(1),
            cpu: secs(2),
            ..Spent::default()
        };
        assert_eq!(verdict(&alone(slow_disk)), Cause::Disk);
        let synced = Measured {
            syncing: secs(6),
            ..alone(busy())
        };
        assert_eq!(verdict(&synced), Cause::Disk);
        let dry = Measured {
            nobody: secs(6),
            ..alone(waiting())
        };
        assert_eq!(verdict(&dry), Cause::Nobody);
        let turns = Measured {
            turns: secs(6),
            ..alone(busy())
        };
        assert_eq!(verdict(&turns), Cause::Theirs);
        let far = Measured {
            reaching: secs(6),
            ..alone(waiting())
        };
        assert_eq!(verdict(&far), Cause::Reaching);
    }

    #[test]
    fn who_brings_little_says_little() {
        let mut measured = alone(busy());
        measured.lines.extend((0..9).map(|_| (10, waiting())));
        let bound = Bound::of(&measured).expect("a bound");
        assert_eq!(bound.heaviest()[0], Cause::Processor);
        assert!((5..=15).contains(&bound.percent(Cause::Theirs)), "{bound:?}");
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        assert_eq!(Bound::of(&Measured::default()), None);
        let measured = Measured {
            lines: vec![(0, waiting())],
            ..alone(Spent::default())
        };
        assert_eq!(Bound::of(&measured), None, "nobody brought anything");
    }

    fn any_span() -> impl Strategy<Value = Span> {
        prop_oneof![Just(Span::ZERO), (0_u64..100_000_000_000).prop_map(Span)]
    }

    fn any_spent() -> impl Strategy<Value = Spent> {
        prop::collection::vec(any_span(), 9).prop_map(|s| Spent {
            reaching: s[0],
            idle: s[1],
            receiving: s[2],
            limited: s[3],
            hashing: s[4],
            writing: s[5],
            writing_cpu: s[6],
            cpu: s[7],
            queued: s[8],
        })
    }

    proptest! {
        /// Whatever the clocks said, the causes share the time that passed, and no more.
        #[test]
        fn causes_add_up_to_the_time(
            took in any_span(),
            apart in prop::collection::vec(any_span(), 4),
            link_full in any::<bool>(),
            lines in prop::collection::vec((0_u64..1 << 50, any_spent()), 0..40),
        ) {
            let measured = Measured {
                took,
                syncing: apart[0],
                reaching: apart[1],
                turns: apart[2],
                nobody: apart[3],
                link_full,
                lines,
            };
            if let Some(bound) = Bound::of(&measured) {
                let sum: u64 = Cause::ALL.iter().map(|cause| bound.span(*cause).0).sum();
                let divisions = measured.lines.len() as u64 * 4;
                prop_assert!(sum <= took.0 && sum + divisions >= took.0, "{sum} of {took:?}");
            }
        }
    }
}
