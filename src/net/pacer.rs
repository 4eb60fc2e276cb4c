//! A limited link that many threads share.

use super::{Clock, Stop};
use crate::limits::CHUNK_BYTES_MAX;
use crate::proto::Pace;
use crate::rate::Rate;
use parking_lot::Mutex;

/// A link's limit, or none.
#[derive(Debug)]
pub struct Pacer {
    clock: Clock,
    pace: Option<Mutex<Pace>>,
}

impl Pacer {
    /// A link limited to `rate`, if there is one.
    pub fn new(clock: Clock, rate: Option<Rate>) -> Self {
        Self {
            clock,
            pace: rate.map(|rate| Mutex::new(Pace::new(rate))),
        }
    }

    /// True if there is a limit.
    pub const fn is_limited(&self) -> bool {
        self.pace.is_some()
    }

    /// How many bytes to take at a time.
    pub fn step_bytes(&self) -> usize {
        self.pace
            .as_ref()
            .map_or(CHUNK_BYTES_MAX, |pace| pace.lock().step_bytes())
    }

    /// Waits until `bytes` more have had their time; true if stopped meanwhile.
    pub fn wait(&self, bytes: usize, stop: &Stop) -> bool {
        let Some(pace) = &self.pace else {
            return stop.is_set();
        };
        let ready = pace.lock().reserve(self.clock.at(), bytes);
        stop.wait_until(self.clock.std_instant(ready))
    }
}
