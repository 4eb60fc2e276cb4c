//! Finding a content and its holders: at the RS, in the ring, and by asking peers for their index.
//!
//! Belongs here: the search loop of P2P-DI (ask the RS; then peer after peer, until one knows a holder) and
//! the rule that a name with two contents is never guessed. Does not: fetching, printing. Invariant: a
//! content and its holders look the same wherever they were found.
#![allow(clippy::disallowed_types, reason = "a process is made of sockets")]

use crate::id::{ContentId, Incarnation, RfcNumber};
use crate::limits::{HOLDER_RETRY, ID_PREFIX_DIGITS_MIN, STALL_GIVE_UP};
use crate::name::{ContentName, HostPort, PeerName};
use crate::net::{Clock, Conn, ConnError, RingClient, RsClient, Stop, read_index};
use crate::proto::{FoundContent, Index};
use crate::wire::{
    ContentInfo, ContentKind, GossipRecord, IndexEntry, Refusal, RingRecord, Wanted, features,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The ways to read it, the likeliest first.
    pub readings: Vec<Wanted>,
    /// With `name@id-prefix`: how the id begins, in hexadecimal.
    pub id_prefix: String,
    text: String,
}

impl Request {
    /// Reads an id, a name, `name@id-prefix`, or an RFC's number. `None` if it can be none of them.
    pub fn parse(text: &str) -> Option<Self> {
        // A directory may be written as one, as everywhere.
        let text = text.strip_suffix('/').unwrap_or(text);
        if let Some(id) = ContentId::parse(text) {
            return Some(Self {
                readings: vec![Wanted::Id(id)],
                id_prefix: String::new(),
                text: text.to_owned(),
            });
        }
        let (name, id_prefix) = match text.rsplit_once('@') {
            Some((name, prefix)) if is_id_prefix(prefix) => (name, prefix.to_ascii_lowercase()),
            _ => (text, String::new()),
        };
        let mut readings = vec![Wanted::Name(ContentName::new(name).ok()?)];
        if let Some(number) = rfc_number(name) {
            readings.push(Wanted::Number(number));
        }
        Some(Self {
            readings,
            id_prefix,
            text: text.to_owned(),
        })
    }

    /// True if the content's id begins as the request says.
    pub fn accepts(&self, content: &ContentInfo) -> bool {
        content.id.to_string().starts_with(&self.id_prefix)
    }

    /// What the user wrote.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// True if a name may be followed by an `@` and this: the first digits of an id.
pub fn is_id_prefix(text: &str) -> bool {
    (ID_PREFIX_DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `793` and `rfc793` mean the RFC of that number, where no content has that name.
fn rfc_number(text: &str) -> Option<RfcNumber> {
    let digits = text.strip_prefix("rfc").unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if plain {
        digits.parse().ok().map(RfcNumber)
    } else {
        None
    }
}

/// A content and where it is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The content.
    pub info: ContentInfo,
    /// Its holders, in the order to try them.
    pub holders: Vec<HostPort>,
}

/// Why nothing was located.
#[derive(Debug)]
pub enum LocateFault {
    /// Nobody that could be asked knows it; what each source said.
    NotFound(Vec<String>),
    /// The name means several contents: their ids.
    Ambiguous(Vec<ContentInfo>),
    /// No source could be asked at all; what each said.
    Unreachable(Vec<String>),
}

/// Looks for contents in every way that was configured.
#[derive(Debug)]
pub struct Locator<'a> {
    rs: Option<&'a RsClient>,
    central: bool,
    ring: Option<RingClient>,
    /// Peers whose index has not been asked for yet.
    unasked: VecDeque<HostPort>,
    /// Those the user has named, in that order.
    named: Vec<HostPort>,
    named_asked: bool,
    asked: BTreeSet<HostPort>,
    /// The RS has yet to be asked for active peers (mode gossip).
    peers_unknown: bool,
    index: Index,
    clock: Clock,
    stop: Stop,
    said: Vec<String>,
    answered: bool,
}

impl<'a> Locator<'a> {
    /// Looks at the RS (its contents in mode central, its peers' indexes in mode gossip) and at `peers`.
    pub fn new(
        rs: Option<&'a RsClient>,
        central: bool,
        gossip: bool,
        peers: &[HostPort],
        me: PeerName,
        clock: Clock,
        stop: Stop,
    ) -> Self {
        Self {
            rs,
            central,
            ring: None,
            unasked: peers.iter().cloned().collect(),
            named: peers.to_vec(),
            named_asked: false,
            asked: BTreeSet::new(),
            peers_unknown: gossip && rs.is_some(),
            index: Index::new(me, 0, Incarnation(0)),
            clock,
            stop,
            said: Vec::new(),
            answered: false,
        }
    }

