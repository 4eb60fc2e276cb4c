//! Every bound of `src/limits.rs`, and the test that hits it: a new bound without one fails here.
#![allow(
    clippy::disallowed_types,
    reason = "it reads the source, and lies over sockets"
)]

#[path = "limits/hits.rs"]
mod hits;
#[path = "hostile/liar.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod liar;
mod process;
#[path = "hostile/raw.rs"]
#[allow(dead_code, reason = "each test uses what it needs of this")]
mod raw;
#[path = "limits/ring.rs"]
mod ring;
#[path = "limits/rs.rs"]
mod rs;
#[path = "limits/rs_store.rs"]
mod rs_store;

use hits::{HITS, Hit};
use liar::{Liar, say};
use p2pdi::id::{AddressToken, PeerNumber, RequestNumber};
use p2pdi::limits::{
    HEADING_BYTES, PAGES_MAX, PEER_CONNECTIONS_MAX, RETRY_FIRST, RETRY_MAX, RS_WORKERS_MAX, TITLE_BYTES_MAX,
    TRIES_MAX,
};
use p2pdi::name::{Host, PeerName};
use p2pdi::proto::{Exchange, ExchangeStep};
use p2pdi::storage::read_heading;
use p2pdi::time::Instant;
use p2pdi::wire::{List, Message, PQuery, PeerInfo, Peers, Text};
use process::run;
use std::path::Path;

fn read(file: &str) -> Option<String> {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok()
}

#[test]
fn every_bound_is_hit() {
    let source = read("src/limits.rs").expect("the bounds");
    let bounds: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(':'))
        .map(|(name, _)| name)
        .collect();
    let tables = [HITS, ring::HITS, rs::HITS, rs_store::HITS];
    let hits = || tables.iter().copied().flatten();
    for bound in &bounds {
        let lines = hits().filter(|(name, _)| name == bound).count();
        assert_eq!(lines, 1, "{bound}: one line that names the test that hits it");
    }
    for (bound, hit) in hits() {
        assert!(bounds.contains(bound), "{bound} is no bound of src/limits.rs");
        match hit {
            Hit::Not(reason) => println!("{bound} is hit by no test: {reason}"),
            Hit::By(file, test) => match read(file) {
                Some(text) => assert!(
                    text.contains(&format!("fn {test}(")),
                    "{bound}: {file} has no {test}"
                ),
                // The machines' own tests come into the tree apart from these.
                None => assert!(
                    file.starts_with("src/proto/") && file.contains("_tests"),
                    "{bound}: no {file}"
                ),
            },
        }
    }
}

#[test]
fn thread_counts_are_bounded_and_the_bound_is_named() {
    for (command, flag, max) in [
        ("rs", "--workers", RS_WORKERS_MAX),
        ("peer", "--max-conns", PEER_CONNECTIONS_MAX),
    ] {
        let refused = run(&[command, flag, &(max + 1).to_string()]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        assert!(
            refused.stderr.contains(&format!("from 1 to {max}")),
            "{}",
            refused.stderr
        );
    }
}

#[test]
fn headings_are_read_and_cut_within_their_bounds() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("rfc9.txt");
    let header = "Network Working Group\nRequest for Comments: 9\n\n\n";
    let far = "\n".repeat(usize::try_from(HEADING_BYTES).expect("small"));
    std::fs::write(&path, format!("{header}{far}A Title Too Far Away\n\n")).expect("written");
    let heading = read_heading(&path).expect("read");
    assert_eq!(heading.number.map(|number| number.0), Some(9));
    assert_eq!(heading.title, None, "what lies behind the bound is not read");
    std::fs::write(&path, format!("{header}   {}\n\nAuthor\n", "Ä".repeat(300))).expect("written");
    let title = read_heading(&path).expect("read").title.expect("a title");
    assert!(
        title.len() <= TITLE_BYTES_MAX && title.len() > TITLE_BYTES_MAX - 4,
        "{} bytes",
        title.len()
    );
}

#[test]
fn an_rs_that_never_answers_is_given_up() {
    let query = PQuery {
        request: RequestNumber(1),
        cookie: None,
        after: PeerNumber(0),
    };
    let mut now = Instant(0);
    let mut exchange = Exchange::new(now, query.into(), AddressToken::default());
    let mut sent = Vec::new();
    loop {
        match exchange.poll(now) {
            ExchangeStep::Send(_) => sent.push(now),
            ExchangeStep::Wait => now = exchange.deadline(),
            ExchangeStep::Silence => break,
            ExchangeStep::TooLong => panic!("a short request"),
        }
    }
    assert_eq!(sent.len(), TRIES_MAX as usize);
    let waits: Vec<u64> = sent.windows(2).map(|pair| pair[1].since(pair[0]).0).collect();
    assert_eq!(waits.first(), Some(&RETRY_FIRST.0));
    assert_eq!(waits.iter().max(), Some(&RETRY_MAX.0));
    assert!(waits.is_sorted(), "{waits:?}");
}

/// An RS that names one more peer on every page, and never comes to an end.
fn endless(number_after: fn(u64) -> u64) -> Liar {
    Liar::start(move |stream, asked| {
        let Message::PQuery(query) = asked else {
            return false;
        };
        let peer = PeerInfo {
            number: PeerNumber(number_after(query.after.0)),
            name: PeerName::new("p").expect("a name"),
            host: Host::new("192.0.2.1").expect("a host"),
            port: 1,
            os: Text::cut("x"),
            lease_secs: 1,
            registrations: 1,
            registered: 0,
        };
        say(
            stream,
            &Peers {
                request: query.request,
                more: true,
                peers: List::first_of([peer]),
            }
            .into(),
        )
    })
}

#[test]
fn a_listing_without_end_ends() {
    let rs = endless(|after| after + 1);
    let asked = run(&["peers", "--rs", &rs.address(), "--json"]);
    assert_eq!(
        (asked.code, asked.json().len()),
        (0, PAGES_MAX),
        "{}",
        asked.stderr
    );
}

#[test]
fn a_listing_that_does_not_get_on_is_refused() {
    for number_after in [|_| 1, |after| after, |after: u64| 1_000 - after.min(1_000)] {
        let rs = endless(number_after);
        let asked = run(&["peers", "--rs", &rs.address(), "--json"]);
        assert_eq!(asked.code, 1, "{} lines", asked.stdout.lines().count());
        assert!(asked.stderr.contains("out of order"), "{}", asked.stderr);
    }
}
