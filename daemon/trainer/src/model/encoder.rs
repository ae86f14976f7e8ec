//! The base model without heads: from token ids to vectors.

use super::bert::Bert;
use super::bottleneck::SubLayer;
use super::compute::Compute;
use super::config::{BertConfig, Family};
use super::decoder::{self, Cache, Decoder, DecoderConfig};
use super::lora::Linear;
use super::pass::Pass;
use super::pooling::Pooling;
use super::weights::{TensorFiles, Weights};
use crate::error::TrainerError;
use serde::Deserialize;
use std::path::Path;
use tch::Tensor;
use wengu_protocol::job::{JobEnd, Task};
use wengu_protocol::model_files;

/// The base model without heads.
pub struct Encoder {
    body: Body,
    word_embeddings: Tensor,
    /// A causal model's output layer, [vocabulary, hidden], where the task needs it.
    pub output: Option<Tensor>,
    /// Where the parts of this encoder are in the model with a head.
    prefix: &'static str,
    /// Attention heads of a layer.
    pub heads: i64,
    /// As config.json has it.
    pub model_type: String,
    /// What the names of layers begin with that predict further tokens, which are not read.
    pub further_layers: Vec<String>,
    /// Rows and columns of the blocks that weights of eight bits have factors for.
    weight_blocks: Option<[i64; 2]>,
    /// What it takes.
    pub limits: ModelLimits,
}

/// What a base model takes and gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelLimits {
    /// Entries of its vocabulary.
    pub vocab_size: i64,
    /// Tokens that an example can have.
    pub max_tokens: i64,
    /// Width of its vectors.
    pub hidden_size: i64,
}

/// What all layers of one pass share.
pub enum Shared {
    /// What is added to the attention's scores.
    Bert(Tensor),
    /// That, and the rotary positions.
    Decoder(decoder::Shared),
}

enum Body {
    Bert(Box<Bert>),
    Decoder(Box<Decoder>),
}

#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

impl Encoder {
    /// Loads the part of the folder's model that the task needs, and tells how its vectors become one embedding.
    pub fn load(folder: &Path, task: Task, compute: Compute) -> Result<(Encoder, Pooling), TrainerError> {
        let path = folder.join("config.json");
        let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
        let text = model_files::read(&path, model_files::CONFIG_BYTES_MAX).map_err(|e| bad(&e))?;
        let ModelType { model_type } = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
        let files = TensorFiles::open(folder)?;
        let weights = files.parse()?.computed(compute);
        match model_type.as_str() {
            "bert" | "xlm-roberta" | "roberta" => {
                let config = BertConfig::parse(&text).map_err(|message| bad(&message))?;
                let default = match config.family {
                    Family::Bert => Pooling::Pooler,
                    Family::Roberta => Pooling::Mean,
                };
                if task == Task::CausalLm {
                    return Err(bad(&format!(
                        "a {model_type} model does not write text; a decoder does"
                    )));
                }
                let pooling = Pooling::load(folder, default)?;
                let with_pooler = pooling == Pooling::Pooler && task.is_by_text();
                bert(weights, &config, with_pooler, model_type).map(|encoder| (encoder, pooling))
            }
            "llama" | "qwen2" | "qwen3" | "deepseek_v2" | "deepseek_v3" => {
                let config = DecoderConfig::parse(&text).map_err(|message| bad(&message))?;
                let pooling = Pooling::load(folder, Pooling::Last)?;
                if pooling == Pooling::Pooler {
                    return Err(bad(&"a decoder has no pooler"));
                }
                let weights = weights.in_blocks(config.weight_blocks());
                causal(weights, &config, task, model_type).map(|encoder| (encoder, pooling))
            }
            other => {
                let known = "bert, xlm-roberta, roberta, llama, qwen2, qwen3, deepseek_v2 and deepseek_v3";
                Err(bad(&format!("model_type \"{other}\" is not supported; {known} are")))
            }
        }
    }

