//! What the store promises to its callers.

mod common;

use common::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs;
use std::thread;
use wengu_store::*;

#[test]
fn records_are_there_at_once_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let (store, report) = open(dir.path());
    assert_eq!((report.last_seq, report.replayed, &report.rebuilt), (0, 0, &None));
    let batch = Batch::new("case.added")
        .at(1_700_000_000_000)
        .put("病历/一", &doc(1, "one"))
        .unwrap()
        .put("病历/二", &doc(2, "two"))
        .unwrap()
        .put("b", &Score(0.1 + 0.2))
        .unwrap();
    assert_eq!(store.commit(batch).unwrap(), 1);
    let batch = Batch::new("case.moved")
        .delete::<Doc>("病历/一")
        .put("a", &doc(3, ""))
        .unwrap()
        .delete::<Doc>("none");
    assert_eq!(store.commit(batch).unwrap(), 2);
    let check = |store: &Store| {
        assert_eq!(store.get::<Doc>("病历/一").unwrap(), None);
        assert_eq!(store.get::<Doc>("病历/二").unwrap(), Some(doc(2, "two")));
        // "doc" and "doc-score" share a beginning, and must not share records.
        assert_eq!(
            store.scan::<Doc>("").unwrap(),
            [("a".into(), doc(3, "")), ("病历/二".into(), doc(2, "two"))]
        );
        assert_eq!(store.scan::<Doc>("病历/").unwrap().len(), 1);
        assert_eq!(
            (store.count::<Doc>("").unwrap(), store.count::<Score>("").unwrap()),
            (2, 1)
        );
        assert_eq!(store.get::<Score>("b").unwrap(), Some(Score(0.1 + 0.2)));
        assert_eq!(store.last_seq(), 2);
        assert_sound(store);
    };
    check(&store);
    drop(store);
    let (store, report) = open(dir.path());
    assert_eq!((report.last_seq, report.replayed, report.rebuilt), (2, 0, None));
    check(&store);
}

#[test]
fn the_later_of_two_changes_to_one_key_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let both = |k| Batch::new("x").put(k, &doc(1, "")).unwrap();
    store.commit(both("a").put("a", &doc(2, "")).unwrap()).unwrap();
    store.commit(both("b").delete::<Doc>("b")).unwrap();
    store
        .commit(Batch::new("x").delete::<Doc>("c").put("c", &doc(3, "")).unwrap())
        .unwrap();
    let expected = [("a".to_string(), doc(2, "")), ("c".to_string(), doc(3, ""))];
    assert_eq!(store.scan::<Doc>("").unwrap(), expected);
    assert_sound(&store);
}

#[test]
fn the_index_can_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..50 {
        put(&store, &format!("k{}", n % 7), n);
    }
    let before = docs(&store);
    drop(store);
    assert!(segments(dir.path()).len() > 2);
    fs::remove_dir_all(index_dir(dir.path())).unwrap();
    let (store, report) = open(dir.path());
    assert_eq!((report.replayed, report.rebuilt), (50, Some(RebuildReason::Missing)));
    assert_eq!(docs(&store), before);
    assert_sound(&store);
    drop(store);
    let (store, report) = Store::open(
        dir.path(),
        Options {
            rebuild_index: true,
            ..options()
        },
    )
    .unwrap();
    assert_eq!((report.replayed, report.rebuilt), (50, Some(RebuildReason::Requested)));
    assert_eq!(docs(&store), before);
}

