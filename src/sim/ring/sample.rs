//! Records to publish: small files that are called by their numbers.

use crate::id::ContentId;
use crate::limits::LEASE_SECS;
use crate::name::{ContentName, PeerName};
use crate::proto::chord::RingNode;
use crate::wire::{ContentInfo, ContentKind, GossipRecord, List, RingKeyOf, RingRecord, Text};

/// What a node says of the file of this number, by its name: that it has it, for a whole lease.
pub fn sample_record(number: usize, holder: &RingNode) -> Option<RingRecord> {
    let name = ContentName::new(format!("file {number}")).ok()?;
    let content = ContentInfo {
        kind: ContentKind::File,
        id: ContentId(*blake3::hash(name.as_str().as_bytes()).as_bytes()),
        name,
        bytes: 1,
        modified: 0,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    };
    let claim = GossipRecord {
        name: PeerName::new("holder").ok()?,
        host: None,
        port: holder.me().address.port,
        sequence: 1,
        remaining_secs: LEASE_SECS,
        withdrawn: false,
        complete: true,
    };
    Some(RingRecord {
        key: RingKeyOf::Name,
        place: false,
        content,
        holders: List::first_of([claim]),
    })
}
