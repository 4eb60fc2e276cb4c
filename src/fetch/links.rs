//! How much of this machine's links is used, as the kernel counts it.
//!
//! Belongs here: reading the counters of interfaces that know their own speed; a virtual or a wireless one does not, and
//! a limit set elsewhere on the way is not to be seen from here. Does not: what a full link means. Invariant: what is
//! not known is never called full.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// Of a link's nominal speed this is as much content as gets through, headers and gaps taken off.
const FULL_PERCENT: u128 = 88;

/// What an interface had received, and what it can receive in a second, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    received: u64,
    speed: u64,
}

/// Every interface of known speed, at one moment.
#[derive(Debug)]
pub(super) struct Links {
    at: Instant,
    links: BTreeMap<String, Link>,
}

impl Links {
    /// As they are now.
    pub(super) fn read() -> Self {
        let entries = std::fs::read_dir("/sys/class/net").into_iter().flatten();
        let named = entries.filter_map(Result::ok).filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name, read_link(&entry.path())?))
        });
        Self {
            at: Instant::now(),
            links: named.collect(),
        }
    }

    /// True if since then one of them has carried what it can.
    pub(super) fn were_full(&self) -> bool {
        let now = Self::read();
        let passed = now.at.duration_since(self.at);
        let both = self
            .links
            .iter()
            .filter_map(|(name, then)| Some((then, now.links.get(name)?)));
        both.into_iter().any(|(then, now)| is_full(*then, *now, passed))
    }
}

fn read_link(interface: &Path) -> Option<Link> {
    let number = |file: &str| -> Option<u64> {
        let text = std::fs::read_to_string(interface.join(file)).ok()?;
        text.trim().parse().ok()
    };
    let megabits = number("speed").filter(|megabits| *megabits > 0)?;
    Some(Link {
        received: number("statistics/rx_bytes")?,
        speed: megabits.saturating_mul(125_000),
    })
}

fn is_full(then: Link, now: Link, passed: Duration) -> bool {
    let received = u128::from(now.received.saturating_sub(then.received));
    let possible = u128::from(now.speed) * passed.as_micros() / 1_000_000;
    possible > 0 && received * 100 >= possible * FULL_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_full_near_its_speed() {
        let link = |received| Link {
            received,
            speed: 125_000_000,
        };
        let second = Duration::from_secs(1);
        assert!(is_full(link(5), link(115_000_005), second));
        assert!(!is_full(link(5), link(60_000_005), second));
        assert!(!is_full(link(5), link(115_000_005), 2 * second));
        assert!(!is_full(link(5), link(0), second), "counters that begin anew");
        assert!(!is_full(link(5), link(9), Duration::ZERO), "no time has passed");
        assert!(Links::read().links.values().all(|link| link.speed > 0));
    }
}
