//! Ways to send a file and to receive one, beside those we took: what the decisions in BENCHMARKS.md rest on.
//!
//! Belongs here: alternatives, each as a few system calls over loopback. Does not: our own engine, which
//! `transfer.rs` measures. Set TMPDIR to a tmpfs to keep the disk out of it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::disallowed_types, reason = "a benchmark opens files and sockets")]

mod cost;
mod line;
mod mapped_target;
mod receiving;
mod sending;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

criterion_group! {
    name = alternatives;
    // Short runs: there are some forty of them.
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = sending::ways, sending::buffers, receiving::ways, receiving::pieces, receiving::buffers
}
criterion_main!(alternatives);
