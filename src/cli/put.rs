//! `p2pdi ring put`: a file goes to the nodes that are to keep it.
//!
//! They fetch it from here and say so in the ring, or that they have no room for it; then it is theirs.

use super::failure::{Exit, Failure};
use super::peer::{choose_name, open_state};
use super::query::conn_failure;
use super::ring::{begin, client, id_json, lookup_failure, member_json};
use super::say;
use super::show::size;
use p2pdi::limits::{LEASE_SECS, PEER_CONNECTIONS, RING_OFFERS_MAX, RING_PUT_WAIT};
use p2pdi::name::{ContentName, HostPort};
use p2pdi::net::{Clock, Conn, ConnError, LinkTransport, RingClient, Stop};
use p2pdi::peer::{Peer, PeerSettings};
use p2pdi::proto::chord::{Member, RingSettings};
use p2pdi::ring::NodeAddress;
use p2pdi::wire::{ContentInfo, GossipRecord, List, Refusal, RingKeyOf, RingRecord, Wanted};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is looked who keeps the file.
const LOOK: Duration = Duration::from_millis(200);

/// The name a file is put under: its own.
pub(super) fn name_of(file: &Path) -> Result<ContentName, Failure> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.and_then(|name| ContentName::new(name).ok())
        .ok_or_else(|| Failure::usage(format!("{}: its name cannot be shared", file.display())))
}

pub(super) fn put(node: &HostPort, file: &Path, json: bool) -> Result<(), Failure> {
    let stop = begin()?;
    let clock = Clock::start();
    let path = file
        .canonicalize()
        .map_err(|error| Failure::io(file.display().to_string(), &error))?;
    if !path.is_file() {
        return Err(Failure::usage(format!("{}: not a file", file.display())));
    }
    let name = name_of(file)?;
    let client = client(node, clock, &stop)?;
    let conn = Conn::connect(node, 0, &stop).map_err(|error| conn_failure(format!("node {node}"), &error))?;
    // The nodes that are to keep it fetch it from here, by the address that they see.
    let listen = SocketAddr::new(conn.local().ip(), 0);
    drop(conn);
    let mut state = open_state(None, "put")?;
    let settings = PeerSettings {
        rs: None,
        transport: LinkTransport::Tcp,
        ring: None,
        central: false,
        listen,
        advertise: None,
        name: choose_name(None, &mut state)?,
        directories: Vec::new(),
        up_limit: None,
        connections_max: PEER_CONNECTIONS,
    };
    let peer =
        Peer::start(settings, state, clock, &stop).map_err(|error| Failure::io("listening", &error))?;
    peer.shares().add_file(path, name.clone());
    peer.wait_for_scan();
    let put = put_shared(&client, &peer, &name, &stop);
    if stop.is_set() {
        peer.join();
        return Err(Failure::new(
            Exit::Interrupted,
            "interrupted; the same command goes on",
        ));
    }
    stop.trigger();
    peer.join();
    let (info, keepers) = put?;
    say_put(&client, &info, &keepers, json);
    Ok(())
}

fn say_put(client: &RingClient, info: &ContentInfo, keepers: &[Member], json: bool) {
    if json {
        say::result(&put_json(&client.settings(), info, keepers).to_string());
    } else {
        say::result(&put_text(info, keepers));
    }
}

pub(super) fn put_json(settings: &RingSettings, info: &ContentInfo, keepers: &[Member]) -> Value {
    json!({
        "event": "put",
        "name": info.name.as_str(),
        "id": info.id.to_string(),
        "bytes": info.bytes,
        "key": id_json(settings.space.key_of_name(info.name.as_str())),
        "keepers": keepers.iter().map(member_json).collect::<Vec<_>>(),
    })
}

pub(super) fn put_text(info: &ContentInfo, keepers: &[Member]) -> String {
    let keepers: Vec<String> = keepers
        .iter()
        .map(|keeper| format!("{} ({})", keeper.id, keeper.address))
        .collect();
    format!(
        "{}  {}  kept by {}",
        info.name,
        size(info.bytes),
        keepers.join(", ")
    )
}

/// Offers what `peer` shares to the owner of its key, waits until all that are to keep it do, and takes the offer back.
fn put_shared(
    client: &RingClient,
    peer: &Arc<Peer>,
    name: &ContentName,
    stop: &Stop,
) -> Result<(ContentInfo, Vec<Member>), Failure> {
    let share = peer.shares().find(&Wanted::Name(name.clone())).pop();
    let info = share
        .map(|share| share.info.clone())
        .ok_or_else(|| Failure::new(Exit::Failed, format!("{name}: could not be read")))?;
    let publisher = NodeAddress::from(peer.address());
    let claim = |withdrawn: bool| RingRecord {
        key: RingKeyOf::Name,
        place: !withdrawn,
        content: info.clone(),
        holders: List::first_of([GossipRecord {
            name: peer.name().clone(),
            host: None,
            port: publisher.port,
            sequence: u64::from(withdrawn),
            remaining_secs: LEASE_SECS,
            withdrawn,
            complete: true,
        }]),
    };
    let said_before = Said::of(client, &info);
    offer(client, publisher, &claim(false), stop)?;
    let kept = wait_kept(client, &info, &said_before, stop);
    // Whether or not: this holder is about to go.
    if let Err(failure) = offer(client, publisher, &claim(true), stop) {
        log::warn!("{failure}");
    }
    Ok((info, kept?))
}

