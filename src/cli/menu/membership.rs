//! The choices about the RS and the other peers, and about what this peer shares.

use super::{Menu, Outcome};
use crate::cli::failure::{Exit, Failure};
use crate::cli::query::conn_failure;
use crate::cli::show::{content_columns, listing_json, peer_json, table};
use p2pdi::name::{ContentName, HostPort};
use p2pdi::wire::{ContentInfo, ContentKey, ContentKind};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

impl Menu<'_> {
    pub(super) fn register(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        self.peer.wait_for_scan();
        member.want(true);
        let settled = member.wait_settled(self.stop);
        let lease_secs = settled.map_err(|fault| Failure::new(Exit::Failed, fault.to_string()))?;
        let refused = member.refused();
        if let Some((key, code, text)) = refused.first() {
            let text = p2pdi::name::printable(text);
            return Err(Failure::new(
                Exit::Refused,
                format!("{}: refused ({}): {text}", key.name, code.code()),
            ));
        }
        let contents = self
            .peer
            .shares()
            .all()
            .iter()
            .filter(|info| info.kind == ContentKind::File)
            .count();
        Ok(Outcome {
            text: format!(
                "registered at {} as {}, with {contents} files, for {lease_secs} s",
                member.address(),
                self.peer.name()
            ),
            json: json!({
                "event": "registered",
                "name": self.peer.name().as_str(),
                "lease_secs": lease_secs,
                "contents": contents,
            }),
        })
    }

    pub(super) fn leave(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        member.want(false);
        member
            .wait_settled(self.stop)
            .map_err(|fault| Failure::new(Exit::Failed, fault.to_string()))?;
        Ok(Outcome {
            text: format!("left {}", member.address()),
            json: json!({ "event": "left" }),
        })
    }

    pub(super) fn pquery(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        let asked = member.client().active_peers(member.cookie());
        let peers = asked.map_err(|error| conn_failure(format!("RS {}", member.address()), &error))?;
        let rows: Vec<Vec<String>> = peers
            .iter()
            .map(|peer| {
                let address = HostPort {
                    host: peer.host.clone(),
                    port: peer.port,
                };
                vec![
                    peer.name.to_string(),
                    address.to_string(),
                    format!("{} s", peer.lease_secs),
                ]
            })
            .collect();
        let text = if rows.is_empty() {
            "no active peer".to_owned()
        } else {
            table(&["NAME", "ADDRESS", "LEASE"], &rows)
        };
        let peers: Vec<Value> = peers.iter().map(|peer| peer_json(peer, true)).collect();
        Ok(Outcome {
            text,
            json: json!({ "event": "peers", "peers": peers }),
        })
    }
    pub(super) fn rfc_query(&self) -> Result<Outcome, Failure> {
        let neighbours = self
            .peer
            .neighbours(self.given)
            .map_err(|error| conn_failure("RS", &error))?;
        let mut answered = 0;
        let mut silent = Vec::new();
        for address in &neighbours {
            match self.peer.ask_index(address) {
                Ok(_) => answered += 1,
                Err(error) => silent.push(format!("{address}: {error}")),
            }
        }
        let contents = self.known().len();
        let mut text = format!(
            "{answered} of {} peers answered; {contents} files known",
            neighbours.len()
        );
        silent.iter().for_each(|line| text.push_str(&format!("\n{line}")));
        let json = json!({ "event": "index", "peers": answered, "contents": contents, "silent": silent });
        Ok(Outcome { text, json })
    }

    /// Every file heard of or held, by name and id.
    pub(super) fn known(&self) -> BTreeMap<ContentKey, ContentInfo> {
        let index = self.peer.index().lock();
        let local = index.local().values().map(|content| &content.info);
        let all = index
            .known(self.peer.now())
            .chain(local)
            .filter(|info| info.kind == ContentKind::File);
        all.map(|info| (info.key(), info.clone())).collect()
    }

    pub(super) fn list(&self) -> Result<Outcome, Failure> {
        let member = self.member()?;
        let asked = member.client().list(ContentKind::File);
        let listings = asked.map_err(|error| conn_failure(format!("RS {}", member.address()), &error))?;
        let rows: Vec<Vec<String>> = listings
            .iter()
            .map(|listing| content_columns(&listing.content))
            .collect();
        let text = if rows.is_empty() {
            "nothing is registered".to_owned()
        } else {
            table(&["NAME", "ID", "SIZE", "MODIFIED", "WHAT"], &rows)
        };
        let contents: Vec<Value> = listings.iter().map(listing_json).collect();
        Ok(Outcome {
            text,
            json: json!({ "event": "list", "contents": contents }),
        })
    }
    pub(super) fn share(&self) -> Result<Outcome, Failure> {
        let text = self.ask("file: ").unwrap_or_default();
        let path = Path::new(&text)
            .canonicalize()
            .map_err(|error| Failure::io(&text, &error))?;
        if !path.is_file() {
            return Err(Failure::usage(format!(
                "{text}: not a file; whole directories are shared by --dir"
            )));
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| ContentName::new(name).ok());
        let name = name.ok_or_else(|| Failure::usage(format!("{text}: its name cannot be shared")))?;
        self.peer.shares().add_file(path.clone(), name.clone());
        self.peer.wait_for_scan();
        Ok(Outcome {
            text: format!("{name} is shared"),
            json: json!({ "event": "shared", "name": name.as_str() }),
        })
    }

    pub(super) fn withdraw(&self) -> Result<Outcome, Failure> {
        let text = self.ask("name: ").unwrap_or_default();
        let known = ContentName::new(text.as_str())
            .ok()
            .filter(|name| self.peer.shares().hide(name));
        let name =
            known.ok_or_else(|| Failure::new(Exit::NotFound, format!("{text}: not shared by this peer")))?;
        self.peer.wait_for_scan();
        let json = json!({ "event": "withdrawn", "name": name.as_str() });
        Ok(Outcome {
            text: format!("{name} is withdrawn; the file itself stays"),
            json,
        })
    }
}