    /// Vectors of the last layer, [b, t, hidden], from ids [b, t] and a mask [b, t] of 1 and 0. A decoder also takes numbers
    /// above 1 (further examples in the row), and a cache.
    pub fn forward(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        mut cache: Option<&mut Cache>,
        pass: &mut Pass,
    ) -> Result<Tensor, TrainerError> {
        let read = cache.as_ref().map_or(0, |cache| cache.tokens());
        let (mut hidden, shared) = self.begin(ids, mask, read, pass)?;
        for index in 0..self.layers() {
            hidden = self.layer(index, &hidden, &shared, cache.as_deref_mut(), pass)?;
        }
        self.finish(&hidden)
    }

    /// What the first layer reads, [b, t, hidden], and what all layers share. `read` tokens are in a cache.
    pub fn begin(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        read: i64,
        pass: &mut Pass,
    ) -> Result<(Tensor, Shared), TrainerError> {
        let words = pass.look_up(&self.word_embeddings, ids)?;
        match &self.body {
            Body::Bert(bert) => {
                let (hidden, bias) = bert.begin(&words, mask)?;
                Ok((hidden, Shared::Bert(bias)))
            }
            Body::Decoder(decoder) => {
                let shared = decoder.begin(&words, mask, read)?;
                Ok((words, Shared::Decoder(shared)))
            }
        }
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        match &self.body {
            Body::Bert(bert) => bert.layers(),
            Body::Decoder(decoder) => decoder.layers(),
        }
    }

    /// What the names of this layer's parts begin with.
    pub fn layer_prefix(&self, index: usize) -> String {
        match &self.body {
            Body::Bert(_) => format!("encoder.layer.{index}."),
            Body::Decoder(_) => format!("layers.{index}."),
        }
    }

    /// Path of the module that a bottleneck behind this sub-layer belongs to, as the `adapters` library has it.
    pub fn bottleneck_module(&self, index: usize, sub_layer: SubLayer) -> String {
        let part = match (&self.body, sub_layer) {
            (Body::Bert(_), SubLayer::Attention) => "attention.output",
            (Body::Bert(_), SubLayer::FeedForward) => "output",
            (Body::Decoder(_), SubLayer::Attention) => "attention_adapters",
            (Body::Decoder(_), SubLayer::FeedForward) => "output_adapters",
        };
        self.layer_prefix(index) + part
    }

    /// What one layer makes of its input, [b, t, hidden].
    pub fn layer(
        &self,
        index: usize,
        input: &Tensor,
        shared: &Shared,
        cache: Option<&mut Cache>,
        pass: &mut Pass,
    ) -> Result<Tensor, TrainerError> {
        match (&self.body, shared) {
            (Body::Bert(bert), Shared::Bert(bias)) => bert.layer(index, input, bias, pass),
            (Body::Decoder(decoder), Shared::Decoder(shared)) => decoder.layer(index, input, shared, cache, pass),
            _ => Err(TrainerError::new(JobEnd::Internal, "a pass was begun by another model")),
        }
    }

    /// What comes after the last layer, [b, t, hidden].
    pub fn finish(&self, hidden: &Tensor) -> Result<Tensor, TrainerError> {
        match &self.body {
            Body::Bert(_) => Ok(hidden.shallow_clone()),
            Body::Decoder(decoder) => decoder.finish(hidden),
        }
    }

    /// BERT's pooled embedding of the first token's vector, [b, hidden].
    pub fn pooler(&self, first: &Tensor, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        match &self.body {
            Body::Bert(bert) => bert.pooler(first, pass),
            Body::Decoder(_) => Ok(first.shallow_clone()),
        }
    }

    /// Rows and columns of the blocks of weights of eight bits.
    pub fn weight_blocks(&self) -> Option<[i64; 2]> {
        self.weight_blocks
    }

    /// The embeddings of the base model's vocabulary, [vocabulary, hidden].
    pub fn word_embeddings(&self) -> &Tensor {
        &self.word_embeddings
    }

    /// The same, to be replaced.
    pub fn word_embeddings_mut(&mut self) -> &mut Tensor {
        &mut self.word_embeddings
    }

    /// The name of the table of embeddings, as PEFT names it.
    pub fn word_embeddings_name(&self) -> &'static str {
        match self.body {
            Body::Bert(_) => "embeddings.word_embeddings",
            Body::Decoder(_) => "embed_tokens",
        }
    }

    /// What the names of its parts begin with in the model with a head, as PEFT names them.
    pub fn prefix(&self) -> &'static str {
        self.prefix
    }

    /// The linear layers that can be adapted, in the model's order.
    pub fn linears(&mut self) -> Vec<&mut Linear> {
        match &mut self.body {
            Body::Bert(bert) => bert.linears().collect(),
            Body::Decoder(decoder) => decoder.linears().collect(),
        }
    }
}