    /// Looks in a ring too.
    pub fn and_ring(mut self, ring: Option<RingClient>) -> Self {
        self.ring = ring;
        self
    }

    /// Everything of kind `file` that can be had: for `get --all`.
    ///
    /// # Errors
    /// Nobody could be asked.
    pub fn all(&mut self) -> Result<Vec<Located>, LocateFault> {
        let mut found: BTreeMap<(ContentName, ContentId), Located> = BTreeMap::new();
        if let Some(rs) = self.rs.filter(|_| self.central) {
            match rs.list(ContentKind::File) {
                Ok(listings) => {
                    self.answered = true;
                    for listing in listings {
                        merge(&mut found, listing.content, addresses(listing.holders.iter()));
                    }
                }
                Err(error) => self.note(format!("RS: {error}")),
            }
        }
        while self.ask_next_peer() {}
        let learned = self.index.all(self.clock.at());
        for content in learned.filter(|content| content.info.kind == ContentKind::File) {
            let holders = addresses(content.holders.iter().map(|(holder, _)| holder));
            merge(&mut found, content.info, holders);
        }
        if found.is_empty() {
            Err(self.nothing())
        } else {
            Ok(found.into_values().collect())
        }
    }

    /// The content a request means, and its holders.
    ///
    /// # Errors
    /// It means none, or several, or nobody could be asked.
    pub fn locate(&mut self, request: &Request) -> Result<Located, LocateFault> {
        for wanted in &request.readings {
            if let Some(located) = self.at_rs(request, wanted)? {
                return Ok(located);
            }
        }
        for wanted in &request.readings {
            if let Some(located) = self.in_ring(request, wanted)? {
                return Ok(located);
            }
        }
        // Those a user has named are all asked: each may hold it, and what one knows another may not.
        if !core::mem::replace(&mut self.named_asked, true) {
            for _ in 0..self.named.len() {
                self.ask_next_peer();
            }
        }
        loop {
            for wanted in &request.readings {
                if let Some(located) = self.in_index(request, wanted)? {
                    return Ok(located);
                }
            }
            if !self.ask_next_peer() {
                return Err(self.nothing());
            }
        }
    }

    /// Holders of a content as they are now, but for those tried: asks the RS again, and if it names nobody else, the ring
    /// and the peers not yet asked.
    pub fn more_holders(&mut self, id: ContentId, tried: &BTreeSet<HostPort>) -> Vec<HostPort> {
        let mut holders: Vec<HostPort> = Vec::new();
        // Thousands of contents may be asked for one by one: an RS that does not answer costs its time once.
        if let Some(rs) = self.rs.filter(|rs| self.central && !rs.is_silent())
            && let Ok(listings) = rs.search(&Wanted::Id(id))
        {
            // Somebody may have come since.
            let all = listings.iter().flat_map(|listing| listing.holders.iter());
            holders.extend(addresses(all));
        }
        holders.retain(|holder| !tried.contains(holder));
        // A peer may be slow to answer, and a getter waits.
        if !holders.is_empty() {
            return holders;
        }
        if let Some(ring) = &self.ring {
            let records = ring.records(&Wanted::Id(id)).unwrap_or_default();
            holders.extend(records.iter().flat_map(holders_of));
        }
        while self.ask_next_peer() {}
        for content in self.index.find(self.clock.at(), &Wanted::Id(id)) {
            holders.extend(addresses(content.holders.iter().map(|(holder, _)| holder)));
        }
        holders.retain(|holder| !tried.contains(holder));
        holders
    }

