//! Files follow the version in service over every start, and are looked at only where something else serves than before.

use std::path::Path;
use std::sync::Arc;
use wengu::engine::Engine;
use wengu_store::records::{Counts, CurrentRecord, FileRecord, FileState, How, VersionRecord};
use wengu_store::{Batch, Hash, Store};

const FILE: &str = "contracts/0";

fn engine(dir: &Path) -> Arc<Engine> {
    let text = "state_dir = \"state\"\n[models.base]\npath = \"m\"\n[domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"base\"\n";
    std::fs::write(dir.join("wengu.toml"), text).unwrap();
    let config = wengu_config::load(&dir.join("wengu.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    Engine::open(config).unwrap()
}

fn id(run: u64) -> String {
    format!("{run:04}-0123456789ab")
}

fn version(run: u64, parent: Option<u64>) -> VersionRecord {
    VersionRecord {
        domain: "contracts".into(),
        id: id(run),
        run,
        parent: parent.map(id),
        decision: "promote".into(),
        labels: 2,
        accuracy: 0.9,
        created_ms: 1,
        promoted: true,
    }
}

fn learned(run: u64) -> FileState {
    FileState::Learned {
        examples: Hash::of(b"examples"),
        counts: Counts::default(),
        version: id(run),
    }
}

fn held_back(run: u64) -> FileState {
    FileState::HeldBack {
        examples: Hash::of(b"examples"),
        counts: Counts::default(),
        run,
    }
}

/// One transaction, and then a crash: nothing is brought in line with it.
fn put(store: &Store, serving: Option<(u64, i64)>, state: FileState) {
    let examples = store.objects().put_bytes(b"examples").unwrap();
    let file = FileRecord {
        salt: String::new(),
        domain: "contracts".into(),
        case_key: "0.txt".into(),
        path: "/inbox/0.txt".into(),
        path_bytes: Vec::new(),
        revision: 1,
        content: Some(examples),
        sidecars: Vec::new(),
        seen: None,
        read_with: None,
        first_seen_ms: 1,
        updated_ms: 1,
        present: true,
        state,
    };
    let mut batch = Batch::new("test").put(FILE, &file).unwrap();
    for version in [version(1, None), version(2, Some(1))] {
        let key = VersionRecord::key("contracts", &version.id);
        batch = batch.put(&key, &version).unwrap();
    }
    if let Some((run, since_ms)) = serving {
        let current = CurrentRecord {
            version: id(run),
            since_ms,
            how: How::RolledBack,
            reason: None,
        };
        batch = batch.put("contracts", &current).unwrap();
    }
    store.commit(batch).unwrap();
}

/// The file's state after a start.
fn started(dir: &Path) -> FileState {
    engine(dir).store.get::<FileRecord>(FILE).unwrap().unwrap().state
}

#[test]
fn a_start_completes_what_was_interrupted_and_looks_at_no_file_where_nothing_was() {
    let dir = tempfile::tempdir().unwrap();
    // A rollback from the second version to the first that was killed before its files were set aside.
    put(&engine(dir.path()).store, Some((1, 10)), learned(2));
    assert_eq!(started(dir.path()), held_back(2));
    assert_eq!(started(dir.path()), held_back(2));
    // Forward again, killed as well.
    put(&engine(dir.path()).store, Some((2, 20)), held_back(2));
    assert_eq!(started(dir.path()), learned(2));
    // And back: the same version serves as once before, since another time.
    put(&engine(dir.path()).store, Some((1, 30)), learned(2));
    assert_eq!(started(dir.path()), held_back(2));
    // Nobody writes such a record. It stays, which shows that it was not looked at.
    put(&engine(dir.path()).store, None, learned(2));
    assert_eq!(started(dir.path()), learned(2));
}
