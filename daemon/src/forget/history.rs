//! What the journal ever said of files: every path, every revision, under every name.

use super::order::Order;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wengu_store::records::{ContentRecord, FileRecord, RunRecord};
use wengu_store::{Change, Hash, Record, Store};

/// One thing that the journal said of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The path as people read it.
    pub path: String,
    /// The path.
    pub location: PathBuf,
    /// The case of records that name none.
    pub case_key: String,
    /// When it was first seen.
    pub first_seen_ms: i64,
    /// Its bytes.
    pub content: Option<Hash>,
    /// The bytes of what lay beside it.
    pub sidecars: Vec<Hash>,
    /// What was read from it.
    pub examples: Option<Hash>,
}

impl Told {
    fn of(file: &FileRecord) -> Told {
        Told {
            path: file.path.clone(),
            location: file.location(),
            case_key: file.case_key.clone(),
            first_seen_ms: file.first_seen_ms,
            content: file.content,
            sidecars: file.sidecars.iter().map(|sidecar| sidecar.content).collect(),
            examples: file.state.examples().map(|(hash, _)| hash),
        }
    }

    /// What its file is called.
    pub fn name(&self) -> &str {
        Path::new(&self.path)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(&self.path)
    }
}

/// By the key of the file's record.
#[derive(Debug, Default)]
pub struct History {
    /// Files.
    pub files: BTreeMap<String, BTreeSet<Told>>,
    /// Objects of runs, by the key of the run's record: manifests, judgements, accuracies, of all times.
    pub runs: BTreeMap<String, BTreeSet<Hash>>,
}

impl History {
    /// Reads the journal.
    pub fn read(store: &Store) -> Result<History> {
        let mut history = History::default();
        for event in store.journal_events(1)? {
            for change in event?.changes {
                let Change::Put { table, key, value, .. } = change else {
                    continue;
                };
                if table == FileRecord::TABLE {
                    let file: FileRecord = serde_json::from_value(value)?;
                    history.files.entry(key).or_default().insert(Told::of(&file));
                } else if table == RunRecord::TABLE {
                    let run: RunRecord = serde_json::from_value(value)?;
                    history.runs.entry(key).or_default().extend(run.objects());
                }
            }
        }
        Ok(history)
    }

    /// What an order reaches of it, with the keys of its files.
    pub fn reached<'h>(&'h self, order: &'h Order) -> impl Iterator<Item = (&'h String, &'h Told)> {
        let all = self
            .files
            .iter()
            .flat_map(|(key, told)| told.iter().map(move |told| (key, told)));
        all.filter(|(key, told)| {
            order.keys.contains(*key) || told.content.is_some_and(|content| order.contents.contains(&content))
        })
    }

    /// The keys of which nothing stays: those that the order names, and those that never held anything else.
    pub fn emptied(&self, order: &Order) -> BTreeSet<String> {
        let gone = |told: &Told| told.content.is_some_and(|content| order.contents.contains(&content));
        let others = self.files.iter().filter(|(_, told)| told.iter().all(gone));
        order.keys.iter().chain(others.map(|(key, _)| key)).cloned().collect()
    }
}

/// What the journal loses: all that it says of these files and bytes.
pub fn drops(keys: BTreeSet<String>, contents: BTreeSet<Hash>) -> Box<dyn Fn(&Change) -> bool + Send> {
    let held = move |table: &str, key: &str, value: Option<&serde_json::Value>| match table {
        FileRecord::TABLE => {
            let content = value.and_then(|value| value["content"].as_str());
            keys.contains(key)
                || content
                    .and_then(|hash| hash.parse().ok())
                    .is_some_and(|hash| contents.contains(&hash))
        }
        ContentRecord::TABLE => {
            let hash = key.rsplit('/').next().and_then(|hash| hash.parse().ok());
            hash.is_some_and(|hash| contents.contains(&hash))
        }
        _ => false,
    };
    Box::new(move |change| match change {
        Change::Put { table, key, value, .. } => held(table, key, Some(value)),
        Change::Delete { table, key } => held(table, key, None),
    })
}
