//! What the trainer says: progress, results, ends.

use super::{Mixing, Recompression, Stability};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of `progress.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// [`super::JOB_SCHEMA`].
    pub schema: u32,
    /// What the job is doing.
    pub phase: Phase,
    /// Steps of this phase that are done.
    pub step: u64,
    /// Steps of this phase in all.
    pub total: u64,
    /// Mean loss terms since the last line; absent outside `train`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<LossTerms>,
    /// Learning rate of the adapter at this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub learning_rate: Option<f64>,
    /// Tokens a second since the last line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_s: Option<f64>,
    /// Seconds that this phase still takes, by what it took so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_s: Option<f64>,
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading and checking the model and the data.
    Load,
    /// The parent answers the evaluation sets.
    PredictChampion,
    /// The parent answers the new examples, and the remembered ones where class statistics are kept.
    Teach,
    /// Optimizer steps.
    Train,
    /// The model so far answers the validation set, or the old examples that are watched.
    Validate,
    /// The result answers the evaluation sets.
    PredictChallenger,
    /// Fisher information of the result.
    Fisher,
    /// Logits of the candidates for the memory.
    Candidates,
    /// Class means and covariance of the result.
    Statistics,
    /// Writing the results.
    Write,
}

/// The terms of the objective, each with its factor applied; they add up to `total`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossTerms {
    /// Sum of the others.
    pub total: f64,
    /// Cross entropy on new examples.
    pub new: f64,
    /// Cross entropy on replay examples.
    pub replay: f64,
    /// Distillation, on replay and on new examples.
    pub distill: f64,
    /// EWC penalty.
    pub ewc: f64,
    /// What keeps a new adapter at right angles to the parent's.
    #[serde(default)]
    pub orthogonal: f64,
}

/// `result.json`. Its presence says that the job has ended for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// [`super::JOB_SCHEMA`].
    pub schema: u32,
    /// As in the job.
    pub job_id: String,
    /// How it ended.
    pub end: JobEnd,
    /// For people: what was wrong, where, what to do. Empty when completed.
    pub message: String,
    /// Optimizer steps taken.
    pub steps: u64,
    /// Steps whose gradient was not finite and that were skipped.
    pub skipped_steps: u64,
    /// Wall seconds spent in the train phase over all starts of the job.
    pub train_seconds: f64,
    /// Of those, seconds in the EWC penalty and its gradient. On a CUDA device, which computes on while the processor goes ahead, this is
    /// when they were asked for.
    #[serde(default)]
    pub penalty_seconds: f64,
    /// Wall seconds of each phase, of the last start of the job. Training is without the looks in between, which are
    /// [`Phase::Validate`].
    #[serde(default)]
    pub phase_seconds: BTreeMap<Phase, f64>,
    /// The epoch whose weights the result has, from 1, where there is a validation set.
    #[serde(default)]
    pub best_epoch: Option<u32>,
    /// Its score on that set.
    #[serde(default)]
    pub validation_score: Option<f64>,
    /// Mean loss terms of the last epoch.
    pub last_epoch_loss: Option<LossTerms>,
    /// What was lost when the parent's adapter and the new one became one. None where there was one all along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recompression: Option<Recompression>,
    /// What the parent said when it was asked again. None without a parent.
    #[serde(default)]
    pub repeat: Option<Repeat>,
    /// How the share of new examples was moved. None where `replay_ratio` stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixing: Option<Mixing>,
    /// Accuracy on old examples meanwhile. None where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<Stability>,
    /// File under the job directory to lowercase hex SHA-256: all of `out/`.
    pub outputs: BTreeMap<String, String>,
}

/// The A/A check: the same model, the same items, the same batches. Any difference is noise of the evaluation itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// Answers that were asked for twice.
    pub answers: u64,
    /// Answers that were not the same: another label, or, of a causal model, a token that became or ceased to be the likeliest.
    pub differ: u64,
}

/// Every way in which the trainer itself can say that a job ended. (Signals and silence are named by the daemon.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEnd {
    /// All outputs are there.
    Completed,
    /// Stopped by SIGTERM or SIGINT; there is a checkpoint and no result.json.
    Cancelled,
    /// job.json is missing, malformed, of another schema, or contradicts itself.
    BadJob,
    /// A model, adapter or Fisher file is missing, corrupt, of another digest or of the wrong shape.
    BadModel,
    /// A data file is missing, malformed or out of range.
    BadData,
    /// A label index outside the declared labels, or labels that do not begin with the parent's.
    UnknownLabel,
    /// The loss or the gradient was not finite several steps running.
    NanLoss,
    /// libtorch could not allocate.
    OutOfMemory,
    /// The disk refused a write.
    WriteFailed,
    /// A bug: anything else, with the text of the failure.
    Internal,
}

impl JobEnd {
    /// The trainer's exit code for this end.
    pub fn exit_code(self) -> u8 {
        match self {
            JobEnd::Completed => 0,
            JobEnd::Cancelled => 10,
            JobEnd::BadJob => 11,
            JobEnd::BadModel => 12,
            JobEnd::BadData => 13,
            JobEnd::UnknownLabel => 14,
            JobEnd::NanLoss => 15,
            JobEnd::OutOfMemory => 16,
            JobEnd::WriteFailed => 17,
            JobEnd::Internal => 18,
        }
    }
}
