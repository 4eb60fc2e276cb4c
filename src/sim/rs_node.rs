//! An RS in the world: the machine behind its gate, reached by datagrams.

use super::{Node, Output};
use crate::id::RequestNumber;
use crate::proto::{
    AddressTokens, Asker, Change, GateStep, LeaseRow, Probe, Registration, RegistrationSettings, Restoring,
    admit_datagram, changes_state, encode_datagram_answer,
};
use crate::rng::Rng;
use crate::storage::{MemoryStore, Store as _};
use crate::time::{Instant, Now, Span};
use crate::wire::{HEADER_BYTES, Message};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// A fault that a test puts between the network and the machine, to see that the checks find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlantedFault {
    /// Every copy of a request is a new request.
    ForgetsNumbers,
    /// Every token will do.
    TakesAnyToken,
    /// Its clock is slow, so that leases are too long.
    SlowClock,
    /// It answers a change that it did not make.
    ForgetsDeregister,
    /// It answers before its store has kept the change.
    AnswersEarly,
    /// A restart gives every peer a whole lease.
    RenewsAtRestart,
}

/// What an RS leaves behind when it dies.
#[derive(Clone, Debug)]
pub struct RsRemains {
    store: MemoryStore,
    /// What was on its way to the store.
    waiting: Vec<Change>,
}

/// An RS.
#[derive(Debug)]
pub struct RsNode {
    machine: Registration,
    tokens: AddressTokens,
    fault: Option<PlantedFault>,
    renumbered: u64,
    /// How many requests reached the machine.
    served: u64,
    probes: BTreeMap<u64, Probe>,
    attempts: u64,
    outputs: VecDeque<Output>,
    store: MemoryStore,
    /// Changes that the store does not keep yet, and answers that wait for it.
    waiting: Vec<Change>,
    held: Vec<Output>,
    /// When the store has kept what waits.
    commits_at: Option<Instant>,
    rng: Rng,
}

/// The longest a commit takes.
const COMMIT_MAX: Span = Span::from_millis(200);

impl RsNode {
    /// An RS that knows nobody.
    pub fn new(settings: RegistrationSettings, now: Now, rng: Rng, fault: Option<PlantedFault>) -> Self {
        let nothing = RsRemains {
            store: MemoryStore::default(),
            waiting: Vec::new(),
        };
        Self::restarted(nothing, false, settings, now, rng, fault)
    }

    /// An RS that goes on where another died. Whether what was on its way has been kept is anybody's guess, but all
    /// of it or nothing; `rebooted` if the machine died too.
    pub fn restarted(
        remains: RsRemains,
        rebooted: bool,
        settings: RegistrationSettings,
        now: Now,
        mut rng: Rng,
        fault: Option<PlantedFault>,
    ) -> Self {
        let RsRemains { mut store, waiting } = remains;
        if rng.one_in(2) {
            let _ = store.commit(&waiting);
        }
        let tokens = AddressTokens::new(&mut rng);
        let mut restoring = Restoring::new(settings, Rng::from_seed(rng.next_u64()), now, !rebooted);
        let _ = store.load(&mut |row| {
            restoring.take(match row {
                Change::Lease(number, row) if fault == Some(PlantedFault::RenewsAtRestart) => {
                    let ends = now.at.after(settings.lease).0;
                    Change::Lease(number, LeaseRow { ends, ..row })
                }
                other => other,
            });
        });
        Self {
            machine: restoring.finish(),
            tokens,
            fault,
            renumbered: 0,
            served: 0,
            probes: BTreeMap::new(),
            attempts: rng.next_u64() >> 1,
            outputs: VecDeque::new(),
            store,
            waiting: Vec::new(),
            held: Vec::new(),
            commits_at: None,
            rng,
        }
    }

    /// What is left of it when it dies now.
    pub fn remains(&self) -> RsRemains {
        RsRemains {
            store: self.store.clone(),
            waiting: self.waiting.clone(),
        }
    }

    /// Takes what the machine wants kept; a commit takes its time.
    fn take_changes(&mut self, now: Now) {
        let time = self.time(now);
        while let Some(change) = self.machine.poll_change(time) {
            self.waiting.push(change);
        }
        if !self.waiting.is_empty() && self.commits_at.is_none() {
            let takes = Span(self.rng.below(COMMIT_MAX.0));
            self.commits_at = Some(now.at.after(takes));
        }
    }

    fn commit(&mut self, now: Now) {
        if self.commits_at.is_some_and(|at| at <= now.at) {
            self.commits_at = None;
            let _ = self.store.commit(&core::mem::take(&mut self.waiting));
            self.outputs.extend(self.held.drain(..));
        }
    }

