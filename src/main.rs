//! The `p2pdi` program: see `p2pdi help`.
fn main() {}
