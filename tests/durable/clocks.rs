//! An RS whose wall clock jumps while it runs.

use super::member::{Member, peers};
use super::process::{active_peers, eventually};
use super::world::World;

const DAY: i64 = 86_400;

#[test]
fn wall_clocks_that_jump_end_no_lease_and_make_none_longer() {
    let Some(world) = World::new() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let mut server = world.keeping(place.path(), &[]);
    Member::join(&server.address, "first", 1);
    for ahead in [DAY, -DAY, 3_652 * DAY] {
        world.clock_ahead(ahead);
        Member::join(
            &server.address,
            &format!("at {ahead}"),
            ahead.unsigned_abs() + u64::from(ahead < 0),
        );
        for kind in ["running", "started anew"] {
            for peer in peers(&server.address) {
                let left = peer["lease_secs"].as_u64().expect("a lease");
                assert!((7_100..=7_200).contains(&left), "{kind} {ahead} s ahead: {peer}");
            }
            if kind == "running" {
                server.kill();
                server = world.keeping(place.path(), &[]);
            }
        }
    }
    assert_eq!(peers(&server.address).len(), 4);
    world.as_usual();
    let now = jiff::Timestamp::now();
    for peer in peers(&server.address) {
        assert_eq!(peer["registrations_30d"], 1, "{peer}");
        let last: jiff::Timestamp = peer["last_registered"]
            .as_str()
            .expect("a date")
            .parse()
            .expect("a date");
        assert!(last <= now + jiff::SignedDuration::from_mins(5), "{peer}");
    }
}

#[test]
fn a_lease_ends_though_the_wall_clock_is_set_back() {
    let Some(world) = World::new() else { return };
    let place = tempfile::tempdir().expect("a directory");
    let server = world.keeping(place.path(), &["--lease", "1"]);
    Member::join(&server.address, "here", 1);
    world.clock_ahead(-DAY);
    eventually("the lease to end", || {
        active_peers(&server).is_empty().then_some(())
    });
}
