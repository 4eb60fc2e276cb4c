//! A peer's membership at an RS, driven over a real link by a thread of its own.

use crate::id::Cookie;
use crate::name::HostPort;
use crate::net::{Clock, LinkTransport, RsClient, RsLink, Stop};
use crate::proto::{Identity, Index, Membership, MembershipEvent};
use crate::rng::Rng;
use crate::storage::State;
use crate::wire::{ContentInfo, ContentKey, Refusal};
use core::fmt;
use parking_lot::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Why a Join or Leave did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinFault {
    /// The RS was not reached; the attempt goes on.
    Unreachable(String),
    /// The RS refused.
    Refused(Refusal, String),
    /// The process is stopping.
    Stopped,
}

impl fmt::Display for JoinFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the RS was not reached ({why})"),
            Self::Refused(code, why) => write!(
                f,
                "the RS refused ({}): {}",
                code.code(),
                crate::name::printable(why)
            ),
            Self::Stopped => f.write_str("stopping"),
        }
    }
}

#[derive(Debug)]
struct Inner {
    machine: Membership,
    state: State,
    /// Why the RS was not reached, if the last attempt since the wish was spoken failed.
    failure: Option<String>,
    /// Refusals of contents since they were last asked for.
    refused: Vec<(ContentKey, Refusal, String)>,
    /// The refusal of the Join itself.
    turned_away: Option<(Refusal, String)>,
    lease_secs: u32,
}

/// The membership of a running peer.
#[derive(Debug)]
pub struct RsMember {
    address: HostPort,
    clock: Clock,
    client: RsClient,
    /// Ends the link itself: later than the peer's stop, for the Leave is sent after that.
    link_stop: Stop,
    inner: Mutex<Inner>,
    changed: Condvar,
}

/// How long the Leave of a stopping peer may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(3);
/// Nothing waits longer than this without looking around.
const LOOK: Duration = Duration::from_millis(200);

impl RsMember {
    pub(super) fn new(
        address: HostPort,
        transport: LinkTransport,
        identity: Identity,
        rng: Rng,
        state: State,
        clock: Clock,
    ) -> Self {
        let link_stop = Stop::new();
        let client = RsClient::new(RsLink::new(address.clone(), transport, clock, link_stop.clone()));
        let inner = Inner {
            machine: Membership::new(identity, rng),
            state,
            failure: None,
            refused: Vec::new(),
            turned_away: None,
            lease_secs: 0,
        };
        Self {
            address,
            clock,
            client,
            link_stop,
            inner: Mutex::new(inner),
            changed: Condvar::new(),
        }
    }

    /// The RS's address.
    pub const fn address(&self) -> &HostPort {
        &self.address
    }

    /// Questions to the same RS.
    pub const fn client(&self) -> &RsClient {
        &self.client
    }

    /// The cookie, while registered.
    pub fn cookie(&self) -> Option<Cookie> {
        let inner = self.inner.lock();
        inner.machine.cookie().filter(|_| inner.machine.is_in())
    }

    /// The RS has answered somebody else here that it does not know us.
    pub(super) fn doubt(&self) {
        self.inner.lock().machine.doubt();
        self.changed.notify_all();
    }

    pub(super) fn share(&self, info: ContentInfo, complete: bool) {
        self.inner.lock().machine.share(info, complete);
        self.changed.notify_all();
    }

    pub(super) fn unshare(&self, key: &ContentKey) {
        let mut inner = self.inner.lock();
        inner.refused.retain(|(refused, _, _)| refused != key);
        inner.machine.unshare(key);
        self.changed.notify_all();
    }

    /// Wants to be registered, or not to be. It is tried until it is done.
    pub fn want(&self, registered: bool) {
        let mut inner = self.inner.lock();
        inner.failure = None;
        inner.refused.clear();
        inner.turned_away = None;
        inner.machine.want(registered);
        self.changed.notify_all();
    }

