//! What every store must do, run against each of them.

use super::*;
use crate::id::PeerNumber;
use crate::rng::Rng;
use crate::storage::DiskStore;
use crate::storage::test_rows::{any_changes, expected, holder, key, lease, peer, rows};

/// Opens the same store again and again.
type Open<'a> = dyn FnMut(Option<Box<dyn Store>>) -> Box<dyn Store> + 'a;

fn in_memory(test: impl Fn(&mut Open<'_>)) {
    let mut kept = std::sync::Arc::new(parking_lot::Mutex::new(MemoryStore::default()));
    test(&mut |_| Box::new(SharedMemory(std::sync::Arc::clone(&kept))));
    kept = std::sync::Arc::default();
    drop(kept);
}

/// A memory that outlives its store, as a disk does.
struct SharedMemory(std::sync::Arc<parking_lot::Mutex<MemoryStore>>);

impl Store for SharedMemory {
    fn commit(&mut self, changes: &[Change]) -> io::Result<()> {
        self.0.lock().commit(changes)
    }
    fn load(&mut self, each: &mut dyn FnMut(Change)) -> io::Result<()> {
        self.0.lock().load(each)
    }
    fn is_of_this_boot(&self) -> bool {
        self.0.lock().is_of_this_boot()
    }
}

fn on_disk(test: impl Fn(&mut Open<'_>)) {
    let place = tempfile::tempdir().expect("a directory");
    test(&mut |before| {
        drop(before);
        Box::new(DiskStore::open(place.path()).expect("opened"))
    });
}

fn suite(test: impl Fn(&mut Open<'_>)) {
    in_memory(&test);
    on_disk(&test);
}

fn reopened(store: Box<dyn Store>, open: &mut Open<'_>) -> (Box<dyn Store>, Vec<Change>) {
    let mut store = open(Some(store));
    let rows = rows(&mut *store);
    (store, rows)
}

#[test]
fn a_new_store_is_empty() {
    suite(|open| {
        let mut store = open(None);
        assert_eq!(rows(&mut *store), []);
        assert!(!reopened(store, open).1.iter().any(|_| true));
    });
}

#[test]
fn rows_come_back_in_their_order() {
    suite(|open| {
        let mut store = open(None);
        rows(&mut *store);
        let (one, two) = (PeerNumber(1), PeerNumber(256));
        let ordered = [
            Change::Numbered(PeerNumber(300)),
            Change::Peer(one, peer("one")),
            Change::Lease(one, lease(1)),
            Change::Peer(two, peer("two")),
            Change::Lease(two, lease(2)),
            Change::Holder(one, holder("a", 2)),
            Change::Holder(one, holder("a/b", 1)),
            Change::Holder(one, holder("ab", 1)),
            Change::Holder(two, holder("a", 1)),
        ];
        let mut backwards = ordered.to_vec();
        backwards.reverse();
        store.commit(&backwards[..4]).expect("kept");
        store.commit(&backwards[4..]).expect("kept");
        assert_eq!(reopened(store, open).1, ordered);
    });
}

#[test]
fn changes_are_made_in_their_order() {
    suite(|open| {
        let mut store = open(None);
        rows(&mut *store);
        let (one, two) = (PeerNumber(1), PeerNumber(2));
        let kept = [
            Change::Holder(one, holder("b", 1)),
            Change::Holder(two, holder("a", 1)),
        ];
        store
            .commit(&[
                Change::Holder(one, holder("a", 1)),
                kept[1].clone(),
                Change::HoldersGone(one),
                Change::Holder(one, holder("b", 1)),
                Change::Holder(one, holder("c", 1)),
                Change::HolderGone(one, key("c", 1)),
            ])
            .expect("kept");
        assert_eq!(reopened(store, open).1, kept);
    });
}

#[test]
fn whatever_comes_the_last_word_stands() {
    suite(|open| {
        let mut rng = Rng::from_seed(11);
        let mut store = open(None);
        rows(&mut *store);
        let mut all = Vec::new();
        for round in 0..120 {
            let changes = any_changes(&mut rng);
            store.commit(&changes).expect("kept");
            all.extend(changes);
            if round % 6 == 5 {
                let there;
                (store, there) = reopened(store, open);
                assert_eq!(there, expected(&all), "round {round}");
            }
        }
    });
}

#[test]
fn an_empty_commit_is_one() {
    suite(|open| {
        let mut store = open(None);
        rows(&mut *store);
        store.commit(&[]).expect("kept");
        assert_eq!(reopened(store, open).1, []);
    });
}
