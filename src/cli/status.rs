//! `p2pdi status`: an RS's own account.

use super::failure::Failure;
use super::line::Line;
use super::query::{client, conn_failure};
use super::say;
use super::show::{date, peer_json, size, table};
use p2pdi::name::{HostPort, printable};
use p2pdi::wire::{Counter, PeerInfo, Status};
use serde_json::{Map, Value, json};

pub(super) fn run(mut line: Line) -> Result<(), Failure> {
    let json = line.switch("--json");
    let (rs, client) = client(&mut line)?;
    let status = client
        .status()
        .map_err(|error| conn_failure(format!("RS {rs}"), &error))?;
    if json {
        say::result(&status_json(&status).to_string());
    } else {
        say::result(&status_text(&status));
    }
    Ok(())
}

fn counters_json(counters: &[Counter]) -> Map<String, Value> {
    let fields = counters.iter().map(|counter| {
        let figures = json!({ "total": counter.total, "last_minute": counter.last_minute });
        (printable(counter.what.as_str()), figures)
    });
    fields.collect()
}

fn status_json(status: &Status) -> Value {
    json!({
        "uptime_secs": status.uptime_secs,
        "peers_known": status.peers_known,
        "peers_active": status.peers_active,
        "contents": status.contents,
        "connections": status.connections,
        "store_bytes": status.store_bytes,
        "slowest_us": status.slowest_us,
        "slowest_minute_us": status.slowest_minute_us,
        "served": counters_json(&status.served),
        "refused": counters_json(&status.refused),
        "dropped": counters_json(&status.dropped),
        "peers_offline": peers_offline(status),
        "offline": status.offline.iter().map(|peer| peer_json(peer, false)).collect::<Vec<_>>(),
    })
}

fn peers_offline(status: &Status) -> u64 {
    status.peers_known.saturating_sub(status.peers_active)
}

/// What there is, in a line.
pub(super) fn status_line(status: &Status) -> String {
    let store = match status.store_bytes {
        Some(bytes) => format!("store of {}", size(bytes)),
        None => "no store: all ends with the process".to_owned(),
    };
    let sum = |counters: &[Counter]| counters.iter().map(|counter| counter.total).sum::<u64>();
    format!(
        "up {} s, {} peers active of {} known, {} contents, {} connections, {store}; {} requests served, {} of them \
         refused, {} connections and datagrams dropped",
        status.uptime_secs,
        status.peers_active,
        status.peers_known,
        status.contents,
        status.connections,
        sum(&status.served),
        sum(&status.refused),
        sum(&status.dropped),
    )
}

fn status_text(status: &Status) -> String {
    let mut text = format!(
        "{}\nslowest answer {} µs in the last minute, {} µs since the start",
        status_line(status),
        status.slowest_minute_us,
        status.slowest_us,
    );
    for (head, counters) in [
        ("SERVED", &status.served),
        ("REFUSED", &status.refused),
        ("DROPPED", &status.dropped),
    ] {
        let rows: Vec<Vec<String>> = counters.iter().map(row).collect();
        if !rows.is_empty() {
            text.push_str("\n\n");
            text.push_str(&table(&[head, "TOTAL", "LAST MINUTE", "A SECOND"], &rows));
        }
    }
    if !status.offline.is_empty() {
        let rows: Vec<Vec<String>> = status.offline.iter().map(offline_row).collect();
        text.push_str("\n\n");
        text.push_str(&table(&["OFFLINE", "ADDRESS", "WHY", "LAST REGISTERED"], &rows));
        let unnamed = peers_offline(status).saturating_sub(rows.len() as u64);
        if unnamed > 0 {
            text.push_str(&format!("\nand {unnamed} more that went before them"));
        }
    }
    text
}

fn offline_row(peer: &PeerInfo) -> Vec<String> {
    let address = HostPort {
        host: peer.host.clone(),
        port: peer.port,
    };
    let why = match peer.lease_secs {
        0 => "left, or fell silent".to_owned(),
        secs => format!("does not answer; lease of {secs} s"),
    };
    vec![
        peer.name.to_string(),
        address.to_string(),
        why,
        date(peer.registered),
    ]
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a minute's count fits well into 53 bits"
)]
fn row(counter: &Counter) -> Vec<String> {
    vec![
        printable(counter.what.as_str()),
        counter.total.to_string(),
        counter.last_minute.to_string(),
        format!("{:.1}", counter.last_minute as f64 / 60.0),
    ]
}
