//! Hyper-parameters that are fitted.

use crate::learn::tune::{Report, Setting};
use serde::{Deserialize, Serialize};
use wengu_protocol::job::Progress;

/// `POST /v1/tune`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TuneRequest {
    /// The domain.
    pub domain: String,
    /// Candidates, the settings as they are among them.
    pub trials: u32,
    /// Draws candidates and parts; None: the domain's.
    #[serde(default)]
    pub seed: Option<u64>,
    /// After so many minutes of training no further trial is begun.
    #[serde(default)]
    pub max_minutes: Option<u32>,
    /// Say what would be tried, and begin nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// `GET /v1/tune`, and the answer to `POST /v1/tune`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TuneView {
    /// The domain.
    pub domain: String,
    /// `never`, `planned` (of a dry run), `running`, `done` or `failed`.
    pub state: String,
    /// Why it failed.
    pub message: Option<String>,
    /// Why nothing is trained for it now.
    pub waits: Option<String>,
    /// When it was asked for.
    pub asked_ms: Option<i64>,
    /// When it came to its end.
    pub ended_ms: Option<i64>,
    /// What a trainer does for it.
    pub stage: Option<String>,
    /// The trainer's last word.
    pub progress: Option<Progress>,
    /// What was tried last, or is being tried.
    pub report: Option<Report>,
    /// What the next run uses, and where each value comes from.
    pub settings: Vec<Setting>,
}
