//! A store with a bit that is wrong, as an operator meets it.

use super::keeping;
use super::member::Member;
use super::process::{program, spawn_command, text};

#[test]
fn damage_is_told_in_one_message_and_touches_nothing() {
    const FLIPS: usize = 24;
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("registry.redb");
    let mut server = keeping(place.path(), &[]);
    let mut member = Member::join(&server.address, "here", 1);
    (0..30).for_each(|number| member.register(&format!("{number}.txt")));
    let mut refused = 0;
    for closed in [false, true] {
        // First as a kill leaves it, then as a stop does.
        if closed {
            server = keeping(place.path(), &[]);
            assert!(server.stop().success());
        } else {
            server.kill();
        }
        let whole = std::fs::read(&file).expect("read");
        let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
        for flip in 0..FLIPS {
            // The beginning says where all else is.
            let at = used[if flip < FLIPS / 3 {
                flip * 5
            } else {
                flip * used.len() / FLIPS
            }];
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (flip % 8);
            let copy = tempfile::tempdir().expect("a directory");
            let there = copy.path().join("registry.redb");
            std::fs::write(&there, &damaged).expect("written");
            let mut command = program();
            command.args(["rs", "--listen", "127.0.0.1:0", "--data", text(copy.path())]);
            let mut tried = spawn_command(command);
            if tried.says().is_some() {
                // It was no byte that mattered, or an older one stood for it.
                tried.kill();
                let said = tried.last_words();
                assert!(!said.contains("panicked"), "byte {at}: {said}");
                continue;
            }
            refused += 1;
            assert_eq!(tried.end().code(), Some(1), "byte {at}");
            let said = tried.last_words();
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!(lines.len(), 1, "byte {at}: {said}");
            assert!(said.contains("registry.redb: damaged ("), "byte {at}: {said}");
            assert!(
                std::fs::read(&there).expect("read") == damaged,
                "written to, byte {at}"
            );
        }
        std::fs::write(&file, &whole).expect("as it was");
    }
    println!("{refused} of {} refused", 2 * FLIPS);
    assert!(refused > FLIPS / 4, "{refused} refused");
}
