//! config.json of decoders of the Llama kind, and of DeepSeek-V2 and V3.

use super::deepseek::DeepSeek;
use super::rope::{Rope, Scaling, Yarn, yarn_factor};
use serde::Deserialize;

/// The shape of a decoder. Fields are as in Hugging Face's config.json.
#[derive(Debug, Clone, Deserialize)]
pub struct DecoderConfig {
    /// Which of them it is.
    #[serde(rename = "model_type")]
    pub family: DecoderFamily,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    /// Entries of the vocabulary.
    pub vocab_size: i64,
    /// Width of the token vectors.
    pub hidden_size: i64,
    /// Width of the feed-forward layer.
    pub intermediate_size: i64,
    /// Decoder layers.
    pub num_hidden_layers: i64,
    /// Attention heads of a layer.
    pub num_attention_heads: i64,
    #[serde(default)]
    num_key_value_heads: Option<i64>,
    #[serde(default)]
    head_dim: Option<i64>,
    /// Tokens that an example can have.
    pub max_position_embeddings: i64,
    /// Epsilon of the normalisations.
    pub rms_norm_eps: f64,
    hidden_act: String,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    /// Whether the output layer is the table of embeddings.
    #[serde(default)]
    pub tie_word_embeddings: bool,
    /// As transformers 5 writes it.
    #[serde(default)]
    rope_parameters: Option<RopeFields>,
    /// As transformers 4 writes it, with `rope_scaling`.
    #[serde(default)]
    rope_theta: Option<f64>,
    #[serde(default)]
    rope_scaling: Option<RopeFields>,
    #[serde(default)]
    quantization_config: Option<Quantization>,
    /// Latent attention and experts, where the family has them.
    #[serde(skip)]
    pub deepseek: Option<DeepSeek>,
}

/// Weights in eight bits, with a factor for each block of them.
#[derive(Debug, Clone, Deserialize)]
struct Quantization {
    quant_method: String,
    #[serde(default)]
    weight_block_size: Option<[i64; 2]>,
}

/// Decoders that differ in biases and normalisations of the attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecoderFamily {
    /// Llama, and what is one by its configuration: DeepSeek-LLM, R1-Distill-Llama.
    Llama,
    /// With biases on query, key and value; R1-Distill-Qwen.
    Qwen2,
    /// With normalised queries and keys.
    Qwen3,
    /// Latent attention; experts chosen by softmax.
    DeepseekV2,
    /// Latent attention; experts chosen by sigmoid; R1.
    DeepseekV3,
}

#[derive(Debug, Clone, Deserialize)]
struct RopeFields {
    #[serde(default, alias = "type")]
    rope_type: Option<String>,
    #[serde(default)]
    rope_theta: Option<f64>,
    #[serde(default)]
    factor: Option<f64>,
    #[serde(default)]
    low_freq_factor: Option<f64>,
    #[serde(default)]
    high_freq_factor: Option<f64>,
    #[serde(default)]
    original_max_position_embeddings: Option<f64>,
    #[serde(default)]
    attention_factor: Option<f64>,
    #[serde(default)]
    beta_fast: Option<f64>,
    #[serde(default)]
    beta_slow: Option<f64>,
    #[serde(default)]
    mscale: Option<f64>,
    #[serde(default)]
    mscale_all_dim: Option<f64>,
    #[serde(default)]
    truncate: Option<bool>,
}

impl DecoderConfig {
    /// Reads and checks the text of a config.json.
    pub fn parse(text: &[u8]) -> Result<DecoderConfig, String> {
        let mut config: DecoderConfig = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        if matches!(config.family, DecoderFamily::DeepseekV2 | DecoderFamily::DeepseekV3) {
            config.deepseek = Some(DeepSeek::parse(text)?);
        }
        config.check()?;
        Ok(config)
    }

