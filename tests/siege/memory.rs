//! Connections that want the RS's memory.

use super::process::{rs, run};
use super::raw::{Raw, frame, own_kib};
use super::{status, total};
use p2pdi::id::RequestNumber;
use p2pdi::limits::FRAME_BYTES_MAX;
use p2pdi::net::{PoolSettings, Stop, connections_within};
use p2pdi::proto::RegistrationSettings;
use p2pdi::rs::{Rs, RsSettings};
use p2pdi::wire::{Message, StatusQuery};

const CONNECTIONS: usize = 500;
/// What the project promises, in KiB.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

#[test]
fn whoever_announces_four_gigabytes_is_shown_out() {
    assert_eq!(
        connections_within(CONNECTIONS, 1, 0),
        CONNECTIONS,
        "raise ulimit -n"
    );
    let server = rs(&["--workers", "8"]);
    let before = own_kib(server.id());
    let mut greedy: Vec<Raw> = (0..CONNECTIONS)
        .map(|_| {
            let mut raw = Raw::greeted(&server.address);
            let announced = [b"P".as_slice(), &u32::MAX.to_be_bytes(), &[0; 4_096]].concat();
            raw.send(&announced).expect("sent");
            raw
        })
        .collect();
    for raw in &mut greedy {
        match raw.receive() {
            Some(Message::Error(error)) => {
                let text = error.text.as_str();
                assert!(text.contains("length 4294967295 is over the limit"), "{text}");
            }
            // What it had not read ended the connection before its last word came through.
            None => {}
            other => panic!("{other:?}"),
        }
    }
    let after = own_kib(server.id());
    println!("{CONNECTIONS} announced 4 GiB each: {before} KiB before, {after} KiB with them");
    assert!(after <= before + GROWTH_KIB_MAX, "from {before} to {after} KiB");
    let told = status(&server);
    assert_eq!(total(&told, "dropped", "connection: no PDU"), CONNECTIONS as u64);
}

#[test]
fn frames_that_are_never_finished_are_bounded_together() {
    let stop = Stop::new();
    let held_bytes_max = 1024 * 1024;
    let pool = PoolSettings {
        held_bytes_max,
        ..PoolSettings::of_workers(2)
    };
    let settings = RsSettings {
        listen: "127.0.0.1:0".parse().expect("an address"),
        pool,
        registration: RegistrationSettings::default(),
        data: None,
    };
    let rs = Rs::start(settings, &stop).expect("an RS");
    let address = rs.address().to_string();
    let length = u32::try_from(FRAME_BYTES_MAX).expect("a length").to_be_bytes();
    let unfinished = [b"P".as_slice(), &length, &vec![0; FRAME_BYTES_MAX - 1]].concat();
    let mut greedy: Vec<Raw> = (0..40)
        .map(|_| {
            let mut raw = Raw::greeted(&address);
            let _ = raw.send(&unfinished);
            raw
        })
        .collect();
    let question = frame(
        &StatusQuery {
            request: RequestNumber(1),
        }
        .into(),
    );
    let told = super::process::eventually("those above the bound to go", || {
        let mut honest = Raw::greeted(&address);
        honest.send(&question).expect("sent");
        let Some(Message::Status(told)) = honest.receive() else {
            panic!("an honest one is not served");
        };
        let closed = greedy
            .iter_mut()
            .filter_map(|raw| raw.is_closed().then_some(()))
            .count();
        (closed >= 40 - held_bytes_max / FRAME_BYTES_MAX).then_some(told)
    });
    let mut dropped = told.dropped.iter();
    assert!(dropped.any(|counter| counter.what.as_str() == "connection: held memory when it was short"));
    drop(greedy);
    stop.trigger();
    rs.join().expect("a clean end");
    assert_eq!(run(&["status", "--rs", &address]).code, 1, "nobody is there");
}
