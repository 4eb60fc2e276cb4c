//! What was remembered is told, and nothing else is, whatever has become of the file.

use super::*;

const LONG_AGO: i64 = 1_000_000_000;
const BOOT: Option<[u8; 32]> = Some([3; 32]);
const OTHER_BOOT: Option<[u8; 32]> = Some([4; 32]);

fn stamp(inode: u64, bytes: u64) -> Stamp {
    Stamp::changed_at(inode, bytes, LONG_AGO)
}

/// Some values for a content of this length; the seed makes others.
fn manifest(bytes: u64, seed: u8) -> Manifest {
    Manifest::of_values(bytes, vec![[seed; 32]; piece_count(bytes) as usize])
}

fn open(place: &Path) -> HashCache {
    HashCache::open_within(place, HASH_CACHE_BYTES_MAX, BOOT).expect("opened")
}

#[test]
fn what_was_remembered_is_told_after_a_restart() {
    let place = tempfile::tempdir().expect("a directory");
    let sizes = [0, 1, 65_536, 65_537, 1 << 30, (1 << 40) + 1];
    let known: Vec<(Stamp, Manifest)> = (1..)
        .zip(sizes)
        .map(|(inode, bytes)| (stamp(inode, bytes), manifest(bytes, 7)))
        .collect();
    let mut cache = open(place.path());
    let (first, rest) = known.split_at(1);
    cache.add(first.iter().map(|(s, m)| (*s, m))).expect("added");
    cache.add(rest.iter().map(|(s, m)| (*s, m))).expect("added");
    for mut cache in [cache, open(place.path())] {
        for (stamp, manifest) in &known {
            assert_eq!(cache.find(stamp).as_ref(), Some(manifest));
            assert!(cache.is_for_good(stamp));
        }
        assert_eq!(cache.find(&stamp(99, 1)), None);
    }
}

#[test]
fn the_same_inode_with_other_times_is_another_file() {
    let place = tempfile::tempdir().expect("a directory");
    let (old, new) = (Stamp::changed_at(5, 100, LONG_AGO - 1), stamp(5, 100));
    let mut cache = open(place.path());
    cache.add([(old, &manifest(100, 1))]).expect("added");
    assert_eq!(cache.find(&new), None, "a reused inode");
    cache.add([(new, &manifest(100, 2))]).expect("added");
    for mut cache in [cache, open(place.path())] {
        assert_eq!(cache.find(&new), Some(manifest(100, 2)));
        assert_eq!(cache.find(&old), None);
        assert_eq!(cache.find(&stamp(5, 101)), None, "another size");
    }
}

#[test]
fn damage_costs_values_and_never_changes_any() {
    let place = tempfile::tempdir().expect("a directory");
    let known: Vec<(Stamp, Manifest)> = (1..=3)
        .map(|inode| {
            (
                stamp(inode, 70_000),
                manifest(70_000, u8::try_from(inode).expect("small")),
            )
        })
        .collect();
    open(place.path())
        .add(known.iter().map(|(s, m)| (*s, m)))
        .expect("added");
    let path = place.path().join(FILE);
    let whole = std::fs::read(&path).expect("read");
    let told = || {
        let mut cache = open(place.path());
        let told: Vec<bool> = known
            .iter()
            .map(|(stamp, manifest)| match cache.find(stamp) {
                Some(found) => {
                    assert_eq!(found, *manifest);
                    true
                }
                None => false,
            })
            .collect();
        assert!(
            told.is_sorted_by(|a, b| a >= b),
            "the whole ones come first: {told:?}"
        );
        told.iter().filter(|told| **told).count()
    };
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&path, &damaged).expect("written");
        assert!(told() < known.len(), "damaged at {at}");
        std::fs::write(&path, &whole[..at]).expect("written");
        assert!(told() < known.len(), "cut at {at}");
        // What follows the cut is whole again.
        open(place.path())
            .add([(known[2].0, &known[2].1)])
            .expect("added");
        let mut cache = open(place.path());
        assert_eq!(cache.find(&known[2].0).as_ref(), Some(&known[2].1), "cut at {at}");
    }
}

