//! The choices that find and fetch contents.

use super::{Menu, Outcome};
use crate::cli::failure::Failure;
use crate::cli::get::{fetch_failure, locate_failure};
use crate::cli::progress::{Progress, Showing};
use crate::cli::query::conn_failure;
use crate::cli::say;
use crate::cli::show::{fetched_json, size};
use p2pdi::id::ContentId;
use p2pdi::locate::{LocateFault, Located, Request};
use p2pdi::name::{Host, HostPort};
use p2pdi::wire::{ContentInfo, Wanted};
use serde_json::json;
use std::collections::BTreeMap;

impl Menu<'_> {
    pub(super) fn ask_what(&self) -> Result<Request, Failure> {
        let text = self.ask("what (name, id, number): ").unwrap_or_default();
        Request::parse(&text).ok_or_else(|| Failure::usage(format!("{text}: not a name, an id or a number")))
    }

    /// What a request means, in our own index and at the RS.
    pub(super) fn locate(&self, request: &Request) -> Result<Located, Failure> {
        let mut found: BTreeMap<_, Located> = BTreeMap::new();
        for wanted in &request.readings {
            let heard = self.peer.index().lock().find(self.peer.now(), wanted);
            for content in heard {
                let holders = content
                    .holders
                    .iter()
                    .map(|(holder, _)| (holder.host.clone(), holder.port));
                add(&mut found, content.info, holders);
            }
            if found.is_empty()
                && let Some(member) = self.peer.member()
            {
                let asked = member.client().search(wanted);
                for listing in
                    asked.map_err(|error| conn_failure(format!("RS {}", member.address()), &error))?
                {
                    let holders = listing
                        .holders
                        .iter()
                        .map(|holder| (holder.host.clone(), holder.port));
                    add(&mut found, listing.content.clone(), holders);
                }
            }
            found.retain(|_, located| request.accepts(&located.info));
            if !found.is_empty() {
                break;
            }
        }
        let fault = match found.len() {
            1 => None,
            0 => Some(LocateFault::NotFound(Vec::new())),
            _ => Some(LocateFault::Ambiguous(
                found.values().map(|located| located.info.clone()).collect(),
            )),
        };
        match (fault, found.into_values().next()) {
            (None, Some(located)) => Ok(located),
            (fault, _) => Err(locate_failure(
                request.text(),
                fault.unwrap_or(LocateFault::NotFound(Vec::new())),
            )),
        }
    }

    pub(super) fn search(&self) -> Result<Outcome, Failure> {
        let request = self.ask_what()?;
        let located = self.locate(&request)?;
        let holders: Vec<String> = located.holders.iter().map(ToString::to_string).collect();
        let json = json!({
            "event": "found",
            "name": located.info.name.as_str(),
            "id": located.info.id.to_string(),
            "bytes": located.info.bytes,
            "holders": holders,
        });
        Ok(Outcome {
            text: format!("{}: held by {}", located.info.name, holders.join(", ")),
            json,
        })
    }

    pub(super) fn download_one(&mut self) -> Result<Outcome, Failure> {
        let request = self.ask_what()?;
        let located = self.locate(&request);
        if let (Ok(located), false) = (&located, self.json) {
            for (number, holder) in located.holders.iter().enumerate() {
                say::note(&format!("  {}  {holder}", number + 1));
            }
        }
        // The answer is read even if there is nothing to choose from: a script has written it already.
        let answer = self
            .ask("holder (its number or HOST:PORT; empty for the first that works): ")
            .unwrap_or_default();
        let located = located?;
        let by_number = |text: &str| {
            located
                .holders
                .get(text.parse::<usize>().ok()?.checked_sub(1)?)
                .cloned()
        };
        let holders = match answer.as_str() {
            "" => located.holders.clone(),
            text => vec![by_number(text).or_else(|| HostPort::parse(text)).ok_or_else(|| {
                Failure::usage(format!("{text}: neither a number from the list nor HOST:PORT"))
            })?],
        };
        self.download(&Located { holders, ..located })
    }

    pub(super) fn download(&mut self, located: &Located) -> Result<Outcome, Failure> {
        let no_place =
            || Failure::usage("where to? start this peer with --dir DIR: downloads go into the first");
        let fetcher = self.fetcher.as_mut().ok_or_else(no_place)?;
        let info = &located.info;
        let mut progress = Progress::new(
            if self.json { Showing::Quiet } else { Showing::Bar },
            info,
            located.holders.len(),
        );
        let fetched = fetcher.fetch(info, &mut located.holders.clone(), &mut progress);
        progress.finish();
        let fetched = fetched.map_err(|unfetched| fetch_failure(info, &unfetched))?;
        self.peer.add_fetched(&fetched.path, info, &fetched.manifest);
        for account in fetched
            .account
            .holders
            .iter()
            .filter(|account| !account.failures.is_empty())
        {
            self.peer.index().lock().mark_unreachable(&account.address);
            if let Some(member) = self.peer.member() {
                let _ = member.client().report(&account.address);
            }
        }
        let secs = fetched.account.took.as_secs_f64();
        let text = format!("{}  {}  verified, in {secs:.2} s", info.name, size(info.bytes));
        Ok(Outcome {
            text,
            json: fetched_json(info, &fetched, false),
        })
    }

    pub(super) fn download_all(&mut self) -> Result<Outcome, Failure> {
        self.rfc_query()?;
        let held = self.peer.shares().all();
        let missing: Vec<ContentInfo> = self
            .known()
            .into_values()
            .filter(|info| !held.iter().any(|held| held.id == info.id))
            .collect();
        let (mut fetched, mut failed) = (0, Vec::new());
        for info in missing {
            let wanted = Wanted::Id(info.id);
            let heard = self.peer.index().lock().find(self.peer.now(), &wanted);
            let holders = heard.iter().flat_map(|content| &content.holders);
            let holders = holders
                .map(|(holder, _)| HostPort {
                    host: holder.host.clone(),
                    port: holder.port,
                })
                .collect();
            match self.download(&Located { info, holders }) {
                Ok(outcome) => {
                    fetched += 1;
                    if !self.json {
                        say::result(&outcome.text);
                    }
                }
                Err(failure) => failed.push(failure.text),
            }
        }
        let mut text = format!("{fetched} files downloaded");
        failed.iter().for_each(|line| text.push_str(&format!("\n{line}")));
        Ok(Outcome {
            text,
            json: json!({ "event": "downloaded", "files": fetched, "failed": failed }),
        })
    }
}

fn add(
    found: &mut BTreeMap<ContentId, Located>,
    info: ContentInfo,
    holders: impl Iterator<Item = (Host, u16)>,
) {
    let located = found.entry(info.id).or_insert_with(|| Located {
        info,
        holders: Vec::new(),
    });
    located
        .holders
        .extend(holders.map(|(host, port)| HostPort { host, port }));
}