/// The encoder of a file of the bare encoder, or of one with heads, whose names begin with the family's prefix.
fn bert(
    mut weights: Weights,
    config: &BertConfig,
    with_pooler: bool,
    model_type: String,
) -> Result<Encoder, TrainerError> {
    if !weights.has("embeddings.word_embeddings.weight") {
        weights = weights.below(config.family.prefix());
    }
    if with_pooler && !weights.has(&format!("{}.weight", super::bert::POOLER_DENSE)) {
        let message = "there is no pooler; say in 1_Pooling/config.json how token vectors become one embedding";
        return Err(TrainerError::at(JobEnd::BadModel, weights.path(), message));
    }
    let limits = ModelLimits {
        vocab_size: config.vocab_size,
        max_tokens: config.max_tokens(),
        hidden_size: config.hidden_size,
    };
    let shape = [config.vocab_size, config.hidden_size];
    let word_embeddings = weights.tensor("embeddings.word_embeddings.weight", &shape)?;
    let body = Body::Bert(Box::new(Bert::load(&weights, config, with_pooler)?));
    // Known, and not used here: the pooler beside another pooling, the table of position ids, heads.
    let unused = ["embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias"];
    refuse_surplus(&weights, &unused, &config.family.heads())?;
    Ok(Encoder {
        body,
        word_embeddings,
        output: None,
        prefix: config.family.prefix(),
        heads: config.num_attention_heads,
        model_type,
        further_layers: Vec::new(),
        weight_blocks: None,
        limits,
    })
}

/// The decoder of a file of the bare decoder, or of a causal language model, whose names begin with `model.`.
fn causal(
    mut weights: Weights,
    config: &DecoderConfig,
    task: Task,
    model_type: String,
) -> Result<Encoder, TrainerError> {
    let shape = [config.vocab_size, config.hidden_size];
    let output = match task {
        Task::CausalLm if !config.tie_word_embeddings => Some(weights.tensor("lm_head.weight", &shape)?),
        _ => None,
    };
    if !weights.has("embed_tokens.weight") {
        weights = weights.below("model.");
    }
    let limits = ModelLimits {
        vocab_size: config.vocab_size,
        max_tokens: config.max_position_embeddings,
        hidden_size: config.hidden_size,
    };
    let word_embeddings = weights.tensor("embed_tokens.weight", &shape)?;
    let output = output.or_else(|| (task == Task::CausalLm).then(|| word_embeddings.shallow_clone()));
    let body = Body::Decoder(Box::new(Decoder::load(&weights, config)?));
    let further = config.deepseek.as_ref();
    let further = further
        .map(|shape| shape.further_layers(config.num_hidden_layers))
        .unwrap_or_default();
    let unused: Vec<&str> = further
        .iter()
        .map(String::as_str)
        .chain(["lm_head.", "score."])
        .collect();
    refuse_surplus(&weights, &[], &unused)?;
    Ok(Encoder {
        body,
        word_embeddings,
        output,
        prefix: "model.",
        heads: config.num_attention_heads,
        model_type,
        further_layers: further,
        weight_blocks: config.weight_blocks(),
        limits,
    })
}

/// Tensors that the model has not taken and that are not known to be useless here: another model than it seems.
fn refuse_surplus(weights: &Weights, unused: &[&str], heads: &[&str]) -> Result<(), TrainerError> {
    let mut surplus = weights.untaken();
    surplus.retain(|name| {
        let below = weights.name_below_prefix(name);
        // Old checkpoints have the tables of rotary positions, which follow from the configuration.
        let rotary = below.ends_with("rotary_emb.inv_freq");
        !(unused.contains(&below) || rotary || heads.iter().any(|head| name.starts_with(head)))
    });
    match surplus.first() {
        None => Ok(()),
        Some(name) => {
            let message = format!("{} unexpected tensors, the first of them {name}", surplus.len());
            Err(TrainerError::at(JobEnd::BadModel, weights.path(), message))
        }
    }
}
