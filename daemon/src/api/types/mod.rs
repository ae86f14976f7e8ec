//! What the daemon answers. `--json` prints these as they are.

mod files;
mod forget;
mod gate;
mod outbox;
mod store;
mod token;
mod tuning;
mod versions;

pub use files::*;
pub use forget::*;
pub use gate::*;
pub use outbox::*;
pub use store::*;
pub use token::*;
pub use tuning::*;
pub use versions::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wengu_protocol::job::Progress;
use wengu_store::records::{EraAccuracy, RunState};

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of wengu.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// When it started.
    pub started_ms: i64,
    /// When this was answered.
    pub now_ms: i64,
    /// By domain.
    pub domains: Vec<DomainStatus>,
    /// The outbox.
    pub alerts: AlertStatus,
    /// Why nothing is trained or taken, where too little space is left.
    #[serde(default)]
    pub disk_problem: Option<String>,
    /// Plugins that were installed with `--allow-unsigned`, as `ID VERSION`.
    pub unsigned_plugins: Vec<String>,
}

/// One domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainStatus {
    /// Its name.
    pub name: String,
    /// Files by state.
    pub files: BTreeMap<String, u64>,
    /// Examples that wait for the next update.
    pub new_examples: u64,
    /// The version in service.
    pub serving: Option<Serving>,
    /// The run under way, if any.
    pub run: Option<RunView>,
    /// The last run that came to an end.
    pub last_run: Option<RunView>,
    /// Files are coming in or being read.
    pub intake_busy: bool,
    /// Watched folders that are missing or degraded, plugins that fail.
    pub problems: Vec<String>,
    /// Why nothing starts, or what does, in a sentence.
    pub next: String,
}

/// The version in service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Serving {
    /// Its id.
    pub version: String,
    /// Since when.
    pub since_ms: i64,
    /// `promoted`, `rolled_back` or `forced`.
    pub how: String,
    /// Labels it knows.
    pub labels: u64,
    /// Gate accuracy over all eras when it was judged.
    pub accuracy: f64,
    /// Where it lies.
    pub path: String,
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunView {
    /// The domain.
    pub domain: String,
    /// Its number.
    pub run: u64,
    /// Why it was started.
    pub reason: String,
    /// Where it is in its life.
    pub state: RunState,
    /// `update` or the baseline that is measured, while a trainer works on it.
    pub stage: Option<String>,
    /// The trainer's last word.
    pub progress: Option<Progress>,
    /// New training examples.
    pub train_examples: u64,
    /// New gate items.
    pub new_gate_items: u64,
    /// The version it continues.
    pub parent: Option<String>,
    /// The version it made.
    pub version: Option<String>,
    /// The gate's decision.
    pub decision: Option<String>,
    /// The gate's reasons, in plain sentences.
    pub reasons: Vec<String>,
    /// Accuracy per era.
    pub accuracy: Vec<EraAccuracy>,
    /// When it was planned.
    pub planned_ms: i64,
    /// When it came to its end.
    pub ended_ms: Option<i64>,
}

/// `POST /v1/train`, `POST /v1/rollback`, `POST /v1/tune/reset`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainRequest {
    /// The domain.
    pub domain: String,
    /// The version to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Look at the watched folders first, for files that came a moment ago.
    #[serde(default)]
    pub rescan: bool,
}

/// `POST /v1/plugins/enable`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginRequest {
    /// The plugin's id.
    pub plugin: String,
}

/// Answer to `POST /v1/plugins/enable`: the plugin may be started again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginEnabled {
    /// The plugin's id.
    pub plugin: String,
    /// Since when it was quarantined.
    pub quarantined_ms: i64,
    /// Failures that led to it.
    pub failures: u32,
    /// The last of them.
    pub reason: String,
}

/// Answer to `POST /v1/train`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainAnswer {
    /// The run that is under way, or the number that the next one will get.
    pub run: u64,
    /// Whether it was under way already.
    pub joined: bool,
    /// The watched folders are being looked at, or a delivery is still coming in: ask again.
    pub settling: bool,
    /// Why nothing will start, if nothing will.
    pub nothing_to_do: Option<String>,
}

/// Any refusal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For people.
    pub error: String,
}
