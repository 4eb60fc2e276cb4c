//! The choices about the ring: in and out of it, files into it and from it, and what this node knows of it.

use super::{Menu, Outcome};
use crate::cli::failure::{Exit, Failure};
use crate::cli::get::locate_failure;
use crate::cli::peer::ring_refusal;
use crate::cli::put::{Said, name_of, put_json, put_text, wait_kept};
use crate::cli::ring::{fingers_json, fingers_text, neighbours_json, neighbours_text};
use p2pdi::locate::{Located, Locator};
use p2pdi::name::HostPort;
use p2pdi::net::Clock;
use p2pdi::peer::RingPeer;
use p2pdi::wire::{RingTable, Wanted};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;

impl Menu<'_> {
    fn ring(&self) -> Result<&RingPeer, Failure> {
        self.peer.ring().ok_or_else(|| {
            Failure::usage("this peer has no ring: start it with --mode chord, or --ring HOST:PORT")
        })
    }

    /// Waits until the node is where it is wanted, and tells so.
    fn ring_settled(&self, ring: &RingPeer, event: &str, text: &str) -> Result<Outcome, Failure> {
        let settled = ring.wait_settled(self.stop);
        if !settled.map_err(|(code, text)| ring_refusal(code, &text))? {
            return Err(Failure::new(Exit::Interrupted, "interrupted"));
        }
        let HostPort { host, port } = SocketAddr::from(ring.driver().address()).into();
        Ok(Outcome {
            text: format!("{text} {host}:{port}"),
            json: json!({ "event": event, "host": host.as_str(), "port": port }),
        })
    }

    pub(super) fn join_ring(&self) -> Result<Outcome, Failure> {
        let ring = self.ring()?;
        self.peer.wait_for_scan();
        ring.want(true);
        self.ring_settled(ring, "joined", "in the ring as")
    }

    pub(super) fn leave_ring(&self) -> Result<Outcome, Failure> {
        let ring = self.ring()?;
        ring.want(false);
        self.ring_settled(ring, "left", "left the ring, which knew this node as")
    }

    pub(super) fn upload_to_ring(&self) -> Result<Outcome, Failure> {
        let text = self.ask("file: ").unwrap_or_default();
        let ring = self.ring()?;
        let path = Path::new(&text)
            .canonicalize()
            .map_err(|error| Failure::io(&text, &error))?;
        let name = name_of(&path)?;
        self.peer.shares().add_file(path.clone(), name.clone());
        self.peer.wait_for_scan();
        let shares = self.peer.shares().find(&Wanted::Name(name.clone()));
        let info = shares
            .into_iter()
            .next()
            .map(|share| share.info.clone())
            .ok_or_else(|| Failure::new(Exit::Failed, format!("{text}: could not be read, or is no file")))?;
        let client = ring.client();
        let said_before = Said::of(&client, &info);
        ring.place(info.id);
        let keepers = wait_kept(&client, &info, &said_before, self.stop)?;
        Ok(Outcome {
            text: put_text(&info, &keepers),
            json: put_json(&client.settings(), &info, &keepers),
        })
    }

    pub(super) fn download_by_ring(&mut self) -> Result<Outcome, Failure> {
        let request = self.ask_what()?;
        let ring = self.ring()?;
        let own: HostPort = SocketAddr::from(ring.driver().address()).into();
        let (me, clock) = (self.peer.name().clone(), Clock::start());
        let locator = Locator::new(None, false, false, &[], me, clock, self.stop.clone());
        let located = locator.and_ring(Some(ring.client())).locate(&request);
        let Located { info, mut holders } = located.map_err(|fault| locate_failure(request.text(), fault))?;
        holders.retain(|holder| *holder != own);
        self.download(&Located { info, holders })
    }

    fn ring_table(&self) -> Result<(RingTable, p2pdi::proto::chord::RingSettings), Failure> {
        let ring = self.ring()?;
        let table = ring.table();
        let table =
            table.ok_or_else(|| Failure::new(Exit::Failed, "this node is in no ring: join it first"))?;
        Ok((table, ring.driver().settings()))
    }

    pub(super) fn finger_table(&self) -> Result<Outcome, Failure> {
        let (table, settings) = self.ring_table()?;
        Ok(Outcome {
            text: fingers_text(&table, &settings),
            json: json!({ "event": "fingers", "fingers": fingers_json(&table, &settings) }),
        })
    }

    pub(super) fn ring_neighbours(&self) -> Result<Outcome, Failure> {
        let (table, settings) = self.ring_table()?;
        Ok(Outcome {
            text: neighbours_text(&table, &settings),
            json: neighbours_json(&table, &settings),
        })
    }
}
