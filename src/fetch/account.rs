//! Who gave what, and how holders fail.

use super::{FetchFault, Unfetched};
use crate::name::HostPort;
use crate::net::ConnError;
use crate::proto::transfer::{Bound, Lulls, Measured, Spent};
use crate::time::{Instant, Span};
use crate::wire::Refusal;
use core::fmt;
use std::io;
use std::time::Duration;

/// What one holder gave, and how it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HolderAccount {
    /// Where it was reached.
    pub address: HostPort,
    /// Bytes of content it sent.
    pub bytes: u64,
    /// Why it was given up, each time.
    pub failures: Vec<String>,
    /// Where the time of the threads went that took from it.
    pub spent: Spent,
    /// How many threads that were.
    pub threads: u32,
    /// Pieces of it that counted.
    pub(super) pieces: u32,
    /// When it last sent something.
    pub(super) heard: Option<Instant>,
}

impl HolderAccount {
    fn of(address: &HostPort) -> Self {
        Self {
            address: address.clone(),
            bytes: 0,
            failures: Vec::new(),
            spent: Spent::default(),
            threads: 0,
            pieces: 0,
            heard: None,
        }
    }

    /// Adds what the same holder gave another time. A failure of the same kind is not told twice.
    fn join(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.spent.add(&other.spent);
        self.threads = self.threads.saturating_add(other.threads);
        self.pieces = self.pieces.saturating_add(other.pieces);
        for why in &other.failures {
            if !self.failures.contains(why) {
                self.failures.push(why.clone());
            }
        }
    }
}

/// How a holder failed, in rising order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// It was not reached, or broke off.
    Lost,
    /// It refused.
    Refused,
    /// What it sent is not what was asked for.
    Unverified,
}

/// How one attempt at one holder ended badly.
#[derive(Debug)]
pub(super) enum AttemptFault {
    Conn(ConnError),
    /// It sent something other than what was asked for.
    Lie(String),
    /// It has proven that the content has this size, and not the one that was listed.
    OtherSize(u64),
    /// It serves no pieces: it is none of ours.
    NoPieces,
    /// It sent nothing for too long.
    Silent,
    /// It says that the content has more bytes than can be fetched.
    TooLong(u64),
    /// It sent more of a content than may come whole.
    Longer,
    /// It sent only what was not needed.
    Unneeded,
    /// It went, and had nothing for us.
    Dry,
    /// It is our own peer.
    Ourselves,
    Disk(io::Error),
    Interrupted,
}

impl From<ConnError> for AttemptFault {
    fn from(error: ConnError) -> Self {
        Self::Conn(error)
    }
}

impl From<io::Error> for AttemptFault {
    fn from(error: io::Error) -> Self {
        Self::Conn(ConnError::Io(error))
    }
}

impl AttemptFault {
    /// True if the connection was lost, and the holder may be there again soon.
    pub(super) const fn is_loss(&self) -> bool {
        matches!(self, Self::Conn(ConnError::Io(_)))
    }

    /// True if the holder serves as many as it may: there may be room soon.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self, Self::Conn(ConnError::Refused(Refusal::Busy, _)))
    }

    pub(super) const fn weight(&self) -> Weight {
        match self {
            // It no longer has it, or no place for us: gone, as far as this content goes.
            Self::Conn(ConnError::Refused(Refusal::NotFound | Refusal::ContentLost | Refusal::Busy, _)) => {
                Weight::Lost
            }
            Self::Conn(ConnError::Refused(..)) | Self::NoPieces | Self::TooLong(_) => Weight::Refused,
            Self::Lie(_) => Weight::Unverified,
            _ => Weight::Lost,
        }
    }
}

impl fmt::Display for AttemptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conn(error) => write!(f, "{error}"),
            Self::Lie(what) => f.write_str(what),
            Self::OtherSize(bytes) => write!(f, "the content has {bytes} bytes"),
            Self::NoPieces => f.write_str("serves no pieces"),
            Self::Silent => f.write_str("sent nothing for too long"),
            Self::TooLong(bytes) => write!(
                f,
                "says that it has {bytes} bytes, more than this version can fetch"
            ),
            Self::Longer => f.write_str("sent more bytes than were listed"),
            Self::Unneeded => f.write_str("sent much that was not needed, and nothing else"),
            Self::Dry => f.write_str("had no more of it, and went"),
            Self::Ourselves => f.write_str("is this very peer"),
            Self::Disk(error) => write!(f, "{error}"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

/// How a fetch went.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// How long it took.
    pub took: Duration,
    /// Everyone who was asked.
    pub holders: Vec<HolderAccount>,
    /// What bounded it; none if too little came to tell.
    pub bound: Option<Bound>,
}

