//! A store of format version 1, written once and kept. Never change it; add a directory beside it.

mod common;

use common::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use wengu_store::*;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("test-data/v1")
}

/// The golden store's commits, as today's code writes them.
fn write(dir: &Path) {
    let (store, _) = Store::open(
        dir,
        Options {
            segment_bytes: 700,
            ..options()
        },
    )
    .unwrap();
    let hash = store
        .objects()
        .put_bytes("患者男，45岁，主诉胸痛。".as_bytes())
        .unwrap();
    for n in 0..6u32 {
        let at_ms = 1_700_000_000_000 + i64::from(n);
        let batch = Batch::new("file.ingested")
            .at(at_ms)
            .put(
                &format!("case/{n}"),
                &doc(u64::MAX - u64::from(n), "温故而知新 \"quoted\" \\ \u{1}"),
            )
            .and_then(|batch| batch.put(&format!("第{n}"), &Score(f64::from(n) * 0.1)))
            .unwrap()
            .note(json!({"object": hash, "by": null}));
        store.commit(batch).unwrap();
    }
    store
        .commit(Batch::new("case.forgotten").at(-1).delete::<Doc>("case/3"))
        .unwrap();
    store.commit(Batch::new("daemon.started").at(0)).unwrap();
}

/// What is in a store, for comparison.
fn content(store: &Store) -> Value {
    json!({
        "docs": store.scan::<Doc>("").unwrap(),
        "scores": store.scan::<Score>("").unwrap(),
        "events": store.journal_events(1).unwrap().map(Result::unwrap).collect::<Vec<_>>(),
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn the_golden_store_opens_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    copy(&golden().join("store"), dir.path());
    let (store, report) = open(dir.path());
    assert_eq!((report.last_seq, report.replayed, &report.torn_tail), (8, 8, &None));
    let expected: Value = serde_json::from_slice(&fs::read(golden().join("content.json")).unwrap()).unwrap();
    assert_eq!(content(&store), expected);
    assert_sound(&store);
    // The version of today goes on writing where the old one ended.
    assert_eq!(put(&store, "next", 1), 9);
    drop(store);
    assert_sound(&open(dir.path()).0);
}

#[test]
fn the_bytes_that_are_written_today_are_those_of_the_format_version() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-v1");
    let _ = fs::remove_dir_all(&dir);
    write(&dir);
    let text = serde_json::to_string_pretty(&content(&open(&dir).0)).unwrap() + "\n";
    fs::write(dir.join("content.json"), text).unwrap();
    let names = |dir: &Path| {
        segments(dir)
            .iter()
            .map(|p| p.file_name().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let golden = golden().join("store");
    assert_eq!(
        names(&dir),
        names(&golden),
        "compare {} with {}",
        dir.display(),
        golden.display()
    );
    for (new, old) in segments(&dir).iter().zip(segments(&golden)) {
        let same = fs::read(new).unwrap() == fs::read(&old).unwrap();
        assert!(
            same,
            "{} differs from {}: raise the format version",
            new.display(),
            old.display()
        );
    }
}
