//! Ordeals: what must hold of a transfer however it is treated, with real processes, as often as it takes.
//!
//! A few rounds of each belong to `make test`; `make ordeal` sets `P2PDI_ORDEAL` and runs all of them, in the
//! very same code. Each prints what it has measured: see it with `-- --nocapture`.
#![allow(
    clippy::disallowed_types,
    reason = "whole tests use files, clocks and sockets"
)]

#[path = "ordeal/changes.rs"]
mod changes;
#[path = "ordeal/disk.rs"]
mod disk;
#[path = "ordeal/fault.rs"]
mod fault;
#[path = "ordeal/kills.rs"]
mod kills;
#[path = "pieces/liar.rs"]
mod liar;
#[path = "ordeal/liars.rs"]
mod liars;
#[path = "ordeal/memory.rs"]
mod memory;
mod process;
#[path = "ordeal/relay.rs"]
mod relay;
#[path = "ordeal/source.rs"]
mod source;
#[path = "ordeal/stalls.rs"]
mod stalls;
#[path = "ordeal/vast.rs"]
mod vast;

/// How much of an ordeal: a little in CI, all of it by `make ordeal`.
fn amount<T>(in_ci: T, in_full: T) -> T {
    if std::env::var_os("P2PDI_ORDEAL").is_some() {
        in_full
    } else {
        in_ci
    }
}
