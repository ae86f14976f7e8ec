//! The store.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use wengu_store::Store;

/// `POST /v1/store/verify`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StoreVerified {
    /// Commits replayed.
    pub commits: u64,
    /// Records alive.
    pub records: u64,
    /// Objects read.
    pub objects: u64,
    /// What does not agree, for people.
    pub problems: Vec<String>,
}

/// `POST /v1/store/backup`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreBackupRequest {
    /// Where to, absolute.
    pub to: PathBuf,
}

impl StoreVerified {
    /// What a store finds when it reads everything. A journal that does not verify is a problem like any other.
    pub fn of(store: &Store) -> Result<StoreVerified> {
        match store.verify() {
            Ok(report) => Ok(StoreVerified {
                commits: report.commits,
                records: report.records,
                objects: report.objects,
                problems: report.problems.iter().map(ToString::to_string).collect(),
            }),
            Err(error) if error.is_damage() => Ok(StoreVerified {
                problems: vec![error.to_string()],
                ..StoreVerified::default()
            }),
            Err(error) => Err(error.into()),
        }
    }
}
