//! An RS that knows a million content records of 100,000 peers: memory, restart, and how long a search takes.
//!
//! `cargo bench --bench registry` fills a store, restarts from it, and prints what it saw. `RECORDS=` and `PEERS=`
//! choose other numbers.
#![allow(clippy::disallowed_types, reason = "it measures time and uses files")]

use p2pdi::id::{ContentId, Cookie, PeerNumber, RequestNumber};
use p2pdi::name::{ContentName, PeerName};
use p2pdi::proto::{Asker, Registration, RegistrationSettings, Restoring};
use p2pdi::rng::Rng;
use p2pdi::storage::{DiskStore, Store as _};
use p2pdi::time::{Instant, Now, WallTime};
use p2pdi::wire::{ContentInfo, ContentKind, Join, Message, Register, Search, Text, Wanted};
use std::net::Ipv4Addr;
use std::path::Path;

const NOW: Now = Now {
    at: Instant(1_000_000_000),
    wall: WallTime(1_700_000_000),
};

fn number_of(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|given| given.parse().ok()).unwrap_or(default)
}

/// Anonymous memory of this process, in MB.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the system's account");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("a line");
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse::<f64>().expect("a number") * 1_024.0 / 1e6
}

fn content(record: u64) -> ContentInfo {
    let id = ContentId(*blake3::hash(&record.to_be_bytes()).as_bytes());
    let name = format!("documents/set-{:04}/report-{record:07}.txt", record % 1_000);
    ContentInfo {
        kind: ContentKind::File,
        name: ContentName::new(name).expect("a name"),
        id,
        bytes: 20_000,
        modified: 1_700_000_000,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    }
}

fn asker() -> Asker {
    Asker::over_tcp([192, 0, 2, 200].into(), [192, 0, 2, 1].into())
}

fn join(rs: &mut Registration, peer: u64) -> Cookie {
    let host = Ipv4Addr::from(0x0a00_0000 + u32::try_from(peer).expect("few"));
    let join = Join {
        request: RequestNumber(1),
        nonce: peer,
        cookie: None,
        name: PeerName::new(format!("host-{peer:06}.lab.example")).expect("a name"),
        host: None,
        port: 6_000,
        os: Text::cut("Linux 6.1.0"),
    };
    let asker = Asker::over_tcp(host.into(), [192, 0, 2, 1].into());
    match rs.handle_request(NOW, &asker, &join.into()) {
        Message::Ack(ack) => ack.cookie.expect("a cookie"),
        other => panic!("{other:?}"),
    }
}

fn fill(directory: &Path, records: u64, peers: u64) {
    let mut store = DiskStore::open(directory).expect("a store");
    store.load(&mut |_| {}).expect("empty");
    let mut rs = Restoring::new(RegistrationSettings::default(), Rng::from_seed(1), NOW, true).finish();
    let before = resident_mb();
    let mut changes = Vec::new();
    let begun = std::time::Instant::now();
    for peer in 0..peers {
        let cookie = join(&mut rs, peer);
        for record in (peer..records).step_by(usize::try_from(peers).expect("few")) {
            let register = Register {
                request: RequestNumber(2 + record),
                cookie,
                content: content(record),
                complete: true,
            };
            rs.handle_request(NOW, &asker(), &register.into());
        }
        changes.extend(core::iter::from_fn(|| rs.poll_change(NOW)));
        if changes.len() > 10_000 || peer + 1 == peers {
            store.commit(&changes).expect("kept");
            changes.clear();
        }
    }
    drop(changes);
    let secs = begun.elapsed().as_secs_f64();
    println!(
        "filled        {secs:8.2} s   {:8.1} MB more than before",
        resident_mb() - before
    );
}

fn main() {
    let (records, peers) = (number_of("RECORDS", 1_000_000), number_of("PEERS", 100_000));
    let place = match std::env::var_os("DATA") {
        Some(data) => std::path::PathBuf::from(data),
        None => tempfile::tempdir().expect("a directory").keep(),
    };
    if std::env::var_os("REOPEN").is_none() {
        println!("{records} records of {peers} peers");
        fill(&place, records, peers);
        // A process of its own, so that its memory is its own.
        let status = std::process::Command::new(std::env::current_exe().expect("a name"))
            .env("REOPEN", "1")
            .env("DATA", &place)
            .status();
        assert!(status.expect("run").success());
        let bytes = std::fs::metadata(place.join("registry.redb"))
            .expect("a file")
            .len();
        println!("on disk       {:8.1} MB", bytes as f64 / 1e6);
        std::fs::remove_dir_all(&place).expect("removed");
        return;
    }
    let begun = std::time::Instant::now();
    let mut store = DiskStore::open(&place).expect("a store");
    let opened = begun.elapsed().as_secs_f64();
    let mut restoring = Restoring::new(RegistrationSettings::default(), Rng::from_seed(1), NOW, true);
    store.load(&mut |row| restoring.take(row)).expect("whole");
    let mut rs = restoring.finish();
    println!(
        "restarted     {:8.2} s   {:8.1} MB in all ({opened:.2} s of it to open)",
        begun.elapsed().as_secs_f64(),
        resident_mb()
    );
    println!("counts        {:?}", rs.counts(NOW));
    let mut rng = Rng::from_seed(2);
    let mut nanos = Vec::new();
    for request in 0..300_000 {
        let search: Message = Search {
            request: RequestNumber(request),
            wanted: Wanted::Name(content(rng.below(records)).name),
            after: None,
        }
        .into();
        let begun = std::time::Instant::now();
        let answer = rs.handle_request(NOW, &asker(), &search);
        nanos.push(begun.elapsed().as_nanos());
        assert!(matches!(answer, Message::Found(_)));
    }
    nanos.sort_unstable();
    let at = |per_mille: usize| nanos[nanos.len() * per_mille / 1_000] as f64 / 1e3;
    println!(
        "a search      {:8.2} µs  p99 {:.2} µs  p99.9 {:.2} µs",
        at(500),
        at(990),
        at(999)
    );
    println!(
        "in the end    {:8.1} MB  peers {}",
        resident_mb(),
        PeerNumber(peers).0
    );
}
