//! Random histories against a map, with everything that may happen to a store in between.

mod common;

use common::*;
use proptest::prelude::*;
use std::fs::{self, OpenOptions};
use std::path::Path;
use wengu_store::*;

#[derive(Debug, Clone)]
enum Step {
    /// One batch: key and new content, or none to delete.
    Commit(Vec<(u8, Option<String>)>),
    Reopen,
    LoseIndex,
    /// Cut this share of the journal's last segment off.
    Cut(f64),
    /// Bytes that were never a frame at the end of the journal.
    Garbage(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let change = (
        0..12u8,
        proptest::option::weighted(0.7, "[a-z\u{4e00}-\u{4e20}\"\\\\\u{0}]{0,30}"),
    );
    prop_oneof![
        12 => proptest::collection::vec(change, 0..6).prop_map(Step::Commit),
        1 => Just(Step::Reopen),
        1 => Just(Step::LoseIndex),
        1 => (0.0..1.0).prop_map(Step::Cut),
        1 => proptest::collection::vec(any::<u8>(), 1..100).prop_map(Step::Garbage),
    ]
}

fn commit(store: &Store, model: &Model, changes: &[(u8, Option<String>)]) -> Model {
    let mut model = model.clone();
    let mut batch = Batch::new("random");
    for (key, text) in changes {
        // Keys of which some begin with others.
        let key = "k".repeat(usize::from(*key) + 1);
        match text {
            Some(text) => {
                let record = doc(model.len() as u64, text);
                batch = batch.put(&key, &record).unwrap();
                model.insert(key, record);
            }
            None => {
                batch = batch.delete::<Doc>(&key);
                model.remove(&key);
            }
        }
    }
    store.commit(batch).unwrap();
    model
}

fn last_segment(dir: &Path) -> (fs::File, u64) {
    let path = segments(dir).pop().unwrap();
    let file = OpenOptions::new().append(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    (file, len)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_the_map_of_its_commits(steps in proptest::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        // The state after each commit; the first is the empty one.
        let mut states = vec![Model::new()];
        let mut store = open(dir.path()).0;
        for step in steps {
            match step {
                Step::Commit(changes) => {
                    let next = commit(&store, states.last().unwrap(), &changes);
                    states.push(next);
                    prop_assert_eq!(store.last_seq() as usize + 1, states.len());
                    prop_assert_eq!(&docs(&store), states.last().unwrap());
                    continue;
                }
                Step::Reopen => drop(store),
                Step::LoseIndex => {
                    drop(store);
                    fs::remove_dir_all(index_dir(dir.path())).unwrap();
                }
                Step::Cut(share) => {
                    drop(store);
                    let (file, len) = last_segment(dir.path());
                    file.set_len((len as f64 * share) as u64).unwrap();
                }
                Step::Garbage(bytes) => {
                    drop(store);
                    let (mut file, _) = last_segment(dir.path());
                    std::io::Write::write_all(&mut file, &bytes).unwrap();
                }
            }
            let (reopened, report) = open(dir.path());
            store = reopened;
            let kept = store.last_seq() as usize + 1;
            let ahead = RebuildReason::Ahead { index_seq: states.len() as u64 - 1, journal_seq: kept as u64 - 1 };
            prop_assert_eq!(kept < states.len(), report.rebuilt == Some(ahead));
            states.truncate(kept);
            prop_assert_eq!(&docs(&store), states.last().unwrap());
        }
        assert_sound(&store);
        for (key, record) in states.last().unwrap() {
            prop_assert_eq!(&store.get::<Doc>(key).unwrap().unwrap(), record);
            let below = states.last().unwrap().keys().filter(|k| k.starts_with(key)).count();
            prop_assert_eq!(store.count::<Doc>(key).unwrap() as usize, below);
        }
    }

    #[test]
    fn a_flipped_byte_is_never_served(commits in 2..12u64, at in 0.0..1.0f64, mask in 1..=255u8) {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        (0..commits).for_each(|n| assert!(put(&store, "k", n) > 0));
        drop(store);
        let sizes: Vec<u64> = segments(dir.path()).iter().map(|p| p.metadata().unwrap().len()).collect();
        let mut at = (sizes.iter().sum::<u64>() as f64 * at) as u64;
        let mut number = 0;
        while at >= sizes[number] {
            at -= sizes[number];
            number += 1;
        }
        let path = &segments(dir.path())[number];
        let mut bytes = fs::read(path).unwrap();
        bytes[at as usize] ^= mask;
        fs::write(path, bytes).unwrap();
        // The index knows every commit, so that even the last frame cannot pass for an interrupted write.
        match Store::open(dir.path(), options()) {
            Err(StoreError::JournalCorrupt { path: named, offset, .. }) => {
                prop_assert_eq!(&named, path);
                prop_assert!(offset <= at);
            }
            other => prop_assert!(false, "byte {} of {}: {:?}", at, path.display(), other.map(|(_, report)| report)),
        }
    }
}
