//! The job directory: one contract for every training engine.
//!
//! ```text
//! job.json            what to do (this module's `Job`)
//! data/*.safetensors  token ids, labels, teacher logits (see `DataFile`)
//! progress.jsonl      appended by the trainer, one `Progress` a line
//! checkpoint/         the trainer's own; removed when the job has completed
//! out/                adapter/, head/, fisher.safetensors, predictions/
//! result.json         `JobResult`, renamed into place last
//! ```
//!
//! All paths in `job.json` are absolute or relative to the job directory. Cancel is SIGTERM: the trainer stops at
//! the next step, leaves a checkpoint and ends as [`JobEnd::Cancelled`] without a `result.json`; the same directory
//! started again goes on to the same result, bit for bit.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Version of every structure in this module. A trainer refuses a job with another one.
pub const JOB_SCHEMA: u32 = 4;

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
    /// The label set after this job. The parent's labels are its beginning, in the same order. Empty for a causal model.
    pub labels: Vec<String>,
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

/// What a model answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One label for an example.
    #[default]
    SequenceClassification,
    /// One label for each token that is asked for.
    TokenClassification,
    /// The next token, for each token of an answer.
    CausalLm,
}

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

/// A Hugging Face folder, by path, with the digests that its files must have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseModel {
    /// The folder with config.json and model.safetensors.
    pub path: PathBuf,
    /// File name to lowercase hex SHA-256. A file that differs ends the job as [`JobEnd::BadModel`].
    pub sha256: BTreeMap<String, String>,
    /// The numbers that the frozen weights are held and multiplied in. What is trained is F32 always.
    #[serde(default)]
    pub precision: Precision,
    /// Where it computes.
    #[serde(default)]
    pub device: Device,
}

/// Numbers of the frozen weights, and of what flows between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32 bits.
    #[default]
    Fp32,
    /// 16 bits with the exponent of 32 (bfloat16): half the memory, and faster where the processor multiplies them.
    Bf16,
}

/// Where a model computes: `"auto"`, `"cpu"` or `"cuda:N"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The first CUDA device where libtorch finds one, otherwise the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        match device {
            Device::Auto => "auto".into(),
            Device::Cpu => "cpu".into(),
            Device::Cuda(number) => format!("cuda:{number}"),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Device, String> {
        let number = |text: &str| text.strip_prefix("cuda:")?.parse().ok();
        match text.as_str() {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            other => number(other)
                .map(Device::Cuda)
                .ok_or_else(|| format!("`{text}` is no device; write \"auto\", \"cpu\" or \"cuda:0\"")),
        }
    }
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
    /// How many of the job's term tokens its adapter has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub term_tokens: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "name", rename_all = "snake_case")]
pub enum Method {
    /// Low-rank adapters (Hu et al. 2021) and the classification head.
    Lora(Lora),
    /// Embeddings of virtual tokens that stand before each example (Lester et al. 2021), and the classification head.
    PromptTuning(PromptTuning),
    /// Two small layers with a non-linearity between them behind sub-layers of the model (Houlsby et al. 2019; Pfeiffer et al. 2020),
    /// and the classification head. Of BERT, RoBERTa, XLM-RoBERTa and Llama.
    Bottleneck(Bottleneck),
    /// The base model stays as it is; only the head is trained.
    HeadOnly,
}

impl Method {
    /// Why what it trains cannot become part of the base model's weights; None where it can.
    pub fn why_not_merged(&self) -> Option<&'static str> {
        match self {
            Method::Lora(_) | Method::HeadOnly => None,
            Method::PromptTuning(_) => Some(
                "a trained prompt stands before every text and is part of no weight, so it cannot be merged; export the \
                 adapter alone",
            ),
            Method::Bottleneck(_) => Some(
                "a bottleneck adapter has a non-linearity of its own and is part of no weight, so it cannot be merged; export the \
                 adapter alone",
            ),
        }
    }

    /// Tokens that the model reads before each example.
    pub fn virtual_tokens(&self) -> u32 {
        match self {
            Method::PromptTuning(prompt) => prompt.virtual_tokens,
            Method::Lora(_) | Method::Bottleneck(_) | Method::HeadOnly => 0,
        }
    }
}

/// A prompt. Named as in PEFT's PromptTuningConfig, without "num_".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptTuning {
    /// Virtual tokens before each example. They count among the tokens that the base model takes.
    pub virtual_tokens: u32,
}

/// `model_type` of the models that AdapterHub's library gives bottleneck adapters a place in, of those that wengu trains.
pub const BOTTLENECK_FAMILIES: [&str; 4] = ["bert", "roberta", "xlm-roberta", "llama"];

