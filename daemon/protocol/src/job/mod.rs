//! The job directory: one contract for every training engine.
//!
//! ```text
//! job.json            what to do (this module's `Job`)
//! data/*.safetensors  token ids, labels, teacher logits (see `DataFile`)
//! progress.jsonl      appended by the trainer, one `Progress` a line
//! checkpoint/         the trainer's own; removed when the job has completed
//! out/                adapter/, head/, fisher.safetensors, statistics.safetensors, predictions/
//! result.json         `JobResult`, renamed into place last
//! SHA256SUMS          digests of job.json and the data files; result.sha256 that of result.json
//! ```
//!
//! All paths in `job.json` are absolute or relative to the job directory. Cancel is SIGTERM: the trainer stops at
//! the next step, leaves a checkpoint and ends as [`JobEnd::Cancelled`] without a `result.json`; the same directory
//! started again goes on to the same result, bit for bit.

mod adapter_start;
mod base;
mod data;
pub mod layout;
mod learning;
mod method;
mod old;
mod result;
pub mod sums;

pub use adapter_start::{AdapterStart, Recompression};
pub use base::{BaseModel, Device, Precision};
pub use data::{Data, DataFile, OldSample};
pub use learning::{DistillLoss, FisherEstimate, FisherForm, Learning};
pub use method::{BOTTLENECK_FAMILIES, Bottleneck, Lora, Method, NonLinearity, Placement, PromptTuning};
pub use old::{EraStability, Mixing, MixingPoint, Stability};
pub use result::{JobEnd, JobResult, LossTerms, Phase, Progress, Repeat};

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The environment's name for the bytes of memory that a trainer may have for its data on the processor; without it there is no limit.
pub const MEMORY_LIMIT_ENV: &str = "WENGU_MEMORY_LIMIT_BYTES";

/// Version of every structure in this module. A trainer refuses a job with another one.
pub const JOB_SCHEMA: u32 = 5;

/// `job.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// [`JOB_SCHEMA`].
    pub schema: u32,
    /// Names the job in logs and results.
    pub job_id: String,
    /// Every random choice of the job follows from it.
    pub seed: u64,
    /// Threads libtorch may use. The result is the same, bit for bit, only for the same number.
    pub threads: u32,
    /// What the model answers.
    #[serde(default)]
    pub task: Task,
    /// The base model.
    pub base: BaseModel,
    /// The version to continue from: its adapter, head and labels. None: from the base model.
    pub parent: Option<Parent>,
    /// An older version that is asked beside the parent. None: there is none, or it is the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Anchor>,
    /// The label set after this job. The parent's labels are its beginning, in the same order. Empty for a causal model.
    pub labels: Vec<String>,
    /// Of labels that each apply or do not: the probability from which one applies. None: [`DEFAULT_THRESHOLD`], or another task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// What is trained.
    pub method: Method,
    /// How it is trained.
    pub learning: Learning,
    /// Keep only each layer's input in a training step, and compute the layer again for its gradients (Chen et al. 2016): less
    /// memory, a third more work, the same result.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Terms of the domain with a token of their own, in the order of their ids. The parent's are the beginning.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub term_tokens: Vec<TermToken>,
    /// What it is trained and judged on.
    pub data: Data,
}

impl Job {
    /// From this probability on a label applies.
    pub fn label_threshold(&self) -> f64 {
        self.threshold.unwrap_or(DEFAULT_THRESHOLD)
    }

    /// Whether a new adapter is trained beside the parent's.
    pub fn begins_beside_parent(&self) -> bool {
        let has_parents = self.parent.as_ref().is_some_and(|parent| parent.adapter.is_some());
        has_parents && self.learning.adapter_start != AdapterStart::Continue
    }
}

/// What a model answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One label for an example.
    #[default]
    SequenceClassification,
    /// Any number of labels for an example, each of which applies or does not.
    MultiLabelClassification,
    /// One label for each token that is asked for.
    TokenClassification,
    /// The next token, for each token of an answer.
    CausalLm,
}

impl Task {
    /// Whether an answer is about an example as a whole, and not about each of its tokens.
    pub fn is_by_text(self) -> bool {
        matches!(self, Task::SequenceClassification | Task::MultiLabelClassification)
    }
}

/// From this probability on a label applies, where nothing else is said.
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// A token that was appended to the base model's vocabulary. Its embedding begins as the mean of its pieces' embeddings
/// (Gee et al. 2022, "Fast Vocabulary Transfer", section 3) and is trained; no other embedding is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermToken {
    /// The term.
    pub text: String,
    /// Its id: one more than that of the term before it, the first beyond every id of the base model's tokenizer.
    pub id: u32,
    /// The ids that the base model's tokenizer gives it.
    pub pieces: Vec<u32>,
}

/// The version that the job continues.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parent {
    /// A version's `adapter/` folder. None where the parent trained a head only.
    pub adapter: Option<PathBuf>,
    /// A version's `head/` folder (`head.safetensors` with `classifier.weight` [C, H] and `classifier.bias` [C]). None for a
    /// causal model, whose head is the base model's.
    pub head: Option<PathBuf>,
    /// The labels of the parent's head, in order.
    pub labels: Vec<String>,
    /// The parent's accumulated Fisher and anchor. None switches the EWC penalty off.
    pub fisher: Option<PathBuf>,
    /// The parent's class means and covariance, with the head that goes on. None: that is the head as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics: Option<PathBuf>,
    /// How many of the job's term tokens its adapter has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term_tokens: u32,
}

impl Job {
    /// Every data file that the job names, once, in the order of their names.
    pub fn data_files(&self) -> BTreeSet<&Path> {
        let data = &self.data;
        let asked = self.anchor.iter().flat_map(|anchor| anchor.eval.values());
        let sets = asked.chain(data.eval.values()).chain(data.champion_eval.values());
        let old = data.old_sample.iter().map(|old| &old.path);
        let others = [&data.validation, &data.replay, &data.candidates, &data.fresh];
        let others = others.into_iter().flatten().chain([&data.train]).chain(old);
        sets.chain(others).map(PathBuf::as_path).collect()
    }
}

/// A version against which slow slides show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// The version. Its labels are the first of the job's.
    pub version: Parent,
    /// Name to file, in its own tokens: sets that it answers.
    pub eval: BTreeMap<String, PathBuf>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}
