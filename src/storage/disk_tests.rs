//! The store on disk, when the disk or somebody else has had its way with it.

use super::*;
use crate::rng::Rng;
use crate::storage::test_rows::{any_changes, expected, holder, lease, peer, rows};
use parking_lot::Mutex;

/// A store with some rows, closed; and the rows.
fn closed(directory: &Path) -> Vec<Change> {
    let mut store = DiskStore::open(directory).expect("opened");
    rows(&mut store);
    let mut changes = vec![Change::Numbered(PeerNumber(9))];
    for number in 1..=9 {
        let number = PeerNumber(number);
        changes.push(Change::Peer(number, peer("p")));
        changes.push(Change::Lease(number, lease(number.0)));
    }
    for id in 0..60 {
        changes.push(Change::Holder(PeerNumber(1), holder("a", id)));
    }
    store.commit(&changes).expect("kept");
    changes
}

/// What opening comes to: the rows, or why not.
fn opened(directory: &Path) -> io::Result<Vec<Change>> {
    let mut store = DiskStore::open(directory)?;
    let mut rows = Vec::new();
    store.load(&mut |row| rows.push(row))?;
    Ok(rows)
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join(FILE);
    let right = closed(place.path());
    let whole = std::fs::read(&file).expect("read");
    let mut rng = Rng::from_seed(3);
    let mut refused = 0;
    // Most of a small file is not used.
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    for _ in 0..300 {
        let at = used[usize::try_from(rng.below(used.len() as u64)).expect("small")];
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << rng.below(8);
        std::fs::write(&file, &damaged).expect("written");
        match opened(place.path()) {
            Ok(rows) => assert_eq!(rows, right, "damaged at {at}"),
            Err(error) => {
                refused += 1;
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{at}: {error}");
                assert!(error.to_string().contains("registry.redb: damaged ("), "{error}");
                assert!(
                    std::fs::read(&file).expect("read") == damaged,
                    "written to, damaged at {at}"
                );
            }
        }
    }
    println!("{refused} of 300 refused");
    assert!(refused > 30, "{refused} refused");
}

#[test]
fn a_store_cut_short_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join(FILE);
    let right = closed(place.path());
    let whole = std::fs::read(&file).expect("read");
    for part in 0..20 {
        let cut = &whole[..whole.len() * part / 20];
        std::fs::write(&file, cut).expect("written");
        match opened(place.path()) {
            Ok(rows) => assert_eq!(rows, right, "{part}"),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
                assert!(std::fs::read(&file).expect("read") == cut, "{part}");
            }
        }
    }
}

#[test]
fn what_is_no_store_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join(FILE);
    for foreign in [&b""[..], b"hello", &[0; 100_000]] {
        std::fs::write(&file, foreign).expect("written");
        let error = opened(place.path()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert_eq!(std::fs::read(&file).expect("read"), foreign);
    }
    std::fs::remove_file(&file).expect("removed");
    drop(Database::create(&file).expect("somebody else's database"));
    let error = opened(place.path()).expect_err("refused");
    assert!(error.to_string().contains("no store of an RS"), "{error}");
}

#[test]
fn a_newer_store_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join(FILE);
    closed(place.path());
    let database = Database::open(&file).expect("opened");
    let transaction = database.begin_write().expect("begun");
    let next = (VERSION + 1).to_be_bytes();
    transaction
        .open_table(ABOUT)
        .expect("opened")
        .insert("version", next.as_slice())
        .expect("written");
    transaction.commit().expect("kept");
    drop(database);
    let before = std::fs::read(&file).expect("read");
    let error = opened(place.path()).expect_err("refused");
    assert!(error.to_string().contains("written by a newer p2pdi"), "{error}");
    assert!(std::fs::read(&file).expect("read") == before);
}

#[test]
fn half_a_beginning_is_no_store() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join(DRAFT), b"half").expect("written");
    assert_eq!(opened(place.path()).expect("opened"), []);
    assert_eq!(opened(place.path()).expect("opened again"), []);
}

#[test]
fn it_belongs_to_one_at_a_time() {
    let place = tempfile::tempdir().expect("a directory");
    let _held = DiskStore::open(place.path()).expect("opened");
    let error = opened(place.path()).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy, "{error}");
}

#[test]
fn what_was_deleted_leaves_the_file() {
    let place = tempfile::tempdir().expect("a directory");
    let bytes = || std::fs::metadata(place.path().join(FILE)).expect("a file").len();
    let mut store = DiskStore::open(place.path()).expect("opened");
    rows(&mut store);
    let many = (0..80_000_u64).map(|number| Change::Holder(PeerNumber(number), holder("a", 1)));
    store.commit(&many.collect::<Vec<_>>()).expect("kept");
    let full = bytes();
    assert!(full > RS_COMPACT_BYTES_MIN, "{full} bytes");
    let gone = (0..79_990).map(|number| Change::HoldersGone(PeerNumber(number)));
    store.commit(&gone.collect::<Vec<_>>()).expect("kept");
    drop(store);
    assert_eq!(opened(place.path()).expect("opened").len(), 10);
    assert!(
        bytes() < RS_COMPACT_BYTES_MIN,
        "{full} bytes, and now {}",
        bytes()
    );
    // And while it is open: a file that has doubled, and is mostly unused again.
    let mut store = DiskStore::open(place.path()).expect("opened");
    assert_eq!(rows(&mut store).len(), 10);
    let mut largest = 0;
    for round in 0..40_u64 {
        let from = round * 10_000;
        let many = (from..from + 10_000).map(|number| Change::Holder(PeerNumber(number), holder("a", 1)));
        store.commit(&many.collect::<Vec<_>>()).expect("kept");
        let gone = (from..from + 10_000).map(|number| Change::HoldersGone(PeerNumber(number)));
        store.commit(&gone.collect::<Vec<_>>()).expect("kept");
        largest = largest.max(bytes());
    }
    assert!(largest < 4 * RS_COMPACT_BYTES_MIN, "{largest} bytes");
}