impl Account {
    /// Adds the account of another fetch. How long they took together is not known here: they may have been at once.
    pub fn add(&mut self, other: &Self) {
        match (&mut self.bound, &other.bound) {
            (Some(mine), Some(theirs)) => mine.join(theirs),
            (mine, theirs) => *mine = mine.take().or_else(|| theirs.clone()),
        }
        for theirs in &other.holders {
            match self
                .holders
                .iter_mut()
                .find(|mine| mine.address == theirs.address)
            {
                None => self.holders.push(theirs.clone()),
                Some(mine) => mine.join(theirs),
            }
        }
    }

    /// Of what came whole, of which nothing was measured.
    pub(super) const fn of(holders: Vec<HolderAccount>, took: Duration) -> Self {
        Self {
            took,
            holders,
            bound: None,
        }
    }
}

/// The accounts of everyone who was asked for one content.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    all: Vec<HolderAccount>,
    heaviest: Option<Weight>,
    /// When nobody sent.
    pub(super) lulls: Lulls,
    /// Waiting for the disk at the end.
    pub(super) syncing: Span,
    /// Our link carried what it can.
    pub(super) link_full: bool,
}

/// A holder that has sent nothing for this long is not counted among those that send.
const LATELY: Span = Span::from_secs(1);

impl Accounts {
    /// The account of a holder, opened if need be.
    pub(super) fn of(&mut self, holder: &HostPort) -> &mut HolderAccount {
        let known = self.all.iter().position(|account| account.address == *holder);
        let place = known.unwrap_or_else(|| {
            self.all.push(HolderAccount::of(holder));
            self.all.len() - 1
        });
        &mut self.all[place]
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, holder: &HostPort, fault: &AttemptFault) {
        self.heaviest = self.heaviest.max(Some(fault.weight()));
        let (failures, why) = (&mut self.of(holder).failures, fault.to_string());
        // Two connections to one holder fail alike.
        if failures.last() != Some(&why) {
            failures.push(why);
        }
    }

    /// Takes out a holder that is none.
    pub(super) fn forget(&mut self, holder: &HostPort) {
        self.all.retain(|account| account.address != *holder);
    }

    /// Takes over the accounts of those who were asked before.
    pub(super) fn merge(&mut self, others: &Self) {
        self.heaviest = self.heaviest.max(others.heaviest);
        for other in &others.all {
            self.of(&other.address).join(other);
        }
    }

    /// Everyone who was asked, so far.
    pub(super) fn all(&self) -> &[HolderAccount] {
        &self.all
    }

    /// The heaviest failure so far.
    pub(super) const fn heaviest(&self) -> Option<Weight> {
        self.heaviest
    }

    /// How many holders have sent something lately.
    pub(super) fn sending(&self, now: Instant) -> usize {
        let heard = self.all.iter().filter_map(|account| account.heard);
        heard.filter(|heard| now.since(*heard) < LATELY).count()
    }

    /// What bounded the transfer that took so long; none if no thread measured it.
    fn bound(&self, took: Span) -> Option<Bound> {
        Bound::of(&Measured {
            took,
            syncing: self.syncing,
            reaching: self.lulls.reaching,
            turns: self.lulls.turns,
            nobody: self.lulls.nobody,
            link_full: self.link_full,
            lines: self
                .all
                .iter()
                .map(|account| (account.bytes, account.spent))
                .collect(),
        })
    }

    /// How it went, now that it is over.
    pub(super) fn settled(self, took: Duration) -> Account {
        let bound = self.bound(Span(u64::try_from(took.as_micros()).unwrap_or(u64::MAX)));
        Account {
            took,
            bound,
            holders: self.all,
        }
    }

    /// The same, of what nobody is left to ask for.
    pub(super) fn no_holder_left(self, took: Duration) -> Unfetched {
        let fault = FetchFault::NoHolderLeft(self.heaviest);
        self.unfetched(fault, took)
    }

    /// The same, of what could not be fetched.
    pub(super) fn unfetched(self, fault: FetchFault, took: Duration) -> Unfetched {
        let account = Box::new(self.settled(took));
        Unfetched { fault, account }
    }
}
