//! The store.

use crate::beside;
use crate::layout::Layout;
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
    /// What a store finds when it reads everything, and what is found beside it. A journal that does not verify is a problem like any other.
    pub fn of(store: &Store, layout: &Layout) -> Result<StoreVerified> {
        let mut found = match store.verify() {
            Ok(report) => StoreVerified {
                commits: report.commits,
                records: report.records,
                objects: report.objects,
                problems: report.problems.iter().map(ToString::to_string).collect(),
            },
            Err(error) if error.is_damage() => StoreVerified {
                problems: vec![error.to_string()],
                ..StoreVerified::default()
            },
            Err(error) => return Err(error.into()),
        };
        found.problems.extend(beside::problems(store, layout)?);
        Ok(found)
    }
}