    /// Waits until the last wish has come true and everything shared is registered; the lease's seconds.
    ///
    /// # Errors
    /// The RS was not reached, or refused; contents refused one by one are in [`RsMember::refused`].
    pub fn wait_settled(&self, stop: &Stop) -> Result<u32, JoinFault> {
        let mut inner = self.inner.lock();
        loop {
            if let Some((code, text)) = inner.turned_away.clone() {
                return Err(JoinFault::Refused(code, text));
            }
            if inner.machine.is_settled() {
                return Ok(inner.lease_secs);
            }
            if let Some(why) = inner.failure.clone() {
                return Err(JoinFault::Unreachable(why));
            }
            if stop.is_set() {
                return Err(JoinFault::Stopped);
            }
            self.changed.wait_for(&mut inner, LOOK);
        }
    }

    /// The contents the RS refused to register, and why.
    pub fn refused(&self) -> Vec<(ContentKey, Refusal, String)> {
        self.inner.lock().refused.clone()
    }

    /// Does what the machine wants until the stop, then leaves.
    pub(super) fn run(&self, index: &Mutex<Index>, stop: &Stop) {
        let mut leave_by = None;
        while !self.link_stop.is_set() {
            if stop.is_set() && leave_by.is_none() {
                self.want(false);
                leave_by = Some(Instant::now() + LEAVE_PATIENCE);
            }
            if leave_by.is_some_and(|by| Instant::now() >= by || self.inner.lock().machine.is_settled()) {
                break;
            }
            if !self.step(index) {
                self.rest();
            }
        }
        self.link_stop.trigger();
    }

    /// After the stop: waits for the Leave, and cuts off an RS that does not answer in time.
    pub(super) fn end_in_time(&self) {
        // The stop does not wake the thread that leaves.
        self.want(false);
        self.link_stop.wait_until(Instant::now() + LEAVE_PATIENCE);
        self.link_stop.trigger();
    }

    /// One request and its end; false if none is due.
    fn step(&self, index: &Mutex<Index>) -> bool {
        let request = self.inner.lock().machine.poll_request(self.clock.at());
        let Some(request) = request else { return false };
        let answer = self.client.call(&request);
        let mut inner = self.inner.lock();
        match answer {
            Ok(answer) => {
                inner.machine.handle_answer(self.clock.at(), &answer);
                inner.failure = None;
            }
            Err(error) => {
                if inner.failure.is_none() {
                    log::warn!("RS {}: {error}; trying again", self.address);
                }
                inner.failure = Some(error.to_string());
                inner.machine.handle_failure(self.clock.at());
            }
        }
        while let Some(event) = inner.machine.poll_event() {
            self.note(&mut inner, event, index);
        }
        self.changed.notify_all();
        true
    }

    fn note(&self, inner: &mut Inner, event: MembershipEvent, index: &Mutex<Index>) {
        match event {
            MembershipEvent::Joined {
                cookie,
                host,
                lease_secs,
            } => {
                log::info!("registered at {} for {lease_secs} s", self.address);
                inner.lease_secs = lease_secs;
                if let Err(error) = inner.state.set_cookie(&self.address, cookie) {
                    log::warn!("the cookie could not be kept: {error}");
                }
                if let Some(host) = host {
                    let mut index = index.lock();
                    let port = index.port();
                    index.add_own_address(HostPort { host, port });
                }
            }
            MembershipEvent::Left => log::info!("left {}", self.address),
            MembershipEvent::Refused {
                key: Some(key),
                code,
                text,
            } => {
                log::warn!(
                    "RS {}: {}: {}",
                    self.address,
                    key.name,
                    crate::name::printable(&text)
                );
                inner.refused.push((key, code, text));
            }
            MembershipEvent::Refused {
                key: None,
                code,
                text,
            } => {
                log::warn!(
                    "RS {} refuses us: {}",
                    self.address,
                    crate::name::printable(&text)
                );
                inner.turned_away = Some((code, text));
            }
        }
    }

    fn rest(&self) {
        let mut inner = self.inner.lock();
        let now = self.clock.at();
        let due = inner
            .machine
            .deadline()
            .map(|deadline| deadline.since(now).to_std());
        let wait = due.unwrap_or(LOOK).min(LOOK);
        if !wait.is_zero() {
            self.changed.wait_for(&mut inner, wait);
        }
    }
}
