//! Holds `rfcs/` and the dissector against the code: what can be rendered from the code is, and must be equal.
//!
//! A file carries its generated parts between marker lines, `-- begin generated: NAME` and
//! `-- end generated`; everything around them is written by hand. `P2PDI_BLESS=1` rewrites the parts.
//! A further specification is held by adding its blocks to [`blocks`] and its path to [`SPECS`].

#[path = "spec/block.rs"]
mod block;
#[path = "spec/bounds.rs"]
mod bounds;
#[path = "spec/dissector.rs"]
mod dissector;
#[path = "spec/examples.rs"]
mod examples;
#[path = "spec/machines.rs"]
mod machines;
#[path = "spec/pdus.rs"]
mod pdus;
#[path = "spec/prose.rs"]
mod prose;
#[path = "spec/ring.rs"]
mod ring;
#[path = "spec/transfer.rs"]
mod transfer;
#[path = "wire/walk.rs"]
mod walk;

use block::Block;

/// The specifications of this project: plain text, held to its form by `prose.rs`.
const SPECS: &[&str] = &[WIRE, REGISTRY, INDEX, TRANSFER, RING];
const WIRE: &str = "rfcs/0001-wire.txt";
const REGISTRY: &str = "rfcs/0002-registry.txt";
const INDEX: &str = "rfcs/0003-index.txt";
const TRANSFER: &str = "rfcs/0004-transfer.txt";
const RING: &str = "rfcs/0005-ring.txt";
const DISSECTOR: &str = "tools/p2pdi.lua";

/// Every generated part of every file; each has its place there once.
fn blocks() -> Vec<Block> {
    let mut blocks = vec![
        Block::new(WIRE, "versions", bounds::versions),
        Block::new(WIRE, "features", bounds::features),
        Block::new(WIRE, "datagrams", bounds::datagrams),
        Block::new(WIRE, "retransmission", bounds::retransmission),
        Block::new(WIRE, "table", pdus::table),
    ];
    for row in p2pdi::wire::TABLE {
        blocks.push(Block::new(WIRE, &format!("pdu {}", row.name), || {
            pdus::section(row)
        }));
    }
    blocks.extend([
        Block::new(WIRE, "records", pdus::records),
        Block::new(WIRE, "pieces", bounds::pieces),
        Block::new(WIRE, "tree", pdus::tree_records),
        Block::new(WIRE, "refusals", bounds::refusals),
        Block::new(WIRE, "limits", bounds::limits),
        Block::new(WIRE, "examples", examples::render),
        Block::new(REGISTRY, "operations", machines::registry_operations),
        Block::new(REGISTRY, "refusals", machines::registry_refusals),
        Block::new(REGISTRY, "limits", machines::registry_limits),
        Block::new(INDEX, "operations", machines::index_operations),
        Block::new(INDEX, "refusals", machines::index_refusals),
        Block::new(INDEX, "limits", machines::index_limits),
        Block::new(TRANSFER, "timers", transfer::timers),
        Block::new(TRANSFER, "simulated", transfer::simulated),
        Block::new(TRANSFER, "freeloaders", transfer::freeloaders),
        Block::new(RING, "operations", ring::operations),
        Block::new(RING, "paths", ring::paths),
        Block::new(RING, "refusals", ring::refusals),
        Block::new(RING, "limits", ring::limits),
        Block::new(DISSECTOR, "layouts", dissector::layouts),
        Block::new(DISSECTOR, "refusals", dissector::refusals),
    ]);
    blocks
}

#[test]
fn generated_parts_equal_the_code() {
    block::hold(&blocks());
}
