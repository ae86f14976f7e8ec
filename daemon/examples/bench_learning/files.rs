//! What a run reads, and what it writes.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wengu::learn::outcome::OldWork;
use wengu_decide::metrics::StreamScores;
use wengu_protocol::job::{Learning, Phase, Task};

#[derive(Deserialize)]
pub struct Stream {
    pub name: String,
    pub task: Task,
    pub max_length: u32,
    pub deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
pub struct Delivery {
    pub train: Vec<Record>,
    pub test: Vec<Record>,
}

#[derive(Deserialize)]
pub struct Record {
    pub text: String,
    pub label: String,
}

/// `run.json`.
#[derive(Serialize)]
pub struct Run {
    pub stream: String,
    pub mode: String,
    pub seed: u64,
    /// What the method changes in the defaults.
    pub settings: String,
    /// All of them.
    pub learning: Learning,
    pub memory_bytes: u64,
    pub stream_bytes: u64,
    pub updates: Vec<Update>,
    /// R[i][j]: accuracy, or span F1, of version i on the test set of delivery j.
    pub matrix: Vec<Vec<Option<f64>>>,
    pub scores: Option<StreamScores>,
    /// Share of all last answers that are right.
    pub overall: f64,
    /// Mean over the updates after the first of the share of answers that were right before and are wrong after.
    pub negative_flips: Option<f64>,
    /// Mean over the updates of [`Stability::gap`], where it was measured.
    pub stability_gap: Option<f64>,
    /// WC-ACC after the last update.
    pub worst_case_accuracy: Option<f64>,
    pub wall_s: f64,
    pub peak_memory_bytes: u64,
}

#[derive(Serialize)]
pub struct Update {
    pub examples: usize,
    pub train_s: f64,
    /// Seconds in the EWC penalty, of those in `train_s`.
    pub penalty_s: f64,
    /// Seconds of each phase of the job.
    pub phase_s: BTreeMap<Phase, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_work: Option<OldWork>,
    pub wall_s: f64,
    pub memory_examples: usize,
    pub memory_bytes: u64,
    pub kept_bytes: u64,
    /// What was lost when a new adapter and the one before became one, as a share of what both change.
    pub adapter_lost: Option<f64>,
    pub promoted_by_the_gate: bool,
}
