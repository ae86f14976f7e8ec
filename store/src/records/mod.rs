//! What the tables hold. Small by rule: text, logits and long lists are objects, and records name them by hash.

mod file;
mod plugin;
mod run;
mod schedule;
mod token;
mod version;

pub use file::{ContentRecord, Counts, FileRecord, FileState, Seen, Sidecar};
pub use plugin::PluginRecord;
pub use run::{EraAccuracy, RunRecord, RunState};
pub use schedule::{ScheduleRecord, SplitRecord};
pub use token::{Role, TokenRecord};
pub use version::{CurrentRecord, How, VersionRecord};

/// Milliseconds since the Unix epoch.
pub type UnixMs = i64;
