//! Numbers of the transfer's specification: its bounds, and what the simulator makes of its rules.

use crate::block::row;
use crate::bounds::reason;
use p2pdi::limits::*;
use p2pdi::proto::transfer::Turns;
use p2pdi::rate::Rate;
use p2pdi::sim::swarm::{Report, Setup, run};
use p2pdi::time::Span;

/// The bounds and timers, with their reasons.
pub(crate) fn timers() -> String {
    let millis = |span: Span| format!("{} ms", span.0 / 1_000);
    let kib = |bytes: u64| format!("{} KiB", bytes >> 10);
    let widths = &[21, 9, 35];
    let mut out = row(widths, &["limit", "value", "reason"]);
    for (name, value) in [
        ("STALL", millis(STALL)),
        ("STALL_GIVE_UP", millis(STALL_GIVE_UP)),
        ("HOLDER_RETRY", millis(HOLDER_RETRY)),
        ("HOPE_LOST", millis(HOPE_LOST)),
        ("HOPE_WORD", millis(HOPE_WORD)),
        ("HEADWAY", millis(HEADWAY)),
        ("SLOW_PIECE", millis(SLOW_PIECE)),
        ("RELAY_PATIENCE", millis(RELAY_PATIENCE)),
        ("RELAY_PATIENCE_MAX", millis(RELAY_PATIENCE_MAX)),
        ("WINDOW_SPAN", millis(WINDOW_SPAN)),
        ("WINDOW_PIECES_MAX", WINDOW_PIECES_MAX.to_string()),
        ("ANNOUNCE_AHEAD", millis(ANNOUNCE_AHEAD)),
        ("ANNOUNCE_BYTES_FIRST", kib(ANNOUNCE_BYTES_FIRST)),
        ("ANNOUNCED_BEFORE", millis(ANNOUNCED_BEFORE)),
        ("TURN_WAIT_MAX", millis(TURN_WAIT_MAX)),
        ("WORD_TO_WAITING", millis(WORD_TO_WAITING)),
        ("LANES_TRIAL", millis(LANES_TRIAL)),
        ("LANES_TRIAL_AGAIN", millis(LANES_TRIAL_AGAIN)),
        ("LANES_TRIAL_AGAIN_MAX", millis(LANES_TRIAL_AGAIN_MAX)),
        ("LANES_TRIAL_MAX", millis(LANES_TRIAL_MAX)),
        ("LANE_TAIL", millis(LANE_TAIL)),
        ("LANES_SPAN", millis(LANES_SPAN)),
        ("LANES_FLOOR_MAX", LANES_FLOOR_MAX.to_string()),
        ("LANE_STUCK", millis(LANE_STUCK)),
        ("TURN_FOR_ALL", TURN_FOR_ALL.to_string()),
        ("TURN_FOR_UNKNOWN", TURN_FOR_UNKNOWN.to_string()),
        ("PIECES_ON_TRUST", PIECES_ON_TRUST.to_string()),
        ("PIECES_PER_GIVEN", PIECES_PER_GIVEN.to_string()),
        ("SMALL_BYTES_MAX", kib(SMALL_BYTES_MAX)),
        ("SMALL_AHEAD_MAX", SMALL_AHEAD_MAX.to_string()),
        (
            "SMALL_AHEAD_BYTES_MAX",
            format!("{} MiB", SMALL_AHEAD_BYTES_MAX >> 20),
        ),
        ("SMALL_AHEAD_SPAN", millis(SMALL_AHEAD_SPAN)),
        ("SMALL_RATE_MIN", format!("{} KiB/s", SMALL_RATE_MIN >> 10)),
    ] {
        out += &row(widths, &[name, &value, &reason(name)]);
    }
    out
}

fn swarm(peers: usize, pieces: u32, freeloaders: usize, turns: Turns) -> Report {
    let rate = Rate::parse("100mbit").expect("a rate");
    let mut setup = Setup::even(peers, pieces, rate, 1);
    setup.turns = turns;
    for plan in setup.peers.iter_mut().skip(peers - freeloaders) {
        plan.gives = false;
    }
    run(setup)
}

/// How near swarms come to the bound. The largest is left to the command: it would hold up every test.
pub(crate) fn simulated() -> String {
    let widths = &[6, 7, 8, 6, 6, 12, 6];
    let head = [
        "peers",
        "pieces",
        "seconds",
        "bound",
        "ratio",
        "source sends",
        "waste",
    ];
    let mut out = row(widths, &head);
    for (peers, pieces) in [(5, 256), (15, 256), (100, 256), (5, 1_024), (15, 1_024)] {
        let report = swarm(peers, pieces, 0, Turns::GiversFirst);
        out += &row(
            widths,
            &[
                &peers.to_string(),
                &pieces.to_string(),
                &format!("{:.2}", report.secs),
                &format!("{:.2}", report.bound_secs),
                &format!("{:.3}", report.ratio()),
                &format!("{:.3} F", report.source_contents),
                &format!("{:.2}%", report.waste * 100.0),
            ],
        );
    }
    out
}

/// When those who give and those who do not are done, with the rule and without it.
pub(crate) fn freeloaders() -> String {
    let widths = &[6, 11, 14, 8, 11];
    let mut out = row(
        widths,
        &["peers", "freeloaders", "turns", "givers", "freeloaders"],
    );
    for (peers, freeloaders) in [(15, 5), (100, 30)] {
        for (turns, name) in [
            (Turns::NeediestFirst, "neediest first"),
            (Turns::GiversFirst, "givers first"),
        ] {
            let report = swarm(peers, 256, freeloaders, turns);
            let last = |which: &dyn Fn(usize) -> bool| {
                let took = report.took_secs(which);
                took.last().map_or("-".to_owned(), |secs| format!("{secs:.2} s"))
            };
            out += &row(
                widths,
                &[
                    &peers.to_string(),
                    &freeloaders.to_string(),
                    name,
                    &last(&|number| number <= peers - freeloaders),
                    &last(&|number| number > peers - freeloaders),
                ],
            );
        }
    }
    out
}
