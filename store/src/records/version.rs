use super::UnixMs;
use crate::Record;
use serde::{Deserialize, Serialize};

/// Table `version`: one trained version, promoted or not. Key: `DOMAIN/` and the id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The domain.
    pub domain: String,
    /// `RUN-HASH`, the name of its directory.
    pub id: String,
    /// The run that made it.
    pub run: u64,
    /// The version it continues.
    pub parent: Option<String>,
    /// The gate's decision.
    pub decision: String,
    /// Labels it knows.
    pub labels: u64,
    /// Gate accuracy over all eras.
    pub accuracy: f64,
    /// When it was adopted.
    pub created_ms: UnixMs,
    /// Whether it was ever in service.
    pub promoted: bool,
}

impl VersionRecord {
    /// The table key.
    pub fn key(domain: &str, id: &str) -> String {
        format!("{domain}/{id}")
    }
}

impl Record for VersionRecord {
    const TABLE: &'static str = "version";
    const VERSION: u16 = 1;
}

/// Table `current`: which version serves. Key: the domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurrentRecord {
    /// The version's id.
    pub version: String,
    /// Since when.
    pub since_ms: UnixMs,
    /// How it came to serve.
    pub how: How,
    /// Why, where a person had to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a version came to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The gate promoted it.
    Promoted,
    /// A person rolled back to it, or the daemon, where it is told to.
    RolledBack,
    /// A person put it in service against the gate.
    Forced,
}

impl Record for CurrentRecord {
    const TABLE: &'static str = "current";
    const VERSION: u16 = 1;
}
