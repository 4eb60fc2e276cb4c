//! What a vast content with many holders costs a process that is really one of ours.

use super::amount;
use super::process::{PATIENCE, Running, Words, pieces_kept, run, text};
use super::vast::{self, Holders};
use p2pdi::id::{ContentId, piece_bytes};
use p2pdi::limits::SOURCES_MAX;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

const OTHERS: usize = 50;
/// Between two looks at what a process has.
const LOOK: Duration = Duration::from_millis(10);
/// What the project promises, in KiB.
const OWN_KIB_MAX: u64 = 64 * 1024;

/// Memory of a process that is its own: without the pages of files that it has mapped. In KiB.
fn own_kib(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a living process");
    let line = text
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .expect("the field");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// Fifty getters at once take so many pieces each; what the process has of its own meanwhile, and the bytes.
fn serve_others(process: &Running, address: &str, id: ContentId, bytes: u64, pieces: u32) -> (u64, u64) {
    let mut own = 0;
    std::thread::scope(|scope| {
        let take = || scope.spawn(|| vast::take(address, id, bytes, pieces));
        let others: Vec<_> = (0..OTHERS).map(|_| take()).collect();
        while !others.iter().all(ScopedJoinHandle::is_finished) {
            own = own.max(own_kib(process.id()));
            std::thread::park_timeout(LOOK);
        }
        let came = others
            .into_iter()
            .map(|other| other.join().expect("served"))
            .sum();
        (own, came)
    })
}

#[test]
fn a_tebibyte_from_fifty_holders_to_fifty_getters() {
    let fetched = amount(768 << 20, 4_u64 << 30);
    let pieces = u32::try_from(fetched / piece_bytes(vast::BYTES)).expect("small");
    let place = tempfile::tempdir().expect("a directory");
    let holders = Holders::start(OTHERS, pieces);
    let out = place.path().join("out");
    let state = place.path().join("state");
    // It gets and serves at the same time: a getter and a holder of a part in one process.
    let words = Words::get(vast::NAME, &out).from(holders.addresses.iter().map(String::as_str));
    let words = words.and(&["--quiet", "--linger", "forever", "--listen", "127.0.0.1:0"]);
    let getter = words.and(&["--state", text(&state)]).spawn();
    let address = getter.stderr_line();
    let address = address.strip_prefix("listening on ").expect("listening");
    let mut getting = 0;
    let begun = Instant::now();
    while pieces_kept(&out) + 1 < u64::from(pieces) {
        getting = getting.max(own_kib(getter.id()));
        assert!(
            begun.elapsed() < 3 * PATIENCE,
            "it does not go on: {}",
            getter.stderr()
        );
        std::thread::park_timeout(LOOK);
    }
    let (serving, came) = serve_others(&getter, address, holders.id(), vast::BYTES, 1);
    let opened = holders.opened();
    println!(
        "1 TiB, {opened} of {OTHERS} holders at once: {getting} KiB of its own while it got {fetched} bytes, {serving} KiB while \
         it served {came} bytes to {OTHERS} getters"
    );
    assert!(
        opened as usize >= SOURCES_MAX.min(OTHERS),
        "only {opened} exchanges"
    );
    assert!(
        getting > 0 && getting.max(serving) < OWN_KIB_MAX,
        "{getting} and {serving} KiB"
    );
}

#[test]
fn a_peer_that_shares_a_vast_file() {
    // Hashing all of it would take half an hour: what is kept is the same for pieces of one size, from 16 GiB on.
    let bytes: u64 = amount(1 << 30, 64 << 30);
    let place = tempfile::tempdir().expect("a directory");
    let (dir, state) = (place.path().join("a"), place.path().join("state"));
    std::fs::create_dir(&dir).expect("a directory");
    let file = std::fs::File::create(dir.join("vast")).expect("created");
    file.set_len(bytes).expect("a file with a hole");
    let peer = Words::peer("a", &dir, &state).serve();
    let (begun, mut hashing) = (Instant::now(), 0);
    let id = loop {
        hashing = hashing.max(own_kib(peer.id()));
        let index = run(&["index", "--peer", &peer.address, "--json"]).json();
        let vast = index.iter().find(|content| content["name"] == "vast");
        if let Some(id) = vast.and_then(|vast| vast["id"].as_str()) {
            break ContentId::parse(id).expect("an id");
        }
        let most = PATIENCE + Duration::from_secs(4 * (bytes >> 30));
        assert!(
            begun.elapsed() < most,
            "it does not end hashing: {}",
            peer.stderr()
        );
        std::thread::park_timeout(LOOK * 10);
    };
    let hashed = begun.elapsed();
    let pieces = u32::try_from((32 << 20) / piece_bytes(bytes)).expect("few");
    let (serving, came) = serve_others(&peer, &peer.address, id, bytes, pieces);
    println!(
        "{bytes} bytes: {hashing} KiB of its own while it hashed them in {hashed:.1?}, {serving} KiB while it \
         served {came} bytes to {OTHERS} getters"
    );
    assert!(
        serving > 0 && hashing.max(serving) < OWN_KIB_MAX,
        "{hashing} and {serving} KiB"
    );
}