#[test]
fn an_index_that_does_not_fit_the_journal_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    for (dir, count) in [(&dir, 20), (&other, 25)] {
        let (store, _) = open(dir.path());
        (0..count).for_each(|n| assert!(put(&store, "k", n + count) > 0));
    }
    let index = |d: &tempfile::TempDir| index_dir(d.path());
    // Ahead: an index of 25 commits over a journal of 20.
    fs::remove_dir_all(index(&dir)).unwrap();
    fs::rename(index(&other), index(&dir)).unwrap();
    let (store, report) = open(dir.path());
    assert_eq!(
        report.rebuilt,
        Some(RebuildReason::Ahead {
            index_seq: 25,
            journal_seq: 20
        })
    );
    assert!(report.quarantined.unwrap().exists());
    assert_eq!(store.get::<Doc>("k").unwrap().unwrap().n, 39);
    drop(store);
    // Diverged: as many commits or fewer, but other ones.
    drop(open(other.path()));
    fs::remove_dir_all(index(&other)).unwrap();
    fs::rename(index(&dir), index(&other)).unwrap();
    let (store, report) = open(other.path());
    assert_eq!(report.rebuilt, Some(RebuildReason::Diverged { seq: 20 }));
    assert_eq!(store.get::<Doc>("k").unwrap().unwrap().n, 49);
    assert_sound(&store);
}

#[test]
fn a_lost_journal_is_not_an_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()).0, "k", 1);
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let error = Store::open(dir.path(), options()).err().unwrap();
    assert!(
        matches!(error, StoreError::JournalMissing { index_seq: 1, .. }),
        "{error}"
    );
}

#[test]
fn a_second_owner_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let error = Store::open(dir.path(), options()).err().unwrap();
    assert!(
        error.to_string().contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(store);
    open(dir.path());
}

#[test]
fn what_cannot_be_kept_is_refused_before_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let put = |key: &str, text: &str| Batch::new("x").put(key, &doc(1, text));
    let fits = MAX_VALUE_BYTES - serde_json::to_string(&doc(1, "")).unwrap().len();
    store.commit(put("k", &"x".repeat(fits)).unwrap()).unwrap();
    let error = put("k", &"x".repeat(fits + 1)).unwrap_err();
    assert!(
        matches!(error, StoreError::ValueTooLarge { len, .. } if len == MAX_VALUE_BYTES + 1),
        "{error}"
    );
    assert!(error.to_string().contains("objects()"), "{error}");
    assert!(matches!(put("", ""), Err(StoreError::BadName { .. })));
    assert!(put(&"键".repeat(MAX_KEY_BYTES / 3), "").is_ok());
    assert!(matches!(
        put(&"键".repeat(MAX_KEY_BYTES / 3 + 1), ""),
        Err(StoreError::BadName { .. })
    ));
    let error = Batch::new("x").put("nan", &Score(f64::NAN)).unwrap_err();
    assert!(matches!(error, StoreError::NotStorable { .. }), "{error}");
    let error = store.commit(Batch::new("x").delete::<Doc>("")).unwrap_err();
    assert!(matches!(error, StoreError::BadName { .. }), "{error}");
    let error = store
        .commit(Batch::new("x").note(Value::String("x".repeat(MAX_BATCH_BYTES))))
        .unwrap_err();
    assert!(matches!(error, StoreError::BatchTooLarge { .. }), "{error}");

    #[derive(Serialize, Deserialize)]
    struct Odd;
    impl Record for Odd {
        const TABLE: &'static str = "a/b";
        const VERSION: u16 = 1;
    }
    assert!(matches!(
        Batch::new("x").put("k", &Odd),
        Err(StoreError::BadName { .. })
    ));
    assert!(matches!(store.get::<Odd>("k"), Err(StoreError::BadName { .. })));
    assert_eq!(store.last_seq(), 1);
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path()).0, "k", 1);
    let full = Options {
        reserve_bytes: u64::MAX,
        ..options()
    };
    let (store, _) = Store::open(dir.path(), full).unwrap();
    let error = store
        .commit(Batch::new("x").put("k", &doc(2, "")).unwrap())
        .unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(matches!(
        store.objects().put_bytes(b"x"),
        Err(StoreError::DiskFull { .. })
    ));
    assert_eq!(store.get::<Doc>("k").unwrap().unwrap().n, 1);
    assert_eq!(store.poisoned(), None);
}

