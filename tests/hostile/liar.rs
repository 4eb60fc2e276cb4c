//! A peer and an RS that lie, in the test's own threads: they speak the wire well and say what they like.

use super::raw::frame;
use p2pdi::id::{ContentId, RequestNumber};
use p2pdi::name::{ContentName, Host, PeerName};
use p2pdi::wire::{
    Contents, ContentInfo, ContentKind, FrameHeader, Found, GossipRecord, HEADER_BYTES, Holder, Index, IndexEntry,
    List, Listing, Message, PeerInfo, Peers, Text, features, hello,
};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// What the liar does with a request; false ends the connection.
pub(crate) type Script = dyn Fn(&mut TcpStream, &Message) -> bool + Send + Sync;

/// A liar that listens until it is dropped.
pub(crate) struct Liar {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Liar {
    pub(crate) fn start(script: impl Fn(&mut TcpStream, &Message) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let script: Arc<Script> = Arc::new(script);
        let thread = std::thread::spawn(move || {
            // Threads of connections end with their client.
            while let Ok((stream, _)) = listener.accept() {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let script = Arc::clone(&script);
                std::thread::spawn(move || talk(stream, &*script));
            }
        });
        Self { address, stop, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn talk(mut stream: TcpStream, script: &Script) {
    while let Some(message) = receive(&mut stream) {
        let goes_on = if matches!(message, Message::Version(_)) {
            say(&mut stream, &hello(features::HOLDER | features::REGISTRATION))
        } else {
            script(&mut stream, &message)
        };
        if !goes_on {
            break;
        }
    }
}

fn receive(stream: &mut TcpStream) -> Option<Message> {
    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header).ok()?;
    let header = FrameHeader::decode(header).ok()?;
    let mut value = vec![0; header.bytes];
    stream.read_exact(&mut value).ok()?;
    Message::decode(header.letter, &value).ok()
}

/// Sends bytes; false if nobody takes them.
pub(crate) fn pour(stream: &mut TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// Sends a message; false if nobody takes it.
pub(crate) fn say(stream: &mut TcpStream, message: &Message) -> bool {
    pour(stream, &frame(message))
}

/// What is said of a content.
pub(crate) fn info(name: &str, content: &[u8]) -> ContentInfo {
    ContentInfo {
        kind: ContentKind::File,
        name: ContentName::new(name).expect("a name"),
        id: ContentId(*blake3::hash(content).as_bytes()),
        bytes: content.len() as u64,
        modified: 1_700_000_000,
        media_type: Text::cut("text/plain"),
        number: None,
        title: None,
    }
}

/// An index of one peer that holds these contents itself.
pub(crate) fn index(request: RequestNumber, contents: &[ContentInfo], port: u16) -> Message {
    let claim = GossipRecord {
        name: PeerName::new("liar").expect("a name"),
        host: None,
        port,
        sequence: 1,
        remaining_secs: 7_000,
        withdrawn: false,
        complete: true,
    };
    let entry = |content: &ContentInfo| IndexEntry {
        content: content.clone(),
        holders: List::first_of([claim.clone()]),
    };
    Index { request, more: false, contents: List::first_of(contents.iter().map(entry)) }.into()
}

/// The answer of an RS that knows these contents, all at one peer; none to what an RS is not asked.
pub(crate) fn rs_answer(asked: &Message, contents: &[ContentInfo], at: SocketAddr, os: &str) -> Option<Message> {
    let request = asked.request().unwrap_or_default();
    let host = Host::of(at.ip());
    let name = PeerName::new("liar").expect("a name");
    let holder = Holder { name: name.clone(), host: host.clone(), port: at.port(), complete: true };
    let listing = |content: &ContentInfo| Listing {
        content: content.clone(),
        holders_total: 1,
        holders: List::first_of([holder.clone()]),
    };
    let listings = List::first_of(contents.iter().map(listing));
    match asked {
        Message::Search(_) => Some(Found { request, more: false, contents: listings }.into()),
        Message::ListContents(_) => Some(Contents { request, more: false, contents: listings }.into()),
        Message::PQuery(_) => {
            let peer = PeerInfo {
                number: p2pdi::id::PeerNumber(1),
                name,
                host,
                port: at.port(),
                os: Text::cut(os),
                lease_secs: 7_000,
                registrations: 1,
                registered: 1_700_000_000,
            };
            Some(Peers { request, more: false, peers: List::first_of([peer]) }.into())
        }
        _ => None,
    }
}
