//! What `wengu-trainer merge SPEC.json` takes and answers: a version written as a model folder of its own.

use crate::job::{BaseModel, Method, Parent, Task, TermToken};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Version of every structure in this module. A trainer refuses another one.
pub const MERGE_SCHEMA: u32 = 1;

/// The specification. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// [`MERGE_SCHEMA`].
    pub schema: u32,
    /// What the model answers.
    pub task: Task,
    /// The base model that the version adapts.
    pub base: BaseModel,
    /// The version's adapter, head and labels.
    pub version: Parent,
    /// How it was trained.
    pub method: Method,
    /// Terms with a token of their own, in the order of their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub term_tokens: Vec<TermToken>,
    /// How the numbers are written; None: each tensor as the base model has it.
    pub precision: Option<Precision>,
    /// An empty folder; config.json, the weights and, where it stays apart, the head are written into it.
    pub out: PathBuf,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits with F32's range; 8 bits of precision.
    Bf16,
    /// 16 bits with 11 bits of precision.
    F16,
}

/// What was written, one line of JSON on standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merged {
    /// [`MERGE_SCHEMA`].
    pub schema: u32,
    /// The class of transformers that loads the folder.
    pub class: String,
    /// Why the head lies in `head/` beside the encoder; None: it is in the model, or there is none.
    pub head_apart: Option<String>,
}
