//! A peer's side of its registration: join, keep alive, register what it shares, leave.
//!
//! Driving it: say what is wanted ([`Membership::want`], [`Membership::share`], …); then, whenever no request
//! is open, [`Membership::poll_request`], and its end by [`Membership::handle_answer`] or
//! [`Membership::handle_failure`]; [`Membership::deadline`] says when to poll again. Invariant: one request is
//! open at a time, numbers only grow, and what is registered converges to what is shared.

use crate::id::{Cookie, Incarnation, RequestNumber};
use crate::limits::{KEEP_ALIVE, REJOIN_WAIT};
use crate::name::{Host, PeerName};
use crate::rng::Rng;
use crate::time::{Instant, Span};
use crate::wire::{
    Ack, ContentInfo, ContentKey, Deregister, Error, Join, KeepAlive, Leave, Message, Refusal, Register, Text,
};
use std::collections::{BTreeMap, VecDeque};

/// Who a peer is, towards the RS.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its name.
    pub name: PeerName,
    /// The address others are given, where the one the RS sees is not it.
    pub host: Option<Host>,
    /// Its TCP port.
    pub port: u16,
    /// Its operating system.
    pub os: String,
    /// The cookie of an earlier life.
    pub cookie: Option<Cookie>,
    /// How often it has started.
    pub incarnation: Incarnation,
}

/// What happened, for the world to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipEvent {
    /// Registered: keep the cookie.
    Joined {
        /// Proves who we are.
        cookie: Cookie,
        /// The address others are given.
        host: Option<Host>,
        /// Seconds until the lease ends.
        lease_secs: u32,
    },
    /// No longer registered, as wanted.
    Left,
    /// The RS refuses to register the peer or a content; it is not asked again until something changes.
    Refused {
        /// The content, or none for the Join itself.
        key: Option<ContentKey>,
        /// Why.
        code: Refusal,
        /// Why, in words.
        text: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Out,
    In,
}

#[derive(Clone, Debug)]
enum Open {
    Join,
    Leave,
    KeepAlive,
    Register(ContentKey, bool),
    Deregister(ContentKey),
}

/// What the RS knows of one content of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Registered {
        complete: bool,
    },
    /// A change was asked for and nobody answered: it may have been done or not.
    Unsure,
    Refused,
}

/// The membership of one peer at one RS.
#[derive(Debug)]
pub struct Membership {
    identity: Identity,
    nonce: u64,
    rng: Rng,
    next: RequestNumber,
    wanted: bool,
    standing: Standing,
    open: Option<(RequestNumber, Open)>,
    shared: BTreeMap<ContentKey, (ContentInfo, bool)>,
    told: BTreeMap<ContentKey, Told>,
    /// Keys whose shared and told sides may differ.
    changed: VecDeque<ContentKey>,
    keep_alive_at: Instant,
    retry_at: Instant,
    /// The RS would not have us: nothing is sent until the wish is spoken again.
    stopped: bool,
    events: VecDeque<MembershipEvent>,
}

impl Membership {
    /// A peer that is not registered and does not want to be.
    pub fn new(identity: Identity, mut rng: Rng) -> Self {
        Self {
            nonce: rng.next_u64(),
            next: RequestNumber::first_of(identity.incarnation),
            identity,
            rng,
            wanted: false,
            standing: Standing::Out,
            open: None,
            shared: BTreeMap::new(),
            told: BTreeMap::new(),
            changed: VecDeque::new(),
            keep_alive_at: Instant::ZERO,
            retry_at: Instant::ZERO,
            stopped: false,
            events: VecDeque::new(),
        }
    }

    /// Wants to be registered, or not to be.
    pub fn want(&mut self, registered: bool) {
        self.wanted = registered;
        self.stopped = false;
        self.retry_at = Instant::ZERO;
    }

    /// True while registered.
    pub fn is_in(&self) -> bool {
        self.standing == Standing::In
    }

    /// The cookie, once there is one.
    pub const fn cookie(&self) -> Option<Cookie> {
        self.identity.cookie
    }

