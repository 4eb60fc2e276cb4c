//! A slow twin of the index, which forgets nothing: it keeps every event and plays them again to answer.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index as Position;

/// What happens to an index.
#[derive(Clone, Debug)]
enum Event {
    Heard(&'static str, GossipRecord),
    Unreachable(u8),
    /// The fast one may forget now; the twin's answers must not depend on it.
    Timer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Fold {
    sequence: u64,
    ends: Instant,
    withdrawn: bool,
    complete: bool,
    unreachable: bool,
}

/// What the events up to `now` say of one holder of one content: the rule of `rfcs/0003-index.txt`, word by word.
fn folded(events: &[(Instant, Event)], now: Instant, name: &str, ip: u8) -> Option<Fold> {
    let mut fold: Option<Fold> = None;
    for (at, event) in events {
        fold = fold.filter(|fold| fold.ends > *at);
        match event {
            Event::Heard(content, record) if *content == name && record.host == Some(host(ip)) => {
                let life = u64::from(record.remaining_secs.min(LEASE_SECS));
                let heard = Fold {
                    sequence: record.sequence,
                    ends: at.after(Span::from_secs(life)),
                    withdrawn: record.withdrawn,
                    complete: record.complete,
                    unreachable: false,
                };
                fold = match fold {
                    _ if life == 0 => fold,
                    None => Some(heard),
                    Some(known) if heard.sequence > known.sequence => Some(heard),
                    Some(known) if heard.sequence < known.sequence => Some(known),
                    Some(known) => Some(Fold {
                        sequence: known.sequence,
                        ends: known.ends.min(heard.ends),
                        withdrawn: known.withdrawn || heard.withdrawn,
                        complete: known.complete && heard.complete,
                        unreachable: known.unreachable,
                    }),
                };
            }
            Event::Unreachable(gone) if *gone == ip => {
                fold = fold.map(|fold| Fold {
                    unreachable: true,
                    ..fold
                });
            }
            _ => {}
        }
    }
    fold.filter(|fold| fold.ends > now)
}

const NAMES: [&str; 2] = ["x", "y"];
const HOLDERS: [u8; 3] = [2, 3, 4];

fn play(events: &[(Instant, Event)]) -> Index {
    let mut index = index(1);
    for (at, event) in events {
        match event {
            Event::Heard(name, record) => {
                index.merge(*at, &address(9), &entry(name, [record.clone()]));
            }
            Event::Unreachable(ip) => index.mark_unreachable(&address(*ip)),
            Event::Timer => index.handle_timeout(*at),
        }
    }
    index
}

fn agree(index: &Index, events: &[(Instant, Event)], now: Instant) {
    for name in NAMES {
        for ip in HOLDERS {
            let twin = folded(events, now, name, ip);
            let here = host(ip);
            let told = index.told_of(now, name);
            let told = told.iter().find(|record| record.host.as_ref() == Some(&here));
            let tells = twin.filter(|fold| !fold.unreachable && fold.ends.since(now).as_secs() > 0);
            assert_eq!(
                told.map(|record| (
                    record.sequence,
                    record.remaining_secs,
                    record.withdrawn,
                    record.complete
                )),
                tells.map(|fold| (
                    fold.sequence,
                    fold.ends.since(now).as_secs_u32(),
                    fold.withdrawn,
                    fold.complete
                )),
                "{name} at {ip}"
            );
            let names = index
                .named(now, name)
                .iter()
                .any(|(host, _)| *host == here.as_str());
            let should = twin.is_some_and(|fold| !fold.unreachable && !fold.withdrawn);
            assert_eq!(names, should, "{name} at {ip}");
        }
    }
}

fn heard() -> impl Strategy<Value = Event> {
    let life = prop_oneof![Just(0), 1..20_u32, Just(LEASE_SECS), Just(u32::MAX)];
    (
        0..NAMES.len(),
        0..HOLDERS.len(),
        0..4_u64,
        life,
        any::<(bool, bool)>(),
    )
        .prop_map(|(name, holder, sequence, life, (withdrawn, complete))| {
            let record = GossipRecord {
                withdrawn,
                complete,
                ..claim(HOLDERS[holder], sequence, life)
            };
            Event::Heard(NAMES[name], record)
        })
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => heard(),
        1 => (0..HOLDERS.len()).prop_map(|holder| Event::Unreachable(HOLDERS[holder])),
        1 => Just(Event::Timer),
    ]
}

/// Steps of time: often none, mostly seconds, now and then longer than a lease.
fn step() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 6 => 1..15_000_000_u64, 1 => Just(7_200_000_000)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_index_agrees_with_its_slow_twin(
        steps in proptest::collection::vec((step(), event()), 1..40),
        later in step(),
    ) {
        let mut now = START;
        let mut events = Vec::new();
        for (step, event) in steps {
            now = now.after(Span(step));
            events.push((now, event));
        }
        let index = play(&events);
        agree(&index, &events, now);
        agree(&index, &events, now.after(Span(later)));
    }

    #[test]
    fn the_order_of_arrival_at_one_instant_does_not_matter(
        mut claims in proptest::collection::vec(heard(), 1..12),
        swaps in proptest::collection::vec(any::<(Position, Position)>(), 0..24),
        repeats in proptest::collection::vec(any::<Position>(), 0..6),
    ) {
        let at_once = |claims: &[Event]| -> Vec<(Instant, Event)> {
            claims.iter().map(|claim| (START, claim.clone())).collect()
        };
        let first = play(&at_once(&claims));
        for (one, other) in swaps {
            let (one, other) = (one.index(claims.len()), other.index(claims.len()));
            claims.swap(one, other);
        }
        // To hear something again is to hear nothing new.
        for repeat in repeats {
            claims.push(repeat.get(&claims).clone());
        }
        let second = play(&at_once(&claims));
        prop_assert_eq!(format!("{:?}", first), format!("{:?}", second));
    }
}
