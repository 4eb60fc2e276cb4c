#![doc = include_str!("../README.md")]
#![expect(
    clippy::multiple_crate_versions,
    reason = "dependencies choose their own versions"
)]

pub mod fetch;
pub mod id;
pub mod limits;
pub mod load;
pub mod locate;
pub mod name;
pub mod peer;
pub mod rate;
pub mod ring;
pub mod rng;
pub mod time;

pub mod net;
pub mod proto;
pub mod rs;
pub mod sim;
pub mod storage;
pub mod wire;
