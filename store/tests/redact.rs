//! What is taken out of the journal is nowhere in the store any more, and the chain still closes.

mod common;

use common::*;
use serde_json::json;
use std::fs;
use std::path::Path;
use wengu_store::*;

const MARKER: &str = "case/secret-7f3a";

fn redaction() -> Redaction {
    Redaction {
        note: json!({"forget": "1"}),
        at_ms: 5,
        drop: Box::new(|change| match change {
            Change::Put { key, .. } | Change::Delete { key, .. } => key == MARKER,
        }),
        words: vec!["secret-7f3a".to_string()],
    }
}

/// Commits of several keys in several segments, the marked one among them more than once.
fn filled(dir: &Path) -> u64 {
    let (store, _) = open(dir);
    for n in 1..=30 {
        put(&store, &format!("k{n}"), n);
        if n % 7 == 0 {
            let both = Batch::new("two").at(1).put(MARKER, &doc(n, MARKER)).unwrap();
            store.commit(both.put("beside", &doc(n, "stays")).unwrap()).unwrap();
            let told = json!({"error": format!("cannot read {MARKER}"), "n": n});
            store.commit(Batch::new("told").at(2).note(told)).unwrap();
        }
    }
    store.commit(Batch::new("gone").at(3).delete::<Doc>(MARKER)).unwrap();
    assert!(segments(dir).len() > 3);
    store.last_seq()
}

#[test]
fn what_is_redacted_is_in_no_file_and_a_hash_noted_before_holds() {
    let dir = tempfile::tempdir().unwrap();
    let last_seq = filled(dir.path());
    let before = audit::verify(dir.path(), None).unwrap();
    assert!(!holding(dir.path(), b"secret-7f3a").is_empty());
    let (store, _) = open(dir.path());
    let mut expected = docs(&store);
    expected.remove(MARKER);
    let report = store.redact(redaction()).unwrap();
    assert_eq!((report.frames, report.changes), (9, 5));
    assert_eq!(holding(dir.path(), b"secret-7f3a"), Vec::<std::path::PathBuf>::new());
    assert_eq!(docs(&store), expected);
    assert_sound(&store);
    // It goes on as if nothing had been.
    assert_eq!(put(&store, "next", 1), last_seq + 2);
    drop(store);
    let after = audit::verify(dir.path(), Some((last_seq, before.head))).unwrap();
    assert_eq!((after.commits, after.redacted), (last_seq + 2, 9));
    let (store, report) = open(dir.path());
    assert_eq!((report.rebuilt, report.torn_tail), (None, None));
    assert_sound(&store);
    // A second time there is nothing to do, and nothing is declared.
    assert_eq!(store.redact(redaction()).unwrap(), RedactReport::default());
    assert_eq!(store.last_seq(), last_seq + 2);
}

#[test]
fn a_second_redaction_of_the_same_commits_is_declared_too() {
    let dir = tempfile::tempdir().unwrap();
    let last_seq = filled(dir.path());
    let before = audit::verify(dir.path(), None).unwrap();
    let (store, _) = open(dir.path());
    store.redact(redaction()).unwrap();
    let again = Redaction {
        drop: Box::new(|change| matches!(change, Change::Put { key, .. } if key == "beside")),
        words: Vec::new(),
        ..redaction()
    };
    assert_eq!(store.redact(again).unwrap().frames, 4);
    drop(store);
    let after = audit::verify(dir.path(), Some((last_seq, before.head))).unwrap();
    assert_eq!(after.redacted, 9);
}

#[test]
fn a_redaction_that_nobody_declared_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let last_seq = filled(dir.path());
    let other = tempfile::tempdir().unwrap();
    filled(other.path());
    let (store, _) = open(dir.path());
    store.redact(redaction()).unwrap();
    let declaration = store.last_seq();
    assert_eq!(declaration, last_seq + 1);
    drop(store);
    // The declaration is the last commit: cut off, it never was.
    let last = segments(dir.path()).pop().unwrap();
    let bytes = fs::read(&last).unwrap();
    let at = bytes
        .windows(8)
        .rposition(|window| window == b"\"journal")
        .expect("the declaration");
    fs::write(&last, &bytes[..at - b"{\"event\":".len() - 56]).unwrap();
    let error = audit::verify(dir.path(), None).unwrap_err();
    assert!(matches!(error, StoreError::RedactionUndeclared { .. }), "{error}");
    assert!(error.is_damage());
}

#[test]
fn interrupted_between_two_segments_it_leaves_a_whole_journal_and_is_completed_by_the_next() {
    struct Fails {
        left: u32,
    }
    impl JournalIo for Fails {
        fn create(&mut self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
            if bytes.len() > 68 {
                self.left = self.left.checked_sub(1).ok_or(std::io::ErrorKind::Other)?;
            }
            durable::write_file(path, bytes)
        }
    }
    for left in 0..4 {
        let dir = tempfile::tempdir().unwrap();
        let last_seq = filled(dir.path());
        let before = audit::verify(dir.path(), None).unwrap();
        let (store, _) = Store::open_with(dir.path(), options(), Box::new(Fails { left })).unwrap();
        assert!(store.redact(redaction()).is_err());
        drop(store);
        audit::verify(dir.path(), Some((last_seq, before.head))).unwrap();
        let (store, _) = open(dir.path());
        store.redact(redaction()).unwrap();
        assert_eq!(holding(dir.path(), b"secret-7f3a"), Vec::<std::path::PathBuf>::new());
        assert_sound(&store);
        drop(store);
        audit::verify(dir.path(), Some((last_seq, before.head))).unwrap();
    }
}

#[test]
fn objects_are_told_apart_by_who_names_them() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Names(Hash);
    impl Record for Names {
        const TABLE: &'static str = "names";
        const VERSION: u16 = 1;
        fn objects(&self) -> Vec<Hash> {
            vec![self.0]
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let [old, new, never] = [b"old", b"new", b"nev"].map(|bytes| store.objects().put_bytes(bytes).unwrap());
    for hash in [old, new] {
        store.commit(Batch::new("put").put("k", &Names(hash)).unwrap()).unwrap();
    }
    let found = store.references().unwrap();
    assert_eq!((found.live, found.ever), ([new].into(), [old, new].into()));
    assert!(store.objects().contains(&never));
}
