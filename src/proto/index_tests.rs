//! The rules of a peer's index, in virtual time. Here: the stage they are played on.

use super::*;
use crate::id::{RequestNumber, RfcNumber};
use crate::name::{ContentName, Host};
use crate::wire::samples::sample_file as content;

#[path = "index_tests/gossip.rs"]
mod gossip;
#[path = "index_tests/limits.rs"]
mod limits;
#[path = "index_tests/merge.rs"]
mod merge;
#[path = "index_tests/twin.rs"]
mod twin;

const START: Instant = Instant(9_000_000);

fn secs(secs: u64) -> Instant {
    START.after(Span::from_secs(secs))
}

fn host(ip: u8) -> Host {
    Host::new(format!("192.0.2.{ip}")).expect("a host")
}

fn address(ip: u8) -> HostPort {
    HostPort {
        host: host(ip),
        port: 6_000,
    }
}

fn tcp() -> Asker {
    Asker::over_tcp([192, 0, 2, 200].into(), [192, 0, 2, 1].into())
}

fn peer_name(name: &str) -> PeerName {
    PeerName::new(name).expect("a name")
}

/// A claim about the holder at 192.0.2.`ip`.
fn claim(ip: u8, sequence: u64, remaining_secs: u32) -> GossipRecord {
    GossipRecord {
        name: peer_name(&format!("peer-{ip}")),
        host: Some(host(ip)),
        port: 6_000,
        sequence,
        remaining_secs,
        withdrawn: false,
        complete: true,
    }
}

fn entry(name: &str, claims: impl IntoIterator<Item = GossipRecord>) -> IndexEntry {
    IndexEntry {
        content: content(name),
        holders: List::first_of(claims),
    }
}

/// An index of a peer that listens at 192.0.2.`ip`.
fn index(ip: u8) -> Index {
    let mut index = Index::new(peer_name(&format!("peer-{ip}")), 6_000, Incarnation(1));
    index.add_own_address(address(ip));
    index
}

impl Index {
    /// Hears claims about content `x` from 192.0.2.9.
    fn hear(&mut self, now: Instant, claims: impl IntoIterator<Item = GossipRecord>) -> usize {
        self.merge(now, &address(9), &entry("x", claims))
    }

    /// The holders of a content that may be asked, and their seconds.
    fn named(&self, now: Instant, name: &str) -> Vec<(String, u32)> {
        let wanted = Wanted::Name(ContentName::new(name).expect("a name"));
        let found = self.find(now, &wanted);
        let holders = found.into_iter().flat_map(|content| content.holders);
        holders
            .map(|(holder, secs)| (holder.host.as_str().to_owned(), secs))
            .collect()
    }

    /// Holds a content of this name.
    fn hold_whole(&mut self, name: &str) {
        self.hold(LocalContent {
            info: content(name),
            complete: true,
        });
    }

    /// Everything it tells, page after page of at most so many bytes.
    fn told(&self, now: Instant, answer_bytes_max: usize) -> Vec<IndexEntry> {
        let asker = Asker {
            answer_bytes_max,
            ..tcp()
        };
        let mut all: Vec<IndexEntry> = Vec::new();
        loop {
            let query = IndexQuery {
                request: RequestNumber(1),
                after: all.last().map(|entry| entry.content.key()),
            };
            let Message::Index(page) = self.handle_query(now, &asker, &query) else {
                panic!("refused");
            };
            let more = page.more;
            assert!(!more || !page.contents.is_empty(), "a page that leads nowhere");
            all.extend(page.contents.into_vec());
            if !more {
                return all;
            }
        }
    }

    /// The claims it tells about one content.
    fn told_of(&self, now: Instant, name: &str) -> Vec<GossipRecord> {
        let key = content(name).key();
        let told = self.told(now, crate::limits::FRAME_BYTES_MAX);
        let entry = told.into_iter().find(|entry| entry.content.key() == key);
        entry.map(|entry| entry.holders.into_vec()).unwrap_or_default()
    }
}
