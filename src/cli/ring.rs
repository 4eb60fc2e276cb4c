//! `p2pdi ring`: what a node knows of its ring, and lookups; files are put and got elsewhere.

use super::failure::{Exit, Failure};
use super::line::Line;
use super::put::put;
use super::query::conn_failure;
use super::show::table;
use super::{commands, get, say, signals};
use p2pdi::id::ContentId;
use p2pdi::name::{HostPort, printable};
use p2pdi::net::{Clock, RingClient, Stop, look_at_node};
use p2pdi::proto::chord::{LookupFault, Member, RingSettings};
use p2pdi::ring::RingId;
use p2pdi::wire::RingTable;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

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

pub(super) fn begin() -> Result<Stop, Failure> {
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
pub(super) fn id_json(id: RingId) -> Value {
    id.as_u64().map_or_else(|| json!(id.to_string()), |id| json!(id))
}

pub(super) fn member_json(member: &Member) -> Value {
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
