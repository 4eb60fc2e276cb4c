//! A holder's uplink and one getter, over a real connection: what is said, in what order, and to whom no more.
#![allow(
    clippy::disallowed_types,
    reason = "it plays the getter, over a socket, and needs a file to be sent"
)]

use p2pdi::id::{PieceIndex, RequestNumber};
use p2pdi::limits::SEND_DEADLINE;
use p2pdi::name::HostPort;
use p2pdi::net::{Clock, Conn, ConnError, Incoming, Offer, Pacer, Stop, Uplink};
use p2pdi::proto::transfer::{Manifest, Pieces, piece_count};
use p2pdi::storage::Mapped;
use p2pdi::time::Span;
use p2pdi::wire::{Message, features};
use rustix::net::RecvFlags;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

const BYTES: u64 = 2 << 30;
const WAIT: Span = Span::from_secs(8);

/// Both ends of a connection: a holder's, and a getter's.
fn pair(stop: &Stop) -> (Conn, Conn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = HostPort::from(listener.local_addr().expect("an address"));
    let far_stop = stop.clone();
    let connecting = std::thread::spawn(move || Conn::connect(&address, features::PIECES, &far_stop));
    let (stream, _) = listener.accept().expect("accepted");
    let socket = stream.try_clone().expect("the same socket");
    let both = features::PIECES | features::HOLDER;
    let holder = Conn::accept(stream, both, stop).expect("a getter");
    let getter = connecting.join().expect("joined").expect("a holder");
    (holder, getter, socket)
}

/// A holder of some pieces of a sparse file, and both ends of a getter's connection.
struct Stage {
    offer: Arc<Offer>,
    holder: Conn,
    getter: Conn,
    /// The holder's end, to see whether it is still open.
    socket: TcpStream,
    none: Vec<u8>,
    stop: Stop,
}

impl Stage {
    fn new(have: &[u32], whole: bool) -> Self {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(BYTES).expect("a sparse file");
        let count = piece_count(BYTES);
        let values = vec![[1; 32]; count as usize];
        let (clock, stop) = (Clock::start(), Stop::new());
        let pacer = Arc::new(Pacer::new(clock, None));
        let uplink = Uplink::new(pacer, whole, clock, stop.clone());
        let mut pieces = Pieces::none(count);
        for piece in have {
            pieces.insert(PieceIndex(*piece));
        }
        let mapped = Mapped::of_part(file, BYTES).expect("mapped");
        let manifest = Arc::new(Manifest::of_values(BYTES, values));
        let offer = Arc::new(Offer::new(&uplink, manifest, mapped, pieces, Some(7)));
        let (holder, getter, socket) = pair(&stop);
        Self {
            offer,
            holder,
            getter,
            socket,
            none: Pieces::none(count).to_map(),
            stop,
        }
    }

    fn open(&self, address: Option<HostPort>) -> p2pdi::net::OfferReader {
        let (writer, lost) = (self.holder.writer(), Arc::new(|| ()));
        self.offer
            .open(writer, RequestNumber(1), &self.none, address, lost)
            .expect("a map of this content")
    }

    /// True once the holder has ended the connection, which its own end shows without a wait.
    fn is_cut_off(&self) -> bool {
        let mut byte = [0_u8; 1];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.socket, &mut byte, flags), Ok((_, 0)))
    }

    /// What the getter hears next: the letter, and the piece it is about.
    fn hear(&mut self) -> Result<(char, u32), ConnError> {
        match self.getter.receive(WAIT)?.expect("a frame") {
            // Before and after there is something for it.
            Incoming::Message(Message::Dry(_)) => self.hear(),
            Incoming::Message(Message::Choice(choice)) => Ok(('c', choice.piece.0)),
            Incoming::Message(Message::Settled(settled)) => Ok(('s', settled.pieces[0].0)),
            Incoming::Content(label, bytes) => {
                let mut payload = vec![0; bytes];
                self.getter.read_payload(&mut payload)?;
                Ok(('b', label.piece.0))
            }
            Incoming::Message(other) => panic!("{other:?}"),
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.trigger();
    }
}

#[test]
fn a_piece_that_others_are_to_pass_on_is_sent_to_an_only_getter_all_the_same() {
    let mut stage = Stage::new(&[], false);
    let reader = stage.open(None);
    reader.credit(2);
    let from = HostPort::parse("127.0.0.1:9").expect("an address");
    stage.offer.gain(PieceIndex(1), false, &from);
    assert_eq!(stage.hear().ok(), Some(('c', 1)));
}

#[test]
fn what_is_taken_back_is_taken_back_before_it_is_chosen_again() {
    let mut stage = Stage::new(&[5], true);
    let reader = stage.open(None);
    reader.credit(4);
    assert_eq!(stage.hear().ok(), Some(('c', 5)));
    assert_eq!(stage.hear().ok(), Some(('b', 5)), "it is on its way");
    reader.settle(&[PieceIndex(5)]);
    reader.want(&[PieceIndex(5)]);
    let mut heard = String::new();
    while !heard.ends_with("cb") {
        heard.push(stage.hear().expect("the piece, again").0);
    }
    let rest = heard.trim_start_matches('b');
    assert_eq!(rest, "scb", "bytes after a choice belong to it");
}

#[test]
fn who_reads_nothing_is_cut_off() {
    let stage = Stage::new(&(0..100).collect::<Vec<_>>(), true);
    let reader = stage.open(None);
    reader.credit(2);
    assert!(!stage.is_cut_off());
    // It is chosen a piece, refuses it and wants it again, and hears none of what that makes its holder say. The
    // kernel takes some megabytes of words before any of them waits.
    let begun = std::time::Instant::now();
    while !stage.is_cut_off() {
        assert!(
            begun.elapsed() < SEND_DEADLINE.to_std(),
            "words still wait for it"
        );
        for piece in (0..100).map(PieceIndex) {
            reader.settle(&[piece]);
            reader.want(&[piece]);
        }
        reader.credit(100);
    }
}

#[test]
fn who_takes_nothing_holds_up_nobody_else() {
    let mut stage = Stage::new(&(0..100).collect::<Vec<_>>(), true);
    let lost = || Arc::new(|| ());
    // As many as are sent to at once. Each hears that its piece begins, and reads no more of it; of what is on its way
    // the kernel takes less than a piece.
    let mut stuck: Vec<_> = (0..2).map(|_| pair(&stage.stop)).collect();
    let readers: Vec<_> = stuck
        .iter()
        .map(|(holder, ..)| {
            stage
                .offer
                .open(holder.writer(), RequestNumber(1), &stage.none, None, lost())
        })
        .collect();
    readers.iter().flatten().for_each(|reader| reader.credit(1));
    for (_, getter, _) in &mut stuck {
        while !matches!(getter.receive(WAIT), Ok(Some(Incoming::Content(..)))) {}
    }
    let reader = stage.open(None);
    reader.credit(1);
    assert!(matches!(stage.hear(), Ok(('c', _))));
    assert!(
        matches!(stage.hear(), Ok(('b', _))),
        "it is sent its piece all the same"
    );
}
