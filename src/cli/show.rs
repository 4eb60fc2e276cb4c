//! How records look: as JSON for scripts, as aligned text for people.

use super::why::why_json;
use p2pdi::fetch::Fetched;
use p2pdi::id::ContentId;
use p2pdi::name::printable;
use p2pdi::wire::{ContentInfo, GossipRecord, Holder, IndexEntry, Listing, PeerInfo};
use serde_json::{Value, json};

/// A moment as people write it, UTC.
pub(super) fn date(secs: i64) -> String {
    jiff::Timestamp::from_second(secs).map_or_else(|_| secs.to_string(), |at| at.to_string())
}

/// Bytes as people write them.
pub(super) fn size(bytes: u64) -> String {
    bytesize::ByteSize::b(bytes).display().si().to_string()
}

fn content(info: &ContentInfo) -> serde_json::Map<String, Value> {
    let fields = json!({
        "name": info.name.as_str(),
        "kind": info.kind.word(),
        "id": info.id.to_string(),
        "bytes": info.bytes,
        "type": printable(info.media_type.as_str()),
        "modified": date(info.modified),
        "number": info.number.map(|number| number.0),
        "title": info.title.as_ref().map(|title| printable(title.as_str())),
    });
    if let Value::Object(fields) = fields {
        fields
    } else {
        serde_json::Map::new()
    }
}

fn holder(holder: &Holder) -> Value {
    json!({
        "name": holder.name.as_str(),
        "host": holder.host.as_str(),
        "port": holder.port,
        "complete": holder.complete,
    })
}

/// A content at the RS.
pub(super) fn listing_json(listing: &Listing) -> Value {
    let mut fields = content(&listing.content);
    fields.insert("holders".to_owned(), listing.holders.iter().map(holder).collect());
    fields.insert("holders_total".to_owned(), json!(listing.holders_total));
    Value::Object(fields)
}

/// A content in a peer's index; `host` is where that peer was reached.
pub(super) fn entry_json(entry: &IndexEntry, host: &str) -> Value {
    let claim = |record: &GossipRecord| {
        json!({
            "name": record.name.as_str(),
            "host": record.host.as_ref().map_or(host, |host| host.as_str()),
            "port": record.port,
            "complete": record.complete,
            "remaining_secs": record.remaining_secs,
            "sequence": record.sequence,
            "withdrawn": record.withdrawn,
        })
    };
    let mut fields = content(&entry.content);
    fields.insert("holders".to_owned(), entry.holders.iter().map(claim).collect());
    Value::Object(fields)
}

/// A peer, handed out or not.
pub(super) fn peer_json(peer: &PeerInfo, active: bool) -> Value {
    json!({
        "name": peer.name.as_str(),
        "host": peer.host.as_str(),
        "port": peer.port,
        "os": printable(peer.os.as_str()),
        "active": active,
        "lease_secs": peer.lease_secs,
        "registrations_30d": peer.registrations,
        "last_registered": date(peer.registered),
    })
}

/// What a fetch came to, and why if that was asked.
pub(super) fn fetched_json(info: &ContentInfo, fetched: &Fetched, why: bool) -> Value {
    let holders = fetched.account.holders.iter().map(|account| {
        json!({
            "host": account.address.host.as_str(),
            "port": account.address.port,
            "bytes": account.bytes,
            "failures": account.failures,
        })
    });
    let mut done = json!({
        "event": "done",
        "name": info.name.as_str(),
        "id": info.id.to_string(),
        "bytes": info.bytes,
        "secs": fetched.account.took.as_secs_f64(),
        "path": fetched.path.display().to_string(),
        "holders": holders.collect::<Vec<_>>(),
    });
    if why && let Value::Object(fields) = &mut done {
        fields.insert("why".to_owned(), why_json(&fetched.account));
    }
    done
}

/// The columns that describe a content.
pub(super) fn content_columns(info: &ContentInfo) -> Vec<String> {
    let title = match (info.number, &info.title) {
        (Some(number), Some(title)) => format!("RFC {}: {}", number.0, printable(title.as_str())),
        (Some(number), None) => format!("RFC {}", number.0),
        _ => printable(info.media_type.as_str()),
    };
    vec![
        info.name.to_string(),
        short_id(info.id),
        size(info.bytes),
        date(info.modified),
        title,
    ]
}

/// Enough of an id to tell contents apart, as `name@…` takes it.
pub(super) fn short_id(id: ContentId) -> String {
    id.to_string()[..12].to_owned()
}

/// Rows in aligned columns, without trailing spaces.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([heads.get(column).map_or(0, |head| head.len())])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let head: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let lines = core::iter::once(line(&head)).chain(rows.iter().map(|row| line(row)));
    lines.collect::<Vec<_>>().join("\n")
}
