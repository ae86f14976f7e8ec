//! The suites once more, over redb; and what is redb's own. Suites that start processes are in `redb_processes`: a
//! process that is being started holds the locks of its parent for a moment.
#![allow(clippy::duplicate_mod, reason = "each suite brings the helpers along")]

mod common;

// What a suite knows of the index it has from `common`, which tells by the name of this binary.
#[path = "audit.rs"]
mod audit;
#[path = "backup.rs"]
mod backup;
#[path = "faults.rs"]
mod faults;
#[path = "flips.rs"]
mod flips;
#[path = "golden.rs"]
mod golden;
#[path = "model.rs"]
mod model;
#[path = "records.rs"]
mod records;
#[path = "redact.rs"]
mod redact;
#[path = "store.rs"]
mod store;
#[path = "versions.rs"]
mod versions;

use common::*;
use redb::{Database, TableDefinition};
use std::fs;
use wengu_store::*;

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

#[test]
fn damage_to_the_file_of_the_index_costs_nothing_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    (0..60).for_each(|n| assert!(put(&store, &format!("key-{n:02}"), n) > 0));
    let before = docs(&store);
    drop(store);
    let file = index_dir(dir.path()).join("index.redb");
    let sound = fs::read(&file).unwrap();
    let used: Vec<usize> = (0..sound.len()).filter(|at| sound[*at] != 0).collect();
    let mut noticed = 0;
    for step in 0..24 {
        let mut bad = sound.clone();
        let at = used[used.len() * step / 24];
        let end = (at + 40).min(bad.len());
        bad[at..end].iter_mut().for_each(|byte| *byte ^= 0x5a);
        fs::write(&file, bad).unwrap();
        let (store, report) = open(dir.path());
        noticed += usize::from(report.rebuilt.is_some() || report.replayed > 0);
        assert_eq!(docs(&store), before, "damage at {at}: {report:?}");
        assert_sound(&store);
    }
    // Most of its pages are old copies, which nobody reads any more.
    assert!(noticed >= 3, "only {noticed} of 24 were noticed");
}

/// What redb itself would never notice.
#[test]
fn an_index_that_does_not_add_up_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    (0..20).for_each(|n| assert!(put(&store, &format!("k{n}"), n) > 0));
    let before = docs(&store);
    drop(store);
    let (key, applied): (&[u8], &[u8]) = (b"v1/doc/k7", b"meta/applied");
    type Tamper<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);
    let tamper: [Tamper; 4] = [
        ("a lost entry", key, None),
        ("an empty entry", key, Some(b"")),
        ("a foreign key", b"x", Some(b"")),
        ("a lost position", applied, None),
    ];
    for (what, key, value) in tamper {
        let db = Database::open(index_dir(dir.path()).join("index.redb")).unwrap();
        let write = db.begin_write().unwrap();
        {
            let mut table = write.open_table(ENTRIES).unwrap();
            match value {
                Some(value) => drop(table.insert(key, value).unwrap()),
                None => drop(table.remove(key).unwrap()),
            }
        }
        write.commit().unwrap();
        drop(db);
        assert_set_aside(dir.path(), &before, what);
    }
}

#[test]
fn a_change_of_engines_is_a_rebuild_and_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let with = |index| {
        let options = Options { index, ..options() };
        Store::open(dir.path(), options).unwrap()
    };
    let (store, _) = with(IndexKind::Sled);
    (0..30).for_each(|n| assert!(put(&store, &format!("k{}", n % 9), n) > 0));
    let before = docs(&store);
    drop(store);
    for (index, from) in [(IndexKind::Redb, IndexKind::Sled), (IndexKind::Sled, IndexKind::Redb)] {
        let (store, report) = with(index);
        assert_eq!(
            (report.rebuilt, report.replayed),
            (Some(RebuildReason::Switched { from }), 30)
        );
        assert_eq!(docs(&store), before);
        assert_sound(&store);
        drop(store);
        assert_eq!(with(index).1.rebuilt, None);
        assert!(dir.path().join("index").exists() != dir.path().join("index-redb").exists());
    }
    // The journal loses its end while the engine is changed: the old index still tells.
    let last = segments(dir.path()).pop().unwrap();
    let len = fs::metadata(&last).unwrap().len();
    fs::OpenOptions::new()
        .write(true)
        .open(&last)
        .unwrap()
        .set_len(len - 1)
        .unwrap();
    let ahead = RebuildReason::Ahead {
        index_seq: 30,
        journal_seq: 29,
    };
    assert_eq!(with(IndexKind::Redb).1.rebuilt, Some(ahead));
}
