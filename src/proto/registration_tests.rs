//! The rules of an RS, in virtual time. Here: the stage they are played on.

use super::*;
use crate::id::{ContentId, RfcNumber};
use crate::limits::{DATAGRAM_BYTES_MAX, HOLDERS_PER_LISTING_MAX, PAGE_ENTRIES_MAX};
use crate::name::{ContentName, PeerName};
use crate::time::WallTime;
use crate::wire::samples::sample_file as content;
use crate::wire::{
    ContentInfo, ContentKind, Deregister, Error, KeepAlive, Leave, PeerAddress, PeerInfo, ReportHolder, Text,
    Wanted, encode_frame,
};
use core::fmt::Debug;

/// The answer's variant, or a failure that shows the answer.
macro_rules! pdu {
    ($variant:ident, $answer:expr) => {
        match $answer {
            Message::$variant(inner) => inner,
            other => panic!("not {}: {other:?}", stringify!($variant)),
        }
    };
}
#[path = "registration_tests/holders.rs"]
mod holders;
#[path = "registration_tests/leases.rs"]
mod leases;
#[path = "registration_tests/limits.rs"]
mod limits;
#[path = "registration_tests/pages.rs"]
mod pages;
#[path = "registration_tests/probes.rs"]
mod probes;
#[path = "registration_tests/repeats.rs"]
mod repeats;
#[path = "registration_tests/stored.rs"]
mod stored;

/// A day of the years in which the tests play.
const WALL: WallTime = WallTime(1_700_000_000);

/// An RS, its clock, and a count of requests.
struct Stage {
    rs: Registration,
    now: Now,
    request: u64,
}

/// A registered peer, as a test knows it.
#[derive(Clone, Copy)]
struct Member {
    ip: u8,
    cookie: Cookie,
}

impl Stage {
    fn new() -> Self {
        Self::with_policy(Policy::LeastUsed)
    }

    fn with_policy(policy: Policy) -> Self {
        let settings = RegistrationSettings {
            policy,
            ..RegistrationSettings::default()
        };
        Self {
            rs: Registration::new(settings, Rng::from_seed(1)),
            now: Now {
                at: Instant(5_000_000),
                wall: WALL,
            },
            request: 0,
        }
    }

    fn number(&mut self) -> RequestNumber {
        self.request += 1;
        RequestNumber(self.request)
    }

    fn wait(&mut self, secs: u64) {
        self.now.at = self.now.at.after(Span::from_secs(secs));
        self.now.wall.0 += i64::try_from(secs).expect("a test's time");
    }

    /// Lets time pass as the RS's timer would.
    fn live(&mut self, secs: u64) {
        let end = self.now.at.after(Span::from_secs(secs));
        while let Some(deadline) = self.rs.deadline().filter(|deadline| *deadline <= end) {
            let late = deadline.since(self.now.at);
            self.now.at = self.now.at.max(deadline);
            self.now.wall.0 += i64::try_from(late.as_secs()).expect("a test's time");
            self.rs.handle_timeout(self.now);
        }
        self.now.at = end;
    }

    fn ask(&mut self, asker: &Asker, message: impl Into<Message>) -> Message {
        self.rs.handle_request(self.now, asker, &message.into())
    }

    /// Asks over TCP from a machine that is not the RS's.
    fn tell(&mut self, message: impl Into<Message>) -> Message {
        self.ask(&tcp(200), message)
    }

    fn join_message(&mut self, name: &str, nonce: u64, cookie: Option<Cookie>) -> Join {
        Join {
            request: self.number(),
            nonce,
            cookie,
            name: peer_name(name),
            host: None,
            port: 6_000,
            os: Text::cut("Linux"),
        }
    }

    /// Joins a peer at 192.0.2.`ip`, port 6000.
    fn join(&mut self, name: &str, ip: u8) -> Member {
        let join = self.join_message(name, u64::from(ip), None);
        let ack = pdu!(Ack, self.ask(&tcp(ip), join));
        let cookie = ack.cookie.expect("a cookie after a Join");
        Member { ip, cookie }
    }

    fn rejoin(&mut self, name: &str, member: Member) -> Message {
        let nonce = self.request + 1_000;
        let join = self.join_message(name, nonce, Some(member.cookie));
        self.ask(&tcp(member.ip), join)
    }

    fn leave(&mut self, member: Member) -> Message {
        let request = self.number();
        self.tell(Leave {
            request,
            cookie: member.cookie,
        })
    }

    fn keep_alive(&mut self, member: Member) -> Message {
        let request = self.number();
        self.tell(KeepAlive {
            request,
            cookie: member.cookie,
        })
    }

    fn register_message(&mut self, member: Member, content: ContentInfo, complete: bool) -> Register {
        Register {
            request: self.number(),
            cookie: member.cookie,
            content,
            complete,
        }
    }

    fn register(&mut self, member: Member, name: &str) -> Message {
        let register = self.register_message(member, content(name), true);
        self.tell(register)
    }

    fn deregister(&mut self, member: Member, name: &str) -> Message {
        let request = self.number();
        self.tell(Deregister {
            request,
            cookie: member.cookie,
            key: content(name).key(),
        })
    }

    fn pquery(&mut self, cookie: Option<Cookie>) -> Message {
        let request = self.number();
        self.tell(PQuery {
            request,
            cookie,
            after: PeerNumber(0),
        })
    }

    /// Who a stranger sees.
    fn seen(&mut self) -> Vec<PeerInfo> {
        pdu!(Peers, self.pquery(None)).peers.into_vec()
    }

    fn seen_names(&mut self) -> Vec<String> {
        let peers = self.seen();
        peers.iter().map(|peer| peer.name.as_str().to_owned()).collect()
    }

    fn search_message(&mut self, wanted: Wanted) -> Search {
        Search {
            request: self.number(),
            wanted,
            after: None,
        }
    }

    fn search(&mut self, name: &str) -> Message {
        let search = self.search_message(Wanted::Name(content_name(name)));
        self.tell(search)
    }

    /// The peers named for one content, in order.
    fn holders(&mut self, name: &str) -> Vec<String> {
        let found = pdu!(Found, self.search(name));
        let holders = found.contents[0].holders.iter();
        holders.map(|holder| holder.name.as_str().to_owned()).collect()
    }

    fn report(&mut self, ip: u8) -> Message {
        let request = self.number();
        let holder = PeerAddress {
            host: host(ip),
            port: 6_000,
        };
        self.tell(ReportHolder { request, holder })
    }

    /// Everything the RS knows, as text: what must not change is compared with it.
    fn state(&self) -> String {
        format!("{:?}", self.rs)
    }
}

fn refused(answer: Message) -> (Refusal, String) {
    let error: Error = pdu!(Error, answer);
    (error.code, error.text.as_str().to_owned())
}

fn refusal_code(answer: Message) -> Refusal {
    refused(answer).0
}

fn frame(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    encode_frame(message, &mut out);
    out
}

fn some<T, E: Debug>(value: Result<T, E>) -> T {
    value.expect("a valid name")
}

fn host(ip: u8) -> Host {
    some(Host::new(format!("192.0.2.{ip}")))
}

fn tcp(ip: u8) -> Asker {
    Asker::over_tcp([192, 0, 2, ip].into(), [192, 0, 2, 1].into())
}

fn udp(ip: u8) -> Asker {
    Asker::over_udp([192, 0, 2, ip].into())
}

fn peer_name(name: &str) -> PeerName {
    some(PeerName::new(name))
}

fn content_name(name: &str) -> ContentName {
    some(ContentName::new(name))
}
