use super::UnixMs;
use crate::{Hash, Record};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Table `file`: one path of a watched folder. Key: `DOMAIN/` and a hash of the path's bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileRecord {
    /// The domain that watches it.
    pub domain: String,
    /// The path as people read it.
    pub path: String,
    /// Its bytes where they are not UTF-8; empty: they are those of `path`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path_bytes: Vec<u8>,
    /// Path relative to the watched folder when it was first seen: the case key of files without a case field.
    pub case_key: String,
    /// 1 for the first content of this path; a rewrite is the next revision of the same case.
    pub revision: u32,
    /// The bytes, in the object store. None where the file was never taken.
    pub content: Option<Hash>,
    /// The sidecars that were beside it.
    pub sidecars: Vec<Sidecar>,
    /// What the file system said when the content was taken: the same again means nothing to do.
    pub seen: Option<Seen>,
    /// Digest of what decided how it was read (options, plugin, version of wengu): with another one, files that gave
    /// nothing are read again.
    pub read_with: Option<String>,
    /// When the path was first seen.
    pub first_seen_ms: UnixMs,
    /// When this record last changed.
    pub updated_ms: UnixMs,
    /// Whether the file is still in its folder. wengu keeps what it has ingested either way.
    pub present: bool,
    /// Random, and the same as long as the path is known: with it, a hash over this record tells nobody the path who
    /// could guess it, once the record was forgotten. None in records from before there was one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub salt: String,
    /// Where it is in its life.
    pub state: FileState,
}

impl FileRecord {
    /// Where the file is, or was.
    pub fn location(&self) -> PathBuf {
        match self.path_bytes.is_empty() {
            true => PathBuf::from(&self.path),
            false => OsString::from_vec(self.path_bytes.clone()).into(),
        }
    }

    /// What [`FileRecord::path_bytes`] is of a path.
    pub fn bytes_of(path: &Path) -> Vec<u8> {
        match path.to_str() {
            Some(_) => Vec::new(),
            None => path.as_os_str().as_bytes().to_vec(),
        }
    }
}

/// A file beside the case file that labels it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Its file name.
    pub name: String,
    /// Its bytes, in the object store.
    pub content: Hash,
}

/// Table `content`: which file of a domain holds these bytes. Key: `DOMAIN/` and the hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContentRecord {
    /// Key of the file's record.
    pub file: String,
}

impl Record for ContentRecord {
    const TABLE: &'static str = "content";
    const VERSION: u16 = 1;
}

/// A file's identity and version as the file system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Bytes.
    pub size: u64,
    /// Modification time.
    pub mtime_ns: i128,
    /// Inode number.
    pub inode: u64,
}

/// The life of a case file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum FileState {
    /// A durable copy is held; it has not been read yet.
    Ingested,
    /// Read and labelled; waits for an update.
    Pooled {
        /// The examples, an object.
        examples: Hash,
        /// How many of what.
        counts: Counts,
        /// The last run that tried these examples and was held; they are tried again with newer ones.
        tried_in_run: Option<u64>,
    },
    /// Part of a promoted version (as training, gate or audit examples).
    Learned {
        /// The examples, an object.
        examples: Hash,
        /// How many of what.
        counts: Counts,
        /// The version that learned them.
        version: String,
    },
    /// Part of a delivery whose update was judged a regression: set aside until a person releases it.
    HeldBack {
        /// The examples, an object.
        examples: Hash,
        /// How many of what.
        counts: Counts,
        /// The run that was judged.
        run: u64,
    },
    /// Read, but nothing in it has a label.
    Unlabelled {
        /// The examples, an object.
        examples: Hash,
        /// How many of what.
        counts: Counts,
    },
    /// Could not be read; the reason says what to do.
    Quarantined {
        /// For people.
        reason: String,
    },
    /// The same bytes are held under another path of the domain; they are not learned twice.
    Duplicate {
        /// That path.
        of: String,
    },
}

impl FileState {
    /// The state's name, as printed and as counted in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            FileState::Ingested => "ingested",
            FileState::Pooled { .. } => "pooled",
            FileState::Learned { .. } => "learned",
            FileState::HeldBack { .. } => "held_back",
            FileState::Unlabelled { .. } => "unlabelled",
            FileState::Quarantined { .. } => "quarantined",
            FileState::Duplicate { .. } => "duplicate",
        }
    }

    /// The examples object of a file that no run has tried, whether anything in it has a label or not.
    pub fn untried(&self) -> Option<(Hash, Counts)> {
        match self {
            FileState::Pooled { tried_in_run: None, .. } | FileState::Unlabelled { .. } => self.examples(),
            _ => None,
        }
    }

    /// The examples object, where there is one.
    pub fn examples(&self) -> Option<(Hash, Counts)> {
        match self {
            FileState::Pooled { examples, counts, .. }
            | FileState::Learned { examples, counts, .. }
            | FileState::HeldBack { examples, counts, .. }
            | FileState::Unlabelled { examples, counts } => Some((*examples, *counts)),
            FileState::Ingested | FileState::Quarantined { .. } | FileState::Duplicate { .. } => None,
        }
    }
}

/// What a file's examples are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Labelled examples on the training side.
    pub train: u64,
    /// Labelled examples of the gate set.
    pub gate: u64,
    /// Labelled examples of the reserve.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserve: u64,
    /// Labelled examples of the audit set.
    pub audit: u64,
    /// Labelled examples of the checklist.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub checklist: u64,
    /// Examples that neither a field nor a sidecar nor the plugin labelled.
    pub unlabelled: u64,
    /// Broken records, each quarantined by its line.
    pub rejected: u64,
}

impl Counts {
    /// Labelled examples, whatever they are for.
    pub fn labelled(&self) -> u64 {
        self.train + self.gate + self.reserve + self.audit + self.checklist
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Record for FileRecord {
    const TABLE: &'static str = "file";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        let sidecars = self.sidecars.iter().map(|s| s.content);
        self.content
            .into_iter()
            .chain(sidecars)
            .chain(self.state.examples().map(|(hash, _)| hash))
            .collect()
    }
}
