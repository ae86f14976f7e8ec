//! `wengu model` and `wengu export`.

use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// `wengu export`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The daemon need not run. The folder must not exist; it has its name only when it is whole.\n\nExamples:\n  wengu export contracts --merged models/contracts-17\n  wengu export contracts --adapter adapters/contracts-17 --version 0017-5c7bb5f9139b"
)]
pub struct ExportArgs {
    /// The domain
    pub domain: String,
    /// What is written, and where
    #[command(flatten)]
    pub target: ExportTarget,
    /// The version [default: the one in service]
    #[arg(long, value_name = "ID")]
    pub version: Option<String>,
    /// How numbers are written [default: as in the base model]
    #[arg(long, value_enum, conflicts_with = "adapter")]
    pub dtype: Option<Dtype>,
}

/// What is written.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct ExportTarget {
    /// A model that transformers loads, the adapter merged into its weights
    #[arg(long, value_name = "FOLDER")]
    pub merged: Option<PathBuf>,
    /// The adapter alone, as PEFT loads it, or AdapterHub's library what the method "bottleneck" trained
    #[arg(long, value_name = "FOLDER")]
    pub adapter: Option<PathBuf>,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Dtype {
    /// 32 bits
    F32,
    /// 16 bits with F32's range; merging rounds
    Bf16,
    /// 16 bits; merging rounds
    F16,
}

/// `wengu model`.
#[derive(Debug, ClapArgs)]
pub struct ModelArgs {
    /// What to do
    #[command(subcommand)]
    pub action: ModelAction,
}

/// `wengu model …`.
#[derive(Debug, Subcommand)]
pub enum ModelAction {
    /// Download a model from the Hugging Face hub, going on where an earlier try was cut (HF_ENDPOINT names a mirror, HF_TOKEN a
    /// token; HF_HUB_OFFLINE=1 takes it from the cache in HF_HOME)
    #[command(after_help = "Example:\n  HF_ENDPOINT=https://hf-mirror.com wengu model pull BAAI/bge-small-zh-v1.5")]
    Pull {
        /// ORGANISATION/NAME
        repo: String,
        /// Revision: a branch, a tag or a commit
        #[arg(long, default_value = "main")]
        revision: String,
        /// Where to put it [default: models/NAME beside the configuration]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Check a model folder and print the lines that the configuration needs
    Add {
        /// A Hugging Face folder
        dir: PathBuf,
    },
    /// Parameters, what each method trains of them, and the memory that training and serving take (an estimate)
    Info(ModelInfoArgs),
}

/// `wengu model info`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  wengu model info models/Qwen2.5-0.5B --rank 16 --lengths 512,4096")]
pub struct ModelInfoArgs {
    /// A Hugging Face folder
    pub folder: PathBuf,
    /// Rank of the adapter
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub rank: u64,
    /// Labels of the head
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub labels: u64,
    /// Tokens of a trained prompt
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub prompt_tokens: u64,
    /// How many times narrower than the model bottleneck adapters are
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub reduction_factor: u32,
    /// Examples at once in training
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub batch: u64,
    /// Lengths to tell the memory for, in tokens
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512, 2048], value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    pub lengths: Vec<u64>,
}