/// Bottleneck adapters. Fields are named as in AdapterHub's BnConfig.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bottleneck {
    /// Behind which sub-layers they stand.
    pub placement: Placement,
    /// The width between the two layers is the model's divided by it, and at least 1.
    pub reduction_factor: u32,
    /// What is between the two layers.
    pub non_linearity: NonLinearity,
}

impl Bottleneck {
    /// The width between the two layers, of a model of this width.
    pub fn width(&self, hidden: u64) -> u64 {
        (hidden / u64::from(self.reduction_factor.max(1))).max(1)
    }
}

/// Behind which sub-layers bottleneck adapters stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Behind each feed-forward layer (Pfeiffer et al. 2020).
    SeqBn,
    /// Behind each attention and each feed-forward layer (Houlsby et al. 2019).
    DoubleSeqBn,
}

impl Placement {
    /// Adapters in each layer.
    pub fn per_layer(self) -> u64 {
        match self {
            Placement::SeqBn => 1,
            Placement::DoubleSeqBn => 2,
        }
    }
}

/// Activations of bottleneck adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonLinearity {
    /// Rectifier.
    Relu,
    /// `x sigmoid(x)`, also called SiLU.
    Swish,
    /// With the error function.
    Gelu,
    /// Its tanh approximation.
    GeluNew,
    /// Hyperbolic tangent.
    Tanh,
}

/// A low-rank adapter. Fields are named as in PEFT's LoraConfig.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Rank r of the adapter.
    pub rank: u32,
    /// The update is scaled by alpha / rank.
    pub alpha: f64,
    /// Dropout on the adapter's input, in [0, 1).
    pub dropout: f64,
    /// Names of the linear layers, as PEFT's `target_modules` (suffix match): "query", "value".
    pub target_modules: Vec<String>,
    /// Scaled by alpha / sqrt(rank) instead (Kalajdzievski 2023).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_rslora: bool,
    /// The rows of the adapted weight keep a length of their own, which is trained (DoRA, Liu et al. 2024).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub use_dora: bool,
    /// Regular expression for the end of a layer's name to the layer's own rank.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rank_pattern: BTreeMap<String, u32>,
    /// The same for alpha.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alpha_pattern: BTreeMap<String, f64>,
}

impl Lora {
    /// The largest rank that a layer can have.
    pub fn largest_rank(&self) -> u32 {
        self.rank_pattern.values().copied().fold(self.rank, u32::max)
    }
}

impl Default for Lora {
    fn default() -> Lora {
        Lora {
            rank: 8,
            alpha: 16.0,
            dropout: 0.0,
            target_modules: Vec::new(),
            use_rslora: false,
            use_dora: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }
}

/// Hyper-parameters. The objective is
/// `CE(new) + CE(replay) + alpha D(replay) + alpha_new T^2 KL(teacher || student) on new + lambda/2 sum F (W - W*)^2`,
/// where D is one of [`DistillLoss`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learning {
    /// Passes over the new examples, at most.
    pub epochs: u32,
    /// Epochs in a row that may do no better on the validation set than the best before them; then training ends. The result has the
    /// best epoch's weights. Counts only where there is a validation set.
    #[serde(default)]
    pub patience: u32,
    /// New examples in one optimizer step, before accumulation is split.
    pub batch_size: u32,
    /// Micro-batches that one optimizer step is split into.
    pub accumulation: u32,
    /// Peak learning rate of the adapter.
    pub learning_rate: f64,
    /// Peak learning rate of the head.
    pub head_learning_rate: f64,
    /// Decoupled weight decay (AdamW) on adapter and head weights; biases are not decayed.
    pub weight_decay: f64,
    /// Share of the steps in which the rate rises linearly from 0; then it falls linearly to 0.
    pub warmup_fraction: f64,
    /// Global gradient norm above which gradients are scaled down.
    pub clip_norm: f64,
    /// Dropout on the pooled embedding before the head.
    pub head_dropout: f64,
    /// Replay examples in a step, as a share of `batch_size`. 0 switches replay off.
    pub replay_ratio: f64,
    /// Weight alpha of the distillation term on replay. 0 switches it off.
    pub distill_alpha: f64,
    /// What distillation on replay is measured by.
    #[serde(default)]
    pub distill_loss: DistillLoss,
    /// Weight of the distillation term on the new examples, which the parent answers before the first step (Learning without
    /// Forgetting, Li and Hoiem 2016). 0 switches it off. It keeps no text.
    #[serde(default)]
    pub distill_new_alpha: f64,
    /// Temperature T of the distillation term.
    pub distill_temperature: f64,
    /// Strength tau of the correction of logits for labels that are more or less frequent in a step than in all that was
    /// learned ([`Data::learned`]): the cross entropy is of `logits + tau log(share in the step / share in all)` (Menon et al.
    /// 2021, "Long-tail learning via logit adjustment", eq. 10). 0 switches it off, and so does a job without replay.
    #[serde(default)]
    pub prior_correction: f64,
    /// Weight lambda of the EWC penalty. 0 switches it off.
    pub ewc_lambda: f64,
    /// How the Fisher information of the result is estimated.
    pub fisher: FisherEstimate,
    /// Examples (drawn by seed from the training data) that the Fisher is estimated on. 0: no Fisher is written.
    pub fisher_examples: u32,
    /// Decay of the parent's Fisher when the new one is added (online EWC): F = decay * F_old + F_new.
    pub fisher_decay: f64,
    /// Steps between checkpoints.
    pub checkpoint_steps: u32,
}