    /// The machine, to look at.
    pub const fn machine(&self) -> &Registration {
        &self.machine
    }

    /// How many requests passed the gate.
    pub const fn served(&self) -> u64 {
        self.served
    }

    /// The time as this RS has it.
    pub fn time(&self, now: Now) -> Now {
        match self.fault {
            Some(PlantedFault::SlowClock) => Now {
                at: Instant(now.at.0 / 8),
                ..now
            },
            _ => now,
        }
    }

    fn send_probes(&mut self) {
        while let Some(probe) = self.machine.poll_probe() {
            let Some(host) = probe.address.host.ip() else {
                continue;
            };
            self.attempts += 1;
            let to = SocketAddr::new(host, probe.address.port);
            let attempt = self.attempts;
            self.outputs.push_back(Output::Connect { to, attempt });
            self.probes.insert(attempt, probe);
        }
    }
}

/// What a machine behind a planted fault is asked.
fn distorted(fault: Option<PlantedFault>, request: &Message, renumbered: &mut u64) -> Message {
    let mut message = request.clone();
    *renumbered += 1;
    let fresh = RequestNumber((1 << 60) + *renumbered);
    match (fault, &mut message) {
        (Some(PlantedFault::ForgetsNumbers), Message::Join(join)) => {
            join.request = fresh;
            join.nonce = *renumbered;
        }
        (Some(PlantedFault::ForgetsNumbers), Message::Register(register)) => register.request = fresh,
        (Some(PlantedFault::ForgetsNumbers), Message::Deregister(gone)) => gone.request = fresh,
        (Some(PlantedFault::ForgetsNumbers), Message::KeepAlive(keep)) => keep.request = fresh,
        (Some(PlantedFault::ForgetsNumbers), Message::Leave(leave)) => leave.request = fresh,
        (Some(PlantedFault::ForgetsDeregister), Message::Deregister(gone)) => gone.key.id.0 = [0; 32],
        _ => {}
    }
    message
}

/// An answer under the number of the question that was really asked.
fn renumber(answer: Message, request: Option<RequestNumber>) -> Message {
    let request = request.unwrap_or_default();
    match answer {
        Message::Ack(ack) => Message::Ack(crate::wire::Ack { request, ..ack }),
        Message::Error(error) => Message::Error(crate::wire::Error { request, ..error }),
        other => other,
    }
}

impl Node for RsNode {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        let (gate_now, now) = (now.at, self.time(now));
        let mut question = bytes.to_vec();
        if self.fault == Some(PlantedFault::TakesAnyToken) {
            let right = self.tokens.issue(gate_now, from).0;
            let place = HEADER_BYTES + 2..HEADER_BYTES + 2 + right.len();
            if let Some(token) = question.get_mut(place) {
                token.copy_from_slice(&right);
            }
        }
        let (mut out, mut waits) = (Vec::new(), false);
        let step = admit_datagram(&self.tokens, gate_now, from, &question, &mut out);
        if let GateStep::Admitted(request) = step {
            self.served += 1;
            waits = changes_state(&request) && self.fault != Some(PlantedFault::AnswersEarly);
            let asker = Asker::over_udp(from.ip());
            let answer = match self.fault {
                None => self.machine.handle_request(now, &asker, &request),
                Some(_) => {
                    let asked = distorted(self.fault, &request, &mut self.renumbered);
                    renumber(
                        self.machine.handle_request(now, &asker, &asked),
                        request.request(),
                    )
                }
            };
            encode_datagram_answer(&answer, &mut out);
        }
        let asked_at = Now { at: gate_now, ..now };
        self.take_changes(asked_at);
        if !out.is_empty() {
            let answer = Output::Datagram { to: from, bytes: out };
            if waits && self.commits_at.is_some() {
                self.held.push(answer);
            } else {
                self.outputs.push_back(answer);
            }
        }
        self.send_probes();
    }

    fn handle_connect(&mut self, now: Now, attempt: u64, alive: bool) {
        if let Some(probe) = self.probes.remove(&attempt) {
            self.machine.handle_probe(&probe, alive);
            self.take_changes(now);
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.commit(now);
        self.machine.handle_timeout(self.time(now));
        self.take_changes(now);
        self.send_probes();
    }

    fn deadline(&self) -> Option<Instant> {
        let deadline = self.machine.deadline();
        let deadline = match self.fault {
            Some(PlantedFault::SlowClock) => {
                deadline.map(|at| Instant(at.0.saturating_add(1).saturating_mul(8)))
            }
            _ => deadline,
        };
        [deadline, self.commits_at].into_iter().flatten().min()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
