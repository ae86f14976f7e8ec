//! config.json of the base model: what this trainer can run, checked before anything is allocated.

use serde::Deserialize;

/// The BERT family's shape. Fields are as in Hugging Face's config.json.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct BertConfig {
    /// Which of the family it is.
    #[serde(rename = "model_type")]
    pub family: Family,
    /// Id of the padding token; the RoBERTa family counts positions from it on.
    #[serde(default)]
    pad_token_id: Option<i64>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default = "absolute")]
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    /// Entries of the vocabulary.
    pub vocab_size: i64,
    /// Width of the token vectors.
    pub hidden_size: i64,
    /// Encoder layers.
    pub num_hidden_layers: i64,
    /// Attention heads of a layer.
    pub num_attention_heads: i64,
    /// Width of the feed-forward layer.
    pub intermediate_size: i64,
    /// Rows of the table of positions.
    pub max_position_embeddings: i64,
    /// Segment kinds.
    pub type_vocab_size: i64,
    /// Epsilon of the layer normalisations.
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layer.
    pub hidden_act: Activation,
}

/// Encoders that differ in names, in how positions are counted, and in little else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Family {
    /// BERT: positions are counted from 0, padding or not.
    #[serde(rename = "bert")]
    Bert,
    /// XLM-RoBERTa and RoBERTa: the tokens that are no padding are counted, from the padding id + 1 on.
    #[serde(rename = "xlm-roberta", alias = "roberta")]
    Roberta,
}

impl Family {
    /// What the encoder's tensors are below, in a file of a model with heads.
    pub fn prefix(self) -> &'static str {
        match self {
            Family::Bert => "bert.",
            Family::Roberta => "roberta.",
        }
    }

    /// What the names of tensors begin with that belong to heads and are not used here.
    pub fn heads(self) -> [&'static str; 2] {
        match self {
            Family::Bert => ["cls.", "classifier."],
            Family::Roberta => ["lm_head.", "classifier."],
        }
    }

    fn architectures(self) -> &'static [&'static str] {
        match self {
            Family::Bert => &[
                "BertModel",
                "BertForPreTraining",
                "BertForMaskedLM",
                "BertForSequenceClassification",
                "BertForTokenClassification",
                "BertForNextSentencePrediction",
            ],
            Family::Roberta => &[
                "XLMRobertaModel",
                "XLMRobertaForMaskedLM",
                "XLMRobertaForSequenceClassification",
                "XLMRobertaForTokenClassification",
                "RobertaModel",
                "RobertaForMaskedLM",
                "RobertaForSequenceClassification",
                "RobertaForTokenClassification",
            ],
        }
    }
}

/// Activations of the BERT family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Activation {
    /// With the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// The tanh approximation.
    #[serde(rename = "gelu_new", alias = "gelu_pytorch_tanh")]
    GeluTanh,
    /// Rectifier.
    #[serde(rename = "relu")]
    Relu,
}

fn absolute() -> Option<String> {
    Some("absolute".into())
}

impl BertConfig {
    /// Reads and checks the text of a config.json.
    pub fn parse(text: &[u8]) -> Result<BertConfig, String> {
        let config: BertConfig = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Position of the first token.
    pub fn first_position(&self) -> i64 {
        match self.family {
            Family::Bert => 0,
            Family::Roberta => self.pad_token_id.unwrap_or(1).saturating_add(1),
        }
    }

    /// Tokens that an example can have.
    pub fn max_tokens(&self) -> i64 {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    fn check(&self) -> Result<(), String> {
        let known = self.family.architectures();
        for name in self.architectures.iter().flatten() {
            if !known.contains(&name.as_str()) {
                return Err(format!("architecture \"{name}\" is not supported; one of {known:?} is"));
            }
        }
        if self
            .position_embedding_type
            .as_deref()
            .is_some_and(|kind| kind != "absolute")
            || self.is_decoder
        {
            return Err("only encoders with absolute position embeddings are supported".into());
        }
        for (field, value, most) in [
            ("vocab_size", self.vocab_size, 4_000_000),
            ("hidden_size", self.hidden_size, 16_384),
            ("num_hidden_layers", self.num_hidden_layers, 256),
            ("num_attention_heads", self.num_attention_heads, 1024),
            ("intermediate_size", self.intermediate_size, 131_072),
            ("max_position_embeddings", self.max_position_embeddings, 1_048_576),
            ("type_vocab_size", self.type_vocab_size, 1024),
        ] {
            if !(1..=most).contains(&value) {
                return Err(format!("{field} is {value}; it must be between 1 and {most}"));
            }
        }
        if self.max_tokens() < 1 || self.first_position() < 0 {
            let pad = self.first_position() - 1;
            return Err(format!("pad_token_id {pad} leaves no position for a token"));
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            let (hidden, heads) = (self.hidden_size, self.num_attention_heads);
            return Err(format!(
                "hidden_size {hidden} is not a multiple of num_attention_heads {heads}"
            ));
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(format!("layer_norm_eps is {}", self.layer_norm_eps));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn load(change: impl FnOnce(&mut serde_json::Value)) -> Result<BertConfig, String> {
        let mut config = json!({
            "architectures": ["BertModel"], "model_type": "bert", "vocab_size": 100, "hidden_size": 32,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "hidden_act": "gelu",
            "max_position_embeddings": 64, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "unknown_field": [1]
        });
        change(&mut config);
        BertConfig::parse(config.to_string().as_bytes())
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        assert_eq!(load(|_| ()).unwrap().hidden_size, 32);
        type Change = fn(&mut serde_json::Value);
        let cases: [(Change, &str); 9] = [
            (|c| c["model_type"] = json!("llama"), "llama"),
            (|c| c["architectures"] = json!(["BertLMHeadModel"]), "BertLMHeadModel"),
            (|c| c["position_embedding_type"] = json!("relative_key"), "absolute"),
            (|c| c["is_decoder"] = json!(true), "encoders"),
            (|c| c["num_hidden_layers"] = json!(1_000_000_000), "num_hidden_layers"),
            (|c| c["vocab_size"] = json!(0), "vocab_size"),
            (|c| c["num_attention_heads"] = json!(5), "multiple"),
            (|c| c["hidden_act"] = json!("silu"), "silu"),
            (|c| c["layer_norm_eps"] = json!(0.0), "layer_norm_eps"),
        ];
        for (change, word) in cases {
            let error = load(change).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
