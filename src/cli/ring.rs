//! `p2pdi ring`: what a node knows of its ring, lookups, and files put into it and got from it.

use super::failure::{Exit, Failure};
use super::line::Line;
use super::peer::{choose_name, open_state};
use super::query::conn_failure;
use super::show::{size, table};
use super::{commands, get, say, signals};
use p2pdi::id::ContentId;
use p2pdi::limits::{LEASE_SECS, PEER_CONNECTIONS};
use p2pdi::name::{ContentName, HostPort, printable};
use p2pdi::net::{Clock, Conn, ConnError, LinkTransport, RingClient, Stop, look_at_node};
use p2pdi::peer::{Peer, PeerSettings};
use p2pdi::proto::chord::{LookupFault, Member, Owner, RingSettings};
use p2pdi::ring::{NodeAddress, RingId};
use p2pdi::wire::{ContentInfo, GossipRecord, List, Refusal, RingKeyOf, RingRecord, RingTable, Wanted};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the nodes that are to keep a file may take to say that they do, once one of them has.
const KEEP_PATIENCE: Duration = Duration::from_secs(600);
/// How often they are looked for.
const LOOK: Duration = Duration::from_millis(200);
/// How often a record is offered to who was just said to own its key.
const OFFERS_MAX: u32 = 20;

pub(super) fn command(mut line: Line) -> Result<(), Failure> {
    let words: Vec<String> = line.operands().to_vec();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let json = line.switch("--json");
    let node = line
        .address("--node")?
        .ok_or_else(|| Failure::usage("which node? give --node HOST:PORT, a peer in mode chord or naive"))?;
    let out = line.path("--out")?;
    if out.is_some() && !matches!(words[..], ["get", _]) {
        return Err(Failure::usage("--out is for ring get"));
    }
    match words[..] {
        ["fingers"] => fingers(&node, json),
        ["neighbours"] => neighbours(&node, json),
        ["lookup", key] => lookup(&node, key, json),
        ["put", file] => put(&node, Path::new(file), json),
        ["get", what] => {
            let out = out.unwrap_or_else(|| ".".into());
            let mut words = vec!["--ring".to_owned(), node.to_string()];
            words.push(format!("--out={}", out.display()));
            words.extend(json.then(|| "--json".to_owned()));
            words.extend(["--".to_owned(), what.to_owned()]);
            let get = commands::find("get").ok_or_else(|| Failure::usage("get"))?;
            get::run(Line::parse(get, words)?)
        }
        _ => Err(Failure::usage(
            "ring fingers, neighbours, lookup KEY, put FILE or get NAME (`p2pdi help ring`)",
        )),
    }
}

fn begin() -> Result<Stop, Failure> {
    say::start_log("warn");
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    Ok(stop)
}

fn look(node: &HostPort) -> Result<(RingTable, RingSettings), Failure> {
    let stop = begin()?;
    let table = look_at_node(node, &stop).map_err(|error| conn_failure(format!("node {node}"), &error))?;
    let settings = RingSettings::of_shape(&table.ring)
        .ok_or_else(|| Failure::new(Exit::Failed, format!("node {node}: a ring without bits")))?;
    Ok((table, settings))
}

/// A small id as a number, a large one as digits.
fn id_json(id: RingId) -> Value {
    id.as_u64().map_or_else(|| json!(id.to_string()), |id| json!(id))
}

fn member_json(member: &Member) -> Value {
    let HostPort { host, port } = SocketAddr::from(member.address).into();
    json!({ "id": id_json(member.id), "host": host.as_str(), "port": port })
}

/// A finger table as rows: where each finger begins, and who comes first from there.
pub(super) fn finger_rows(table: &RingTable, settings: &RingSettings) -> Vec<(RingId, Member)> {
    let space = settings.space;
    let node = Member::of(space, &table.node).id;
    let fingers = (0..space.bits()).zip(table.fingers.iter());
    fingers
        .map(|(i, member)| (space.finger_start(node, i), Member::of(space, member)))
        .collect()
}

pub(super) fn fingers_json(table: &RingTable, settings: &RingSettings) -> Vec<Value> {
    let node = id_json(Member::of(settings.space, &table.node).id);
    let rows = finger_rows(table, settings).into_iter();
    rows.map(|(start, successor)| {
        json!({ "id": node, "start": id_json(start), "successor": member_json(&successor) })
    })
    .collect()
}

pub(super) fn fingers_text(ring: &RingTable, settings: &RingSettings) -> String {
    let rows = finger_rows(ring, settings).into_iter();
    let rows: Vec<Vec<String>> = rows
        .map(|(start, member)| {
            vec![
                start.to_string(),
                member.id.to_string(),
                member.address.to_string(),
            ]
        })
        .collect();
    table(&["START", "SUCCESSOR", "ADDRESS"], &rows)
}

pub(super) fn neighbours_json(table: &RingTable, settings: &RingSettings) -> Value {
    let member = |member| member_json(&Member::of(settings.space, member));
    json!({
        "id": id_json(Member::of(settings.space, &table.node).id),
        "predecessor": table.predecessor.as_ref().map(member),
        "successors": table.successors.iter().map(member).collect::<Vec<_>>(),
    })
}