    /// Heads of keys and values; queries share them in groups of equal size.
    pub fn kv_heads(&self) -> i64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub fn head_dim(&self) -> i64 {
        self.head_dim
            .unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Whether query, key and value have biases, and the output projection.
    pub fn attention_biases(&self) -> (bool, bool) {
        match self.family {
            DecoderFamily::Qwen2 => (true, false),
            _ => (self.attention_bias, self.attention_bias),
        }
    }

    /// Whether the feed-forward layers have biases.
    pub fn mlp_bias(&self) -> bool {
        self.mlp_bias && self.family != DecoderFamily::DeepseekV3
    }

    /// Rows and columns of the blocks that share a factor, of weights in eight bits.
    pub fn weight_blocks(&self) -> Option<[i64; 2]> {
        self.quantization_config.as_ref()?.weight_block_size
    }

    /// Width of what turns with the position.
    fn rope_width(&self) -> i64 {
        self.deepseek
            .as_ref()
            .map_or(self.head_dim(), |shape| shape.qk_rope_head_dim)
    }

    fn rope_fields(&self) -> Option<&RopeFields> {
        self.rope_parameters.as_ref().or(self.rope_scaling.as_ref())
    }

    /// How much longer the context is than the one that was trained on.
    fn rope_stretch(&self, fields: &RopeFields) -> Option<f64> {
        let longest = self.max_position_embeddings as f64;
        fields.factor.or(fields
            .original_max_position_embeddings
            .map(|original| longest / original))
    }

    /// Factor of the scores of latent attention (DeepSeek-V2, appendix B; transformers' `yarn_apply_mscale`).
    pub fn score_factor(&self) -> f64 {
        let Some(fields) = self.rope_fields() else { return 1.0 };
        let scaled = fields.rope_type.as_deref().is_some_and(|kind| kind != "default");
        match (scaled, fields.mscale_all_dim, self.rope_stretch(fields)) {
            (true, Some(mscale), Some(factor)) if mscale != 0.0 => yarn_factor(factor, mscale).powi(2),
            _ => 1.0,
        }
    }

    /// How positions turn queries and keys.
    pub fn rope(&self) -> Result<Rope, String> {
        let fields = self.rope_fields();
        let theta = fields
            .and_then(|f| f.rope_theta)
            .or(self.rope_theta)
            .unwrap_or(10_000.0);
        let kind = fields.and_then(|f| f.rope_type.as_deref()).unwrap_or("default");
        let field =
            |name: &str, value: Option<f64>| value.ok_or_else(|| format!("rope scaling \"{kind}\" has no {name}"));
        let scaling = match (kind, fields) {
            ("default", _) | (_, None) => Scaling::None,
            ("linear", Some(f)) => Scaling::Linear {
                factor: field("factor", f.factor)?,
            },
            ("llama3", Some(f)) => Scaling::Llama3 {
                factor: field("factor", f.factor)?,
                low_freq_factor: field("low_freq_factor", f.low_freq_factor)?,
                high_freq_factor: field("high_freq_factor", f.high_freq_factor)?,
                original_max_position: field("original_max_position_embeddings", f.original_max_position_embeddings)?,
            },
            ("yarn", Some(f)) => Scaling::Yarn(Yarn {
                factor: field("factor", self.rope_stretch(f))?,
                original_max_position: field("original_max_position_embeddings", f.original_max_position_embeddings)?,
                beta_fast: f.beta_fast.filter(|beta| *beta != 0.0).unwrap_or(32.0),
                beta_slow: f.beta_slow.filter(|beta| *beta != 0.0).unwrap_or(1.0),
                truncate: f.truncate.unwrap_or(true),
                attention_factor: f.attention_factor,
                mscale: f
                    .mscale
                    .filter(|mscale| *mscale != 0.0)
                    .zip(f.mscale_all_dim.filter(|mscale| *mscale != 0.0)),
            }),
            (other, _) => {
                return Err(format!(
                    "rope scaling \"{other}\" is not supported; default, linear, llama3 and yarn are"
                ));
            }
        };
        Rope::new(self.rope_width(), theta, scaling)
    }

    fn check(&self) -> Result<(), String> {
        let name = match self.family {
            DecoderFamily::Llama => "Llama",
            DecoderFamily::Qwen2 => "Qwen2",
            DecoderFamily::Qwen3 => "Qwen3",
            DecoderFamily::DeepseekV2 => "DeepseekV2",
            DecoderFamily::DeepseekV3 => "DeepseekV3",
        };
        if let Some(quantization) = &self.quantization_config {
            let blocks = quantization
                .weight_block_size
                .is_some_and(|[rows, columns]| rows > 0 && columns > 0);
            if quantization.quant_method != "fp8" || !blocks {
                return Err(format!(
                    "quantization_config with quant_method \"{}\" is not supported; \"fp8\" with weight_block_size is",
                    quantization.quant_method
                ));
            }
        }
        let known = [
            "Model",
            "ForCausalLM",
            "ForSequenceClassification",
            "ForTokenClassification",
        ];
        let known = known.map(|kind| format!("{name}{kind}"));
        for architecture in self.architectures.iter().flatten() {
            if !known.contains(architecture) {
                return Err(format!(
                    "architecture \"{architecture}\" is not supported; one of {known:?} is"
                ));
            }
        }
        for (field, value, most) in [
            ("vocab_size", self.vocab_size, 4_000_000),
            ("hidden_size", self.hidden_size, 65_536),
            ("intermediate_size", self.intermediate_size, 1_048_576),
            ("num_hidden_layers", self.num_hidden_layers, 1024),
            ("num_attention_heads", self.num_attention_heads, 1024),
            ("num_key_value_heads", self.kv_heads(), 1024),
            ("head_dim", self.head_dim(), 4096),
            ("max_position_embeddings", self.max_position_embeddings, 16_777_216),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{field} is {value}; it must be between 1 and {most}"));
            }
        }
        if self.num_attention_heads % self.kv_heads() != 0 || self.head_dim() % 2 != 0 {
            return Err(format!(
                "num_attention_heads {} is not a multiple of num_key_value_heads {}, or head_dim {} is odd",
                self.num_attention_heads,
                self.kv_heads(),
                self.head_dim()
            ));
        }
        if self.hidden_act != "silu" {
            return Err(format!(
                "hidden_act \"{}\" is not supported; \"silu\" is",
                self.hidden_act
            ));
        }
        if self.use_sliding_window {
            return Err("use_sliding_window is not supported: every token sees all before it".into());
        }
        if !(self.rms_norm_eps > 0.0 && self.rms_norm_eps < 1.0) {
            return Err(format!("rms_norm_eps is {}", self.rms_norm_eps));
        }
        self.rope().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(change: impl FnOnce(&mut Value)) -> Result<DecoderConfig, String> {
        let mut config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 100, "hidden_size": 32,
            "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_act": "silu",
            "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "torch_dtype": "bfloat16"
        });
        change(&mut config);
        DecoderConfig::parse(config.to_string().as_bytes())
    }

    #[test]
    fn what_old_files_leave_out_has_llamas_defaults() {
        let config = parse(|_| ()).unwrap();
        assert_eq!(
            (config.kv_heads(), config.head_dim(), config.attention_biases()),
            (4, 8, (false, false))
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 8] = [
            (|c| c["model_type"] = json!("gpt2"), "gpt2"),
            (
                |c| c["architectures"] = json!(["MistralForCausalLM"]),
                "MistralForCausalLM",
            ),
            (|c| c["hidden_act"] = json!("gelu"), "gelu"),
            (|c| c["num_key_value_heads"] = json!(3), "multiple"),
            (|c| c["num_hidden_layers"] = json!(0), "num_hidden_layers"),
            (|c| c["use_sliding_window"] = json!(true), "use_sliding_window"),
            (
                |c| c["rope_scaling"] = json!({"type": "longrope", "factor": 4.0}),
                "longrope",
            ),
            (
                |c| c["rope_scaling"] = json!({"rope_type": "llama3", "factor": 4.0}),
                "low_freq_factor",
            ),
        ];
        for (change, word) in cases {
            let error = parse(change).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
