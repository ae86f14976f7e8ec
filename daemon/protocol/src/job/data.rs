//! What it is trained and judged on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Paths of the data files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// New examples, with labels.
    pub train: PathBuf,
    /// New examples, with labels, that are not trained on and say after each epoch how training goes: by macro F1, or, for a causal
    /// model, by the answers' log-probability. None: all epochs are trained.
    #[serde(default)]
    pub validation: Option<PathBuf>,
    /// Examples of earlier updates that are watched and never trained on. None: there are none, or nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_sample: Option<OldSample>,
    /// Replay examples, with labels and, where `distill_alpha` > 0, teacher logits.
    pub replay: Option<PathBuf>,
    /// Name to file: sets that are answered by the parent (if any) before training and by the result after it.
    pub eval: BTreeMap<String, PathBuf>,
    /// The same sets in the tokens of the parent, where it has fewer term tokens; empty: they are the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub champion_eval: BTreeMap<String, PathBuf>,
    /// New examples in the tokens of the parent, which answers them before they are learned: prediction `fresh`. None: they are not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<PathBuf>,
    /// Examples whose logits under the result are wanted (candidates for the memory).
    pub candidates: Option<PathBuf>,
    /// How many examples of each of the job's labels this job and those before it learn; empty: not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<u64>,
}

/// Examples of earlier updates, with labels that the parent knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OldSample {
    /// The data file.
    pub path: PathBuf,
    /// Run and number of rows of each update that brought some, in the order of the file.
    pub eras: Vec<(u64, u64)>,
}

/// A data file is a safetensors file with these tensors. Row i of the set is `ids[offsets[i]..offsets[i+1]]`.
pub struct DataFile;

impl DataFile {
    /// I32 [total tokens]: special tokens included, already truncated, not padded.
    pub const IDS: &'static str = "ids";
    /// I64 [n + 1].
    pub const OFFSETS: &'static str = "offsets";
    /// I64 [n]: index into the job's labels, -1 where there is none (evaluation and candidates only).
    pub const LABELS: &'static str = "labels";
    /// I64 [total tokens], for tasks that answer by the token: the label of each token, or, for a causal model, the token's
    /// own id where it is part of an answer; -1 where nothing is asked. Each other tensor has one row for each token that is
    /// asked for, in this order, instead of one for each example; `labels` and `weights` stay by the example.
    pub const TOKEN_LABELS: &'static str = "token_labels";
    /// F32 [n, parent's labels]: the champion's logits (replay only). The number of columns may be smaller than the
    /// number of labels; labels beyond it were unknown to the teacher and take no part in the distillation.
    pub const TEACHER_LOGITS: &'static str = "teacher_logits";
    /// F32 [n, labels], each row summing to 1: what the label is, where that is not certain. Where it is there, training
    /// is towards these (cross entropy against a distribution), and `labels` holds the likeliest. Of examples with several
    /// labels it is the probability that each applies, apart from the others, and `labels` is -1.
    pub const LABEL_PROBABILITIES: &'static str = "label_probabilities";
    /// F32 [n]: weight of the example's loss; 1 where absent.
    pub const WEIGHTS: &'static str = "weights";
}
