//! The registration server as one machine: a request in, an answer out (`rfcs/0002-registry.txt`).
//!
//! Driving it: [`Registration::handle_request`] for every request, over whatever transport;
//! [`Registration::handle_timeout`] at [`Registration::deadline`]; [`Registration::poll_probe`] after both, and
//! [`Registration::handle_probe`] when a probe has ended. With a store, [`Registration::poll_change`] after each of
//! them. Invariant: a request without the right cookie
//! changes nothing but the turn of a policy, and a repeated state change is answered again, not done again.

use super::asker::Asker;
use super::catalog::{Catalog, Content, Entry, Policy, RegisterFault};
use super::change::{Activity, answer_kept, kept_answer};
use super::page::Page;
use super::refusal;
use super::registry::{Joined, Probe, Registry};
use crate::id::{Cookie, PeerNumber, RequestNumber};
use crate::limits::{LEASE_SECS, RECORDS_MAX, RECORDS_PER_PEER_MAX};
use crate::name::{Host, HostPort};
use crate::rng::Rng;
use crate::time::{Instant, Now, Span};
use crate::wire::{
    Ack, Contents, Found, Holder, Join, List, ListContents, Listing, Message, PQuery, Peers, Refusal,
    Register, Search,
};

mod account;
mod stored;
pub use stored::{Restoring, changes_state};

/// What an operator may set.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationSettings {
    /// How long a lease lasts.
    pub lease: Span,
    /// Which holder is named first.
    pub policy: Policy,
}

impl Default for RegistrationSettings {
    fn default() -> Self {
        Self {
            lease: Span::from_secs(u64::from(LEASE_SECS)),
            policy: Policy::default(),
        }
    }
}

/// The RS.
#[derive(Clone, Debug)]
pub struct Registration {
    registry: Registry,
    catalog: Catalog,
}

impl Registration {
    /// An RS that knows nobody.
    pub fn new(settings: RegistrationSettings, rng: Rng) -> Self {
        Self {
            registry: Registry::new(settings.lease, rng),
            catalog: Catalog::new(settings.policy),
        }
    }

