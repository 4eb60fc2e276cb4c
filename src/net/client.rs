//! Questions that change nothing, page by page: to an RS, and to a peer for its index.

use super::conn::{Conn, ConnError};
use super::link::RsLink;
use crate::id::{Cookie, PeerNumber, RequestNumber};
use crate::limits::{PAGES_MAX, RS_SILENT};
use crate::name::HostPort;
use crate::wire::{
    ContentKey, ContentKind, IndexEntry, IndexQuery, ListContents, Listing, Message, PQuery, PeerAddress,
    PeerInfo, Refusal, ReportHolder, Search, Wanted,
};
use parking_lot::Mutex;
use std::time::Instant;

/// Asks an RS over one link that several threads may share.
#[derive(Debug)]
pub struct RsClient {
    state: Mutex<(RsLink, RequestNumber)>,
    /// When it last did not answer, if it has not answered since.
    silent: Mutex<Option<Instant>>,
}

impl RsClient {
    /// Asks over this link.
    pub const fn new(link: RsLink) -> Self {
        Self {
            state: Mutex::new((link, RequestNumber(0))),
            silent: Mutex::new(None),
        }
    }

    /// True if the RS did not answer lately: whoever has many questions, and can do without, spares itself the wait.
    pub fn is_silent(&self) -> bool {
        let silent = *self.silent.lock();
        silent.is_some_and(|since| since.elapsed() < RS_SILENT.to_std())
    }

    /// Sends a request as it is.
    ///
    /// # Errors
    /// The RS was not reached.
    pub fn call(&self, request: &Message) -> Result<Message, ConnError> {
        self.state.lock().0.call(request)
    }

    fn ask(&self, request: impl FnOnce(RequestNumber) -> Message) -> Result<Message, ConnError> {
        let (link, number) = &mut *self.state.lock();
        *number = number.next();
        let answer = link.call(&request(*number));
        let is_lost = matches!(answer, Err(ConnError::Io(_)));
        *self.silent.lock() = is_lost.then(Instant::now);
        match answer? {
            Message::Error(error) => Err(ConnError::Refused(error.code, error.text.as_str().to_owned())),
            answer => Ok(answer),
        }
    }

    /// The active peers; with a cookie, those besides its peer, whose lease is renewed.
    ///
    /// # Errors
    /// The RS was not reached or refused.
    pub fn active_peers(&self, cookie: Option<Cookie>) -> Result<Vec<PeerInfo>, ConnError> {
        let mut found: Vec<PeerInfo> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = found.last().map_or(PeerNumber(0), |last| last.number);
            match self.ask(|request| {
                PQuery {
                    request,
                    cookie,
                    after,
                }
                .into()
            })? {
                Message::Peers(page) => {
                    let after = found.last().map(|last| last.number);
                    check_order(after.as_ref(), page.peers.iter().map(|peer| peer.number))?;
                    let more = page.more && !page.peers.is_empty();
                    found.extend(page.peers.into_vec());
                    if !more {
                        break;
                    }
                }
                other => return Err(ConnError::Unexpected(other.row().name)),
            }
        }
        Ok(found)
    }

    fn listings(
        &self,
        request: impl Fn(RequestNumber, Option<ContentKey>) -> Message,
    ) -> Result<Vec<Listing>, ConnError> {
        let mut found: Vec<Listing> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = found.last().map(|last| last.content.key());
            let (more, page) = match self.ask(|number| request(number, after.clone()))? {
                Message::Found(page) => (page.more, page.contents),
                Message::Contents(page) => (page.more, page.contents),
                other => return Err(ConnError::Unexpected(other.row().name)),
            };
            check_order(after.as_ref(), page.iter().map(|listing| listing.content.key()))?;
            let more = more && !page.is_empty();
            found.extend(page.into_vec());
            if !more {
                break;
            }
        }
        Ok(found)
    }

    /// The contents that match and their holders; none if nobody active holds any.
    ///
    /// # Errors
    /// The RS was not reached or refused.
    pub fn search(&self, wanted: &Wanted) -> Result<Vec<Listing>, ConnError> {
        let asked = self.listings(|request, after| {
            Search {
                request,
                wanted: wanted.clone(),
                after,
            }
            .into()
        });
        match asked {
            Err(ConnError::Refused(Refusal::NotFound, _)) => Ok(Vec::new()),
            other => other,
        }
    }

    /// What is registered.
    ///
    /// # Errors
    /// The RS was not reached or refused.
    pub fn list(&self, kind: ContentKind) -> Result<Vec<Listing>, ConnError> {
        self.listings(|request, after| ListContents { request, kind, after }.into())
    }

    /// Tells the RS of a holder that was not reached.
    ///
    /// # Errors
    /// The RS was not reached either.
    pub fn report(&self, holder: &HostPort) -> Result<(), ConnError> {
        let holder = PeerAddress {
            host: holder.host.clone(),
            port: holder.port,
        };
        self.ask(|request| ReportHolder { request, holder }.into())
            .map(|_| ())
    }
}

/// The entries of a page rise from the last one of the page before: an answer that goes in circles would be
/// asked for again and again.
fn check_order<K: Ord>(after: Option<&K>, keys: impl Iterator<Item = K>) -> Result<(), ConnError> {
    let mut last: Option<K> = None;
    for key in keys {
        if last.as_ref().or(after).is_some_and(|before| key <= *before) {
            return Err(ConnError::Unexpected("a page out of order"));
        }
        last = Some(key);
    }
    Ok(())
}

/// The whole index of the peer behind a connection (RFCQuery).
///
/// # Errors
/// The peer was not reached or refused.
pub fn read_index(conn: &mut Conn) -> Result<Vec<IndexEntry>, ConnError> {
    let mut found: Vec<IndexEntry> = Vec::new();
    let mut request = RequestNumber(0);
    for _ in 0..PAGES_MAX {
        request = request.next();
        let after = found.last().map(|last| last.content.key());
        let query = IndexQuery {
            request,
            after: after.clone(),
        };
        match conn.call(&query.into())? {
            Message::Index(page) => {
                check_order(
                    after.as_ref(),
                    page.contents.iter().map(|entry| entry.content.key()),
                )?;
                let more = page.more && !page.contents.is_empty();
                found.extend(page.contents.into_vec());
                if !more {
                    break;
                }
            }
            other => return Err(conn.unexpected(&other)),
        }
    }
    Ok(found)
}
