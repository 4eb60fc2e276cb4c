//! Looks at real directories.

use super::*;

/// Looks until nothing is left to do: a file must have rested before it is hashed.
fn until_quiet(shares: &Shares) {
    let stop = Stop::default();
    while shares.table.lock().quiet.is_none() {
        shares.rescan();
        let mut due = Instant::now() + SLICE;
        while shares.hashed_before(&mut due, &stop).is_some() {}
    }
}

#[test]
fn where_nothing_has_changed_a_glance_is_enough() {
    let place = tempfile::tempdir().expect("a directory");
    let (path, other) = (place.path().join("a"), place.path().join("b"));
    std::fs::write(&path, b"a").expect("written");
    let shares = Shares::new(vec![place.path().to_owned()]);
    until_quiet(&shares);
    assert!(shares.is_unchanged());
    let all = shares.all();
    let file = all.iter().find(|info| info.kind == ContentKind::File);
    let key = file.expect("it is shared, beside the tree").key();

    assert!(shares.withdraw(&key));
    assert!(!shares.is_unchanged(), "it is to be found again");
    until_quiet_again(&shares);
    std::fs::write(&other, b"b").expect("written");
    assert!(!shares.is_unchanged(), "a new file");
    until_quiet_again(&shares);
    assert!(shares.hide(&key.name));
    assert!(!shares.is_unchanged(), "a file that is no longer shared");
    until_quiet_again(&shares);
    if let Some(quiet) = &mut shares.table.lock().quiet {
        let left = quiet.until - Instant::now();
        assert!(left > SLICE && left <= LOOK_WHOLE.to_std(), "{left:?}");
        quiet.until = Instant::now();
    }
    assert!(!shares.is_unchanged(), "now and then a look is whole");
}

#[test]
fn what_is_shared_while_a_look_goes_on_is_seen_by_the_next() {
    let place = tempfile::tempdir().expect("a directory");
    let shares = Shares::new(vec![place.path().join("shared")]);
    std::fs::create_dir(place.path().join("shared")).expect("made");
    std::fs::write(place.path().join("other"), b"other").expect("written");
    until_quiet(&shares);
    let table = shares.table.lock();
    let quiet = table.quiet.as_ref().expect("nothing is left to do");
    let look = Look {
        sights: quiet.sights.clone(),
        changed: table.changed,
        ..Look::default()
    };
    drop(table);
    shares.add_file(
        place.path().join("other"),
        ContentName::new("other").expect("a name"),
    );
    shares.replace(look);
    assert!(!shares.is_unchanged());
    until_quiet_again(&shares);
    shares.remove_file(&place.path().join("other"));
    assert!(!shares.is_unchanged());
    until_quiet_again(&shares);
    shares.add_directory(place.path().to_owned(), Vec::new());
    assert!(!shares.is_unchanged());
}

fn until_quiet_again(shares: &Shares) {
    shares.rescan();
    until_quiet(shares);
    assert!(shares.is_unchanged());
}
