//! Holders that lie in ways no single wrong byte shows, against real processes.
#![allow(clippy::disallowed_types, reason = "whole tests use files and sockets")]

mod process;
mod pieces {
    pub mod liar;
    pub mod script;
}

use p2pdi::id::PieceIndex;
use p2pdi::limits::{ANNOUNCED_MAX, HEARD_HOLDERS_MAX, HELLO_DEADLINE, HOPE_LOST, STALL, STALL_GIVE_UP};
use p2pdi::name::Host;
use p2pdi::time::Span;
use p2pdi::wire::{Dry, HaveUpdate, List, Message, PeerAddress, Settled};
use pieces::script::{EXCHANGE, Scripted};
use process::{Words, holder_of_big, peer, pieces_kept, rs, write_random};
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

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

/// What is here is not kept waiting for one that only hangs.
#[test]
fn one_that_hangs_holds_up_no_end() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 250_000, 1);
    let hangs = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = hangs.local_addr().expect("an address").port();
    let host = || Host::new("127.0.0.1").expect("a host");
    let holder = Scripted::start(&content, move |stage, message, before| match message {
        Message::Credit(_) if before == 0 => {
            stage.say(HaveUpdate {
                request: EXCHANGE,
                pieces: List::new(),
                holders: List::first_of([PeerAddress { host: host(), port }]),
            })?;
            // It is being reached, and nobody will answer.
            let (mut reached, _) = hangs.accept()?;
            (0..4).try_for_each(|piece| stage.give(piece))?;
            let ended = reached
                .read(&mut [0; 1_024])
                .and_then(|_| reached.read(&mut [0; 1_024]));
            ended.map(|bytes| assert_eq!(bytes, 0))
        }
        _ => Ok(()),
    });
    let begun = Instant::now();
    let got = get(&place.path().join("out"), &[&holder.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(
        begun.elapsed() < HELLO_DEADLINE.to_std() / 2,
        "{:?}",
        begun.elapsed()
    );
}

/// Hearsay is bounded, and whom the index names is asked all the same.
#[test]
fn who_names_a_crowd_keeps_nobody_from_whom_the_index_names() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("shared/big"), 250_000, 1);
    let (said, all_said) = std::sync::mpsc::sync_channel(1);
    let liar = Scripted::start(&content, move |stage, message, before| match message {
        Message::Credit(_) if before == 0 => {
            let nobody = |port: usize| PeerAddress {
                host: Host::new("127.77.7.7").expect("a host"),
                port: u16::try_from(port).expect("a port"),
            };
            for first in (1..=2 * HEARD_HOLDERS_MAX).step_by(32) {
                stage.say(HaveUpdate {
                    request: EXCHANGE,
                    pieces: List::new(),
                    holders: List::first_of((first..first + 32).map(nobody)),
                })?;
            }
            let _ = said.try_send(());
            Ok(())
        }
        _ => Ok(()),
    });
    let server = rs(&[]);
    let get = get(&place.path().join("out"), &[&liar.address])
        .rs(&server)
        .spawn();
    all_said
        .recv_timeout(Duration::from_secs(20))
        .expect("it is asked");
    let (shared, state) = (place.path().join("shared"), place.path().join("state"));
    let _honest = peer(&server, "honest", &shared, &state, &[]);
    let rest = get.rest();
    let last = rest.last().expect("an event");
    assert!(last.contains(r#""event":"done""#), "{last}");
    let tried = rest
        .iter()
        .filter(|event| event.contains(r#""host":"127.77.7.7","#) && event.contains("failed"));
    // The last event accounts for all of them once more.
    assert_eq!(tried.filter(|event| *event != last).count(), HEARD_HOLDERS_MAX);
    assert!(std::fs::read(place.path().join("out/big")).expect("read") == content);
}

/// A holder that serves many others for longer than a silent one is waited for.
#[test]
fn a_holder_that_says_it_is_busy_is_waited_for() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 60_000, 1);
    let content = [content.clone(), content.clone(), content].concat();
    std::fs::write(place.path().join("big"), &content).expect("written");
    let busy = Scripted::start(&content, |stage, message, before| match message {
        Message::Credit(_) if before == 0 => {
            for _ in 0..(STALL_GIVE_UP.as_secs() / 2 + 1) {
                std::thread::park_timeout(Duration::from_secs(2));
                let (request, pieces, holders) = (EXCHANGE, List::new(), List::new());
                stage.say(HaveUpdate {
                    request,
                    pieces,
                    holders,
                })?;
            }
            stage.give(0).and_then(|()| stage.give(1))
        }
        Message::Credit(_) => stage.give(2),
        _ => Ok(()),
    });
    let got = get(&place.path().join("out"), &[&busy.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
}

/// A holder of a part that waits for pieces itself is waited for, as long as it says that it hopes.
#[test]
fn a_piece_that_comes_late_from_a_partial_holder_is_waited_for() {
    let place = tempfile::tempdir().expect("a directory");
    let content = write_random(&place.path().join("big"), 180_000, 1);
    let dry = |hoped_before: Span| Dry {
        request: EXCHANGE,
        hoped_before_millis: u32::try_from(hoped_before.0 / 1_000).expect("short"),
    };
    let late = Scripted::start(&content, move |stage, message, before| match message {
        Message::Credit(_) if before == 0 => {
            for _ in 0..(2 * HOPE_LOST.as_secs()) {
                stage.say(dry(Span::ZERO))?;
                std::thread::park_timeout(Duration::from_secs(1));
            }
            stage.give(0)?;
            stage.give(1)
        }
        // And when it has given up what it lacks itself, nobody has it.
        Message::Credit(_) if before == 1 => stage.say(dry(HOPE_LOST)),
        _ => Ok(()),
    });
    let begun = Instant::now();
    let got = get(&place.path().join("out"), &[&late.address]).run();
    got.must_fail(3, "nobody has piece 2 of big");
    let took = begun.elapsed();
    assert!(took < STALL_GIVE_UP.to_std(), "{took:?}");
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
    got.must_fail(5, "more than it was asked for");
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
    got.must_fail(3, "sent much that was not needed");
}

/// Each choice of what is here is refused and its credit given again; whoever never begins what it announces has no end.
#[test]
fn who_announces_without_end_what_is_here_is_a_liar() {
    static EXPOSED: AtomicBool = AtomicBool::new(false);
    let wait_until = |holds: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !holds() && begun.elapsed() < STALL_GIVE_UP.to_std() {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    };
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    static CHOSEN: AtomicU32 = AtomicU32::new(0);
    let most = u32::try_from(ANNOUNCED_MAX).expect("few");
    let place = tempfile::tempdir().expect("a directory");
    // Two are missing to the end, or its credit would not be given again.
    let pieces = most + 3;
    let content = write_random(&place.path().join("big"), (pieces as usize) * 65_536, 1);
    let honest = Scripted::start(&content, move |stage, message, _| match message {
        Message::Credit(credit) => (0..credit.pieces).try_for_each(|_| {
            let piece = GIVEN.fetch_add(1, Ordering::Relaxed);
            if piece == pieces - 2 {
                wait_until(&|| EXPOSED.load(Ordering::Relaxed));
            }
            if piece < pieces { stage.give(piece) } else { Ok(()) }
        }),
        _ => Ok(()),
    });
    let out = place.path().join("out");
    let kept_in = out.clone();
    let liar = Scripted::start(&content, move |stage, message, _| match message {
        Message::Credit(credit) => (0..credit.pieces).try_for_each(|_| {
            // Not only sent: what is chosen before it is here is no lie.
            wait_until(&|| pieces_kept(&kept_in) > u64::from(most));
            let piece = CHOSEN.fetch_add(1, Ordering::Relaxed).min(most);
            let told = stage.choose(piece).and_then(|()| {
                // The last one is heard, and the connection ends.
                (0..if piece == most { 200 } else { 0 }).try_for_each(|_| {
                    std::thread::park_timeout(Duration::from_millis(20));
                    stage.choose(most)
                })
            });
            EXPOSED.fetch_or(told.is_err(), Ordering::Relaxed);
            told
        }),
        _ => Ok(()),
    });
    let got = get(&out, &[&honest.address, &liar.address]).run();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(std::fs::read(out.join("big")).expect("read") == content);
    let named = |event: &serde_json::Value| {
        event["event"] == "failed"
            && event["holder"] == *liar.address
            && event["why"] == "chose more than it was asked for"
    };
    assert!(got.json().iter().any(named), "{:?}", got.json());
}
