//! Everything that a run is made of, as one object of the store. A run that was interrupted is prepared again from its
//! manifest, whatever has changed in the pool or in the configuration meanwhile.

use super::examples::LabelSource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wengu_protocol::job;
use wengu_store::Hash;

/// Version of [`Manifest`].
pub const MANIFEST_SCHEMA: u32 = 1;

/// What a run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`].
    pub schema: u32,
    /// The domain.
    pub domain: String,
    /// What the model answers.
    #[serde(default)]
    pub task: job::Task,
    /// The run.
    pub run: u64,
    /// The run that this one makes again, without what had to be forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<u64>,
    /// The version in service when the run was planned, or the one that it makes a run again for.
    pub parent: Option<String>,
    /// Files whose examples take part: record key to examples object.
    pub files: BTreeMap<String, Hash>,
    /// The label set after the run; the parent's labels come first.
    pub labels: Vec<String>,
    /// Of labels that each apply or do not: the probability from which one does. None: the task has no such labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Terms with a token of their own, in the order of their ids; the parent's come first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// New training examples.
    pub train: Vec<Item>,
    /// New examples that are not trained on and say when to stop.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub validation: Vec<Item>,
    /// New examples that the version in service is asked about, and that are not learned yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    /// New gate items: the era of this run.
    pub gate: Vec<Item>,
    /// New items of the reserve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserve: Vec<Item>,
    /// New audit items.
    pub audit: Vec<Item>,
    /// New items of the checklist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Item>,
    /// Examples that take no part, with the reason.
    pub dropped: Vec<Dropped>,
    /// Base model folder and digests.
    pub base: job::BaseModel,
    /// What is trained.
    pub method: job::Method,
    /// Hyper-parameters.
    pub learning: job::Learning,
    /// Whether layers are computed again for their gradients, to save memory.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Tokens a document is cut to.
    pub max_length: u32,
    /// Bound of the memory of the version that comes out.
    pub memory_bytes: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Seed of the replay memory: the same for every run of the domain, or recent examples would crowd out old ones.
    pub memory_seed: u64,
    /// Threads of the trainer.
    pub threads: u32,
    /// How it is judged.
    pub gate_rules: wengu_decide::gate::GateConfig,
    /// The version against which slow slides show, where it is not the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<String>,
    /// Comparisons to measure after the verdict.
    pub baselines: Vec<String>,
    /// Plugin ids with version and digest that labelled and segmented the examples.
    pub plugins: Vec<String>,
    /// Version of wengu that planned the run.
    pub code_version: String,
}

/// One example of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// [`super::examples::text_id`].
    pub text_id: String,
    /// The examples object it stands in.
    pub examples: Hash,
    /// Its place there.
    pub ordinal: u32,
    /// Its label.
    pub label: String,
    /// Where the label comes from.
    pub source: LabelSource,
    /// Its case: items of one case stand or fall together. None in manifests from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// The language of its text: see [`super::language`]. None in manifests from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// As [`super::examples::Example::slices`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
    /// [`wengu_decide::near::fingerprint`] of its text. None in manifests from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub near: Option<u64>,
}

impl Manifest {
    /// Every item that is never learned from.
    pub fn held_out(&self) -> impl Iterator<Item = &Item> {
        let sets = [&self.gate, &self.reserve, &self.audit, &self.checklist];
        sets.into_iter().flatten()
    }

    /// Whether the next version's memory has logits: there is one, and they are not as many as a causal model's.
    pub fn keeps_logits(&self) -> bool {
        self.task != job::Task::CausalLm && self.memory_bytes > 0
    }
}

/// An example of a source that is new.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// The source.
    pub source: String,
    /// The example.
    pub item: Item,
}

/// An example that takes no part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dropped {
    /// The examples object it stands in.
    pub examples: Hash,
    /// Its place there.
    pub ordinal: u32,
    /// For people.
    pub reason: String,
    /// It waits for its label to be learned, for its source's turn, or for a person: later runs look at it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waiting: bool,
}
