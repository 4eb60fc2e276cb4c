//! Attacks on real processes: every test here is somebody who means harm, or a machine that fails in the way
//! that hurts most. What is attacked must live, stay small, say what is wrong, and serve the next honest one.
#![allow(
    clippy::disallowed_types,
    reason = "whole tests use files, clocks and sockets"
)]

#[path = "hostile/busy.rs"]
mod busy;
#[path = "hostile/cli.rs"]
mod cli;
#[path = "hostile/crowd.rs"]
mod crowd;
#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/interrupt.rs"]
mod interrupt;
#[path = "hostile/liar.rs"]
mod liar;
#[path = "hostile/lies.rs"]
mod lies;
#[path = "hostile/names.rs"]
mod names;
mod process;
#[path = "hostile/raw.rs"]
mod raw;
#[path = "hostile/sizes.rs"]
mod sizes;
#[path = "hostile/stuck.rs"]
mod stuck;
