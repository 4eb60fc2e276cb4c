//! What a get says when it fails, and with what it exits.

use crate::cli::failure::{Exit, Failure};
use crate::cli::show::{short_id, size};
use core::ops::Range;
use p2pdi::fetch::{FetchFault, HolderAccount, Unfetched, Weight};
use p2pdi::limits::ID_PREFIX_DIGITS_MIN;
use p2pdi::locate::{LocateFault, is_id_prefix};
use p2pdi::name::printable;
use p2pdi::wire::ContentInfo;
use std::io::ErrorKind;

/// What could not be located, and why.
pub(in crate::cli) fn locate_failure(what: &str, fault: LocateFault) -> Failure {
    let what = printable(what);
    let reasons = |said: Vec<String>| {
        if said.is_empty() {
            String::new()
        } else {
            format!(" ({})", said.join("; "))
        }
    };
    match fault {
        LocateFault::NotFound(said) => Failure::new(
            Exit::NotFound,
            format!(
                "{what}: nobody who was asked has it{}{}",
                reasons(said),
                hint(&what)
            ),
        ),
        LocateFault::Unreachable(said) => Failure::new(
            Exit::Failed,
            format!("{what}: nobody could be asked{}", reasons(said)),
        ),
        LocateFault::Ambiguous(contents) => {
            let choices: Vec<String> = contents
                .iter()
                .map(|info| format!("{}@{} ({})", info.name, short_id(info.id), size(info.bytes)))
                .collect();
            Failure::new(
                Exit::Refused,
                format!("{what} means several contents: ask for {}", choices.join(" or ")),
            )
        }
    }
}

/// What to write instead, if it looks like the beginning of an id, or like no beginning of one.
fn hint(what: &str) -> String {
    match what.rsplit_once('@') {
        // A short word of these letters is a word.
        None if (2 * ID_PREFIX_DIGITS_MIN..64).contains(&what.len()) && is_id_prefix(what) => {
            format!("; an id has 64 digits, and its first ones stand after a name: NAME@{what}")
        }
        Some((_, prefix)) if !is_id_prefix(prefix) => format!(
            "; what stands after a name and an @ are at least {ID_PREFIX_DIGITS_MIN} digits of its id"
        ),
        _ => String::new(),
    }
}

/// What could not be fetched, who was tried, and why each failed.
pub(in crate::cli) fn fetch_failure(info: &ContentInfo, unfetched: &Unfetched) -> Failure {
    let name = &info.name;
    match &unfetched.fault {
        FetchFault::Interrupted => Failure::new(
            Exit::Interrupted,
            format!("{name}: interrupted; what has come is kept"),
        ),
        FetchFault::Disk(error) if error.kind() == ErrorKind::StorageFull => Failure::new(
            Exit::Failed,
            format!(
                "{error}: make room, and the same command goes on{}",
                kept(unfetched)
            ),
        ),
        FetchFault::Disk(error) => Failure::new(Exit::Failed, error.to_string()),
        FetchFault::NoHolderLeft(heaviest) => Failure::new(
            exit_of(*heaviest),
            format!(
                "{name}: no holder is left ({}); when one is back, the same command goes on{}",
                tried(unfetched),
                kept(unfetched)
            ),
        ),
        FetchFault::NobodyHas(missing, heaviest) => Failure::new(
            exit_of(*heaviest),
            format!(
                "{} of {name} ({}); when somebody has, the same command goes on{}",
                nobody_has(missing),
                tried(unfetched),
                kept(unfetched)
            ),
        ),
    }
}

/// That what has come is kept, if anything has.
fn kept(unfetched: &Unfetched) -> &'static str {
    let came = unfetched.account.holders.iter().any(|account| account.bytes > 0);
    if came {
        " with what has come, which is kept"
    } else {
        ""
    }
}

fn exit_of(heaviest: Option<Weight>) -> Exit {
    match heaviest {
        Some(Weight::Unverified) => Exit::Unverified,
        Some(Weight::Refused) => Exit::Refused,
        Some(Weight::Lost) | None => Exit::NotFound,
    }
}

/// Who was tried, and why each failed; how many had no more of it.
fn tried(unfetched: &Unfetched) -> String {
    let holders = unfetched.account.holders.iter();
    let (failed, dry): (Vec<_>, Vec<_>) = holders.partition(|account| !account.failures.is_empty());
    let why = |account: &&HolderAccount| format!("{}: {}", account.address, account.failures.join(", "));
    let mut tried: Vec<String> = failed.iter().map(why).collect();
    match (tried.is_empty(), dry.len()) {
        (true, 0) => tried.push("it has no active holder".to_owned()),
        (false, 0) => {}
        (_, 1) => tried.push(format!("{}: has no more of it either", dry[0].address)),
        (_, several) => tried.push(format!("{several} holders have no more of it either")),
    }
    tried.join("; ")
}

/// Runs of pieces are named up to so many.
const RUNS_NAMED_MAX: usize = 8;

fn nobody_has(missing: &[Range<u32>]) -> String {
    let named = missing.iter().take(RUNS_NAMED_MAX).map(|run| match run.len() {
        1 => run.start.to_string(),
        _ => format!("{}–{}", run.start, run.end - 1),
    });
    let named: Vec<String> = named.collect();
    let further: usize = missing.iter().skip(RUNS_NAMED_MAX).map(Range::len).sum();
    let more = match further {
        0 => String::new(),
        further => format!(" and {further} more"),
    };
    let pieces = match missing {
        [one] if one.len() == 1 => "piece",
        _ => "pieces",
    };
    format!("nobody has {pieces} {}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_part_of_an_id_is_told_how() {
        assert!(hint("af1349b9f5f9").ends_with("NAME@af1349b9f5f9"));
        assert!(hint("zero@af").contains("at least 4 digits"));
        assert!(hint("zero@xyzz").contains("at least 4 digits"));
        let whole = "af13".repeat(16);
        for well_written in ["zero@af13", "zero", "cafe", "rfc793.txt", &whole] {
            assert_eq!(hint(well_written), "", "{well_written}");
        }
    }

    #[test]
    fn missing_pieces_are_named() {
        assert_eq!(
            nobody_has(core::slice::from_ref(&(7..13))),
            "nobody has pieces 7–12"
        );
        assert_eq!(nobody_has(core::slice::from_ref(&(3..4))), "nobody has piece 3");
        let every_other: Vec<Range<u32>> = (0..10).map(|run| 2 * run..2 * run + 1).collect();
        assert_eq!(
            nobody_has(&every_other),
            "nobody has pieces 0, 2, 4, 6, 8, 10, 12, 14 and 2 more"
        );
    }
}
