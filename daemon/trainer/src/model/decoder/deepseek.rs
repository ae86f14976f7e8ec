//! What config.json says of DeepSeek-V2, V3 and R1 beside what all decoders have.

use serde::Deserialize;

/// Attention over latent vectors, and experts.
#[derive(Debug, Clone, Deserialize)]
pub struct DeepSeek {
    model_type: String,
    /// Rank of the queries' own projection; none where it is a single layer.
    #[serde(default)]
    pub q_lora_rank: Option<i64>,
    /// Width of the vector that keys and values are read from.
    pub kv_lora_rank: i64,
    /// Part of a head's query and key without a position.
    pub qk_nope_head_dim: i64,
    /// Part of them that turns with the position.
    pub qk_rope_head_dim: i64,
    /// Width of a head's value.
    pub v_head_dim: i64,
    /// Experts that a router chooses from. 0: every layer is dense.
    #[serde(default)]
    pub n_routed_experts: i64,
    /// Experts that read every token, written as one layer of their common width.
    #[serde(default)]
    pub n_shared_experts: i64,
    /// Experts that read a token.
    #[serde(default)]
    pub num_experts_per_tok: i64,
    /// Width of an expert.
    #[serde(default)]
    pub moe_intermediate_size: i64,
    /// Layers before the first with experts.
    #[serde(default)]
    first_k_dense_replace: i64,
    #[serde(default)]
    moe_layer_freq: Option<i64>,
    #[serde(default)]
    topk_method: Option<String>,
    #[serde(default)]
    scoring_func: Option<String>,
    #[serde(default)]
    n_group: Option<i64>,
    #[serde(default)]
    topk_group: Option<i64>,
    /// Whether the weights of a token's experts are made to add up to 1 (V3).
    #[serde(default)]
    pub norm_topk_prob: bool,
    /// Factor of the experts' weights.
    #[serde(default = "one")]
    pub routed_scaling_factor: f64,
    #[serde(default)]
    rope_interleave: Option<bool>,
    /// Layers after the last that predict further tokens; they take no part here.
    #[serde(default)]
    num_nextn_predict_layers: i64,
}

/// How experts are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// The likeliest (V2-Lite).
    Softmax,
    /// The likeliest of the groups whose best expert is likeliest (V2).
    SoftmaxInGroups,
    /// By sigmoid and a correction, of the groups with the best two (V3, R1).
    Sigmoid,
}

fn one() -> f64 {
    1.0
}

impl DeepSeek {
    /// Reads and checks the text of a config.json.
    pub fn parse(text: &[u8]) -> Result<DeepSeek, String> {
        let config: DeepSeek = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        config.check()?;
        Ok(config)
    }

    fn is_v3(&self) -> bool {
        self.model_type == "deepseek_v3"
    }

    /// How experts are chosen.
    pub fn routing(&self) -> Routing {
        match (self.is_v3(), self.topk_method.as_deref()) {
            (true, _) => Routing::Sigmoid,
            (false, Some("group_limited_greedy")) => Routing::SoftmaxInGroups,
            (false, _) => Routing::Softmax,
        }
    }

    /// Width of a head's query and key.
    pub fn query_width(&self) -> i64 {
        self.qk_nope_head_dim + self.qk_rope_head_dim
    }

    /// Whether numbers 2i and 2i + 1 turn together, rather than i and i + half.
    pub fn interleaved(&self) -> bool {
        !self.is_v3() || self.rope_interleave.unwrap_or(true)
    }

    /// Whether the layer has experts.
    pub fn has_experts(&self, layer: i64) -> bool {
        self.n_routed_experts > 0
            && layer >= self.first_k_dense_replace
            && layer % self.moe_layer_freq.unwrap_or(1) == 0
    }

    /// Groups that experts are in.
    pub fn groups(&self) -> i64 {
        self.n_group.unwrap_or(1)
    }

    /// Groups that a token's experts are chosen from.
    pub fn best_groups(&self) -> i64 {
        self.topk_group.unwrap_or(1)
    }

    /// What the names of the layers after the last begin with.
    pub fn further_layers(&self, layers: i64) -> Vec<String> {
        let further = layers..layers + self.num_nextn_predict_layers;
        further.map(|index| format!("model.layers.{index}.")).collect()
    }

    fn check(&self) -> Result<(), String> {
        for (field, value) in [
            ("kv_lora_rank", self.kv_lora_rank),
            ("qk_nope_head_dim", self.qk_nope_head_dim),
            ("qk_rope_head_dim", self.qk_rope_head_dim),
            ("v_head_dim", self.v_head_dim),
            ("q_lora_rank", self.q_lora_rank.unwrap_or(1)),
            ("moe_layer_freq", self.moe_layer_freq.unwrap_or(1)),
            ("n_group", self.groups()),
        ] {
            if !(1..=65_536).contains(&value) {
                return Err(format!("{field} is {value}; it must be between 1 and 65536"));
            }
        }
        if !(0..=64).contains(&self.num_nextn_predict_layers) || self.qk_rope_head_dim % 2 != 0 {
            return Err("num_nextn_predict_layers is not between 0 and 64, or qk_rope_head_dim is odd".into());
        }
        if self.n_routed_experts == 0 {
            return Ok(());
        }
        for (field, value, most) in [
            ("n_routed_experts", self.n_routed_experts, 65_536),
            ("moe_intermediate_size", self.moe_intermediate_size, 1_048_576),
            ("num_experts_per_tok", self.num_experts_per_tok, self.n_routed_experts),
            ("topk_group", self.best_groups(), self.groups()),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{field} is {value}; it must be between 1 and {most}"));
            }
        }
        if !(0..=1024).contains(&self.n_shared_experts) {
            return Err(format!("n_shared_experts is {}", self.n_shared_experts));
        }
        let known: &[&str] = if self.is_v3() {
            &["noaux_tc"]
        } else {
            &["greedy", "group_limited_greedy"]
        };
        if let Some(method) = self.topk_method.as_deref().filter(|method| !known.contains(method)) {
            return Err(format!("topk_method \"{method}\" is not supported; {known:?} is"));
        }
        let scoring = if self.is_v3() { "sigmoid" } else { "softmax" };
        if let Some(other) = self.scoring_func.as_deref().filter(|func| *func != scoring) {
            return Err(format!("scoring_func \"{other}\" is not supported; \"{scoring}\" is"));
        }
        let of_a_group = self.n_routed_experts / self.groups();
        let least = if self.is_v3() { 2 } else { 1 };
        if self.n_routed_experts % self.groups() != 0 || of_a_group < least {
            return Err(format!(
                "{} experts cannot be in {} groups",
                self.n_routed_experts,
                self.groups()
            ));
        }
        if self.routing() != Routing::Softmax && self.best_groups() * of_a_group < self.num_experts_per_tok {
            return Err("topk_group leaves fewer experts than num_experts_per_tok".into());
        }
        Ok(())
    }
}
