//! The bounds of a node's links, and of waiting for what it finds.

use super::*;
use crate::limits::{RING_LINK_IDLE, RING_TRIES_MAX};
use crate::net::socket::bind;
use crate::ring::{RingHash, RingSpace};
use crate::wire::{encode_frame, features, hello};
use std::io::Write as _;
use std::net::TcpListener;

const PATIENCE: Duration = Duration::from_secs(40);

/// A node in no ring.
fn driver(stop: &Stop) -> Arc<RingDriver> {
    let space = RingSpace::new(160, RingHash::Sha1).expect("bits");
    let nowhere = SocketAddr::from(([0, 0, 0, 0], 0)).into();
    RingDriver::start(RingSettings::usual(space), nowhere, Clock::start(), stop.clone()).expect("started")
}

/// Takes connections at every address of this machine, and never says a word.
fn silent() -> TcpListener {
    bind(SocketAddr::from(([0, 0, 0, 0], 0))).expect("a port")
}

fn lookup_by(listener: &TcpListener, host: [u8; 4], key: u64) -> RingCommand {
    let port = listener.local_addr().expect("an address").port();
    let via = SocketAddr::from((host, port)).into();
    RingCommand::Lookup(RingId::from_u64(key), Some(via))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_node_has_so_many_links_and_no_more() {
    let (stop, listener) = (Stop::new(), silent());
    let driver = driver(&stop);
    for number in 0..RING_LINKS_MAX + 50 {
        let [high, low] = u16::try_from(number).expect("small").to_be_bytes();
        driver.tell(lookup_by(&listener, [127, 1, high, low], 1));
    }
    let state = driver.state.lock();
    assert_eq!(state.links.len(), RING_LINKS_MAX);
    assert_eq!(
        state.under_way, RING_LINKS_MAX,
        "the others are lost, and asked again"
    );
    drop(state);
    stop.trigger();
}

#[test]
fn so_many_questions_wait_for_one_link_and_no_more() {
    let (stop, listener) = (Stop::new(), silent());
    let driver = driver(&stop);
    for number in 0..RING_LINK_QUEUE_MAX + 50 {
        driver.tell(lookup_by(&listener, [127, 0, 0, 1], number as u64));
    }
    let state = driver.state.lock();
    assert_eq!(state.links.len(), 1);
    // One that the link has in hand, perhaps.
    let most = RING_LINK_QUEUE_MAX..=RING_LINK_QUEUE_MAX + 1;
    assert!(most.contains(&state.under_way), "{}", state.under_way);
    drop(state);
    stop.trigger();
}

#[test]
fn a_link_that_is_of_no_use_ends() {
    let stop = Stop::new();
    let driver = driver(&stop);
    // It greets, refuses, and counts its clients.
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let lookup = || lookup_by(&listener, [127, 0, 0, 1], 1);
    let refuse = || {
        let (stream, _) = listener.accept().expect("a client");
        let mut conn = Conn::accept(stream, features::HOLDER, &Stop::new()).expect("greeted");
        while let Ok(Some(Incoming::Message(asked))) = conn.receive(Span(RING_LINK_IDLE.0 * 4)) {
            let request = asked.request().unwrap_or_default();
            conn.send(&refusal(request, Refusal::NotMember, "in no ring"))
                .expect("sent");
        }
    };
    std::thread::scope(|scope| {
        let server = scope.spawn(refuse);
        for _ in 0..3 {
            assert!(matches!(driver.ask(lookup()), Some(RingEvent::Failed(..))));
        }
        assert_eq!(driver.state.lock().links.len(), 1, "one for all of them");
        let asked = Instant::now();
        until("the link to end", || driver.state.lock().links.is_empty());
        assert!(
            asked.elapsed() + LOOK >= RING_LINK_IDLE.to_std(),
            "{:?}",
            asked.elapsed()
        );
        server.join().expect("its connection ended");
    });
    stop.trigger();
}

#[test]
fn nobody_waits_for_ever_for_what_becomes_of_a_command() {
    let (stop, listener) = (Stop::new(), silent());
    let driver = driver(&stop);
    // A node is given up after so many tries; several in a row are on the way of one lookup.
    assert!(RING_COMMAND_WAIT >= Span(RING_ANSWER.0 * u64::from(RING_TRIES_MAX) * 8));
    let lookup = lookup_by(&listener, [127, 0, 0, 1], 1);
    let ended = driver.ask_within([lookup], Span::from_millis(50));
    assert_eq!(ended, [None]);
    assert!(driver.state.lock().waited_for.is_empty());
    // Nothing is kept of what comes after.
    until("the lookup to fail", || {
        driver.state.lock().node.deadline().is_none()
    });
    assert!(driver.state.lock().ended.is_empty());
    stop.trigger();
}

#[test]
fn bytes_that_are_no_answer_end_the_link_and_not_the_node() {
    let stop = Stop::new();
    let driver = driver(&stop);
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let lookup = lookup_by(&listener, [127, 0, 0, 1], 1);
    std::thread::scope(|scope| {
        let babble = scope.spawn(|| {
            for _ in 0..RING_TRIES_MAX {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut bytes = Vec::new();
                encode_frame(&hello(0), &mut bytes);
                bytes.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                let _ = stream.write_all(&bytes);
            }
        });
        assert!(matches!(driver.ask(lookup), Some(RingEvent::Failed(..))));
        babble.join().expect("asked so often");
    });
    assert_eq!(driver.standing(), Standing::Out);
    stop.trigger();
}
