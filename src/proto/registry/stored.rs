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

    /// Takes back who a peer is; its lease comes after.
    pub(in crate::proto) fn restore_peer(&mut self, now: Instant, number: PeerNumber, row: PeerRow) {
        let peer = Peer {
            name: row.name,
            host: row.host,
            port: row.port,
            os: row.os,
            cookie: row.cookie,
            nonce: row.nonce,
            first_join: (row.first_host, row.first_nonce),
            activity: Activity::Inactive,
            lease_ends: now,
            registrations: row.registrations.iter().map(|stamp| WallTime(*stamp)).collect(),
            last: None,
            heard: 0,
            probed: None,
            wake: now,
        };
        self.enter(number, peer);
        self.link(number);
        self.restore_number(number);
    }

    /// Takes back a lease. Within one boot of the machine the monotonic clock went on; past one, the wall clock
    /// says how much of the lease is left, which is never more than a lease.
    pub(in crate::proto) fn restore_lease(
        &mut self,
        now: Now,
        same_boot: bool,
        number: PeerNumber,
        row: LeaseRow,
    ) {
        let lease = self.lease;
        let Some(peer) = self.peers.get_mut(&number) else {
            return;
        };
        peer.activity = row.activity;
        peer.last = row
            .last_request
            .map(|request| (request, row.last_answer.0.into_boxed_slice()));
        if row.activity == Activity::Inactive {
            // Only the order of these matters; of those before this boot, the one made first goes first.
            peer.lease_ends = if same_boot {
                Instant(row.ends).min(now.at)
            } else {
                Instant::ZERO
            };
            self.inactive.insert((peer.lease_ends, number));
            return;
        }
        peer.lease_ends = if same_boot {
            Instant(row.ends).min(now.at.after(lease))
        } else {
            let left = u64::try_from(row.ends_wall.saturating_sub(now.wall.0)).unwrap_or(0);
            now.at.after(Span::from_secs(left).min(lease))
        };
        let wake = peer.lease_ends.min(now.at.after(SILENCE_BEFORE_PROBE));
        self.wake_at(number, wake);
    }
}

impl Peer {
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
