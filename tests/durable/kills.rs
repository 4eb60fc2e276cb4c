//! An RS that is killed again and again under load.

use super::member::{Member, content, listed};
use super::{keeping, rounds};
use p2pdi::rng::Rng;
use p2pdi::wire::Message;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Peers that load the RS, each with one request open at a time.
const MEMBERS: u64 = 8;
/// How long a life is at most.
const LIFE_MILLIS_MAX: u64 = 250;
/// A killed RS serves again within this.
const OPENED_WITHIN: Duration = Duration::from_secs(2);

/// What a member knows to be registered, and what it does not know.
#[derive(Default)]
struct Known {
    is: BTreeMap<String, bool>,
    /// Asked and not answered: it may have been done or not.
    open: Option<(String, bool)>,
}

/// Registers and takes back until the RS is gone.
fn load(member: &mut Member, known: &mut Known, rng: &mut Rng, of: u64) -> u64 {
    let mut acknowledged = 0;
    loop {
        let name = format!("{of}-{}.txt", rng.below(40));
        let wanted = rng.below(3) > 0;
        let request = if wanted {
            member.register_message(&name)
        } else {
            member.deregister_message(&name)
        };
        known.open = Some((name.clone(), wanted));
        match member.ask(request) {
            Some(Message::Ack(_)) => {
                acknowledged += 1;
                known.open = None;
                known.is.insert(name, wanted);
            }
            Some(other) => panic!("refused: {other:?}"),
            None => return acknowledged,
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_however_often_it_is_killed() {
    let rounds = rounds(6, 500);
    let place = tempfile::tempdir().expect("a directory");
    let mut rng = Rng::from_seed(5);
    let mut server = keeping(place.path(), &[]);
    let mut members: Vec<(Member, Known, Rng)> = (0..MEMBERS)
        .map(|of| {
            let name = format!("member-{of}");
            let member = Member::join(&server.address, &name, of + 1);
            (member, Known::default(), Rng::from_seed(of))
        })
        .collect();
    let (mut acknowledged, mut slowest) = (0, Duration::ZERO);
    for round in 0..rounds {
        let life = Duration::from_millis(rng.below(LIFE_MILLIS_MAX));
        let address = server.address.clone();
        acknowledged += std::thread::scope(|scope| {
            let loads: Vec<_> = members
                .iter_mut()
                .zip(0..)
                .map(|((member, known, rng), of)| {
                    member.reconnect(&address);
                    scope.spawn(move || load(member, known, rng, of))
                })
                .collect();
            // A random moment of its life, and no event to wait for.
            std::thread::park_timeout(life);
            server.kill();
            loads
                .into_iter()
                .map(|load| load.join().expect("a member"))
                .sum::<u64>()
        });
        let begun = Instant::now();
        server = keeping(place.path(), &[]);
        slowest = slowest.max(begun.elapsed());
        let there = listed(&server.address);
        for (member, known, _) in &members {
            for (name, wanted) in &known.is {
                let unsure = known.open.as_ref().is_some_and(|(open, _)| open == name);
                let is = there.contains(&content(name).name.as_str().to_owned());
                assert!(
                    unsure || is == *wanted,
                    "round {round}: {} was told that {name} is {wanted}, and it is {is}",
                    member.name()
                );
            }
        }
        for (member, known, _) in &mut members {
            member.reconnect(&server.address);
            // A request that was not answered is asked again under its number.
            if let Some((name, wanted)) = known.open.take() {
                member.ask_the_open_again();
                known.is.insert(name, wanted);
            }
        }
    }
    println!(
        "{rounds} kills, {acknowledged} changes acknowledged, none lost; it served again within {slowest:?}"
    );
    assert!(slowest <= OPENED_WITHIN, "{slowest:?}");
}
