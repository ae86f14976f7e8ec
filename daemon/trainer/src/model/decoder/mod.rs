//! Decoders of the Llama kind (Touvron et al. 2023), base weights frozen: Llama, Qwen2, Qwen3, and DeepSeek-V2 and V3 with their
//! own attention and experts.

mod cache;
mod config;
mod deepseek;
mod gated;
mod grouped;
mod latent;
mod mixture;
mod norm;
mod rope;

pub use cache::Cache;
pub use config::{DecoderConfig, DecoderFamily};

use super::bottleneck::SubLayer;
use super::compute::unseen;
use super::lora::Linear;
use super::pass::Pass;
use super::weights::Weights;
use crate::error::TrainerError;
use gated::Gated;
use grouped::GroupedQuery;
use latent::Latent;
use mixture::Mixture;
use norm::RmsNorm;
use rope::Rope;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// The decoder, from embedded tokens to vectors.
pub struct Decoder {
    layers: Vec<Layer>,
    norm: RmsNorm,
    rope: Rope,
}

/// What all layers of one pass share.
pub struct Shared {
    cos: Tensor,
    sin: Tensor,
    /// Added to the attention's scores.
    bias: Tensor,
}

struct Layer {
    input_norm: RmsNorm,
    attention: Attention,
    attention_norm: RmsNorm,
    feed_forward: FeedForward,
}

enum Attention {
    Grouped(Box<GroupedQuery>),
    Latent(Box<Latent>),
}

enum FeedForward {
    Dense(Box<Gated>),
    Experts(Box<Mixture>),
}

impl Layer {
    fn load(weights: &Weights, config: &DecoderConfig, index: i64) -> Result<Layer, TrainerError> {
        let name = |part: &str| format!("layers.{index}.{part}");
        let (hidden, bias) = (config.hidden_size, config.mlp_bias());
        let norm = |part: &str| RmsNorm::load(weights, &name(part), hidden, config.rms_norm_eps);
        let attention = match &config.deepseek {
            None => Attention::Grouped(Box::new(GroupedQuery::load(weights, &name("self_attn"), config)?)),
            Some(shape) => Attention::Latent(Box::new(Latent::load(weights, &name("self_attn"), config, shape)?)),
        };
        let feed_forward = match &config.deepseek {
            Some(shape) if shape.has_experts(index) => {
                FeedForward::Experts(Box::new(Mixture::load(weights, &name("mlp"), hidden, bias, shape)?))
            }
            _ => {
                let width = config.intermediate_size;
                FeedForward::Dense(Box::new(Gated::load(weights, &name("mlp"), hidden, width, bias)?))
            }
        };
        Ok(Layer {
            input_norm: norm("input_layernorm")?,
            attention,
            attention_norm: norm("post_attention_layernorm")?,
            feed_forward,
        })
    }

    fn linears(&mut self) -> Vec<&mut Linear> {
        let latent = matches!(self.attention, Attention::Latent(_));
        let mut all = match &mut self.attention {
            Attention::Grouped(attention) => attention.linears(),
            Attention::Latent(attention) => attention.linears(),
        };
        match (latent, &mut self.feed_forward) {
            (false, FeedForward::Dense(gated)) => all.extend(gated.linears()),
            // In a model with experts, `gate_proj` and its like mean the routed experts to peft (0.21), not the dense layers and
            // not the shared experts. Adapting others of these names would not load there.
            (true, FeedForward::Experts(mixture)) => all.extend(mixture.linears()),
            (true, FeedForward::Dense(_)) | (false, FeedForward::Experts(_)) => {}
        }
        all
    }
}

impl Decoder {
    /// Takes its tensors from the weights.
    pub fn load(weights: &Weights, config: &DecoderConfig) -> Result<Decoder, TrainerError> {
        let layers = (0..config.num_hidden_layers).map(|index| Layer::load(weights, config, index));
        let rope = config
            .rope()
            .map_err(|message| TrainerError::new(JobEnd::BadModel, message))?;
        Ok(Decoder {
            layers: layers.collect::<Result<_, TrainerError>>()?,
            norm: RmsNorm::load(weights, "norm", config.hidden_size, config.rms_norm_eps)?,
            rope,
        })
    }

    /// The linear layers that can be adapted, in the model's order.
    pub fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().flat_map(Layer::linears)
    }

    /// What all layers share, for embedded tokens [b, t, hidden] and a mask [b, read + t], after `read` tokens that a cache
    /// holds. A token sees the tokens before it and itself, among those that have the same number in the mask: 0 is padding,
    /// numbers above 1 are further examples in the same row.
    pub fn begin(&self, words: &Tensor, mask: &Tensor, read: i64) -> Result<Shared, TrainerError> {
        let (cos, sin) = self.rope.tables(read, words.size()[1], words.device())?;
        let bias = causal_bias(mask, read, words.kind())?;
        Ok(Shared { cos, sin, bias })
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
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
        let layer = &self.layers[index];
        let seen = layer.input_norm.forward(input)?;
        let slot = cache.map(|cache| (cache, index));
        let attended = match &layer.attention {
            Attention::Grouped(attention) => attention.forward(&seen, shared, slot, pass)?,
            Attention::Latent(attention) => attention.forward(&seen, shared, slot, pass)?,
        };
        let hidden = pass.join((index, SubLayer::Attention), &attended, input, Ok)?;
        let seen = layer.attention_norm.forward(&hidden)?;
        let said = match &layer.feed_forward {
            FeedForward::Dense(gated) => gated.forward(&seen, pass)?,
            FeedForward::Experts(mixture) => mixture.forward(&seen, pass)?,
        };
        pass.join((index, SubLayer::FeedForward), &said, &hidden, Ok)
    }

    /// The last layer's vectors, normalised.
    pub fn finish(&self, hidden: &Tensor) -> Result<Tensor, TrainerError> {
        self.norm.forward(hidden)
    }
}

/// What is added to the attention's scores, [b, 1, t, read + t], for a mask [b, read + t]: 0 where a token may look, a very
/// small number elsewhere. Finite, so that a row of nothing but padding does not become NaN.
fn causal_bias(mask: &Tensor, read: i64, kind: Kind) -> Result<Tensor, TrainerError> {
    let all = mask.size()[1];
    let before = Tensor::f_ones([all, all], (Kind::Float, mask.device()))?
        .f_tril(0)?
        .f_narrow(0, read, all - read)?;
    let same = mask
        .f_narrow(1, read, all - read)?
        .f_unsqueeze(2)?
        .f_eq_tensor(&mask.f_unsqueeze(1)?)?;
    let token = mask.f_gt(0.0)?.f_unsqueeze(1)?;
    let seen = same
        .f_logical_and(&token)?
        .f_to_kind(Kind::Float)?
        .f_mul(&before)?
        .f_unsqueeze(1)?;
    let hidden = seen.f_neg()?.f_add_scalar(1.0)?;
    Ok(hidden.f_mul_scalar(unseen(kind))?)
}