pub(super) fn neighbours_text(ring: &RingTable, settings: &RingSettings) -> String {
    let row = |what: &str, member| {
        let member = Member::of(settings.space, member);
        vec![what.to_owned(), member.id.to_string(), member.address.to_string()]
    };
    let before = ring.predecessor.iter().map(|member| row("predecessor", member));
    let after = ring.successors.iter().map(|member| row("successor", member));
    let rows: Vec<Vec<String>> = before
        .chain([row("this node", &ring.node)])
        .chain(after)
        .collect();
    table(&["WHO", "ID", "ADDRESS"], &rows)
}

fn fingers(node: &HostPort, json: bool) -> Result<(), Failure> {
    let (table, settings) = look(node)?;
    if json {
        let lines = fingers_json(&table, &settings);
        lines.iter().for_each(|line| say::result(&line.to_string()));
    } else {
        say::result(&fingers_text(&table, &settings));
    }
    Ok(())
}

fn neighbours(node: &HostPort, json: bool) -> Result<(), Failure> {
    let (table, settings) = look(node)?;
    if json {
        say::result(&neighbours_json(&table, &settings).to_string());
    } else {
        say::result(&neighbours_text(&table, &settings));
    }
    Ok(())
}

/// A client of the ring that a node is in.
pub(super) fn client(node: &HostPort, clock: Clock, stop: &Stop) -> Result<RingClient, Failure> {
    RingClient::by_way_of(node, clock, stop).map_err(|error| conn_failure(format!("node {node}"), &error))
}

/// What a lookup's end means for the exit code.
pub(super) fn lookup_failure(what: &str, fault: LookupFault) -> Failure {
    let exit = match fault {
        LookupFault::Refused(_) => Exit::Refused,
        _ => Exit::Failed,
    };
    Failure::new(exit, format!("{}: {fault}", printable(what)))
}

fn lookup(node: &HostPort, text: &str, json: bool) -> Result<(), Failure> {
    let stop = begin()?;
    let client = client(node, Clock::start(), &stop)?;
    let space = client.settings().space;
    let key = match ContentId::parse(text) {
        Some(id) => space.key_of_content(&id),
        None => space.key_of_name(text),
    };
    let found = client.look_up(key).map_err(|fault| lookup_failure(text, fault))?;
    if json {
        let line = json!({
            "key": id_json(key),
            "owner": member_json(&found.owner),
            "successors": found.next.iter().map(member_json).collect::<Vec<_>>(),
            "hops": found.hops,
            "timeouts": found.timeouts,
        });
        say::result(&line.to_string());
    } else {
        let (owner, hops) = (found.owner, found.hops);
        say::result(&format!(
            "{}: key {key} belongs to {} at {} ({hops} hops)",
            printable(text),
            owner.id,
            owner.address
        ));
    }
    Ok(())
}

/// The name a file is put under: its own.
pub(super) fn name_of(file: &Path) -> Result<ContentName, Failure> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.and_then(|name| ContentName::new(name).ok())
        .ok_or_else(|| Failure::usage(format!("{}: its name cannot be shared", file.display())))
}

fn put(node: &HostPort, file: &Path, json: bool) -> Result<(), Failure> {
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
        .map(|share| share.info)
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
    offer(client, publisher, &claim(false), stop)?;
    let kept = wait_kept(client, &info, stop);
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
    for _ in 0..OFFERS_MAX {
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

/// Waits until the owner of a content's name and those after it hold it; who they are.
pub(super) fn wait_kept(
    client: &RingClient,
    info: &ContentInfo,
    stop: &Stop,
) -> Result<Vec<Member>, Failure> {
    let settings = client.settings();
    let name = info.name.as_str();
    let key = settings.space.key_of_name(name);
    let mut said = String::from("nobody of the ring answers");
    let end = Instant::now() + KEEP_PATIENCE;
    while Instant::now() < end && !stop.is_set() {
        match client.look_up(key) {
            Err(fault) => said = fault.to_string(),
            Ok(found) => {
                let keepers = keepers_of(&settings, &found);
                let missing = missing_of(client, info, &keepers);
                if missing.is_empty() {
                    return Ok(keepers);
                }
                said = format!("still to be kept by {}", missing.join(", "));
            }
        }
        stop.wait_until(Instant::now() + LOOK);
    }
    Err(Failure::new(Exit::Failed, format!("{name}: {said}")))
}

fn keepers_of(settings: &RingSettings, found: &Owner) -> Vec<Member> {
    let mut keepers = vec![found.owner];
    for next in &found.next {
        if !keepers.iter().any(|keeper| keeper.id == next.id) {
            keepers.push(*next);
        }
    }
    keepers.truncate(settings.replicas);
    keepers
}

fn missing_of(client: &RingClient, info: &ContentInfo, keepers: &[Member]) -> Vec<String> {
    let records = client
        .records(&Wanted::Name(info.name.clone()))
        .unwrap_or_default();
    let whole = records
        .iter()
        .filter(|record| record.content.id == info.id)
        .flat_map(|record| record.holders.iter())
        .filter(|claim| claim.complete && !claim.withdrawn);
    let whole: Vec<HostPort> = whole
        .filter_map(|claim| {
            let host = claim.host.clone()?;
            Some(HostPort {
                host,
                port: claim.port,
            })
        })
        .collect();
    let addresses = keepers
        .iter()
        .map(|keeper| SocketAddr::from(keeper.address).into());
    addresses
        .filter(|address: &HostPort| !whole.contains(address))
        .map(|address| address.to_string())
        .collect()
}
