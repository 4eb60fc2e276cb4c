//! Files: what is shared, what is being fetched, what is remembered.
//!
//! Belongs here: everything that touches the file system, with the threads that hash. Does not: sockets (a send
//! from a map is handed the descriptor), decisions. Invariant: a file appears under its final name only whole,
//! verified and on disk; a shared file is read only while it is what it was when it was hashed.
#![allow(clippy::disallowed_types, reason = "this floor is where files live")]

mod boot;
mod commits;
mod disk;
mod group;
mod hash_cache;
mod hashers;
mod hashing;
mod heading;
mod journal;
mod landing;
mod mapped;
mod open;
mod replacing;
mod room;
mod scan;
mod sound;
mod stamp;
mod state;
mod store;
#[cfg(test)]
mod test_rows;
mod trial;
mod unfinished;

pub use commits::{ChangeCount, Commits};
pub use disk::{DiskStore, store_bytes};
pub use group::{Found, Group, Part};
pub use hash_cache::HashCache;
pub use hashers::{HashOrder, HashProgress, Hashed, Hashers};
pub use hashing::{HashFault, hash_file};
pub use heading::{Heading, read_heading};
pub use journal::{journal_bytes, read_journal};
pub use landing::Landing;
pub use mapped::{Conduit, Mapped};
pub use open::SmallFile;
pub use room::{free_bytes, measure};
pub use scan::{Scanned, Sight, describe, glance, glance_at, scan, tree_of};
pub use stamp::Stamp;
pub use state::State;
pub use store::{MemoryStore, Store};
