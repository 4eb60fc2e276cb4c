//! What the clients of a load are called, what they register, and what they ask.
//!
//! Names are made up by number, so any client can ask for what any other has registered.

use super::mix::Kind;
use crate::id::{ContentId, Cookie, PeerNumber, RequestNumber};
use crate::name::{ContentName, PeerName};
use crate::rng::Rng;
use crate::wire::{
    ContentInfo, ContentKey, ContentKind, Deregister, Join, KeepAlive, ListContents, Message, PQuery,
    Register, Search, Text, Wanted,
};

/// One client: a peer of its own, with one request under way at most.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Which of all clients of all threads.
    pub(super) number: usize,
    /// Set once it has joined.
    pub(super) cookie: Option<Cookie>,
    /// The next content it has to register to be ready.
    pub(super) next_content: u64,
    /// It has registered the content that only it holds.
    has_own: bool,
}

impl Client {
    pub(super) const fn new(number: usize) -> Self {
        Self {
            number,
            cookie: None,
            next_content: number as u64,
            has_own: false,
        }
    }
}

/// What all clients of a load have in common.
#[derive(Clone, Debug)]
pub(super) struct World {
    /// Tells this load's peers from those of another.
    pub(super) run: u64,
    /// Clients in all.
    pub(super) clients: usize,
    /// Contents that are registered before anything is measured, shared out among the clients.
    pub(super) contents: u64,
}

/// A name that is well-formed by construction.
fn content_name(text: String) -> ContentName {
    ContentName::new(text).unwrap_or_else(|fault| unreachable!("a made-up name: {fault}"))
}

fn content_of(name: String) -> ContentInfo {
    let id = ContentId(*blake3::hash(name.as_bytes()).as_bytes());
    ContentInfo {
        kind: ContentKind::File,
        name: content_name(name),
        id,
        bytes: 1_000_000,
        modified: 0,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    }
}

impl World {
    /// One of the contents that are registered before.
    pub(super) fn content(index: u64) -> ContentInfo {
        content_of(format!("load/{index}"))
    }

    fn own_content(&self, client: &Client) -> ContentInfo {
        content_of(format!("load/own/{:016x}/{}", self.run, client.number))
    }

    /// A first Join of the peer of this name.
    pub(super) fn join(&self, who: &str, nonce: u64, request: RequestNumber) -> Message {
        let name = format!("load-{:016x}-{who}", self.run);
        let name = PeerName::new(name).unwrap_or_else(|fault| unreachable!("a made-up name: {fault}"));
        Join {
            request,
            nonce,
            cookie: None,
            name,
            host: None,
            // Nobody listens there: an RS that probes finds the peer dead, and that is the load's own fault.
            port: 9,
            os: Text::cut("load"),
        }
        .into()
    }

    /// A request of this kind, by this client.
    pub(super) fn request(
        &self,
        kind: Kind,
        client: &mut Client,
        request: RequestNumber,
        rng: &mut Rng,
    ) -> Message {
        let cookie = client.cookie.unwrap_or(Cookie([0; 16]));
        match kind {
            Kind::Join => {
                let nonce = rng.next_u64();
                let who = format!("{}-{nonce:016x}", client.number);
                self.join(&who, nonce, request)
            }
            Kind::KeepAlive => KeepAlive { request, cookie }.into(),
            Kind::Register => {
                let content = self.own_content(client);
                client.has_own = !client.has_own;
                if client.has_own {
                    let complete = true;
                    Register {
                        request,
                        cookie,
                        content,
                        complete,
                    }
                    .into()
                } else {
                    let key = content.key();
                    Deregister { request, cookie, key }.into()
                }
            }
            Kind::Search => {
                let content = Self::content(rng.below(self.contents));
                let (wanted, after) = (Wanted::Name(content.name), None);
                Search {
                    request,
                    wanted,
                    after,
                }
                .into()
            }
            Kind::List => {
                let name = content_name(format!("load/{}", rng.below(self.contents)));
                let after = Some(ContentKey {
                    name,
                    id: ContentId([0; 32]),
                });
                let kind = ContentKind::File;
                ListContents { request, kind, after }.into()
            }
            Kind::Peers => {
                let after = PeerNumber(rng.below(self.clients as u64));
                let cookie = None;
                PQuery {
                    request,
                    cookie,
                    after,
                }
                .into()
            }
        }
    }
}