fn offer(
    client: &RingClient,
    publisher: NodeAddress,
    record: &RingRecord,
    stop: &Stop,
) -> Result<(), Failure> {
    let name = record.content.name.as_str();
    let key = client.settings().space.key_of_name(name);
    let mut last = Failure::new(Exit::Failed, format!("{name}: no owner of its key was found"));
    for _ in 0..RING_OFFERS_MAX {
        match client.look_up(key) {
            Err(fault) => last = lookup_failure(name, fault),
            Ok(owner) => match client.store(&owner, publisher, record) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    last = conn_failure(format!("node {}", owner.owner.address), &error);
                    if let ConnError::Refused(code, _) = error
                        && !matches!(code, Refusal::NotOwner | Refusal::NotMember | Refusal::RingBusy)
                    {
                        return Err(last);
                    }
                }
            },
        }
        if stop.wait_until(Instant::now() + LOOK) {
            break;
        }
    }
    Err(last)
}

/// What the ring says of a content's holders.
#[derive(Default)]
pub(super) struct Said {
    /// The last word of each that does not hold it, by its number.
    refusals: BTreeMap<HostPort, u64>,
    whole: Vec<HostPort>,
}

impl Said {
    pub(super) fn of(client: &RingClient, info: &ContentInfo) -> Self {
        let records = client.records(&Wanted::Name(info.name.clone()));
        let mut said = Self::default();
        for record in records.unwrap_or_default() {
            if record.content.id != info.id {
                continue;
            }
            for claim in record.holders.iter() {
                let Some(host) = claim.host.clone() else { continue };
                let holder = HostPort {
                    host,
                    port: claim.port,
                };
                if claim.withdrawn {
                    said.refusals.insert(holder, claim.sequence);
                } else if claim.complete {
                    said.whole.push(holder);
                }
            }
        }
        said
    }

    /// Those of the nodes that are to keep it that do not yet, and whether each has refused to since `before`.
    fn missing(&self, keepers: &[Member], before: &Self) -> Vec<(HostPort, bool)> {
        let addresses = keepers
            .iter()
            .map(|keeper| HostPort::from(SocketAddr::from(keeper.address)));
        let missing = addresses.filter(|address| !self.whole.contains(address));
        missing
            .map(|address| {
                let now = self.refusals.get(&address);
                let refused = now.is_some() && now != before.refusals.get(&address);
                (address, refused)
            })
            .collect()
    }

    /// True if all that are to keep it do.
    pub(super) fn all_keep(&self, keepers: &[Member]) -> bool {
        self.missing(keepers, &Self::default()).is_empty()
    }
}

/// Waits until the owner of a content's name and those after it hold it, or have said since `before` that they have no
/// room; who they are.
pub(super) fn wait_kept(
    client: &RingClient,
    info: &ContentInfo,
    before: &Said,
    stop: &Stop,
) -> Result<Vec<Member>, Failure> {
    let settings = client.settings();
    let name = info.name.as_str();
    let key = settings.space.key_of_name(name);
    let mut last = String::from("nobody of the ring answers");
    let end = Instant::now() + RING_PUT_WAIT.to_std();
    while Instant::now() < end && !stop.is_set() {
        match client.look_up(key) {
            Err(fault) => last = fault.to_string(),
            Ok(found) => {
                let keepers = found.keepers(settings.replicas);
                let missing = Said::of(client, info).missing(&keepers, before);
                if missing.is_empty() {
                    return Ok(keepers);
                }
                let missed: Vec<String> = missing.iter().map(|(node, _)| node.to_string()).collect();
                let missed = missed.join(", ");
                if missing.iter().all(|(_, refused)| *refused) {
                    let kept = keepers.len() - missing.len();
                    let text = format!(
                        "{name}: no room for it at {missed}; kept by {kept} of {} nodes that are to keep it",
                        keepers.len()
                    );
                    return Err(Failure::new(Exit::Refused, text));
                }
                last = format!("still to be kept by {missed}");
            }
        }
        stop.wait_until(Instant::now() + LOOK);
    }
    Err(Failure::new(Exit::Failed, format!("{name}: {last}")))
}