    /// When [`Registration::handle_timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.registry.deadline()
    }

    /// Ends leases that have run out, and wants the silent probed.
    pub fn handle_timeout(&mut self, now: Now) {
        for number in self.registry.handle_timeout(now) {
            self.catalog.deregister_all(number);
        }
    }

    /// The next peer to probe.
    pub fn poll_probe(&mut self) -> Option<Probe> {
        self.registry.poll_probe()
    }

    /// A probe has ended: did the peer answer?
    pub fn handle_probe(&mut self, probe: &Probe, alive: bool) {
        self.registry.handle_probe(probe, alive);
    }

    /// Answers a request.
    pub fn handle_request(&mut self, now: Now, asker: &Asker, request: &Message) -> Message {
        // Whether a lease is over must not depend on how late the timer is.
        self.handle_timeout(now);
        match request {
            Message::Join(join) => self.join(now, asker, join),
            Message::Leave(leave) => self.change(now, leave.request, leave.cookie, Self::leave),
            Message::KeepAlive(keep) => self.change(now, keep.request, keep.cookie, Self::keep_alive),
            Message::Register(register) => {
                self.change(now, register.request, register.cookie, |rs, now, peer, _| {
                    rs.register(now, peer, register)
                })
            }
            Message::Deregister(gone) => {
                self.change(now, gone.request, gone.cookie, |rs, now, peer, number| {
                    rs.catalog.deregister(peer, &gone.key);
                    rs.ack(now, number, peer, None)
                })
            }
            Message::PQuery(query) => self.pquery(now, asker, query),
            Message::Search(search) => self.search(now, asker, search),
            Message::ListContents(list) => self.list(now, asker, list),
            Message::ReportHolder(report) => {
                let address = HostPort {
                    host: report.holder.host.clone(),
                    port: report.holder.port,
                };
                self.registry.report(now.at, &address);
                Ack {
                    request: report.request,
                    cookie: None,
                    lease_secs: 0,
                    host: None,
                }
                .into()
            }
            other => {
                let text = format!("{} is not a request to an RS", other.row().name);
                refusal(other.request().unwrap_or_default(), Refusal::NotServed, text)
            }
        }
    }

    fn join(&mut self, now: Now, asker: &Asker, join: &Join) -> Message {
        let host = join.host.clone().unwrap_or_else(|| Host::of(asker.ip));
        // Also without a cookie: a first Join that comes late must not undo what the peer did since.
        if let Some(peer) = self.registry.speaks_for(&host, join)
            && let Some(answer) = self.answered_before(peer, join.request)
        {
            return answer;
        }
        match self.registry.join(now, host, join) {
            Joined::UnknownCookie => refusal(
                join.request,
                Refusal::BadCookie,
                "unknown cookie: join without one",
            ),
            Joined::Full => refusal(
                join.request,
                Refusal::LimitReached,
                "this RS knows as many peers as it may",
            ),
            Joined::Repeated(peer) => self.joined(now, join.request, peer),
            Joined::Registered(peer) => {
                // What a peer held in its life before, it registers again if it still has it.
                self.catalog.deregister_all(peer);
                self.joined(now, join.request, peer)
            }
        }
    }

    fn joined(&mut self, now: Now, request: RequestNumber, peer: PeerNumber) -> Message {
        let known = self
            .registry
            .get(peer)
            .map(|peer| (peer.cookie, peer.host.clone()));
        let answer = self.ack(now, request, peer, known);
        self.remember(peer, request, &answer);
        answer
    }

    fn ack(
        &self,
        now: Now,
        request: RequestNumber,
        peer: PeerNumber,
        joined: Option<(Cookie, Host)>,
    ) -> Message {
        let ends = self.registry.get(peer).map(|peer| peer.lease_ends);
        let lease_secs = ends.map_or(0, |ends| ends.since(now.at).as_secs_u32());
        let (cookie, host) = joined.unzip();
        Ack {
            request,
            cookie,
            lease_secs,
            host,
        }
        .into()
    }

    fn remember(&mut self, peer: PeerNumber, request: RequestNumber, answer: &Message) {
        self.registry.remember(peer, request, kept_answer(answer));
    }

    /// The stored answer of a repeated state change, or the refusal of one older than that.
    fn answered_before(&self, peer: PeerNumber, request: RequestNumber) -> Option<Message> {
        let (last, answer) = self.registry.get(peer)?.last.as_ref()?;
        if request == *last {
            answer_kept(answer).ok()
        } else if request < *last {
            Some(refusal(
                request,
                Refusal::StaleNumber,
                "a later request of this peer has been answered already",
            ))
        } else {
            None
        }
    }

    /// True for the active and the hidden: their leases run.
    fn is_registered(&self, peer: PeerNumber) -> bool {
        self.registry
            .get(peer)
            .is_some_and(|peer| peer.activity != Activity::Inactive)
    }

    /// A state change under a cookie, done once.
    fn change(
        &mut self,
        now: Now,
        request: RequestNumber,
        cookie: Cookie,
        operation: impl FnOnce(&mut Self, Now, PeerNumber, RequestNumber) -> Message,
    ) -> Message {
        let Some(peer) = self.registry.peer_of(cookie) else {
            return refusal(request, Refusal::BadCookie, "unknown cookie: join again");
        };
        if let Some(answer) = self.answered_before(peer, request) {
            return answer;
        }
        let answer = if self.is_registered(peer) {
            self.registry.hear(now.at, peer);
            operation(self, now, peer, request)
        } else {
            refusal(
                request,
                Refusal::BadCookie,
                "this peer is not active any more: join again with the cookie",
            )
        };
        self.remember(peer, request, &answer);
        answer
    }

    fn leave(&mut self, now: Now, peer: PeerNumber, request: RequestNumber) -> Message {
        self.registry.retire(now.at, peer);
        self.catalog.deregister_all(peer);
        self.ack(now, request, peer, None)
    }

    fn keep_alive(&mut self, now: Now, peer: PeerNumber, request: RequestNumber) -> Message {
        self.registry.renew(now.at, peer);
        self.ack(now, request, peer, None)
    }

    fn register(&mut self, now: Now, peer: PeerNumber, register: &Register) -> Message {
        let name = self.registry.get(peer).map(|peer| peer.name.clone());
        let registry = &self.registry;
        let namesake = |other| registry.get(other).map(|other| &other.name) == name.as_ref();
        let content = &register.content;
        match self.catalog.register(peer, content, register.complete, namesake) {
            Ok(()) => self.ack(now, register.request, peer, None),
            Err(RegisterFault::NameTaken) => {
                let text = format!(
                    "a peer of your name has {} already: choose another peer name",
                    content.name
                );
                refusal(register.request, Refusal::NameTaken, text)
            }
            Err(RegisterFault::Full) => {
                let text = format!("a peer may register {RECORDS_PER_PEER_MAX} contents: share fewer files");
                refusal(register.request, Refusal::LimitReached, text)
            }
            Err(RegisterFault::AllFull) => {
                let text =
                    format!("this RS keeps {RECORDS_MAX} registrations, and has them: share fewer files");
                refusal(register.request, Refusal::LimitReached, text)
            }
        }
    }

    fn pquery(&mut self, now: Now, asker: &Asker, query: &PQuery) -> Message {
        let me = query.cookie.and_then(|cookie| self.registry.peer_of(cookie));
        match (query.cookie, me) {
            (Some(_), None) => {
                return refusal(query.request, Refusal::BadCookie, "unknown cookie: join again");
            }
            // An inactive peer asks like a stranger; only a Join revives it.
            (_, Some(me)) if self.is_registered(me) => self.registry.renew(now.at, me),
            _ => {}
        }
        let mut page = Page::new(asker.answer_bytes_max);
        for (number, peer) in self.registry.listed_after(query.after, now.at) {
            if Some(number) == me {
                continue;
            }
            let Some(host) = asker.usable(&peer.host) else {
                return use_tcp(query.request);
            };
            if !page.offer(peer.info(now, number, host)) {
                break;
            }
        }
        match page.finish() {
            Some((more, peers)) => Peers {
                request: query.request,
                more,
                peers,
            }
            .into(),
            None => use_tcp(query.request),
        }
    }

    fn search(&mut self, now: Now, asker: &Asker, search: &Search) -> Message {
        let mut page = Page::new(asker.answer_bytes_max);
        let matching = self.catalog.matching(&search.wanted, search.after.as_ref());
        let (mut known, mut found) = (false, false);
        let mut named = Vec::new();
        for (content, entry) in matching {
            known = true;
            let (listing, first) = match self.listing(now, asker, content, entry) {
                Ok(Some(listing)) => listing,
                Ok(None) => continue,
                Err(NoUsableAddress) => return use_tcp(search.request),
            };
            found = true;
            if !page.offer(listing) {
                break;
            }
            // Alone it is nobody's turn but its own.
            if entry.is_shared() {
                named.push((content.clone(), first));
            }
        }
        for (content, first) in named {
            self.catalog.note_named(&content, first);
        }
        if !found && search.after.is_none() {
            let text = if known {
                "known, but none of its holders is active now"
            } else {
                "nobody has registered it"
            };
            return refusal(search.request, Refusal::NotFound, text);
        }
        match page.finish() {
            Some((more, contents)) => Found {
                request: search.request,
                more,
                contents,
            }
            .into(),
            None => use_tcp(search.request),
        }
    }

    fn list(&self, now: Now, asker: &Asker, list: &ListContents) -> Message {
        let mut page = Page::new(asker.answer_bytes_max);
        for (content, entry) in self.catalog.contents_after(list.kind, list.after.as_ref()) {
            match self.listing(now, asker, content, entry) {
                Ok(Some((listing, _))) => {
                    if !page.offer(listing) {
                        break;
                    }
                }
                Ok(None) => {}
                Err(NoUsableAddress) => return use_tcp(list.request),
            }
        }
        match page.finish() {
            Some((more, contents)) => Contents {
                request: list.request,
                more,
                contents,
            }
            .into(),
            None => use_tcp(list.request),
        }
    }

    /// A content with the holders this asker can use, and the first of them; `None` if nobody is active.
    fn listing(
        &self,
        now: Now,
        asker: &Asker,
        content: &Content,
        entry: &Entry,
    ) -> Result<Option<(Listing, PeerNumber)>, NoUsableAddress> {
        let alive = self.catalog.holders(entry, &self.registry, now.at);
        let Some((first, _)) = alive.first() else {
            return Ok(None);
        };
        let mut holders = List::new();
        for (record, peer) in &alive {
            let host = asker.usable(&peer.host).ok_or(NoUsableAddress)?;
            let holder = Holder {
                name: peer.name.clone(),
                host,
                port: peer.port,
                complete: record.complete,
            };
            if !holders.push(holder) {
                break;
            }
        }
        let holders_total = u32::try_from(alive.len()).unwrap_or(u32::MAX);
        Ok(Some((
            Listing {
                content: content.info(),
                holders_total,
                holders,
            },
            first.peer,
        )))
    }
}

/// A holder's address makes sense on the RS's machine only, and the transport does not tell its address.
struct NoUsableAddress;

fn use_tcp(request: RequestNumber) -> Message {
    refusal(
        request,
        Refusal::UseTcp,
        "the answer does not fit into a datagram: ask over TCP",
    )
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