/// What distillation on replay is measured by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistillLoss {
    /// `T^2 KL(teacher || student)` (Hinton et al. 2015), on the examples whose cross entropy is taken.
    #[default]
    Kl,
    /// The mean squared distance of the logits, on examples of their own beside those whose cross entropy is taken: dark experience
    /// replay, DER++ (Buzzega et al. 2020, eq. 6).
    Logits,
}

/// Estimators of the diagonal Fisher information (van de Ven 2025, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FisherEstimate {
    /// Expectation over the model's own predictive distribution.
    Exact,
    /// One label drawn from the model's own predictive distribution per example.
    Sampled,
    /// The label in the data.
    Empirical,
}

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
    /// Replay examples, with labels and, where `distill_alpha` > 0, teacher logits.
    pub replay: Option<PathBuf>,
    /// Name to file: sets that are answered by the parent (if any) before training and by the result after it.
    pub eval: BTreeMap<String, PathBuf>,
    /// The same sets in the tokens of the parent, where it has fewer term tokens; empty: they are the same.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub champion_eval: BTreeMap<String, PathBuf>,
    /// Examples whose logits under the result are wanted (candidates for the memory).
    pub candidates: Option<PathBuf>,
    /// How many examples of each of the job's labels this job and those before it learn; empty: not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<u64>,
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
    /// is towards these (cross entropy against a distribution), and `labels` holds the likeliest.
    pub const LABEL_PROBABILITIES: &'static str = "label_probabilities";
    /// F32 [n]: weight of the example's loss; 1 where absent.
    pub const WEIGHTS: &'static str = "weights";
}

/// One line of `progress.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// [`JOB_SCHEMA`].
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading and checking the model and the data.
    Load,
    /// The parent answers the evaluation sets.
    PredictChampion,
    /// Optimizer steps.
    Train,
    /// The model so far answers the validation set.
    Validate,
    /// The result answers the evaluation sets.
    PredictChallenger,
    /// Fisher information of the result.
    Fisher,
    /// Logits of the candidates for the memory.
    Candidates,
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
}

/// `result.json`. Its presence says that the job has ended for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// [`JOB_SCHEMA`].
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
    /// The epoch whose weights the result has, from 1, where there is a validation set.
    #[serde(default)]
    pub best_epoch: Option<u32>,
    /// Its score on that set.
    #[serde(default)]
    pub validation_score: Option<f64>,
    /// Mean loss terms of the last epoch.
    pub last_epoch_loss: Option<LossTerms>,
    /// File under the job directory to lowercase hex SHA-256: all of `out/`.
    pub outputs: BTreeMap<String, String>,
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

/// Paths inside a job directory.
pub mod layout {
    /// The job.
    pub const JOB: &str = "job.json";
    /// One [`super::Progress`] a line.
    pub const PROGRESS: &str = "progress.jsonl";
    /// The result.
    pub const RESULT: &str = "result.json";
    /// Adapter of the result as PEFT keeps it, or of method `bottleneck` as AdapterHub's library does. None where only a head was trained.
    pub const ADAPTER: &str = "out/adapter";
    /// `head.safetensors` and `labels.json`.
    pub const HEAD: &str = "out/head";
    /// Fisher and anchor of the result.
    pub const FISHER: &str = "out/fisher.safetensors";
    /// `out/predictions/champion/NAME.safetensors`: tensor `logits`, F32 [n, parent's labels]. With a causal model instead the
    /// tensor `answers`, F32 [answer tokens, 2]: the log-probability of the token, and 1 where it was the likeliest.
    pub const CHAMPION: &str = "out/predictions/champion";
    /// `out/predictions/challenger/NAME.safetensors`: tensor `logits`, F32 [n, labels], or `answers` likewise.
    pub const CHALLENGER: &str = "out/predictions/challenger";
    /// `out/candidates.safetensors`: tensor `logits`, F32 [n, labels].
    pub const CANDIDATES: &str = "out/candidates.safetensors";
}
