//! A store of each format version, written once and kept. Never change one; add a directory beside it.

mod common;

use common::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use wengu_store::*;

fn golden(version: u16) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("test-data/v{version}"))
}

/// The golden stores' commits, as today's code writes them.
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
    let redaction = Redaction {
        note: json!({"forget": "1"}),
        at_ms: 1_700_000_000_100,
        drop: Box::new(
            |change| matches!(change, Change::Put { key, .. } | Change::Delete { key, .. } if key == "case/3"),
        ),
        words: Vec::new(),
    };
    let report = store.redact(redaction).unwrap();
    assert_eq!((report.frames, report.changes), (2, 2));
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
fn golden_stores_open_and_go_on() {
    for (version, commits) in [(1, 8), (2, 8), (3, 9)] {
        let dir = tempfile::tempdir().unwrap();
        copy(&golden(version).join("store"), dir.path());
        let (store, report) = open(dir.path());
        let found = (report.last_seq, report.replayed, &report.torn_tail);
        assert_eq!(found, (commits, commits, &None));
        let expected: Value = serde_json::from_slice(&fs::read(golden(version).join("content.json")).unwrap()).unwrap();
        assert_eq!(content(&store), expected);
        assert_sound(&store);
        // The version of today goes on writing where the old one ended.
        assert_eq!(put(&store, "next", 1), commits + 1);
        drop(store);
        let (store, report) = open(dir.path());
        assert_eq!((report.last_seq, report.rebuilt), (commits + 1, None));
        assert_sound(&store);
        // From the middle too, over segments that do not say their hash.
        for from in 1..=commits + 1 {
            assert_eq!(
                store.journal_events(from).unwrap().map(Result::unwrap).count() as u64,
                commits + 2 - from
            );
        }
    }
}

#[test]
fn an_older_store_is_upgraded_by_a_new_segment_and_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let old = golden(1).join("store");
    copy(&old, dir.path());
    let before = audit::verify(dir.path(), None).unwrap();
    assert_eq!((before.commits, before.chained_from), (8, None));
    drop(open(dir.path()));
    let names = segments(dir.path());
    assert_eq!(names.len(), segments(&old).len() + 1);
    for (new, old) in names.iter().zip(segments(&old)) {
        assert_eq!(fs::read(new).unwrap(), fs::read(old).unwrap());
    }
    let (store, _) = open(dir.path());
    assert_eq!(segments(dir.path()), names, "one upgrade is enough");
    put(&store, "next", 1);
    drop(store);
    let after = audit::verify(dir.path(), Some((8, before.head))).unwrap();
    assert_eq!((after.commits, after.chained_from), (9, Some(9)));
    // An old commit rewritten with right checksums, in the header of the new segment too: its hash knows better.
    let last_old = &names[names.len() - 2];
    let mut bytes = fs::read(last_old).unwrap();
    let at = bytes.len() - 1 - bytes.iter().rev().position(|byte| *byte == b'0').unwrap();
    bytes[at] = b'1';
    let crc = forge_last_frame(&mut bytes);
    fs::write(last_old, bytes).unwrap();
    let sealing = names.last().unwrap();
    let mut bytes = fs::read(sealing).unwrap();
    bytes[24..28].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    fs::write(sealing, bytes).unwrap();
    let error = Store::open(dir.path(), options()).err().unwrap();
    assert!(matches!(error, StoreError::JournalCorrupt { .. }), "{error}");
}

/// Makes the checksum of the last frame of a segment of format 1 right again.
fn forge_last_frame(bytes: &mut [u8]) -> u32 {
    let mut at = 32;
    loop {
        let len = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        if at + 24 + len == bytes.len() {
            let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[at..at + 16]), &bytes[at + 24..]);
            bytes[at + 20..at + 24].copy_from_slice(&crc.to_le_bytes());
            return crc;
        }
        at += 24 + len;
    }
}

#[test]
fn a_newer_store_is_refused_by_name_whichever_segment_is_newer() {
    for segment in [0, 1] {
        let dir = tempfile::tempdir().unwrap();
        copy(&golden(3).join("store"), dir.path());
        let path = &segments(dir.path())[segment];
        let mut bytes = fs::read(path).unwrap();
        bytes[8] = 4;
        let crc = crc32c::crc32c(&bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        fs::write(path, bytes).unwrap();
        match Store::open(dir.path(), options()) {
            Err(StoreError::JournalVersion {
                path: named,
                found: 4,
                supported: 3,
            }) => assert_eq!(&named, path),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_bytes_that_are_written_today_are_those_of_the_format_version() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("golden-v3");
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
    let golden = golden(3).join("store");
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
