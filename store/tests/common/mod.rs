//! Records and helpers of the store's tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wengu_store::{Batch, IndexKind, OpenReport, Options, RebuildReason, Record, Store};

/// A record of two fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doc {
    pub n: u64,
    pub text: String,
}

impl Record for Doc {
    const TABLE: &'static str = "doc";
    const VERSION: u16 = 1;
}

/// A second table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score(pub f64);

impl Record for Score {
    const TABLE: &'static str = "doc-score";
    const VERSION: u16 = 3;
}

pub fn doc(n: u64, text: &str) -> Doc {
    Doc {
        n,
        text: text.to_string(),
    }
}

/// What this binary's suites run over: `tests/redb.rs` and `redb_processes.rs` take them in once more.
pub const INDEX: IndexKind = match env!("CARGO_CRATE_NAME").as_bytes() {
    b"redb" | b"redb_processes" => IndexKind::Redb,
    _ => IndexKind::Sled,
};

/// Where the index of such a store is.
pub fn index_dir(dir: &Path) -> PathBuf {
    dir.join(match INDEX {
        IndexKind::Sled => "index",
        IndexKind::Redb => "index-redb",
    })
}

/// Every file below a folder, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut files, mut dirs) = (Vec::new(), vec![dir.to_path_buf()]);
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => dirs.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    files.sort();
    files
}

/// Files below a folder in which the bytes stand.
pub fn holding(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let stands = |path: &PathBuf| {
        let file = std::fs::read(path).unwrap();
        file.windows(bytes.len()).any(|window| window == bytes)
    };
    files(dir).into_iter().filter(stands).collect()
}

/// Small segments, so that tests see several, and no reserve, so that they do not depend on the disk.
pub fn options() -> Options {
    Options {
        index: INDEX,
        segment_bytes: 2000,
        index_cache_bytes: 1 << 20,
        reserve_bytes: 0,
        ..Options::default()
    }
}

pub fn open(dir: &Path) -> (Store, OpenReport) {
    Store::open(dir, options()).unwrap()
}

pub fn put(store: &Store, key: &str, n: u64) -> u64 {
    store
        .commit(
            Batch::new("doc.put")
                .at(n as i64)
                .put(key, &doc(n, "温故而知新"))
                .unwrap(),
        )
        .unwrap()
}

pub type Model = BTreeMap<String, Doc>;

pub fn docs(store: &Store) -> Model {
    store.scan::<Doc>("").unwrap().into_iter().collect()
}

/// An index that was tampered with is set aside and built anew, and nothing is lost.
pub fn assert_set_aside(dir: &Path, before: &Model, what: &str) {
    let (store, report) = open(dir);
    assert!(
        matches!(report.rebuilt, Some(RebuildReason::Damaged(_))),
        "{what}: {report:?}"
    );
    assert_eq!(docs(&store), *before, "{what}");
    assert_sound(&store);
}

/// Everything that the store says about itself must agree.
pub fn assert_sound(store: &Store) {
    let report = store.verify().unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.commits, store.last_seq());
    assert_eq!(
        store
            .journal_events(1)
            .unwrap()
            .map(|e| e.unwrap().seq)
            .collect::<Vec<_>>(),
        { (1..=store.last_seq()).collect::<Vec<_>>() }
    );
}

/// The journal's segments, in order.
pub fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir.join("journal")).unwrap();
    let mut paths: Vec<_> = entries
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some())
        .collect();
    paths.sort();
    paths
}
