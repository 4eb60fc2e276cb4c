//! Holders that lie in ways no single wrong byte shows, against real processes.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

mod process;
mod pieces {
    pub mod liar;
    pub mod script;
}

use p2pdi::id::PieceIndex;
use p2pdi::limits::STALL;
use p2pdi::wire::{List, Message, Settled};
use pieces::script::{EXCHANGE, Scripted};
use process::{Words, holder_of_big, write_random};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn get(out: &Path, holders: &[&str]) -> Words {
    Words::get("big", out).from(holders.iter().copied())
}

fn over() -> io::Result<()> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

/// One sends the head of a piece and stops; the other writes over it and goes; the first sends the tail. What the first
/// sent has the right value, and what lies on the disk has not.
#[test]
fn two_that_lie_together_spoil_nothing() {
    static SPOILT: AtomicBool = AtomicBool::new(false);
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 250_000, 1);
    let first = Scripted::start(&content, |stage, message, before| match message {
        Message::Credit(_) if before == 0 => {
            stage.choose(0)?;
            stage.send(0, 0, 1_000)
        }
        Message::Credit(_) if before == 1 => (1..4).try_for_each(|piece| stage.give(piece)),
        Message::Want(_) if SPOILT.load(Ordering::Relaxed) => {
            stage.choose(0)?;
            stage.send(0, 1_000, 65_536)
        }
        _ => Ok(()),
    });
    let second = Scripted::start(&content, |stage, message, before| match message {
        Message::Credit(_) if before == 0 => {
            std::thread::park_timeout(STALL.to_std() + Duration::from_millis(500));
            stage.choose(0)?;
            stage.send_bytes(0, 0, vec![7; 1_000])?;
            std::thread::park_timeout(Duration::from_millis(100));
            SPOILT.store(true, Ordering::Relaxed);
            over()
        }
        _ => Ok(()),
    });
    let out = place.path().join("out");
    let got = get(&out, &[&first.address, &second.address]).run();
    assert!(SPOILT.load(Ordering::Relaxed), "{}", got.stderr);
    if let Ok(landed) = std::fs::read(out.join("big")) {
        assert!(landed == content, "a wrong byte was accepted");
    }
    assert_eq!(got.code, 5, "{}", got.stderr);
}

/// A piece that takes long is wanted from others too; who sends it goes on, and is the only one that has it.
#[test]
fn what_only_a_slow_holder_has_comes_from_it() {
    let place = tempfile::tempdir().expect("a directory");
    let slow = holder_of_big(place.path(), "a", 4 * 65_536, &["--up-limit", "12KB"]);
    let content = std::fs::read(place.path().join("a/big")).expect("read");
    let quick = Scripted::start(&content, |stage, message, before| match message {
        // It has one piece, whichever is not expected from the other.
        Message::Credit(_) if before == 0 => stage.give(0).and_then(|()| stage.give(1)),
        _ => Ok(()),
    });
    let out = place.path().join("out");
    let got = get(&out, &[&slow.address, &quick.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
    assert!(!got.stderr.contains(&slow.address), "{}", got.stderr);
}

/// The right bytes of a piece, again and again, are worth nothing.
#[test]
fn who_sends_one_piece_for_ever_is_given_up() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 250_000, 1);
    let liar = Scripted::start(&content, |stage, message, _| match message {
        Message::Credit(_) => loop {
            stage.give(0)?;
            std::thread::park_timeout(Duration::from_millis(20));
        },
        _ => Ok(()),
    });
    let out = place.path().join("out");
    let mut getter = get(&out, &[&liar.address]).spawn();
    assert_eq!(getter.end().code(), Some(5), "{}", getter.stderr());
}

#[test]
fn who_chooses_more_than_it_was_asked_for_is_a_liar() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 250_000, 1);
    let liar = Scripted::start(&content, |stage, message, _| match message {
        Message::Credit(_) => (0..4).try_for_each(|piece| stage.choose(piece)),
        _ => Ok(()),
    });
    let got = get(&place.path().join("out"), &[&liar.address]).run();
    assert_eq!(got.code, 5, "{}", got.stderr);
    assert!(
        got.stderr.contains("more than it was asked for"),
        "{}",
        got.stderr
    );
}

/// A holder may break off what another has brought. Whoever breaks off everything brings nothing.
#[test]
fn who_takes_back_all_that_it_begins_is_given_up() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 250_000, 1);
    let liar = Scripted::start(&content, |stage, message, _| match message {
        Message::Credit(_) => {
            stage.choose(0)?;
            stage.send(0, 0, 65_000)?;
            stage.say(Settled {
                request: EXCHANGE,
                pieces: List::first_of([PieceIndex(0)]),
            })
        }
        _ => Ok(()),
    });
    let out = place.path().join("out");
    let got = get(&out, &[&liar.address]).run();
    assert_eq!(got.code, 3, "{}", got.stderr);
    assert!(
        got.stderr.contains("sent much that was not needed"),
        "{}",
        got.stderr
    );
}
