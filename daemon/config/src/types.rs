//! What the rest of wengu sees of the configuration: checked values with units in their names, defaults filled in,
//! paths absolute.

use crate::problem::Problem;
use crate::section::Position;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
/// What a promotion takes.
pub use wengu_decide::gate::GateMode;
use wengu_protocol::job::FisherEstimate;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// Where all state lives.
    pub state_dir: PathBuf,
    /// The control socket; `state_dir/wengu.sock` unless set.
    pub socket: PathBuf,
    /// How training jobs are run.
    pub trainer: Trainer,
    /// Base models by name.
    pub models: BTreeMap<String, Model>,
    /// Domains by name.
    pub domains: BTreeMap<String, Domain>,
    /// Webhook endpoints by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// What is allowed but looks like a mistake.
    pub warnings: Vec<Problem>,
    /// Where each key stands in the file.
    pub(crate) positions: BTreeMap<String, Position>,
}

/// `[trainer]`.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// Program and leading arguments; the job directory is appended. Default: `wengu-trainer` beside `wengu`, or on PATH.
    pub command: Option<Vec<String>>,
    /// Threads for libtorch; 0 means all cores. Recorded in every job.
    pub threads: u32,
    /// A job that writes no progress for this long is stopped.
    pub no_progress: Duration,
    /// A job that runs longer is stopped.
    pub deadline: Duration,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
}

/// `[models.NAME]`.
#[derive(Debug, Clone)]
pub struct Model {
    /// A Hugging Face folder.
    pub path: PathBuf,
}

/// `[domains.NAME]`.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The table's name.
    pub name: String,
    /// Watched folders.
    pub watch: Vec<PathBuf>,
    /// Id of an installed plugin; None: records bring their labels, and text goes as it is.
    pub plugin: Option<String>,
    /// Name of a `[models.*]` table.
    pub model: String,
    /// `[domains.NAME.intake]`.
    pub intake: Intake,
    /// `[domains.NAME.schedule]`.
    pub schedule: Schedule,
    /// `[domains.NAME.learning]`.
    pub learning: Learning,
    /// `[domains.NAME.gate]`.
    pub gate: Gate,
}

/// `[domains.NAME.intake]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// Field of structured records that holds the text.
    pub text_field: String,
    /// Field that holds the gold label.
    pub label_field: String,
    /// Field that names the case file; without it a file is one case.
    pub case_field: Option<String>,
    /// A file is taken when size, mtime and inode have stood still this long.
    pub settle: Duration,
    /// Period of the full scan that backs up file-system events.
    pub rescan: Duration,
    /// Larger files are quarantined.
    pub max_file_bytes: u64,
    /// Encoding label for files without a BOM that are not UTF-8; None: detect.
    pub encoding: Option<String>,
    /// Weak labels below this confidence count as no label.
    pub min_confidence: f64,
}

/// `[domains.NAME.schedule]`.
pub use wengu_decide::schedule::ScheduleConfig as Schedule;

/// `[domains.NAME.learning]`. Names and meaning as in the job.
#[derive(Debug, Clone, PartialEq)]
pub struct Learning {
    /// Root of all seeds of this domain.
    pub seed: u64,
    /// LoRA rank.
    pub rank: u32,
    /// LoRA alpha.
    pub alpha: f64,
    /// LoRA dropout.
    pub dropout: f64,
    /// Linear layers that get an adapter.
    pub target_modules: Vec<String>,
    /// Tokens a document is cut to.
    pub max_length: u32,
    /// Passes over the new examples.
    pub epochs: u32,
    /// New examples a step.
    pub batch_size: u32,
    /// Micro-batches a step.
    pub accumulation: u32,
    /// Peak rate of the adapter.
    pub learning_rate: f64,
    /// Peak rate of the head.
    pub head_learning_rate: f64,
    /// AdamW weight decay.
    pub weight_decay: f64,
    /// Share of warm-up steps.
    pub warmup_fraction: f64,
    /// Gradient norm limit.
    pub clip_norm: f64,
    /// Dropout before the head.
    pub head_dropout: f64,
    /// Replay share of a batch.
    pub replay_ratio: f64,
    /// Weight of distillation.
    pub distill_alpha: f64,
    /// Temperature of distillation.
    pub distill_temperature: f64,
    /// Weight of the EWC penalty.
    pub ewc_lambda: f64,
    /// How the Fisher information is estimated.
    pub fisher: FisherEstimate,
    /// Examples the Fisher is estimated on.
    pub fisher_examples: u32,
    /// Decay of the old Fisher.
    pub fisher_decay: f64,
    /// Bound of the replay memory, text and logits counted.
    pub memory_bytes: u64,
    /// Comparisons trained and reported with every update, never promoted: "head_only", "plain".
    pub baselines: Vec<String>,
}

/// `[domains.NAME.gate]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Percent of the case files held out for the gate.
    pub gate_percent: u32,
    /// Percent of the case files held out for audits.
    pub audit_percent: u32,
    /// Level of the one-sided McNemar mid-p test that says "regressed".
    pub alpha: f64,
    /// Points of accuracy that a promotion may at worst cost (upper confidence bound of the drop).
    pub margin_points: f64,
    /// With fewer items than this no verdict but `hold` is given.
    pub min_items: u64,
    /// Eras with fewer items are reported, never judged.
    pub min_era_items: u64,
    /// `require_noninferiority` (default) or `promote_unless_regressed`.
    pub mode: GateMode,
}

/// `[webhooks.NAME]`.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The table's name.
    pub name: String,
    /// http or https.
    pub url: String,
    /// File with a `whsec_…` secret (several lines: all sign, for rotation).
    pub secret_file: PathBuf,
    /// Event types sent here; empty: all.
    pub events: Vec<String>,
    /// One attempt's limit.
    pub timeout: Duration,
    /// Plain http to a host that is not loopback is refused unless set.
    pub allow_http: bool,
}
