//! Reading everything, to see whether it all agrees.

use crate::batch::{Op, Payload};
use crate::index::{encode_value, record_key, shown_key};
use crate::journal::scan::Frames;
use crate::{Hash, Objects, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// What [`Store::verify`](crate::Store::verify) has read, and what does not agree. A journal that does not verify is
/// an error instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// Commits replayed.
    pub commits: u64,
    /// Records alive.
    pub records: u64,
    /// Objects read.
    pub objects: u64,
    /// What is wrong. Empty: all is well.
    pub problems: Vec<Problem>,
}

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The journal has this record (TABLE/KEY), the index does not.
    NotIndexed(String),
    /// The index has this record, the journal does not.
    NotInJournal(String),
    /// Journal and index have different content for this record.
    Differs(String),
    /// The bytes of this object are not the ones that it is named after, or cannot be read.
    BadObject {
        /// The object.
        hash: Hash,
        /// What was wrong.
        why: String,
    },
    /// A record needs an object that is not there.
    NoObject {
        /// The object.
        hash: Hash,
        /// The record (TABLE/KEY).
        record: String,
    },
    /// A file among the objects that is none.
    ForeignFile(PathBuf),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NotIndexed(key) => write!(f, "record {key} is missing from the index: rebuild it"),
            Problem::NotInJournal(key) => write!(f, "record {key} is in the index only: rebuild it"),
            Problem::Differs(key) => write!(f, "record {key} differs between journal and index: rebuild it"),
            Problem::BadObject { why, .. } => write!(f, "{why}"),
            Problem::NoObject { hash, record } => write!(f, "record {record} needs object {hash}, which is missing"),
            Problem::ForeignFile(path) => write!(f, "{} is not an object", path.display()),
        }
    }
}

/// A record as a replay gives it.
pub(crate) struct Expected {
    pub value: Vec<u8>,
    pub objects: Vec<Hash>,
}

/// `found` is what the index had after `commits` commits.
pub(crate) fn verify(
    journal: &Path,
    commits: u64,
    mut found: BTreeMap<Vec<u8>, Vec<u8>>,
    objects: &Objects,
) -> Result<VerifyReport, StoreError> {
    let mut problems = Vec::new();
    let expected = replay(journal, commits)?;
    for (key, record) in &expected {
        match found.remove(key) {
            None => problems.push(Problem::NotIndexed(shown_key(key))),
            Some(value) if value != record.value => problems.push(Problem::Differs(shown_key(key))),
            Some(_) => {}
        }
    }
    problems.extend(found.keys().map(|key| Problem::NotInJournal(shown_key(key))));

    let (hashes, foreign) = objects.list()?;
    problems.extend(foreign.into_iter().map(Problem::ForeignFile));
    for hash in &hashes {
        if let Err(error) = objects.check(hash) {
            problems.push(Problem::BadObject {
                hash: *hash,
                why: error.to_string(),
            });
        }
    }
    let present: BTreeSet<&Hash> = hashes.iter().collect();
    for (key, record) in &expected {
        let missing = record.objects.iter().filter(|hash| !present.contains(hash));
        problems.extend(missing.map(|hash| Problem::NoObject {
            hash: *hash,
            record: shown_key(key),
        }));
    }
    Ok(VerifyReport {
        commits,
        records: expected.len() as u64,
        objects: hashes.len() as u64,
        problems,
    })
}

/// The records after commit `last_seq`.
pub(crate) fn replay(journal: &Path, last_seq: u64) -> Result<BTreeMap<Vec<u8>, Expected>, StoreError> {
    let mut records = BTreeMap::new();
    for frame in Frames::open(journal, 1, last_seq)? {
        let (frame, path) = frame?;
        for op in Payload::decode(&frame, &path)?.ops {
            match op {
                Op::Put {
                    table,
                    key,
                    version,
                    objects,
                    value,
                } => {
                    let key = record_key(&table, &key);
                    let value = encode_value(&key, version, value.get().as_bytes());
                    records.insert(key, Expected { value, objects });
                }
                Op::Delete { table, key } => {
                    records.remove(&record_key(&table, &key));
                }
            }
        }
    }
    Ok(records)
}
