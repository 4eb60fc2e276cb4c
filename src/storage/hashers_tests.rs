//! Several threads compute what one does, in a sensible order, and end when they are told to.

use super::*;
use crate::limits::PIECE_BYTES_MIN;
use crate::storage::hash_file;
use proptest::prelude::*;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(40);

fn write(path: &Path, bytes: &[u8]) -> Stamp {
    std::fs::write(path, bytes).expect("written");
    Stamp::of(&path.metadata().expect("there"))
}

/// A file of holes.
fn sparse(path: &Path, bytes: u64) -> Stamp {
    let file = std::fs::File::create(path).expect("created");
    file.set_len(bytes).expect("a sparse file");
    Stamp::of(&file.metadata().expect("there"))
}

/// Sizes around the borders of pieces and of stretches, and any others.
fn sizes() -> impl Strategy<Value = u64> {
    let near = |unit: u64, most: u64| {
        (0..=most, -2_i64..=2).prop_map(move |(times, off)| (times * unit).saturating_add_signed(off))
    };
    prop_oneof![
        near(PIECE_BYTES_MIN, 9),
        near(HASH_STRETCH_BYTES, 3),
        near(1_024, 4),
        0..3_000_000_u64,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn many_threads_one_thread_and_plain_blake3_agree(bytes in sizes(), seed in any::<u64>(), threads in 1..6_usize) {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("content");
        let mut content = vec![0; usize::try_from(bytes).expect("small")];
        blake3::Hasher::new().update(&seed.to_be_bytes()).finalize_xof().fill(&mut content);
        let stamp = write(&path, &content);
        let (hashers, done) = Hashers::with_threads(HashOrder::SmallestFirst, threads);
        hashers.hash([(path.clone(), stamp)]).expect("threads");
        let parallel = done.recv_timeout(PATIENCE).expect("done").result.expect("read");
        prop_assert_eq!(&parallel, &hash_file(&path, stamp).expect("read"));
        prop_assert_eq!(parallel.id().0, *blake3::hash(&content).as_bytes());
        prop_assert_eq!(hashers.progress(), None);
    }
}

#[test]
fn the_smallest_come_first_and_a_large_one_is_not_passed_by_for_ever() {
    let place = tempfile::tempdir().expect("a directory");
    let file = |name: &str, bytes| {
        let path = place.path().join(name);
        let stamp = sparse(&path, bytes);
        (path, stamp)
    };
    let mut queue = Queue::default();
    let add = |queue: &mut Queue, files: &[(&str, u64)]| {
        let head_start = queue.progress.bytes / PASSED_BY;
        for (name, bytes) in files {
            let (path, stamp) = file(name, *bytes);
            queue.add(HashOrder::SmallestFirst, head_start, path, stamp);
        }
    };
    let next = |queue: &mut Queue| {
        let (ticket, path, _, pieces) = queue.take().expect("something to do");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (ticket, name, pieces)
    };
    let stretch = HASH_STRETCH_BYTES;
    add(
        &mut queue,
        &[("large", 4 * stretch), ("b", 9), ("a", 8), ("empty", 0)],
    );
    for name in ["empty", "a", "b", "large"] {
        assert_eq!(next(&mut queue).1, name);
    }
    // A newcomer goes before the rest of the large one, ...
    add(&mut queue, &[("small", 10)]);
    assert_eq!(next(&mut queue).1, "small");
    assert_eq!(next(&mut queue).1, "large");
    // ... but not newcomers without end: of files half its size, so many.
    let mut passed = 0;
    loop {
        add(&mut queue, &[(&format!("new-{passed}"), 2 * stretch)]);
        let (ticket, name, _) = next(&mut queue);
        if name == "large" {
            break;
        }
        // The rest of it, so that it leaves the queue.
        let (again, _, _) = next(&mut queue);
        assert_eq!(ticket, again);
        passed += 1;
        assert!(passed < 100, "passed by for ever");
    }
    assert!(passed >= 4, "passed by {passed} times");
}

#[test]
fn what_is_told_of_a_file_is_told_once() {
    let place = tempfile::tempdir().expect("a directory");
    let (hashers, done) = Hashers::with_threads(HashOrder::AsGiven, 3);
    let path = |name: &str| place.path().join(name);
    let stamp = write(&path("whole"), b"whole");
    let changed = write(&path("changed"), b"before");
    write(&path("changed"), b"afterwards");
    let gone = write(&path("gone"), b"gone");
    std::fs::remove_file(path("gone")).expect("removed");
    let files = [
        ("whole", stamp),
        ("changed", changed),
        ("gone", gone),
        ("whole", stamp),
    ];
    hashers
        .hash(files.map(|(name, stamp)| (path(name), stamp)))
        .expect("threads");
    let mut told: Vec<Hashed> = (0..3)
        .map(|_| done.recv_timeout(PATIENCE).expect("told"))
        .collect();
    told.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(matches!(told[0].result, Err(HashFault::Changed)));
    assert!(matches!(told[1].result, Err(HashFault::Io(_))));
    assert!(told[2].result.is_ok() && !told[2].is_sure, "it was just written");
    drop(hashers);
    assert!(done.recv().is_err(), "nothing else is told");
}

#[test]
fn a_huge_file_is_left_for_a_small_one_and_at_the_end() {
    let place = tempfile::tempdir().expect("a directory");
    let (huge, small) = (place.path().join("huge"), place.path().join("small"));
    let (hashers, done) = Hashers::with_threads(HashOrder::SmallestFirst, 1);
    let large = sparse(&huge, 1 << 40);
    hashers.hash([(huge.clone(), large)]).expect("threads");
    let stamp = write(&small, b"small");
    hashers.hash([(small.clone(), stamp)]).expect("threads");
    let told = done.recv_timeout(PATIENCE).expect("done");
    assert_eq!(told.path, small);
    let progress = hashers.progress().expect("the huge one is left");
    assert_eq!((progress.files_done, progress.files), (1, 2));
    assert_eq!(progress.bytes, (1 << 40) + 5);
    hashers.forget(&huge);
    assert_eq!(hashers.progress(), None);
    hashers.hash([(huge, large)]).expect("threads");
    let began = std::time::Instant::now();
    hashers.end();
    assert!(began.elapsed() < PATIENCE, "it ends in the middle of a file");
}

#[test]
fn threads_are_bounded() {
    let place = tempfile::tempdir().expect("a directory");
    let (hashers, done) = Hashers::with_threads(HashOrder::AsGiven, HASH_THREADS_MAX + 9);
    let path = place.path().join("huge");
    let stamp = sparse(&path, 1 << 40);
    hashers.hash([(path.clone(), stamp)]).expect("threads");
    assert_eq!(hashers.threads.lock().len(), HASH_THREADS_MAX);
    // One stretch a thread, and each of no more than its bound.
    let piece = piece_bytes(1 << 40);
    let workers = loop {
        let queue = hashers.shared.queue.lock();
        let job = queue.jobs.values().next().expect("not done");
        assert!(job.values.len() as u64 <= u64::from(job.next));
        if job.workers as usize == HASH_THREADS_MAX || job.bytes_done > 0 {
            assert_eq!(
                u64::from(job.next) * piece,
                job.bytes_done + u64::from(job.workers) * HASH_STRETCH_BYTES
            );
            break job.workers as usize;
        }
    };
    assert!(workers <= HASH_THREADS_MAX);
    drop(hashers);
    assert!(done.recv().is_err());
}
