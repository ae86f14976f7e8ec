//! What is sled's own: damage to its file, content that it would not notice, a lock that is held.

mod common;

use common::*;
use std::fs;
use std::time::Duration;
use wengu_store::*;

#[test]
fn damage_to_the_file_of_the_index_costs_nothing_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    (0..60).for_each(|n| assert!(put(&store, &format!("key-{n:02}"), n) > 0));
    let before = docs(&store);
    drop(store);
    let db = dir.path().join("index/db");
    let used = fs::read(&db).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let mut noticed = 0;
    for step in 0..12 {
        let mut bad = fs::read(&db).unwrap();
        let at = (used * step / 12).min(bad.len() - 1);
        bad[at..(at + 40).min(used)].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&db, bad).unwrap();
        let (store, report) = open(dir.path());
        // sled cuts its log where the damage begins, without a word; the index is then behind the journal. Some of
        // the bytes are padding, though.
        noticed += usize::from(report.rebuilt.is_some() || report.replayed > 0);
        assert_eq!(docs(&store), before, "damage at {at}: {report:?}");
        assert_sound(&store);
    }
    assert!(noticed >= 6, "only {noticed} of 12 were noticed");
    // Something that is not sled's at all, more often than the quarantine keeps.
    for _ in 0..5 {
        fs::remove_dir_all(index_dir(dir.path())).unwrap();
        fs::write(index_dir(dir.path()), "not a directory").unwrap();
        let (store, report) = open(dir.path());
        assert!(matches!(report.rebuilt, Some(RebuildReason::Damaged(_))), "{report:?}");
        assert_eq!(docs(&store), before);
    }
    assert_eq!(fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 3);
}

/// What sled itself would never notice.
#[test]
fn an_index_that_does_not_add_up_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    (0..20).for_each(|n| assert!(put(&store, &format!("k{n}"), n) > 0));
    let before = docs(&store);
    drop(store);
    let (key, applied) = (b"v1/doc/k7", b"meta/applied");
    type Tamper<'a> = (&'a str, &'a dyn Fn(&sled::Db));
    let tamper: [Tamper; 7] = [
        ("a lost entry", &|db| drop(db.remove(key).unwrap())),
        ("an entry too many", &|db| {
            drop(db.insert(b"v1/doc/l", db.get(key).unwrap().unwrap()).unwrap())
        }),
        ("an entry of another key", &|db| {
            drop(db.insert(key, db.get(b"v1/doc/k8").unwrap().unwrap()).unwrap())
        }),
        ("an empty entry", &|db| drop(db.insert(key, b"").unwrap())),
        ("a foreign key", &|db| drop(db.insert(b"x", b"").unwrap())),
        ("a lost position", &|db| drop(db.remove(applied).unwrap())),
        ("a bad position", &|db| drop(db.insert(applied, vec![0; 24]).unwrap())),
    ];
    for (what, tamper) in tamper {
        let db = sled::open(index_dir(dir.path())).unwrap();
        tamper(&db);
        db.flush().unwrap();
        drop(db);
        assert_set_aside(dir.path(), &before, what);
    }
    assert_eq!(fs::read_dir(dir.path().join("quarantine")).unwrap().count(), 3);
}

#[test]
fn an_index_that_hangs_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()).0, "k", 1);
    // Held by another handle, sled does not open; we wait for half of the time limit.
    let held = sled::open(index_dir(dir.path())).unwrap();
    let hurried = Options {
        index_open_timeout: Duration::from_millis(400),
        ..options()
    };
    let (store, report) = Store::open(dir.path(), hurried).unwrap();
    assert!(matches!(report.rebuilt, Some(RebuildReason::Damaged(_))), "{report:?}");
    assert_eq!(docs(&store).len(), 1);
    drop(held);
    assert_sound(&store);
}
