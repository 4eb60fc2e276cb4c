//! `p2pdi list`, `peers`, `search`, `index`: questions, and their answers as tables or JSON.

use super::failure::{Exit, Failure};
use super::line::Line;
use super::show::{content_columns, entry_json, listing_json, peer_json, table};
use super::{say, signals};
use p2pdi::locate::Request;
use p2pdi::name::HostPort;
use p2pdi::net::{Clock, Conn, ConnError, LinkTransport, RsClient, RsLink, Stop, read_index};
use p2pdi::wire::{ContentKind, Listing, features};

/// The exit code of a connection's error: a refusal is told from a silence.
pub(super) fn conn_failure(what: impl core::fmt::Display, error: &ConnError) -> Failure {
    let exit = if matches!(error, ConnError::Refused(..)) {
        Exit::Refused
    } else {
        Exit::Failed
    };
    Failure::new(exit, format!("{what}: {error}"))
}

pub(super) fn transport(line: &mut Line) -> Result<LinkTransport, Failure> {
    let words = [("tcp", LinkTransport::Tcp), ("udp", LinkTransport::Udp)];
    Ok(line.word("--transport", &words)?.pop().unwrap_or_default())
}

pub(super) fn client(line: &mut Line) -> Result<(HostPort, RsClient), Failure> {
    let rs = line.rs()?;
    let transport = transport(line)?;
    say::start_log("warn");
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let client = RsClient::new(RsLink::new(rs.clone(), transport, Clock::start(), stop));
    Ok((rs, client))
}

pub(super) fn peers(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    let (rs, client) = client(&mut line)?;
    let peers = client
        .active_peers(None)
        .map_err(|error| conn_failure(format!("RS {rs}"), &error))?;
    if peers.is_empty() {
        say::note("no active peer");
        if json {
            say::result("[]");
        }
        return Ok(());
    }
    if json {
        peers
            .iter()
            .for_each(|peer| say::result(&peer_json(peer, true).to_string()));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = peers
        .iter()
        .map(|peer| {
            let address = HostPort {
                host: peer.host.clone(),
                port: peer.port,
            };
            let os = p2pdi::name::printable(peer.os.as_str());
            let lease = format!("{} s", peer.lease_secs);
            vec![
                peer.name.to_string(),
                address.to_string(),
                lease,
                peer.registrations.to_string(),
                os,
            ]
        })
        .collect();
    say::result(&table(
        &["NAME", "ADDRESS", "LEASE", "REGISTRATIONS", "OS"],
        &rows,
    ));
    Ok(())
}

fn show_listings(listings: &[Listing], json: bool) {
    if json {
        listings
            .iter()
            .for_each(|listing| say::result(&listing_json(listing).to_string()));
        return;
    }
    let rows: Vec<Vec<String>> = listings
        .iter()
        .map(|listing| {
            let mut row = content_columns(&listing.content);
            let first = listing.holders.iter().take(3);
            let mut names: Vec<String> = first
                .map(|holder| {
                    let address = HostPort {
                        host: holder.host.clone(),
                        port: holder.port,
                    };
                    format!("{} ({address})", holder.name)
                })
                .collect();
            let hidden = (listing.holders_total as usize).saturating_sub(names.len());
            if hidden > 0 {
                names.push(format!("and {hidden} more"));
            }
            row.push(names.join(", "));
            row
        })
        .collect();
    say::result(&table(
        &["NAME", "ID", "SIZE", "MODIFIED", "WHAT", "HOLDERS"],
        &rows,
    ));
}

pub(super) fn list(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    let kind = if line.switch("--trees") {
        ContentKind::Tree
    } else {
        ContentKind::File
    };
    let (rs, client) = client(&mut line)?;
    let listings = client
        .list(kind)
        .map_err(|error| conn_failure(format!("RS {rs}"), &error))?;
    if listings.is_empty() {
        say::note("nothing is registered");
        if json {
            say::result("[]");
        }
        return Ok(());
    }
    show_listings(&listings, json);
    Ok(())
}

/// The one operand that says what is looked for.
fn what(line: &Line) -> Result<Request, Failure> {
    match line.operands() {
        [text] => Request::parse(text).ok_or_else(|| {
            Failure::usage(format!(
                "{}: not a name, an id or a number",
                p2pdi::name::printable(text)
            ))
        }),
        [] => Err(Failure::usage(
            "what? give a name, an id, name@id-prefix or an RFC number",
        )),
        many => Err(Failure::usage(format!("one thing at a time, not {}", many.len()))),
    }
}

pub(super) fn search(mut line: Line) -> Result<(), Failure> {
    let request = what(&line)?;
    let json = line.switch("--json");
    let (rs, client) = client(&mut line)?;
    for wanted in &request.readings {
        let found = client
            .search(wanted)
            .map_err(|error| conn_failure(format!("RS {rs}"), &error))?;
        let found: Vec<Listing> = found
            .into_iter()
            .filter(|listing| request.accepts(&listing.content))
            .collect();
        if !found.is_empty() {
            show_listings(&found, json);
            return Ok(());
        }
    }
    Err(Failure::new(
        Exit::NotFound,
        format!("{}: no active peer has it registered at {rs}", request.text()),
    ))
}

pub(super) fn index(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    let Some(peer) = line.address("--peer")? else {
        return Err(Failure::usage("whose index? give --peer HOST:PORT"));
    };
    say::start_log("warn");
    let stop = Stop::new();
    signals::stop_on_signals(&stop)?;
    let conn = Conn::connect(&peer, features::HOLDER, &stop);
    let entries = conn
        .and_then(|mut conn| read_index(&mut conn))
        .map_err(|error| conn_failure(&peer, &error))?;
    if json {
        entries
            .iter()
            .for_each(|entry| say::result(&entry_json(entry, peer.host.as_str()).to_string()));
        return Ok(());
    }
    let mut rows = Vec::new();
    for entry in &entries {
        for record in entry.holders.iter() {
            let host = record.host.clone().unwrap_or_else(|| peer.host.clone());
            let address = HostPort {
                host,
                port: record.port,
            };
            let state = if record.withdrawn {
                "withdrawn".to_owned()
            } else {
                format!("{} s", record.remaining_secs)
            };
            let mut row = content_columns(&entry.content);
            row.push(format!("{} ({address})", record.name));
            row.push(state);
            rows.push(row);
        }
    }
    say::result(&table(
        &["NAME", "ID", "SIZE", "MODIFIED", "WHAT", "HOLDER", "LIVES"],
        &rows,
    ));
    Ok(())
}