    /// Notes that a holder was not reached.
    pub fn lost(&mut self, holder: &HostPort) {
        self.index.mark_unreachable(holder);
    }

    /// The same, and tells the RS, which looks after it.
    fn report(&mut self, holder: &HostPort) {
        self.lost(holder);
        if let Some(rs) = self.rs.filter(|rs| !rs.is_silent())
            && let Err(error) = rs.report(holder)
        {
            log::debug!("reporting {holder}: {error}");
        }
    }

    /// Notes what somebody said instead of an answer, once.
    fn note(&mut self, said: String) {
        if !self.said.contains(&said) {
            self.said.push(said);
        }
    }

    fn nothing(&mut self) -> LocateFault {
        let said = core::mem::take(&mut self.said);
        if self.answered {
            LocateFault::NotFound(said)
        } else {
            LocateFault::Unreachable(said)
        }
    }

    fn at_rs(&mut self, request: &Request, wanted: &Wanted) -> Result<Option<Located>, LocateFault> {
        let Some(rs) = self.rs.filter(|_| self.central) else {
            return Ok(None);
        };
        match rs.search(wanted) {
            Ok(listings) => {
                self.answered = true;
                let found = listings
                    .into_iter()
                    .map(|listing| (listing.content, addresses(listing.holders.iter())));
                only_one(request, found)
            }
            Err(error) => {
                self.note(format!("RS: {error}"));
                Ok(None)
            }
        }
    }

    fn in_ring(&mut self, request: &Request, wanted: &Wanted) -> Result<Option<Located>, LocateFault> {
        let Some(ring) = &self.ring else {
            return Ok(None);
        };
        match ring.records(wanted) {
            Ok(records) => {
                self.answered = true;
                let found = records.iter();
                let found = found.map(|record| (record.content.clone(), holders_of(record)));
                only_one(request, found.filter(|(_, holders)| !holders.is_empty()))
            }
            Err(fault) => {
                self.note(format!("ring: {fault}"));
                Ok(None)
            }
        }
    }

    fn in_index(&self, request: &Request, wanted: &Wanted) -> Result<Option<Located>, LocateFault> {
        let found = self.index.find(self.clock.at(), wanted).into_iter();
        let holders = |content: &FoundContent| addresses(content.holders.iter().map(|(holder, _)| holder));
        let mut located = only_one(
            request,
            found.map(|content| (content.info.clone(), holders(&content))),
        )?;
        if let Some(located) = &mut located {
            // Whom the user has named comes first, in that order.
            let place = |holder: &HostPort| self.named.iter().position(|named| named == holder);
            located
                .holders
                .sort_by_key(|holder| place(holder).unwrap_or(usize::MAX));
        }
        Ok(located)
    }

    /// Asks one more peer for its index; false when everybody has been asked.
    fn ask_next_peer(&mut self) -> bool {
        if core::mem::take(&mut self.peers_unknown)
            && let Some(rs) = self.rs
        {
            match rs.active_peers(None) {
                Ok(peers) => {
                    self.answered = true;
                    self.unasked.extend(peers.into_iter().map(|peer| HostPort {
                        host: peer.host,
                        port: peer.port,
                    }));
                }
                Err(error) => self.note(format!("RS: {error}")),
            }
        }
        let Some(address) = self.unasked.pop_front() else {
            return false;
        };
        if !self.asked.insert(address.clone()) || self.stop.is_set() {
            return !self.stop.is_set();
        }
        match self.index_of(&address) {
            Ok(entries) => {
                self.answered = true;
                for entry in &entries {
                    self.index.merge(self.clock.at(), &address, entry);
                }
            }
            Err(error) => {
                self.note(format!("{address}: {error}"));
                if matches!(error, ConnError::Io(_)) {
                    self.report(&address);
                }
            }
        }
        true
    }