/// A disk whose power can be cut: what was written since the last sync may be there or not, whole or torn.
#[derive(Clone, Debug, Default)]
struct Platter(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    /// As reads see it.
    now: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    since: Vec<(usize, Vec<u8>)>,
    /// Operations until the power is cut.
    left: Option<u32>,
}

impl Written {
    fn operate(&mut self) -> io::Result<()> {
        match &mut self.left {
            Some(0) => return Err(io::Error::other("no power")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    /// What is found afterwards: of each write since the last sync, sectors of it or nothing.
    fn found(&self, rng: &mut Rng) -> Vec<u8> {
        let mut found = self.synced.clone();
        found.resize(self.now.len().max(found.len()), 0);
        for (at, bytes) in &self.since {
            if rng.one_in(3) {
                continue;
            }
            let torn = rng.one_in(3);
            for (sector, part) in bytes.chunks(512).enumerate() {
                if !torn || rng.one_in(2) {
                    let from = at + sector * 512;
                    found[from..from + part.len()].copy_from_slice(part);
                }
            }
        }
        found
    }
}

impl StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().now.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).expect("small");
        let written = self.0.lock();
        let there = written.now.get(from..from + out.len());
        out.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut written = self.0.lock();
        written.operate()?;
        let len = usize::try_from(len).expect("small");
        // A length is of the file system, which keeps its own order.
        written.now.resize(len, 0);
        written.synced.resize(len, 0);
        written.since.retain(|(at, bytes)| at + bytes.len() <= len);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut written = self.0.lock();
        written.operate()?;
        written.synced = written.now.clone();
        written.since.clear();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut written = self.0.lock();
        written.operate()?;
        let from = usize::try_from(offset).expect("small");
        written.now[from..from + data.len()].copy_from_slice(data);
        written.since.push((from, data.to_vec()));
        Ok(())
    }
}

fn on(platter: &Platter) -> io::Result<(DiskStore, Vec<Change>)> {
    let mut store = DiskStore::on(platter.clone(), Path::new("platter"))?;
    let mut rows = Vec::new();
    store.load(&mut |row| rows.push(row))?;
    Ok((store, rows))
}

#[test]
fn the_power_may_go_at_every_operation() {
    for seed in 0..400 {
        let mut rng = Rng::from_seed(seed);
        let platter = Platter::default();
        drop(on(&platter).expect("made"));
        let (mut kept, mut perhaps): (Vec<Change>, Vec<Change>) = Default::default();
        let left = u32::try_from(rng.below(60)).expect("small");
        platter.0.lock().left = Some(left);
        // Opening may be where it goes.
        if let Ok((mut store, _)) = on(&platter) {
            loop {
                let changes = any_changes(&mut rng);
                let group = [kept.clone(), changes].concat();
                if store.commit(&group[kept.len()..]).is_err() {
                    perhaps = group;
                    break;
                }
                kept = group;
            }
        }
        let now = platter.0.lock().found(&mut rng);
        let found = Written {
            synced: now.clone(),
            now,
            ..Written::default()
        };
        let found = Platter(Arc::new(Mutex::new(found)));
        let (_, rows) = on(&found).unwrap_or_else(|error| panic!("seed {seed}, {left} operations: {error}"));
        assert!(
            rows == expected(&kept) || rows == expected(&perhaps),
            "seed {seed}, {left} operations: what was acknowledged is lost, or what comes is half done"
        );
    }
}

#[test]
fn the_power_may_go_again_while_it_recovers() {
    let mut recovered = 0;
    for seed in 0..100 {
        let mut rng = Rng::from_seed(seed);
        let platter = Platter::default();
        drop(on(&platter).expect("made"));
        let (mut store, _) = on(&platter).expect("opened");
        let mut kept = Vec::new();
        for _ in 0..rng.below(40) {
            let changes = any_changes(&mut rng);
            store.commit(&changes).expect("kept");
            kept.extend(changes);
        }
        let kept = expected(&kept);
        // As a kill leaves it: nothing was closed.
        let mut image = platter.0.lock().found(&mut rng);
        core::mem::forget(store);
        for cut in 0..40 {
            let there = Platter(Arc::new(Mutex::new(Written {
                synced: image.clone(),
                now: image.clone(),
                left: Some(cut),
                ..Written::default()
            })));
            let opened = on(&there);
            image = there.0.lock().found(&mut rng);
            match opened {
                Ok((_, rows)) => {
                    assert_eq!(rows, kept, "seed {seed}, {cut} operations");
                    recovered += 1;
                    break;
                }
                Err(error) => assert!(
                    error.to_string().contains("no power"),
                    "seed {seed}, {cut} operations: {error}"
                ),
            }
        }
    }
    assert_eq!(recovered, 100);
}
