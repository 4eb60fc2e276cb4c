//! One line of log for each event that an operator may want to know of, and calm in a flood of them.

use crate::limits::{RS_LOG_LINES_PER_SEC_MAX, RS_WARNED_ADDRESSES_MAX};
use crate::proto::Asker;
use crate::time::{Instant, Span};
use crate::wire::{Message, Refusal};
use log::Level;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What was logged of late.
#[derive(Debug, Default)]
pub(super) struct Events {
    second: Mutex<Second>,
    warned: Mutex<Warned>,
}

/// Whom a warning was about: whoever goes on after one is counted, and fills no log.
#[derive(Debug, Default)]
struct Warned(BTreeMap<(IpAddr, u16), Instant>);

/// The next warning about the same address and refusal comes no earlier than this.
const WARNED_EVERY: Span = Span::from_secs(60);

impl Warned {
    fn is_due(&mut self, now: Instant, whom: (IpAddr, u16)) -> bool {
        let recent = |at: &Instant| now.since(*at) < WARNED_EVERY;
        if self.0.get(&whom).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= RS_WARNED_ADDRESSES_MAX {
            self.0.retain(|_, at| recent(at));
        }
        if self.0.len() < RS_WARNED_ADDRESSES_MAX {
            self.0.insert(whom, now);
        }
        true
    }
}

#[derive(Debug, Default)]
struct Second {
    began: Instant,
    lines: u32,
    left_out: u64,
}

impl Events {
    /// Logs what came of a request, if it is an event.
    pub(super) fn note(&self, now: Instant, asker: &Asker, request: &Message, answer: &Message) {
        let ip = asker.ip.to_canonical();
        match (request, answer) {
            (Message::Join(join), Message::Ack(ack)) => self.log(now, Level::Info, || {
                let host = ack.host.as_ref().map_or("?", |host| host.as_str());
                format!("{} joined as {host}:{} from {ip}", join.name, join.port)
            }),
            (Message::Leave(_), Message::Ack(_)) => {
                self.log(now, Level::Info, || format!("a peer at {ip} left"));
            }
            (_, Message::Error(error)) => {
                let level = match error.code {
                    Refusal::LimitReached | Refusal::Busy => Level::Warn,
                    _ => Level::Debug,
                };
                if level == Level::Warn && !self.warned.lock().is_due(now, (ip, error.code.code())) {
                    return;
                }
                self.log(now, level, || {
                    let (what, text) = (request.row().name, crate::name::printable(error.text.as_str()));
                    format!("{what} from {ip} refused ({}): {text}", error.code.code())
                });
            }
            _ => {}
        }
    }

    fn log(&self, now: Instant, level: Level, line: impl FnOnce() -> String) {
        if !log::log_enabled!(level) {
            return;
        }
        match self.second.lock().admit(now) {
            Admitted::Yes => log::log!(level, "{}", line()),
            Admitted::AfterLeavingOut(lines) => {
                log::warn!("{lines} lines were left out: more than {RS_LOG_LINES_PER_SEC_MAX} in a second");
                log::log!(level, "{}", line());
            }
            Admitted::No => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Admitted {
    Yes,
    AfterLeavingOut(u64),
    No,
}

impl Second {
    fn admit(&mut self, now: Instant) -> Admitted {
        let mut left_out = 0;
        if now.since(self.began) >= Span::from_secs(1) {
            left_out = self.left_out;
            *self = Self {
                began: now,
                ..Self::default()
            };
        }
        if self.lines >= RS_LOG_LINES_PER_SEC_MAX {
            self.left_out += 1;
            return Admitted::No;
        }
        self.lines += 1;
        if left_out > 0 {
            Admitted::AfterLeavingOut(left_out)
        } else {
            Admitted::Yes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_not_written() {
        let mut second = Second::default();
        let now = Instant::ZERO.after(Span::from_secs(5));
        for _ in 0..RS_LOG_LINES_PER_SEC_MAX {
            assert_eq!(second.admit(now), Admitted::Yes);
        }
        for _ in 0..7 {
            assert_eq!(second.admit(now), Admitted::No);
        }
        let later = now.after(Span::from_secs(1));
        assert_eq!(second.admit(later), Admitted::AfterLeavingOut(7));
        assert_eq!(second.admit(later), Admitted::Yes);
    }

    #[test]
    fn who_goes_on_after_a_warning_is_not_warned_of_again_for_a_while() {
        let mut warned = Warned::default();
        let ip = |number: usize| IpAddr::from(u32::try_from(number).expect("small").to_be_bytes());
        let now = Instant::ZERO.after(Span::from_secs(5));
        assert!(warned.is_due(now, (ip(0), 503)));
        assert!(!warned.is_due(now, (ip(0), 503)));
        assert!(warned.is_due(now, (ip(0), 429)), "another reason");
        for number in 1..RS_WARNED_ADDRESSES_MAX * 2 {
            assert!(warned.is_due(now, (ip(number), 503)));
        }
        assert_eq!(warned.0.len(), RS_WARNED_ADDRESSES_MAX);
        let later = now.after(WARNED_EVERY);
        assert!(warned.is_due(later, (ip(0), 503)));
        assert!(warned.is_due(later, (ip(RS_WARNED_ADDRESSES_MAX * 2), 503)));
        assert_eq!(warned.0.len(), 2, "those of before are forgotten");
    }
}
