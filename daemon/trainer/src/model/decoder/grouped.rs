//! Attention whose keys and values are shared by groups of queries (Ainslie et al. 2023); by groups of one in the plain case.

use super::super::compute::for_attention;
use super::super::lora::Linear;
use super::super::pass::Pass;
use super::super::weights::Weights;
use super::norm::RmsNorm;
use super::rope::turned;
use super::{Cache, DecoderConfig, DecoderFamily, Shared};
use crate::error::TrainerError;
use tch::Tensor;

/// One layer's attention.
pub struct GroupedQuery {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    /// Of each head's queries and keys, where the family has them.
    head_norms: Option<(RmsNorm, RmsNorm)>,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
}

impl GroupedQuery {
    /// Takes the tensors below `name`.
    pub fn load(weights: &Weights, name: &str, config: &DecoderConfig) -> Result<GroupedQuery, TrainerError> {
        let hidden = config.hidden_size;
        let (heads, kv_heads, head_dim) = (config.num_attention_heads, config.kv_heads(), config.head_dim());
        let (qkv_bias, output_bias) = config.attention_biases();
        let linear =
            |part: &str, inputs, outputs, bias| Linear::load(weights, format!("{name}.{part}"), inputs, outputs, bias);
        let norm = |part: &str| RmsNorm::load(weights, &format!("{name}.{part}"), head_dim, config.rms_norm_eps);
        let head_norms = match config.family {
            DecoderFamily::Qwen3 => Some((norm("q_norm")?, norm("k_norm")?)),
            _ => None,
        };
        Ok(GroupedQuery {
            query: linear("q_proj", hidden, heads * head_dim, qkv_bias)?,
            key: linear("k_proj", hidden, kv_heads * head_dim, qkv_bias)?,
            value: linear("v_proj", hidden, kv_heads * head_dim, qkv_bias)?,
            output: linear("o_proj", heads * head_dim, hidden, output_bias)?,
            head_norms,
            heads,
            kv_heads,
            head_dim,
        })
    }

    /// The layers that can be adapted.
    pub fn linears(&mut self) -> Vec<&mut Linear> {
        vec![&mut self.query, &mut self.key, &mut self.value, &mut self.output]
    }

    /// From [b, t, hidden] to [b, t, hidden].
    pub fn forward(
        &self,
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
        let (mut query, mut key) = (project(&self.query, self.heads)?, project(&self.key, self.kv_heads)?);
        let value = project(&self.value, self.kv_heads)?.f_transpose(1, 2)?;
        if let Some((of_queries, of_keys)) = &self.head_norms {
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
        pass.linear(&self.output, &mixed.f_to_kind(input.kind())?)
    }
}

/// Each head of [b, heads, t, d] as often as queries share it, [b, heads * times, t, d].
fn repeated(input: &Tensor, times: i64) -> Result<Tensor, TrainerError> {
    match times {
        1 => Ok(input.shallow_clone()),
        _ => Ok(input.f_repeat_interleave_self_int(times, 1, None)?),
    }
}