    /// A peer's index. One that serves as many as it may is asked again for a while if it is the last one, and nobody has
    /// answered.
    fn index_of(&self, address: &HostPort) -> Result<Vec<IndexEntry>, ConnError> {
        let is_last = self.rs.is_none() && self.ring.is_none() && self.unasked.is_empty() && !self.answered;
        let until = Instant::now() + STALL_GIVE_UP.to_std();
        loop {
            let asked = Conn::connect(address, features::HOLDER, &self.stop)
                .and_then(|mut conn| read_index(&mut conn));
            let Err(busy @ ConnError::Refused(Refusal::Busy, _)) = &asked else {
                return asked;
            };
            let again = Instant::now() + HOLDER_RETRY.to_std();
            if !is_last || again > until {
                return asked;
            }
            log::warn!("{address}: {busy}; trying again");
            if self.stop.wait_until(again) {
                return asked;
            }
        }
    }
}

fn addresses<'h>(holders: impl Iterator<Item = &'h crate::wire::Holder>) -> Vec<HostPort> {
    holders
        .map(|holder| HostPort {
            host: holder.host.clone(),
            port: holder.port,
        })
        .collect()
}

/// The holders that a record of the ring names, those that have all of it first.
pub fn holders_of(record: &RingRecord) -> Vec<HostPort> {
    let mut claims: Vec<_> = record.holders.iter().filter(|claim| !claim.withdrawn).collect();
    claims.sort_by_key(|claim| !claim.complete);
    let address = |claim: &&GossipRecord| {
        let host = claim.host.clone()?;
        Some(HostPort {
            host,
            port: claim.port,
        })
    };
    claims.iter().filter_map(address).collect()
}

fn merge(found: &mut BTreeMap<(ContentName, ContentId), Located>, info: ContentInfo, holders: Vec<HostPort>) {
    let key = (info.name.clone(), info.id);
    let located = found.entry(key).or_insert_with(|| Located {
        info,
        holders: Vec::new(),
    });
    for holder in holders {
        if !located.holders.contains(&holder) {
            located.holders.push(holder);
        }
    }
}

/// The one content among `found` that the request means. One content under two names is still one.
fn only_one(
    request: &Request,
    found: impl Iterator<Item = (ContentInfo, Vec<HostPort>)>,
) -> Result<Option<Located>, LocateFault> {
    let mut by_id: BTreeMap<ContentId, Located> = BTreeMap::new();
    for (info, holders) in found.filter(|(info, _)| request.accepts(info)) {
        let located = by_id.entry(info.id).or_insert_with(|| Located {
            info,
            holders: Vec::new(),
        });
        for holder in holders {
            if !located.holders.contains(&holder) {
                located.holders.push(holder);
            }
        }
    }
    if by_id.len() > 1 {
        return Err(LocateFault::Ambiguous(
            by_id.into_values().map(|located| located.info).collect(),
        ));
    }
    Ok(by_id.into_values().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_users_mean_them() {
        let id = "5a".repeat(32);
        assert!(
            matches!(Request::parse(&id).map(|r| r.readings), Some(r) if matches!(r[..], [Wanted::Id(_)]))
        );
        let by_number = Request::parse("rfc793").expect("a request");
        assert_eq!(by_number.readings[1], Wanted::Number(RfcNumber(793)));
        let prefixed = Request::parse("a b.txt@5A5A").expect("a request");
        assert_eq!(
            (prefixed.id_prefix.as_str(), prefixed.readings.len()),
            ("5a5a", 1)
        );
        let mail = Request::parse("me@home.txt").expect("a request");
        assert_eq!(mail.id_prefix, "", "not every @ begins an id");
        let digits = |count: usize| format!("a@{}", "5".repeat(count));
        for (count, read) in [
            (ID_PREFIX_DIGITS_MIN - 1, 0),
            (ID_PREFIX_DIGITS_MIN, ID_PREFIX_DIGITS_MIN),
        ] {
            let request = Request::parse(&digits(count)).expect("a request");
            assert_eq!(request.id_prefix.len(), read);
        }
        let directory = Request::parse("course/week-1/").expect("a request");
        assert_eq!(directory.text(), "course/week-1");
        assert_eq!(Request::parse("../x"), None);
        assert_eq!(Request::parse("/"), None);
        assert_eq!(Request::parse(""), None);
    }
}
