//! Getting a directory: its tree, then every file of it, below its name.

use super::Getting;
use crate::cli::failure::{Exit, Failure};
use crate::cli::progress::Showing;
use crate::cli::say;
use crate::cli::show::size;
use crate::cli::why::{why_json, why_shown};
use core::cell::RefCell;
use p2pdi::fetch::{Account, Fetched, Order};
use p2pdi::limits::SMALL_BYTES_MAX;
use p2pdi::locate::Located;
use p2pdi::name::ContentName;
use p2pdi::wire::{ContentInfo, ContentKind, Text, TreeFile, TreeNode};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Instant;

/// What has come of a directory so far.
#[derive(Default)]
pub(super) struct Come {
    files: Vec<Fetched>,
    account: Account,
}

impl Come {
    pub(super) fn add(&mut self, fetched: &Fetched) {
        self.account.add(&fetched.account);
        self.files.push(fetched.clone());
    }
}

impl Getting<'_> {
    /// Gets a directory into its own name below `--out`. What is there and right is kept, a wrong mode is mended.
    pub(super) fn get_tree(&self, located: &Located, note: &mut dyn FnMut(Failure)) {
        let begun = Instant::now();
        let info = located.info.clone();
        let failures = RefCell::new(0_usize);
        let mut noted = |failure: Failure| {
            *failures.borrow_mut() += 1;
            note(failure);
        };
        let tree = match self.fetch_tree(located) {
            Ok(tree) => tree,
            Err(failure) => return note(failure),
        };
        let mut orders = Vec::new();
        let mut directories = vec![info.name.clone()];
        for entry in tree.entries() {
            let path = format!("{}/{}", info.name, entry.path);
            let name = match ContentName::new(path) {
                Ok(name) => name,
                Err(fault) => {
                    let text = format!("{}/{}: its path {fault}", info.name, entry.path);
                    noted(Failure::new(Exit::Failed, text));
                    continue;
                }
            };
            match &entry.node {
                TreeNode::EmptyDirectory(_) => directories.push(name),
                TreeNode::File(file) => orders.push(order(name, file, located)),
            }
        }
        for failure in self.fetcher.make_directories(&directories) {
            noted(Failure::new(Exit::Failed, failure.to_string()));
        }
        let (files, bytes) = (
            orders.len(),
            orders
                .iter()
                .fold(0_u64, |sum, order| sum.saturating_add(order.info.bytes)),
        );
        let (small, large): (Vec<Order>, Vec<Order>) = orders
            .into_iter()
            .partition(|order| order.info.bytes <= SMALL_BYTES_MAX);
        let come = RefCell::new(Come::default());
        self.get_small(&small, Some(&come), &mut noted);
        for order in large {
            self.get_large(order, Some(&come)).unwrap_or_else(&mut noted);
        }
        if *failures.borrow() > 0 {
            return;
        }
        let mut come = come.into_inner();
        if let Some(peer) = self.serving.peer() {
            let known = come.files.iter();
            let known = known.map(|fetched| (fetched.path.clone(), fetched.manifest.clone()));
            peer.add_directory(self.fetcher.path(&info.name), known.collect());
        }
        let account = &mut come.account;
        account.took = begun.elapsed();
        let gave = account.holders.iter().filter(|holder| holder.bytes > 0);
        let from: BTreeSet<String> = gave.map(|holder| holder.address.to_string()).collect();
        let secs = account.took.as_secs_f64();
        match self.showing {
            Showing::Events => {
                let mut done = json!({
                    "event": "done",
                    "name": info.name.as_str(),
                    "kind": info.kind.word(),
                    "id": info.id.to_string(),
                    "files": files,
                    "bytes": bytes,
                    "secs": secs,
                    "path": self.fetcher.path(&info.name).display().to_string(),
                    "from": from,
                });
                if self.why {
                    done["why"] = why_json(account);
                }
                say::result(&done.to_string());
            }
            Showing::Quiet => {}
            Showing::Bar => {
                let from = if from.is_empty() {
                    "what was here".to_owned()
                } else {
                    Vec::from_iter(from).join(", ")
                };
                say::result(&format!(
                    "{}/  {files} files, {}  verified  from {from} in {secs:.2} s",
                    info.name,
                    size(bytes)
                ));
            }
        }
        if self.why && self.showing != Showing::Events {
            say::result(&why_shown(account));
        }
    }
}

/// Who holds a tree holds its files.
fn order(name: ContentName, file: &TreeFile, located: &Located) -> Order {
    Order {
        info: ContentInfo {
            kind: ContentKind::File,
            name,
            id: file.id,
            bytes: file.bytes,
            modified: located.info.modified,
            media_type: Text::cut("application/octet-stream"),
            number: None,
            title: None,
        },
        holders: located.holders.clone(),
        executable: Some(file.executable),
    }
}
