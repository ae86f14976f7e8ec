//! Decoders of the Llama kind (Touvron et al. 2023): Llama, Qwen2, Qwen3, base weights frozen.

mod cache;
mod config;
mod rope;

pub use cache::Cache;
pub use config::{DecoderConfig, DecoderFamily};

use super::compute::{for_attention, unseen};
use super::lora::Linear;
use super::pass::Pass;
use super::weights::Weights;
use crate::error::TrainerError;
use rope::{Rope, turned};
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// The decoder, from embedded tokens to vectors.
pub struct Decoder {
    layers: Vec<Layer>,
    norm: RmsNorm,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
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
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Of each head's queries and keys, where the family has them.
    head_norms: Option<(RmsNorm, RmsNorm)>,
    attention_norm: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// Root mean square normalisation (Zhang and Sennrich 2019).
struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    fn load(weights: &Weights, name: &str, width: i64, eps: f64) -> Result<RmsNorm, TrainerError> {
        let weight = weights.tensor(&format!("{name}.weight"), &[width])?;
        Ok(RmsNorm { weight, eps })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TrainerError> {
        let wide = input.f_to_kind(Kind::Float)?;
        let mean = wide.f_square()?.f_mean_dim(-1, true, Kind::Float)?;
        let scaled = wide.f_mul(&mean.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        Ok(scaled.f_to_kind(input.kind())?.f_mul(&self.weight)?)
    }
}

impl Decoder {
    /// Takes its tensors from the weights.
    pub fn load(weights: &Weights, config: &DecoderConfig) -> Result<Decoder, TrainerError> {
        let (hidden, inner, eps) = (config.hidden_size, config.intermediate_size, config.rms_norm_eps);
        let (heads, kv_heads, head_dim) = (config.num_attention_heads, config.kv_heads(), config.head_dim());
        let (qkv_bias, output_bias) = config.attention_biases();
        let layers = (0..config.num_hidden_layers).map(|index| {
            let name = |part: &str| format!("layers.{index}.{part}");
            let linear = |part: &str, inputs, outputs, bias| Linear::load(weights, name(part), inputs, outputs, bias);
            let norm = |part: &str, width| RmsNorm::load(weights, &name(part), width, eps);
            let head_norms = match config.family {
                DecoderFamily::Qwen3 => {
                    Some((norm("self_attn.q_norm", head_dim)?, norm("self_attn.k_norm", head_dim)?))
                }
                DecoderFamily::Llama | DecoderFamily::Qwen2 => None,
            };
            Ok(Layer {
                input_norm: norm("input_layernorm", hidden)?,
                query: linear("self_attn.q_proj", hidden, heads * head_dim, qkv_bias)?,
                key: linear("self_attn.k_proj", hidden, kv_heads * head_dim, qkv_bias)?,
                value: linear("self_attn.v_proj", hidden, kv_heads * head_dim, qkv_bias)?,
                output: linear("self_attn.o_proj", heads * head_dim, hidden, output_bias)?,
                head_norms,
                attention_norm: norm("post_attention_layernorm", hidden)?,
                gate: linear("mlp.gate_proj", hidden, inner, config.mlp_bias())?,
                up: linear("mlp.up_proj", hidden, inner, config.mlp_bias())?,
                down: linear("mlp.down_proj", inner, hidden, config.mlp_bias())?,
            })
        });
        Ok(Decoder {
            layers: layers.collect::<Result<_, TrainerError>>()?,
            norm: RmsNorm::load(weights, "norm", hidden, eps)?,
            heads,
            kv_heads,
            head_dim,
            rope: config
                .rope()
                .map_err(|message| TrainerError::new(JobEnd::BadModel, message))?,
        })
    }

    /// The linear layers that can be adapted, in the model's order.
    pub fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        self.layers.iter_mut().flat_map(|layer| {
            let Layer {
                query,
                key,
                value,
                output,
                gate,
                up,
                down,
                ..
            } = layer;
            [query, key, value, output, gate, up, down]
        })
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
        let hidden = input.f_add(&self.attention(layer, &seen, shared, slot, pass)?)?;
        let seen = layer.attention_norm.forward(&hidden)?;
        let gate = pass.linear(&layer.gate, &seen)?.f_silu()?;
        let inner = gate.f_mul(&pass.linear(&layer.up, &seen)?)?;
        Ok(hidden.f_add(&pass.linear(&layer.down, &inner)?)?)
    }

    /// The last layer's vectors, normalised.
    pub fn finish(&self, hidden: &Tensor) -> Result<Tensor, TrainerError> {
        self.norm.forward(hidden)
    }

    fn attention(
        &self,
        layer: &Layer,
        input: &Tensor,
        shared: &Shared,
        slot: Option<(&mut Cache, usize)>,
        pass: &mut Pass,
    ) -> Result<Tensor, TrainerError> {
        let (b, t, _) = input.size3()?;
        let tables = (&shared.cos, &shared.sin);
        let mut project = |linear: &Linear, heads: i64| -> Result<Tensor, TrainerError> {
            let flat = pass.linear(linear, input)?;
            Ok(flat.f_reshape([b, t, heads, self.head_dim])?)
        };
        let (mut query, mut key) = (project(&layer.query, self.heads)?, project(&layer.key, self.kv_heads)?);
        let value = project(&layer.value, self.kv_heads)?.f_transpose(1, 2)?;
        if let Some((of_queries, of_keys)) = &layer.head_norms {
            (query, key) = (of_queries.forward(&query)?, of_keys.forward(&key)?);
        }
        // Angles are F32: BF16 has three digits of a position.
        let query = turned(&query.f_transpose(1, 2)?, tables)?.f_to_kind(input.kind())?;
        let key = turned(&key.f_transpose(1, 2)?, tables)?.f_to_kind(input.kind())?;
        let (key, value) = match slot {
            None => (key, value),
            Some((cache, index)) => cache.extend(index, key, value)?,
        };
        let times = self.heads / self.kv_heads;
        let (key, value) = (repeated(&key, times)?, repeated(&value, times)?);
        let [query, key, value] = for_attention([query, key, value], pass)?;
        let bias = shared.bias.f_to_kind(query.kind())?;
        let mixed =
            Tensor::f_scaled_dot_product_attention(&query, &key, &value, Some(&bias), 0.0, false, None::<f64>, false)?;
        let mixed = mixed.f_transpose(1, 2)?.f_reshape([b, t, self.heads * self.head_dim])?;
        let mixed = mixed.f_to_kind(input.kind())?;
        pass.linear(&layer.output, &mixed)
    }
}

/// Each head of [b, heads, t, d] as often as queries share it, [b, heads * times, t, d].
fn repeated(input: &Tensor, times: i64) -> Result<Tensor, TrainerError> {
    match times {
        1 => Ok(input.shallow_clone()),
        _ => Ok(input.f_repeat_interleave_self_int(times, 1, None)?),
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
