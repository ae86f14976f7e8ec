use super::UnixMs;
use crate::Record;
use serde::{Deserialize, Serialize};

/// Table `plugins`: a plugin that failed too often and is not started any more. Key: the plugin's id. A plugin without a
/// record may be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginRecord {
    /// When it was quarantined.
    pub quarantined_ms: UnixMs,
    /// The version that failed.
    pub version: String,
    /// Failures in the window.
    pub failures: u32,
    /// Its last failure, for people.
    pub reason: String,
}

impl Record for PluginRecord {
    const TABLE: &'static str = "plugins";
    const VERSION: u16 = 1;
}
