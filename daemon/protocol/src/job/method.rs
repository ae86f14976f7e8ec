//! What is trained beside the head.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Names of modules that are trained whole, as PEFT's `modules_to_save`, without the head: "pooler", "embed_tokens", "lm_head".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
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
            modules_to_save: Vec::new(),
            use_rslora: false,
            use_dora: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }
}