#[test]
fn the_journal_is_the_audit_log() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store
        .commit(
            Batch::new("a")
                .at(5)
                .put("k", &doc(1, "一"))
                .unwrap()
                .note(json!({"by": "医生"})),
        )
        .unwrap();
    store.commit(Batch::new("b").at(6).delete::<Doc>("k")).unwrap();
    store.commit(Batch::new("started").at(7)).unwrap();
    let events: Vec<Event> = store.journal_events(1).unwrap().map(Result::unwrap).collect();
    let put = Change::Put {
        table: "doc".into(),
        key: "k".into(),
        version: 1,
        value: json!({"n": 1, "text": "一"}),
    };
    let delete = Change::Delete {
        table: "doc".into(),
        key: "k".into(),
    };
    let event = |seq, at_ms, event: &str, note, changes| Event {
        seq,
        at_ms,
        event: event.into(),
        note,
        changes,
        redacted: false,
    };
    let expected = [
        event(1, 5, "a", Some(json!({"by": "医生"})), vec![put]),
        event(2, 6, "b", None, vec![delete]),
        event(3, 7, "started", None, vec![]),
    ];
    assert_eq!(events, expected);
    // From any commit on, over segments; and nothing beyond the end.
    (0..60).for_each(|n| assert!(common::put(&store, "k", n) > 0));
    for from in [0, 1, 2, 17, 40, 63] {
        let seqs: Vec<u64> = store.journal_events(from).unwrap().map(|e| e.unwrap().seq).collect();
        assert_eq!(seqs, (from.max(1)..=63).collect::<Vec<_>>());
    }
    assert_eq!(store.journal_events(64).unwrap().count(), 0);
}

#[test]
fn threads_share_a_store_and_see_what_they_have_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    thread::scope(|scope| {
        for t in 0..8 {
            let store = &store;
            scope.spawn(move || {
                let mut last = 0;
                for n in 0..25 {
                    let seq = put(store, &format!("{t}/{n}"), n);
                    assert!(seq > last && store.last_seq() >= seq);
                    last = seq;
                    assert_eq!(store.count::<Doc>(&format!("{t}/")).unwrap(), n + 1);
                }
            });
        }
    });
    assert_eq!((store.last_seq(), store.count::<Doc>("").unwrap()), (200, 200));
    assert_sound(&store);
}

#[test]
fn verify_finds_what_was_done_behind_its_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    put(&store, "k", 1);
    put(&store, "l", 1);
    let hash = store.objects().put_bytes(b"object").unwrap();
    let path = store.objects().path(&hash);
    let stray = path.with_file_name("stray");
    fs::write(&stray, "").unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "0bject").unwrap();
    let problems = store.verify().unwrap().problems;
    let bad = |p: &Problem| matches!(p, Problem::BadObject { hash: h, .. } if *h == hash);
    assert!(problems.len() == 2 && problems.iter().any(bad), "{problems:?}");
    assert!(problems.contains(&Problem::ForeignFile(stray)));
    // Putting the original again heals it.
    store.objects().put_bytes(b"object").unwrap();
    assert_eq!(store.verify().unwrap().problems.len(), 1);

    let segment = &segments(dir.path())[0];
    let mut bytes = fs::read(segment).unwrap();
    bytes[130] ^= 1;
    fs::write(segment, bytes).unwrap();
    let error = store.verify().unwrap_err();
    assert!(
        matches!(&error, StoreError::JournalCorrupt { path, offset: 68, .. } if path == segment),
        "{error}"
    );
}

#[test]
fn a_lock_that_a_killed_owner_left_to_its_child_is_waited_for_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let mut owner = std::process::Command::new("true").spawn().unwrap();
    owner.wait().unwrap();
    let path = dir.path().join("LOCK");
    let held = |pid: u32| {
        std::fs::write(&path, format!("{pid}\n")).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        file.lock().unwrap();
        file
    };
    let left = held(owner.id());
    let child = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(300));
        drop(left);
    });
    drop(open(dir.path()));
    child.join().unwrap();

    let _live = held(std::process::id());
    let began = std::time::Instant::now();
    let error = Store::open(dir.path(), options()).unwrap_err();
    assert!(
        matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == std::process::id()),
        "{error}"
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(1));
}
