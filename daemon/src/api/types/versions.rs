//! Versions, and what they learned and forgot.

use super::RunView;
use crate::learn::evaluator::PluginScores;
use crate::learn::outcome::OldWork;
use crate::learn::scores::BothScores;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wengu_decide::metrics::StreamScores;
use wengu_protocol::job::{AdapterStart, Recompression, Stability};
use wengu_store::records::EraAccuracy;

/// `GET /v1/versions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionView {
    /// Its id.
    pub id: String,
    /// The run that made it.
    pub run: u64,
    /// The version it continues.
    pub parent: Option<String>,
    /// The gate's decision.
    pub decision: String,
    /// Labels it knows.
    pub labels: u64,
    /// Gate accuracy over all eras when it was judged.
    pub accuracy: f64,
    /// Whether it serves now.
    pub serving: bool,
    /// When it was adopted.
    pub created_ms: i64,
}

/// `GET /v1/versions/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionExplanation {
    /// The version.
    pub version: VersionView,
    /// Its run.
    pub run: RunView,
    /// Where it lies.
    pub path: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Files it was made from.
    pub files: u64,
    /// Examples left out of the run, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Examples in its replay memory.
    pub memory_examples: u64,
    /// Accuracy on the audit sets.
    pub audit: Vec<EraAccuracy>,
    /// Macro F1 and calibration over all gate items.
    pub scores: Option<BothScores>,
    /// What the plugin's evaluator said of the same items.
    pub plugin_scores: Option<PluginScores>,
    /// What the updates that led to it did to old and new work.
    #[serde(default)]
    pub learning: Option<StreamScores>,
    /// Share of the held-out items that were right before and are wrong after.
    #[serde(default)]
    pub negative_flip_rate: Option<f64>,
    /// What was seen of old examples while it was trained.
    #[serde(default)]
    pub old_work: Option<OldWork>,
    /// What was made of the adapter of the version that it continues.
    #[serde(default)]
    pub adapter_start: AdapterStart,
    /// What was lost when that adapter and the new one became one.
    #[serde(default)]
    pub recompression: Option<Recompression>,
    /// Items whose answer changed.
    pub flips: Vec<Flip>,
    /// SHA-256 of the base model's weights.
    pub base_sha256: String,
    /// Seed of the run.
    pub seed: u64,
    /// Plugins that labelled and segmented.
    pub plugins: Vec<String>,
}

/// `GET /v1/learning`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LearningHistory {
    /// The domain.
    pub domain: String,
    /// The version in service.
    pub serving: Option<String>,
    /// Every update that was judged, oldest first.
    pub updates: Vec<UpdateView>,
    /// The runs that led to the version in service and brought held-out items: rows and columns of the matrix.
    pub eras: Vec<u64>,
    /// Accuracy of the version of row i on the held-out items of column j.
    pub matrix: Vec<Vec<Option<f64>>>,
    /// What follows from the matrix.
    pub scores: Option<StreamScores>,
}

/// One judged update.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdateView {
    /// Its run.
    pub run: u64,
    /// The version that it made.
    pub version: Option<String>,
    /// The gate's decision.
    pub decision: String,
    /// New training examples.
    pub train_examples: u64,
    /// Examples in the version's replay memory.
    pub memory_examples: u64,
    /// When it was planned.
    pub planned_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Accuracy of all models on every era.
    pub accuracy: Vec<EraAccuracy>,
    /// Share of the held-out items that were right before and are wrong after.
    pub negative_flip_rate: Option<f64>,
    /// Accuracy on old examples while it was trained, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<Stability>,
}

/// An item that exactly one of champion and challenger has right.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flip {
    /// The run that brought the item.
    pub era: u64,
    /// The item.
    pub text_id: String,
    /// What is right.
    pub label: String,
    /// What the champion said.
    pub champion: String,
    /// What the challenger said.
    pub challenger: String,
}

/// Answer to `POST /v1/rollback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollbackAnswer {
    /// The domain.
    pub domain: String,
    /// What served before.
    pub from: String,
    /// What serves now.
    pub to: String,
    /// Files set aside.
    pub held_back_files: u64,
}
