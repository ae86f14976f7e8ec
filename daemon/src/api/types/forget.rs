//! Forgetting.

use crate::forget::TargetFile;
use crate::forget::record::ForgetRecord;
use serde::{Deserialize, Serialize};

/// `POST /v1/forget`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgetRequest {
    /// What was typed: a path, the hash of a file's bytes, or a case.
    pub what: String,
    /// The same as an absolute path.
    pub path: String,
    /// Why.
    pub reason: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The versions that saw it leave service at once.
    pub now: bool,
    /// Files that hold other cases too go as well.
    pub whole_files: bool,
    /// What lies in the watched folders goes too.
    pub delete_source: bool,
}

/// What would be done, or is being done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgetPreview {
    /// The id; none where it was only asked what would be done.
    pub id: Option<String>,
    /// The files.
    pub files: Vec<TargetFile>,
    /// The cases that will be refused, as records and files name them.
    pub cases: Vec<String>,
    /// Objects: bytes, examples, manifests, judgements.
    pub objects: u64,
    /// Commits of the journal that name the files.
    pub commits: u64,
    /// Runs that had them, as `DOMAIN/RUN`.
    pub runs: Vec<String>,
    /// Versions that saw them, as `DOMAIN/ID`: deleted.
    pub versions: Vec<String>,
    /// What serves until others are made, where one of those serves now, and with `--now`: the last version before them.
    pub serving: Vec<String>,
    /// Runs that are made again without them.
    pub again: Vec<String>,
    /// Files that lie in a watched folder.
    pub source: Vec<String>,
}

/// `GET /v1/forget/show`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ForgetView {
    /// Where it stands.
    pub record: ForgetRecord,
    /// Its receipt, once it is done.
    pub receipt: Option<serde_json::Value>,
    /// Where that lies.
    pub receipt_path: String,
}
