//! Whose turn it is when several getters wait for one uplink.
//!
//! Peers that give are served before peers that only take; among equals, the one that has least, so that all are
//! done together and nobody is left to whom only a few can still send. What a getter has and gives is in part its
//! own word, so of [`TURN_FOR_ALL`] turns one goes to whoever was served least from here: nobody starves. Belongs here: turns. Does not: which piece is sent ([`super::Giver`]).
//! Invariant: a getter that waits is served within a bounded number of turns.

use super::Reader;
use crate::limits::{PIECES_ON_TRUST, PIECES_PER_GIVEN, TURN_FOR_ALL, TURN_FOR_UNKNOWN};
use std::collections::BTreeMap;

/// The order in which getters are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turns {
    /// Whoever has least, whatever it gives: to compare with.
    NeediestFirst,
    /// Those who give before those who only take.
    #[default]
    GiversFirst,
}

/// What is known of a getter, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Gives,
    Unknown,
    Takes,
}

/// What passed between this holder and one getter, in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// Sent to it from here.
    got: u64,
    /// Where its count of turns began: a newcomer does not make up for the time before it came.
    began: u64,
    /// Given by it: to us, or to others as they told us.
    gave: u64,
}

impl Account {
    const fn served(self) -> u64 {
        self.began + self.got
    }

    const fn standing(self, known_first: bool) -> Standing {
        if self.got >= PIECES_ON_TRUST + PIECES_PER_GIVEN * self.gave {
            Standing::Takes
        } else if self.gave == 0 && known_first {
            Standing::Unknown
        } else {
            Standing::Gives
        }
    }
}

/// The getters of one uplink, and what each was given and gave.
#[derive(Clone, Debug, Default)]
pub struct Uplink {
    order: Turns,
    /// A whole holder serves those it knows to give before those it knows nothing of, but for every
    /// [`TURN_FOR_UNKNOWN`]th turn: a large swarm has so many of these that all its pieces could go on trust to
    /// some who pass nothing on. A relay is one of many, and knows little of most.
    whole: bool,
    accounts: BTreeMap<Reader, Account>,
    turn: u64,
}

impl Uplink {
    /// An uplink without getters, of a holder that has everything or of one that is a getter itself.
    pub const fn new(order: Turns, whole: bool) -> Self {
        Self {
            order,
            whole,
            accounts: BTreeMap::new(),
            turn: 0,
        }
    }

    /// A getter comes; what it is known to have given before counts.
    pub fn open(&mut self, reader: Reader, gave_pieces: u64) {
        let least = self.accounts.values().map(|account| account.served()).min();
        let account = Account {
            got: 0,
            began: least.unwrap_or(0),
            gave: gave_pieces,
        };
        self.accounts.insert(reader, account);
    }

    /// A getter goes.
    pub fn close(&mut self, reader: Reader) {
        self.accounts.remove(&reader);
    }

    /// A getter gave a piece, to us or to another that said so.
    pub fn gave(&mut self, reader: Reader) {
        if let Some(account) = self.accounts.get_mut(&reader) {
            account.gave += 1;
        }
    }

    /// Which of the waiting getters is sent a piece now; each comes with how many pieces it has.
    pub fn next(&mut self, waiting: impl Iterator<Item = (Reader, u32)>) -> Option<Reader> {
        let for_all = (self.turn + 1).is_multiple_of(TURN_FOR_ALL);
        let known_first = self.whole && !self.turn.is_multiple_of(TURN_FOR_UNKNOWN);
        let rank = |(reader, has): &(Reader, u32)| {
            let account = self.accounts.get(reader).copied().unwrap_or_default();
            let standing = match self.order {
                Turns::GiversFirst => account.standing(known_first),
                Turns::NeediestFirst => Standing::Gives,
            };
            if for_all {
                (Standing::Gives, 0, account.served(), *reader)
            } else {
                (standing, *has, account.served(), *reader)
            }
        };
        let (reader, _) = waiting.min_by_key(rank)?;
        self.turn += 1;
        if let Some(account) = self.accounts.get_mut(&reader) {
            account.got += 1;
        }
        Some(reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVER: Reader = Reader(1);
    const TAKER: Reader = Reader(2);
    const BOTH: [(Reader, u32); 2] = [(GIVER, 0), (TAKER, 0)];

    /// How many of so many turns each of the two gets, the first giving a piece for each it gets.
    fn share(order: Turns, turns: u64) -> (u64, u64) {
        let mut uplink = Uplink::new(order, false);
        uplink.open(GIVER, 0);
        uplink.open(TAKER, 0);
        let (mut first, mut second) = (0, 0);
        for _ in 0..turns {
            if uplink.next(BOTH.into_iter()) == Some(GIVER) {
                first += 1;
                uplink.gave(GIVER);
            } else {
                second += 1;
            }
        }
        (first, second)
    }

    #[test]
    fn who_gives_is_served_first_and_nobody_starves() {
        assert_eq!(share(Turns::NeediestFirst, 800), (400, 400));
        let (giver, taker) = share(Turns::GiversFirst, 800);
        assert!(
            (100..=101).contains(&taker),
            "{giver} {taker}: an eighth and the trust"
        );
    }

    #[test]
    fn an_uplink_nobody_else_wants_serves_anybody() {
        let mut uplink = Uplink::new(Turns::GiversFirst, false);
        uplink.open(TAKER, 0);
        assert!((0..100).all(|_| uplink.next([(TAKER, 0)].into_iter()) == Some(TAKER)));
        assert_eq!(uplink.next(core::iter::empty()), None);
    }

    #[test]
    fn who_has_least_goes_first_and_cannot_take_every_turn_by_saying_so() {
        let mut uplink = Uplink::new(Turns::NeediestFirst, false);
        uplink.open(GIVER, 0);
        uplink.open(TAKER, 0);
        let served = (0..80).filter(|_| uplink.next([(GIVER, 9), (TAKER, 0)].into_iter()) == Some(TAKER));
        assert_eq!(served.count(), 70);
    }

    #[test]
    fn a_source_has_most_of_its_turns_for_those_it_knows() {
        let to_unknown = |whole| {
            let mut uplink = Uplink::new(Turns::GiversFirst, whole);
            uplink.open(GIVER, 1_000);
            let turns = (0..80).filter(|_| {
                uplink.open(TAKER, 0); // Always another, of whom nothing is known.
                uplink.next([(GIVER, 9), (TAKER, 0)].into_iter()) == Some(TAKER)
            });
            turns.count()
        };
        assert!(to_unknown(false) >= 70 && to_unknown(true) <= 30);
    }

    #[test]
    fn a_newcomer_does_not_make_up_for_the_time_before_it_came() {
        let mut uplink = Uplink::new(Turns::NeediestFirst, false);
        uplink.open(GIVER, 0);
        (0..50).for_each(|_| assert_eq!(uplink.next([(GIVER, 0)].into_iter()), Some(GIVER)));
        uplink.open(TAKER, 0);
        let turns = (0..10).filter(|_| uplink.next(BOTH.into_iter()) == Some(TAKER));
        assert_eq!(turns.count(), 5);
    }
}
