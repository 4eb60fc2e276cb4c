//! One line of log for each event that an operator may want to know of, and calm in a flood of them.

use crate::limits::RS_LOG_LINES_PER_SEC_MAX;
use crate::proto::Asker;
use crate::time::{Instant, Span};
use crate::wire::{Message, Refusal};
use log::Level;
use parking_lot::Mutex;

/// What was logged in the second that runs.
#[derive(Debug, Default)]
pub(super) struct Events(Mutex<Second>);

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
        match self.0.lock().admit(now) {
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
}
