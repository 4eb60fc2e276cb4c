//! `get --why`: what bounded a transfer, and what each holder gave, for people and for scripts.

use super::show::{size, table};
use core::fmt::Write as _;
use p2pdi::fetch::{Account, HolderAccount};
use p2pdi::proto::transfer::{Bound, Cause};
use p2pdi::time::Span;
use serde_json::{Value, json};

/// A cause as a key, in short, and as a sentence.
const fn words(cause: Cause) -> (&'static str, &'static str, &'static str) {
    match cause {
        Cause::Theirs => (
            "their_limit",
            "their limit",
            "what the holders send (their limits or links, or the network between)",
        ),
        Cause::OwnLink => ("my_link", "my link", "this machine's link, which was full"),
        Cause::OwnLimit => ("my_limit", "my limit", "--down-limit"),
        Cause::Processor => (
            "my_processor",
            "my processor",
            "this machine's processor (receiving, hashing, copying)",
        ),
        Cause::Disk => ("my_disk", "my disk", "this machine's disk"),
        Cause::Nobody => (
            "nobody_has_the_rest",
            "nobody has the rest",
            "holders that had no more than was here already",
        ),
        Cause::Reaching => ("reaching", "reaching them", "reaching the holders"),
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is never negative, and shown rounded"
)]
fn per_sec(bytes: u64, secs: f64) -> u64 {
    (bytes as f64 / secs.max(1e-6)) as u64
}

/// The mean of its connections: how long bytes were waited for, and the beginning of a piece.
fn waited(account: &HolderAccount) -> [f64; 2] {
    let threads = f64::from(account.threads.max(1));
    [account.spent.waited(), account.spent.idle].map(|span: Span| span.as_secs_f64() / threads)
}

fn received(account: &Account) -> u64 {
    account.holders.iter().map(|account| account.bytes).sum()
}

/// The account for scripts.
pub(super) fn why_json(account: &Account) -> Value {
    let (all, secs) = (received(account), account.took.as_secs_f64());
    let holders = account.holders.iter().map(|account| {
        let [waited, idle] = waited(account);
        json!({
            "host": account.address.host.as_str(),
            "port": account.address.port,
            "bytes": account.bytes,
            "bytes_per_sec": per_sec(account.bytes, secs),
            "percent": share(account.bytes, all),
            "waited_secs": waited,
            "idle_secs": idle,
            "failures": account.failures,
        })
    });
    let mut causes = serde_json::Map::new();
    let heaviest = account.bound.as_ref().map_or_else(Vec::new, Bound::heaviest);
    if let Some(bound) = &account.bound {
        for cause in &heaviest {
            let told = json!({ "secs": bound.span(*cause).as_secs_f64(), "percent": bound.percent(*cause) });
            causes.insert(words(*cause).0.to_owned(), told);
        }
    }
    json!({
        "verdict": heaviest.first().map(|cause| words(*cause).0),
        "causes": causes,
        "holders": holders.collect::<Vec<_>>(),
    })
}

/// The account of what has come, for people.
pub(super) fn why_shown(account: &Account) -> String {
    if account.holders.is_empty() {
        "why: it was here already".to_owned()
    } else {
        why_text(account)
    }
}

/// The account for people.
pub(super) fn why_text(account: &Account) -> String {
    let (all, secs) = (received(account), account.took.as_secs_f64());
    let mut text = String::from("why: ");
    match &account.bound {
        None => text.push_str("too little came to say what bounded it"),
        Some(bound) => {
            let heaviest = bound.heaviest();
            if let Some(first) = heaviest.first() {
                let mostly = if bound.percent(*first) >= 50 {
                    "bounded by"
                } else {
                    "bounded by nothing alone, most by"
                };
                let _ = writeln!(text, "{mostly} {}", words(*first).2);
            }
            let told = heaviest.iter().filter(|cause| bound.percent(**cause) > 0);
            let told = told.map(|cause| format!("{} {} %", words(*cause).1, bound.percent(*cause)));
            let _ = write!(text, "     {}", told.collect::<Vec<_>>().join(", "));
        }
    }
    let rows: Vec<Vec<String>> = account
        .holders
        .iter()
        .map(|account| {
            let [waited, idle] = waited(account);
            vec![
                account.address.to_string(),
                size(account.bytes),
                format!("{}/s", size(per_sec(account.bytes, secs))),
                format!("{:.0} %", share(account.bytes, all)),
                format!("{waited:.2} s"),
                format!("{idle:.2} s"),
                account.failures.join(", "),
            ]
        })
        .collect();
    let heads = ["HOLDER", "BYTES", "RATE", "SHARE", "WAITED", "IDLE", "FAILURES"];
    format!("{text}\n{}", table(&heads, &rows))
}
