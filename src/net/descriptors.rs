//! How many connections the operating system lets us hold: each is an open file.

use crate::limits::DESCRIPTORS_KEPT;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many of `wanted` connections as may be open, each with `each` descriptors, besides `others` of our own.
/// The soft limit is raised to the hard one first: many systems give 1,024 until one asks.
pub fn connections_within(wanted: usize, each: usize, others: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let open_max = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    // No limit is as good as one that is never reached.
    let open_max = open_max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let within = (open_max.saturating_sub(DESCRIPTORS_KEPT + others) / each).max(1);
    if within < wanted {
        log::warn!("{within} connections at most, not {wanted}: raise the limit of open files (ulimit -n)");
    }
    wanted.min(within)
}
