//! How much of what is dear an address may ask for (`rfcs/0002-registry.txt` §8.1).
//!
//! Belongs here: what each address has used of its allowances. Does not: what a request does or answers. Invariant: an
//! address is remembered only while it has used some of an allowance, and never more of them than the bound: a crowd of
//! addresses costs no memory.

use super::asker::{AddressGroup, Asker};
use crate::limits::{
    ADDRESS_CHANGES, ADDRESS_CHANGES_PER_SEC, ADDRESS_ENTRIES, ADDRESS_ENTRIES_PER_SEC, ADDRESS_JOINS,
    ADDRESS_JOINS_PER_SEC, ADDRESS_REPORTS, ADDRESS_REPORTS_PER_SEC, QUESTION_ENTRIES, RATED_ADDRESSES_MAX,
};
use crate::time::{Instant, Span};
use crate::wire::Message;
use std::collections::BTreeMap;

/// What is used up, and comes back with time.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    /// Of one a million.
    micros: u64,
    at: Instant,
}

/// How much there is, how much of it comes back in a second, and how much of it a request takes at least.
#[derive(Clone, Copy, Debug)]
struct Rule {
    what: &'static str,
    burst: u64,
    per_sec: u64,
    least: u64,
}

/// The allowances of every address.
const RULES: [Rule; 4] = [
    Rule {
        what: "joins",
        burst: ADDRESS_JOINS,
        per_sec: ADDRESS_JOINS_PER_SEC,
        least: 1,
    },
    Rule {
        what: "changes of what is registered",
        burst: ADDRESS_CHANGES,
        per_sec: ADDRESS_CHANGES_PER_SEC,
        least: 1,
    },
    Rule {
        what: "entries of answers",
        burst: ADDRESS_ENTRIES,
        per_sec: ADDRESS_ENTRIES_PER_SEC,
        least: QUESTION_ENTRIES,
    },
    Rule {
        what: "reports of holders",
        burst: ADDRESS_REPORTS,
        per_sec: ADDRESS_REPORTS_PER_SEC,
        least: 1,
    },
];
const JOINS: usize = 0;
const CHANGES: usize = 1;
const ENTRIES: usize = 2;
const REPORTS: usize = 3;

/// The allowance that a request is taken from.
const fn allowance_of(request: &Message) -> Option<usize> {
    Some(match request {
        Message::Join(_) => JOINS,
        Message::Register(_) | Message::Deregister(_) | Message::KeepAlive(_) | Message::Leave(_) => CHANGES,
        Message::Search(_) | Message::ListContents(_) | Message::PQuery(_) | Message::StatusQuery(_) => {
            ENTRIES
        }
        Message::ReportHolder(_) => REPORTS,
        _ => return None,
    })
}

/// Entries that an answer names.
fn entries_of(answer: &Message) -> u64 {
    let entries = match answer {
        Message::Found(found) => found.contents.len(),
        Message::Contents(page) => page.contents.len(),
        Message::Peers(page) => page.peers.len(),
        Message::Status(status) => status.offline.len(),
        _ => 0,
    };
    entries as u64
}

impl Used {
    fn settle(&mut self, now: Instant, rule: Rule) {
        let back = now.since(self.at).0.saturating_mul(rule.per_sec);
        self.micros = self.micros.saturating_sub(back);
        self.at = now;
    }

    /// Uses as much as a request takes at least, if there is so much.
    fn take(&mut self, now: Instant, rule: Rule) -> bool {
        self.settle(now, rule);
        let room = self.micros + rule.least * 1_000_000 <= rule.burst * 1_000_000;
        if room {
            self.add(rule.least);
        }
        room
    }

    const fn add(&mut self, count: u64) {
        self.micros = self.micros.saturating_add(count.saturating_mul(1_000_000));
    }
}

type Account = [Used; RULES.len()];

/// Between two looks for addresses that need no remembering any more.
const SWEEP: Span = Span::from_secs(1);

/// What every address has used. It lies before the machine of the RS, whose state no question changes.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    addresses: BTreeMap<AddressGroup, Account>,
    swept: Instant,
}

impl Allowances {
    /// True if requests like this of this asker are counted. Whoever is on the RS's own machine has other ways to stop it.
    pub fn counts(asker: &Asker, request: &Message) -> bool {
        allowance_of(request).is_some() && asker.group().is_some()
    }

    /// True if there is more to count of a request than was counted before it was answered.
    pub fn counts_answer(asker: &Asker, answer: &Message) -> bool {
        entries_of(answer) > QUESTION_ENTRIES && asker.group().is_some()
    }

