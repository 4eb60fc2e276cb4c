//! How much of what is dear an address may ask for (`rfcs/0002-registry.txt` §8.1).
//!
//! Belongs here: joins and pages by address. Does not: what any of them costs or answers. Invariant: an address is
//! remembered only while it has used some of its allowance, and never more of them than the bound: a crowd of
//! addresses costs no memory.

use super::asker::{AddressGroup, Asker};
use crate::limits::{
    ADDRESS_JOINS, ADDRESS_JOINS_PER_SEC, ADDRESS_PAGES, ADDRESS_PAGES_PER_SEC, RATED_ADDRESSES_MAX,
};
use crate::time::{Instant, Span};
use crate::wire::Message;
use std::collections::BTreeMap;

/// What is used up, and comes back with time.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// Of one request a million.
    micros: u64,
    at: Instant,
}

/// How much there is, and how much of it comes back in a second.
#[derive(Clone, Copy, Debug)]
struct Rule {
    burst: u64,
    per_sec: u64,
}

const JOINS: Rule = Rule {
    burst: ADDRESS_JOINS,
    per_sec: ADDRESS_JOINS_PER_SEC,
};
const PAGES: Rule = Rule {
    burst: ADDRESS_PAGES,
    per_sec: ADDRESS_PAGES_PER_SEC,
};

impl Used {
    fn settle(&mut self, now: Instant, rule: Rule) {
        let back = now.since(self.at).0.saturating_mul(rule.per_sec);
        self.micros = self.micros.saturating_sub(back);
        self.at = now;
    }

    /// Uses one more, if there is one.
    fn take(&mut self, now: Instant, rule: Rule) -> bool {
        self.settle(now, rule);
        let room = self.micros + 1_000_000 <= rule.burst * 1_000_000;
        if room {
            self.micros += 1_000_000;
        }
        room
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    joins: Used,
    pages: Used,
}

/// Between two looks for addresses that need no remembering any more.
const SWEEP: Span = Span::from_secs(1);

/// What every address has used. It lies before the machine of the RS, whose state no question changes.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    addresses: BTreeMap<AddressGroup, Account>,
    swept: Instant,
}

impl Allowances {
    /// True for what is counted here.
    pub const fn rates(request: &Message) -> bool {
        matches!(
            request,
            Message::Join(_) | Message::ListContents(_) | Message::PQuery(_)
        )
    }

    /// Why this request is too much of what its address asks for, if it is.
    pub fn refuses(&mut self, now: Instant, asker: &Asker, request: &Message) -> Option<String> {
        if !Self::rates(request) {
            return None;
        }
        let joins = matches!(request, Message::Join(_));
        // Whoever is on this machine has other ways to stop an RS.
        let group = asker.group()?;
        if self.addresses.len() >= RATED_ADDRESSES_MAX && !self.addresses.contains_key(&group) {
            self.forget(now);
            // More addresses than are remembered have as many allowances anyway.
            if self.addresses.len() >= RATED_ADDRESSES_MAX {
                return None;
            }
        }
        let account = self.addresses.entry(group).or_default();
        let (used, rule, what) = if joins {
            (&mut account.joins, JOINS, "joins")
        } else {
            (&mut account.pages, PAGES, "pages")
        };
        (!used.take(now, rule)).then(|| {
            let Rule { burst, per_sec } = rule;
            format!("an address may ask for {burst} {what}, and for {per_sec} more a second: try again later")
        })
    }

    /// Forgets those who have their whole allowance again.
    fn forget(&mut self, now: Instant) {
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.addresses.retain(|_, account| {
            account.joins.settle(now, JOINS);
            account.pages.settle(now, PAGES);
            account.joins.micros > 0 || account.pages.micros > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PeerNumber, RequestNumber};
    use crate::wire::PQuery;
    use std::net::{IpAddr, Ipv4Addr};

    fn from(ip: &str) -> Asker {
        Asker::over_udp(ip.parse().expect("an address"))
    }

    fn page() -> Message {
        PQuery {
            request: RequestNumber(1),
            cookie: None,
            after: PeerNumber(0),
        }
        .into()
    }

    fn join() -> Message {
        crate::wire::samples::samples()
            .into_iter()
            .find(|sample| matches!(sample, Message::Join(_)))
            .expect("a Join")
    }

    #[test]
    fn an_address_has_so_much_and_others_have_their_own() {
        let mut allowances = Allowances::default();
        let now = Instant::ZERO.after(Span::from_secs(1_000));
        for (request, rule) in [(join(), JOINS), (page(), PAGES)] {
            for _ in 0..rule.burst {
                assert_eq!(allowances.refuses(now, &from("192.0.2.1"), &request), None);
            }
            let text = allowances
                .refuses(now, &from("192.0.2.1"), &request)
                .expect("refused");
            assert!(text.contains(&rule.burst.to_string()), "{text}");
            assert!(text.len() <= crate::limits::ERROR_TEXT_BYTES_MAX);
            assert_eq!(allowances.refuses(now, &from("192.0.2.2"), &request), None);
            let later = now.after(Span::from_secs(1));
            for _ in 0..rule.per_sec {
                assert_eq!(allowances.refuses(later, &from("192.0.2.1"), &request), None);
            }
            assert!(allowances.refuses(later, &from("192.0.2.1"), &request).is_some());
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_this_machine_is_none() {
        let mut allowances = Allowances::default();
        for host in 0..JOINS.burst {
            let ip = format!("2001:db8::{:x}:{:x}", host >> 16, host & 0xffff);
            assert_eq!(allowances.refuses(Instant::ZERO, &from(&ip), &join()), None);
        }
        assert!(
            allowances
                .refuses(Instant::ZERO, &from("2001:db8::ffff:ffff"), &join())
                .is_some()
        );
        for _ in 0..=JOINS.burst {
            for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(allowances.refuses(Instant::ZERO, &from(here), &join()), None);
            }
        }
    }

    #[test]
    fn addresses_remembered_are_bounded_and_forgotten() {
        let mut allowances = Allowances::default();
        let at = |number: usize| {
            let number = u32::try_from(number).expect("small");
            Asker::over_udp(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)))
        };
        let now = Instant::ZERO.after(Span::from_secs(10));
        for number in 0..RATED_ADDRESSES_MAX + 10 {
            assert_eq!(allowances.refuses(now, &at(number), &page()), None);
        }
        assert_eq!(allowances.addresses.len(), RATED_ADDRESSES_MAX);
        let later = now.after(Span::from_secs(2));
        assert_eq!(
            allowances.refuses(later, &at(RATED_ADDRESSES_MAX + 20), &page()),
            None
        );
        assert_eq!(allowances.addresses.len(), 1, "all others have what they had");
    }
}
