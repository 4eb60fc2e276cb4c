//! A file that bytes are received into through a map.
//!
//! Safe Rust cannot promise that nobody else cuts the file short, so making the map is `unsafe`. Here the file is a
//! temporary one of our own.
#![allow(unsafe_code, reason = "a writable map; its block gives the reason")]

use memmap2::{MmapMut, MmapOptions};
use std::fs::File;

pub(crate) fn map(file: &File) -> MmapMut {
    // SAFETY: the file is an unlinked temporary of this process, which does not truncate it while it is mapped.
    unsafe { MmapOptions::new().map_mut(file) }.expect("mapped")
}