#[test]
fn what_is_not_ours_is_replaced_and_not_written_into() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join(FILE);
    let other = place.path().join("other");
    for foreign in [&b""[..], b"P2PDIhc9 of a newer version", b"a letter to my aunt"] {
        std::fs::write(&other, foreign).expect("written");
        let _ = std::fs::remove_file(&path);
        std::fs::hard_link(&other, &path).expect("linked");
        let mut cache = open(place.path());
        cache.add([(stamp(1, 9), &manifest(9, 1))]).expect("added");
        assert_eq!(open(place.path()).find(&stamp(1, 9)), Some(manifest(9, 1)));
        assert_eq!(std::fs::read(&other).expect("read"), foreign);
    }
    std::fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink(&other, &path).expect("linked");
    open(place.path());
    assert_eq!(std::fs::read(&other).expect("read"), b"a letter to my aunt");
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a directory");
    let error = HashCache::open(place.path()).map(|_| ()).expect_err("no file");
    assert!(error.to_string().contains("hashes"), "{error}");
}

#[test]
fn past_a_boot_only_what_was_written_out_counts() {
    let place = tempfile::tempdir().expect("a directory");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("within centuries");
    let young = Stamp::changed_at(1, 100, now - 5);
    let mut cache = open(place.path());
    cache
        .add([(young, &manifest(100, 1)), (stamp(2, 100), &manifest(100, 2))])
        .expect("added");
    assert!(cache.find(&young).is_some() && !cache.is_for_good(&young));
    assert!(
        open(place.path()).find(&young).is_some(),
        "a restart of the peer alone"
    );
    for boot in [OTHER_BOOT, None] {
        let mut cache = HashCache::open_within(place.path(), HASH_CACHE_BYTES_MAX, boot).expect("opened");
        assert_eq!(cache.find(&young), None);
        assert!(cache.find(&stamp(2, 100)).is_some());
    }
}

#[test]
fn what_is_superseded_goes_at_the_next_start() {
    let place = tempfile::tempdir().expect("a directory");
    let mut cache = open(place.path());
    for round in 0..2_000 {
        cache
            .add([(
                Stamp::changed_at(round % 4, 100, LONG_AGO + i64::try_from(round).expect("small")),
                &manifest(100, u8::try_from(round % 200).expect("small")),
            )])
            .expect("added");
    }
    let last: Vec<[u8; STAMP_BYTES]> = cache.entries.values().map(|entry| entry.stamp).collect();
    let length = || place.path().join(FILE).metadata().expect("there").len();
    assert!(length() > REWRITE_BYTES_MIN);
    drop(cache);
    let cache = open(place.path());
    assert_eq!(length(), MAGIC.len() as u64 + 4 * record_bytes(100));
    let left: Vec<[u8; STAMP_BYTES]> = cache.entries.values().map(|entry| entry.stamp).collect();
    assert_eq!(left, last);
    drop(cache);
    assert_eq!(open(place.path()).entries.len(), 4);
    assert_eq!(
        place.path().read_dir().expect("listed").count(),
        1,
        "nothing else is left"
    );
}

#[test]
fn it_takes_so_much_and_no_more() {
    let place = tempfile::tempdir().expect("a directory");
    let max = MAGIC.len() as u64 + 10 * record_bytes(1);
    let open = || HashCache::open_within(place.path(), max, BOOT).expect("opened");
    let mut cache = open();
    for inode in 0..20 {
        cache.add([(stamp(inode, 1), &manifest(1, 1))]).expect("no error");
    }
    let known = |cache: &mut HashCache| {
        (0..20)
            .filter(|inode| cache.find(&stamp(*inode, 1)).is_some())
            .count()
    };
    assert_eq!(known(&mut cache), 10);
    assert_eq!(place.path().join(FILE).metadata().expect("there").len(), max);
    let mut cache = open();
    assert!(cache.find(&stamp(3, 1)).is_some());
    cache.forget_unused().expect("rewritten");
    assert_eq!(known(&mut cache), 1, "what nobody asked for made room");
    cache.add([(stamp(15, 1), &manifest(1, 1))]).expect("added");
    assert_eq!(known(&mut open()), 2);

    // The bound of the program itself: a file beyond it is not even read.
    let path = place.path().join(FILE);
    let file = OpenOptions::new().write(true).open(&path).expect("opened");
    file.set_len(HASH_CACHE_BYTES_MAX + 1).expect("grown");
    let mut cache = HashCache::open(place.path()).expect("opened");
    assert_eq!(known(&mut cache), 0);
    assert_eq!(path.metadata().expect("there").len(), MAGIC.len() as u64);
}
