//! What a get says when it fails, and with what it exits.

use crate::cli::failure::{Exit, Failure};
use crate::cli::show::{short_id, size};
use p2pdi::fetch::{FetchFault, Unfetched, Weight};
use p2pdi::locate::LocateFault;
use p2pdi::name::printable;
use p2pdi::wire::ContentInfo;

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
            format!("{what}: nobody active has it{}", reasons(said)),
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

/// What could not be fetched, who was tried, and why each failed.
pub(in crate::cli) fn fetch_failure(info: &ContentInfo, unfetched: &Unfetched) -> Failure {
    let name = &info.name;
    match &unfetched.fault {
        FetchFault::Interrupted => Failure::new(
            Exit::Interrupted,
            format!("{name}: interrupted; what has come is kept"),
        ),
        FetchFault::Disk(error) => Failure::new(Exit::Failed, error.to_string()),
        FetchFault::NoHolderLeft(heaviest) => {
            let exit = match heaviest {
                Some(Weight::Unverified) => Exit::Unverified,
                Some(Weight::Refused) => Exit::Refused,
                Some(Weight::Lost) | None => Exit::NotFound,
            };
            let tried = unfetched.account.holders.iter();
            let tried: Vec<String> = tried
                .map(|account| format!("{}: {}", account.address, account.failures.join(", ")))
                .collect();
            let tried = if tried.is_empty() {
                "it has no active holder".to_owned()
            } else {
                tried.join("; ")
            };
            Failure::new(
                exit,
                format!("{name}: no holder is left; what has come is kept ({tried})"),
            )
        }
    }
}
