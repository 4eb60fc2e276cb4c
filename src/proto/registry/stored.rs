//! The registry's rows in a store: what has changed, and how they come back.

use super::{Activity, Change, News, Peer, Registry};
use crate::id::PeerNumber;
use crate::limits::SILENCE_BEFORE_PROBE;
use crate::proto::change::{LeaseRow, PeerRow};
use crate::time::{Instant, Now, Span, WallTime};
use crate::wire::{List, Rest};

impl News {
    pub(super) fn forget(&mut self, number: PeerNumber) {
        self.peers.remove(&number);
        self.leases.remove(&number);
        if self.kept {
            self.gone.push(number);
        }
    }
}

/// Seconds of a wall clock.
fn wall_secs(span: Span) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

impl Registry {
    /// From now on [`Registry::poll_change`] tells what has changed.
    pub(in crate::proto) const fn keep_changes(&mut self) {
        self.news.kept = true;
    }

    pub(super) fn news_of(&mut self, number: PeerNumber) {
        if self.news.kept {
            self.news.leases.insert(number);
        }
    }

    /// The next row that a store has to write.
    pub(in crate::proto) fn poll_change(&mut self, now: Now) -> Option<Change> {
        if let Some(number) = self.news.gone.pop() {
            return Some(Change::PeerGone(number));
        }
        if core::mem::take(&mut self.news.numbered) {
            return Some(Change::Numbered(self.last_number));
        }
        if let Some(number) = self.news.peers.pop_first() {
            let row = self.peers.get(&number)?.row();
            return Some(Change::Peer(number, row));
        }
        let number = self.news.leases.pop_first()?;
        let row = self.peers.get(&number)?.lease_row(now);
        Some(Change::Lease(number, row))
    }

    /// Takes back how far peers are numbered.
    pub(in crate::proto) fn restore_number(&mut self, number: PeerNumber) {
        self.last_number = self.last_number.max(number);
    }

    /// Takes back all peers, by rising number. Tables made of all their rows at once are half as large as tables that
    /// grow row by row.
    pub(in crate::proto) fn restore(&mut self, now: Now, peers: Vec<(PeerNumber, Peer)>) {
        let mut wakes = Vec::new();
        let mut inactive = Vec::new();
        for (number, peer) in &peers {
            if peer.activity == Activity::Inactive {
                inactive.push((peer.lease_ends, *number));
            } else {
                wakes.push((peer.wake, *number));
            }
            if peer.activity == Activity::Hidden {
                self.hidden.insert(*number);
            }
        }
        if let Some((number, _)) = peers.last() {
            self.restore_number(*number);
        }
        let each = || peers.iter().map(|(number, peer)| (*number, peer));
        self.by_cookie = each()
            .map(|(number, peer)| (self.cookie_digest(peer.cookie), number))
            .collect();
        self.by_first_join = each()
            .map(|(number, peer)| (peer.first_join.clone(), number))
            .collect();
        self.by_address = each().map(|(number, peer)| (peer.address(), number)).collect();
        self.wakes = wakes.into_iter().collect();
        self.inactive = inactive.into_iter().collect();
        self.peers = peers
            .into_iter()
            .map(|(number, peer)| (number, Box::new(peer)))
            .collect();
        debug_assert!(
            self.wakes
                .iter()
                .all(|(wake, _)| *wake <= now.at.after(self.lease))
        );
    }
}

impl Peer {
    /// A peer as its row says, without a lease.
    pub(in crate::proto) fn restored(row: PeerRow) -> Self {
        Self {
            name: row.name,
            host: row.host,
            port: row.port,
            os: row.os,
            cookie: row.cookie,
            nonce: row.nonce,
            first_join: (row.first_host, row.first_nonce),
            activity: Activity::Inactive,
            lease_ends: Instant::ZERO,
            registrations: row.registrations.iter().map(|stamp| WallTime(*stamp)).collect(),
            last: None,
            heard: 0,
            probed: None,
            wake: Instant::ZERO,
        }
    }

    /// Takes back its lease. Within one boot of the machine the monotonic clock went on; past one, the wall clock
    /// says how much of the lease is left, which is never more than a lease.
    pub(in crate::proto) fn restore_lease(&mut self, now: Now, same_boot: bool, lease: Span, row: LeaseRow) {
        self.activity = row.activity;
        self.last = row
            .last_request
            .map(|request| (request, row.last_answer.0.into_boxed_slice()));
        self.lease_ends = match (row.activity, same_boot) {
            (Activity::Inactive, true) => Instant(row.ends).min(now.at),
            // Only the order of these matters; of those before this boot, the one made first goes first.
            (Activity::Inactive, false) => Instant::ZERO,
            (_, true) => Instant(row.ends).min(now.at.after(lease)),
            (_, false) => {
                // The wall clock shows whole seconds: one less, so that nobody lives longer.
                let left = row.ends_wall.saturating_sub(now.wall.0).saturating_sub(1);
                let left = Span::from_secs(u64::try_from(left).unwrap_or(0));
                now.at.after(left.min(lease))
            }
        };
        self.wake = self.lease_ends.min(now.at.after(SILENCE_BEFORE_PROBE));
    }

    fn row(&self) -> PeerRow {
        PeerRow {
            name: self.name.clone(),
            host: self.host.clone(),
            port: self.port,
            os: self.os.clone(),
            cookie: self.cookie,
            nonce: self.nonce,
            first_host: self.first_join.0.clone(),
            first_nonce: self.first_join.1,
            registrations: List::first_of(self.registrations.iter().map(|stamp| stamp.0)),
        }
    }

    fn lease_row(&self, now: Now) -> LeaseRow {
        let (last_request, last_answer) = match &self.last {
            Some((request, answer)) => (Some(*request), Rest(answer.to_vec())),
            None => (None, Rest::default()),
        };
        let left = wall_secs(self.lease_ends.since(now.at));
        let past = wall_secs(now.at.since(self.lease_ends));
        LeaseRow {
            activity: self.activity,
            ends: self.lease_ends.0,
            ends_wall: now.wall.0.saturating_add(left).saturating_sub(past),
            last_request,
            last_answer,
        }
    }
}