    /// Why this request is too much of what its address asks for, if it is.
    pub fn refuses(&mut self, now: Instant, asker: &Asker, request: &Message) -> Option<String> {
        let allowance = allowance_of(request)?;
        let group = asker.group()?;
        if self.addresses.len() >= RATED_ADDRESSES_MAX && !self.addresses.contains_key(&group) {
            self.forget(now);
            // More addresses than are remembered have as many allowances anyway.
            if self.addresses.len() >= RATED_ADDRESSES_MAX {
                return None;
            }
        }
        let account = self.addresses.entry(group).or_default();
        let rule = RULES[allowance];
        (!account[allowance].take(now, rule)).then(|| {
            let Rule {
                what, burst, per_sec, ..
            } = rule;
            format!(
                "one address may ask for {burst} {what}, and for {per_sec} more a second: try again later"
            )
        })
    }

    /// Counts what an answer names, beyond what every question takes; also if that is more than there was.
    pub fn note_answer(&mut self, asker: &Asker, answer: &Message) {
        let account = asker.group().and_then(|group| self.addresses.get_mut(&group));
        if let Some(account) = account {
            account[ENTRIES].add(entries_of(answer).saturating_sub(QUESTION_ENTRIES));
        }
    }

    /// Forgets those who have their whole allowances again.
    fn forget(&mut self, now: Instant) {
        if now.since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        self.addresses.retain(|_, account| {
            account.iter_mut().zip(RULES).any(|(used, rule)| {
                used.settle(now, rule);
                used.micros > 0
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{PeerNumber, RequestNumber};
    use crate::wire::{List, PQuery, Peers};
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

    /// Every request to an RS.
    fn requests() -> impl Iterator<Item = Message> {
        let all = crate::wire::samples::samples().into_iter();
        all.filter(|sample| sample.row().direction == crate::wire::Direction::PeerToRs)
    }

    fn join() -> Message {
        let mut requests = requests();
        requests
            .find(|sample| matches!(sample, Message::Join(_)))
            .expect("a Join")
    }

    #[test]
    fn an_address_has_so_much_and_others_have_their_own() {
        let now = Instant::ZERO.after(Span::from_secs(1_000));
        let mut seen = [false; RULES.len()];
        for request in requests() {
            let mut allowances = Allowances::default();
            let allowance = allowance_of(&request).expect("every request is counted");
            let rule = RULES[allowance];
            if core::mem::replace(&mut seen[allowance], true) {
                continue;
            }
            for _ in 0..rule.burst / rule.least {
                assert_eq!(allowances.refuses(now, &from("192.0.2.1"), &request), None);
            }
            let text = allowances
                .refuses(now, &from("192.0.2.1"), &request)
                .expect("refused");
            assert!(text.contains(&format!("{} {}", rule.burst, rule.what)), "{text}");
            assert!(text.len() <= crate::limits::ERROR_TEXT_BYTES_MAX);
            assert_eq!(allowances.refuses(now, &from("192.0.2.2"), &request), None);
            let later = now.after(Span::from_secs(1));
            for _ in 0..rule.per_sec / rule.least {
                assert_eq!(allowances.refuses(later, &from("192.0.2.1"), &request), None);
            }
            assert!(allowances.refuses(later, &from("192.0.2.1"), &request).is_some());
        }
        assert_eq!(seen, [true; RULES.len()]);
    }

    #[test]
    fn what_is_used_of_one_allowance_leaves_the_others() {
        let mut allowances = Allowances::default();
        let asker = from("192.0.2.1");
        while allowances.refuses(Instant::ZERO, &asker, &join()).is_none() {}
        for request in requests().filter(|request| !matches!(request, Message::Join(_))) {
            assert_eq!(allowances.refuses(Instant::ZERO, &asker, &request), None);
        }
    }

    #[test]
    fn long_answers_count_by_what_they_name() {
        let mut allowances = Allowances::default();
        let asker = from("192.0.2.1");
        let Some(Message::Peers(sample)) = crate::wire::samples::samples()
            .into_iter()
            .find(|sample| matches!(sample, Message::Peers(_)))
        else {
            panic!("no sample of Peers");
        };
        let peers = List::first_of(core::iter::repeat_n(sample.peers[0].clone(), 1_000));
        let answer: Message = Peers { peers, ..sample }.into();
        assert!(Allowances::counts_answer(&asker, &answer));
        let mut pages = 0;
        while allowances.refuses(Instant::ZERO, &asker, &page()).is_none() {
            allowances.note_answer(&asker, &answer);
            pages += 1;
        }
        assert_eq!(pages, ADDRESS_ENTRIES.div_ceil(1_000));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_this_machine_is_none() {
        let mut allowances = Allowances::default();
        for host in 0..ADDRESS_JOINS {
            let ip = format!("2001:db8::{:x}:{:x}", host >> 16, host & 0xffff);
            assert_eq!(allowances.refuses(Instant::ZERO, &from(&ip), &join()), None);
        }
        assert!(
            allowances
                .refuses(Instant::ZERO, &from("2001:db8::ffff:ffff"), &join())
                .is_some()
        );
        for _ in 0..=ADDRESS_JOINS {
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