    /// The number of the next request: state changes alone need theirs to grow.
    const fn next_request(&mut self) -> RequestNumber {
        self.next = self.next.next();
        self.next
    }

    /// Shares a content.
    pub fn share(&mut self, info: ContentInfo, complete: bool) {
        let key = info.key();
        self.shared.insert(key.clone(), (info, complete));
        self.changed.push_back(key);
    }

    /// Shares a content no longer.
    pub fn unshare(&mut self, key: &ContentKey) {
        self.shared.remove(key);
        self.changed.push_back(key.clone());
    }

    /// The RS has said elsewhere that it does not know our cookie: a KeepAlive finds out at once.
    pub const fn doubt(&mut self) {
        self.keep_alive_at = Instant::ZERO;
    }

    /// True when the RS has been told everything, as far as it would hear it.
    pub fn is_settled(&self) -> bool {
        let told = self.changed.is_empty() || self.standing == Standing::Out && !self.wanted;
        self.open.is_none() && told && (self.wanted == self.is_in() || self.stopped)
    }

    /// When [`Membership::poll_request`] may have something though nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        if self.open.is_some() || self.stopped {
            return None;
        }
        match (self.standing, self.wanted) {
            (Standing::Out, false) => None,
            (Standing::Out, true) | (Standing::In, false) => Some(self.retry_at),
            (Standing::In, true) if self.changed.is_empty() => Some(self.keep_alive_at.max(self.retry_at)),
            (Standing::In, true) => Some(self.retry_at),
        }
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<MembershipEvent> {
        self.events.pop_front()
    }

    /// The next request to send, if none is open and one is due.
    pub fn poll_request(&mut self, now: Instant) -> Option<Message> {
        if self.open.is_some() || self.stopped || now < self.retry_at {
            return None;
        }
        let (message, open) = match (self.standing, self.wanted) {
            (Standing::Out, false) => return None,
            (Standing::Out, true) => {
                let request = self.next_request();
                let join = Join {
                    request,
                    nonce: self.nonce,
                    cookie: self.identity.cookie,
                    name: self.identity.name.clone(),
                    host: self.identity.host.clone(),
                    port: self.identity.port,
                    os: Text::cut(self.identity.os.as_str()),
                };
                (join.into(), Open::Join)
            }
            (Standing::In, wanted) => {
                let cookie = self.identity.cookie?;
                if wanted {
                    self.next_change(cookie)
                        .or_else(|| self.keep_alive(now, cookie))?
                } else {
                    (
                        Leave {
                            request: self.next_request(),
                            cookie,
                        }
                        .into(),
                        Open::Leave,
                    )
                }
            }
        };
        self.open = Some((self.next, open));
        Some(message)
    }

    fn keep_alive(&mut self, now: Instant, cookie: Cookie) -> Option<(Message, Open)> {
        (now >= self.keep_alive_at).then(|| {
            (
                KeepAlive {
                    request: self.next_request(),
                    cookie,
                }
                .into(),
                Open::KeepAlive,
            )
        })
    }

    /// The next difference between what is shared and what the RS was told.
    fn next_change(&mut self, cookie: Cookie) -> Option<(Message, Open)> {
        while let Some(key) = self.changed.front().cloned() {
            let told = self.told.get(&key).copied();
            match (self.shared.get(&key).cloned(), told) {
                (Some((_, complete)), Some(Told::Registered { complete: known })) if known == complete => {}
                (Some(_), Some(Told::Refused)) | (None, None) => {}
                (None, Some(Told::Refused)) => {
                    self.told.remove(&key);
                }
                (Some((content, complete)), _) => {
                    let request = self.next_request();
                    let open = Open::Register(key, complete);
                    return Some((
                        Register {
                            request,
                            cookie,
                            content,
                            complete,
                        }
                        .into(),
                        open,
                    ));
                }
                (None, Some(Told::Registered { .. } | Told::Unsure)) => {
                    let request = self.next_request();
                    let open = Open::Deregister(key.clone());
                    return Some((Deregister { request, cookie, key }.into(), open));
                }
            }
            self.changed.pop_front();
        }
        None
    }

    /// The RS answered the open request. Other answers are passed over.
    pub fn handle_answer(&mut self, now: Instant, answer: &Message) {
        let Some((number, open)) = self.open.take() else {
            return;
        };
        if answer.request() != Some(number) {
            self.open = Some((number, open));
            return;
        }
        match answer {
            Message::Ack(ack) => self.acknowledged(now, ack, open),
            Message::Error(error) => self.refused(now, error, open),
            // An RS that answers with anything else is not one: as if it had not answered.
            _ => self.failed(now, open),
        }
    }

    fn acknowledged(&mut self, now: Instant, ack: &Ack, open: Open) {
        self.keep_alive_at = now.after(renewal(ack.lease_secs));
        match open {
            Open::Join => {
                self.standing = Standing::In;
                self.identity.cookie = ack.cookie.or(self.identity.cookie);
                self.nonce = self.rng.next_u64();
                self.told.clear();
                self.changed = self.shared.keys().cloned().collect();
                if let Some(cookie) = self.identity.cookie {
                    let (host, lease_secs) = (ack.host.clone(), ack.lease_secs);
                    self.events.push_back(MembershipEvent::Joined {
                        cookie,
                        host,
                        lease_secs,
                    });
                }
            }
            Open::Leave => self.now_out(),
            Open::KeepAlive => {}
            Open::Register(key, complete) => {
                self.told.insert(key, Told::Registered { complete });
            }
            Open::Deregister(key) => {
                self.told.remove(&key);
            }
        }
    }

    fn now_out(&mut self) {
        self.standing = Standing::Out;
        self.told.clear();
        self.changed.clear();
        self.events.push_back(MembershipEvent::Left);
    }

    fn refused(&mut self, now: Instant, error: &Error, open: Open) {
        match (error.code, open) {
            (_, Open::Leave) => self.now_out(),
            // The RS has forgotten the cookie: join as a stranger. A stranger is not refused for a cookie.
            (Refusal::BadCookie | Refusal::StaleNumber, Open::Join) => {
                if self.identity.cookie.take().is_none() {
                    self.retry_at = now.after(REJOIN_WAIT);
                }
            }
            // Our lease ran out, or the RS started anew: join again.
            (Refusal::BadCookie, _) => self.standing = Standing::Out,
            // Somebody has used higher numbers under our cookie: go on with a new one.
            (Refusal::StaleNumber, _) => {
                self.standing = Standing::Out;
                self.identity.cookie = None;
            }
            (Refusal::Busy, _) => self.retry_at = now.after(REJOIN_WAIT),
            (code, Open::Join) => {
                self.stopped = true;
                self.refuse_event(None, code, error);
            }
            (code, Open::Register(key, _)) => {
                self.told.insert(key.clone(), Told::Refused);
                self.refuse_event(Some(key), code, error);
            }
            (_, Open::Deregister(key)) => {
                self.told.remove(&key);
            }
            (_, Open::KeepAlive) => self.retry_at = now.after(REJOIN_WAIT),
        }
    }

    fn refuse_event(&mut self, key: Option<ContentKey>, code: Refusal, error: &Error) {
        let text = error.text.as_str().to_owned();
        self.events
            .push_back(MembershipEvent::Refused { key, code, text });
    }

    /// The open request came to nothing: the RS was not reached, or did not answer.
    pub fn handle_failure(&mut self, now: Instant) {
        if let Some((_, open)) = self.open.take() {
            self.failed(now, open);
        }
    }

    fn failed(&mut self, now: Instant, open: Open) {
        match open {
            Open::Leave => self.now_out(),
            Open::Register(key, _) | Open::Deregister(key) => {
                self.told.insert(key, Told::Unsure);
            }
            Open::Join | Open::KeepAlive => {}
        }
        self.retry_at = now.after(REJOIN_WAIT);
    }
}

/// How long to wait before a lease is renewed: the usual span, or a third of a lease shorter than that.
fn renewal(lease_secs: u32) -> Span {
    KEEP_ALIVE.min(Span(Span::from_secs(u64::from(lease_secs)).0 / 3))
}

#[cfg(test)]
#[path = "membership_tests.rs"]
mod tests;
