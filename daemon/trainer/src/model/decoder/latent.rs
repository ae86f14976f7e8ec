//! Attention over keys and values that are read from one small vector a token (DeepSeek-V2, section 2.1): that vector is what
//! the cache holds. A part of each query and one key for all heads carry the position.

use super::super::compute::for_attention;
use super::super::lora::Linear;
use super::super::pass::Pass;
use super::super::weights::Weights;
use super::config::DecoderConfig;
use super::deepseek::DeepSeek;
use super::norm::RmsNorm;
use super::rope::{separated, turned};
use super::{Cache, Shared};
use crate::error::TrainerError;
use tch::Tensor;

/// DeepSeek's normalisations inside the attention have this epsilon, whatever config.json says.
const EPS: f64 = 1e-6;

/// One layer's attention.
pub struct Latent {
    query: Query,
    /// To the small vector and the key's position part, [kv_lora_rank + rope].
    down: Linear,
    down_norm: RmsNorm,
    /// From the small vector to each head's key and value.
    up: Linear,
    output: Linear,
    heads: i64,
    shape: DeepSeek,
    /// Factor of the scores.
    scale: f64,
}

enum Query {
    Plain(Linear),
    LowRank { down: Linear, norm: RmsNorm, up: Linear },
}

impl Latent {
    /// Takes the tensors below `name`.
    pub fn load(
        weights: &Weights,
        name: &str,
        config: &DecoderConfig,
        shape: &DeepSeek,
    ) -> Result<Latent, TrainerError> {
        let (hidden, heads, bias) = (
            config.hidden_size,
            config.num_attention_heads,
            config.attention_biases().1,
        );
        let linear =
            |part: &str, inputs, outputs, bias| Linear::load(weights, format!("{name}.{part}"), inputs, outputs, bias);
        let norm = |part: &str, width| RmsNorm::load(weights, &format!("{name}.{part}"), width, EPS);
        let (rank, width) = (shape.kv_lora_rank, shape.query_width());
        let query = match shape.q_lora_rank {
            None => Query::Plain(linear("q_proj", hidden, heads * width, false)?),
            Some(rank) => Query::LowRank {
                down: linear("q_a_proj", hidden, rank, bias)?,
                norm: norm("q_a_layernorm", rank)?,
                up: linear("q_b_proj", rank, heads * width, false)?,
            },
        };
        let both = shape.qk_nope_head_dim + shape.v_head_dim;
        Ok(Latent {
            query,
            down: linear("kv_a_proj_with_mqa", hidden, rank + shape.qk_rope_head_dim, bias)?,
            down_norm: norm("kv_a_layernorm", rank)?,
            up: linear("kv_b_proj", rank, heads * both, false)?,
            output: linear("o_proj", heads * shape.v_head_dim, hidden, bias)?,
            heads,
            scale: config.score_factor() / (width as f64).sqrt(),
            shape: shape.clone(),
        })
    }

    /// The layers that can be adapted.
    pub fn linears(&mut self) -> Vec<&mut Linear> {
        let mut all = match &mut self.query {
            Query::Plain(linear) => vec![linear],
            Query::LowRank { down, up, .. } => vec![down, up],
        };
        all.extend([&mut self.down, &mut self.up, &mut self.output]);
        all
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
        let shape = &self.shape;
        let (plain, rope) = (shape.qk_nope_head_dim, shape.qk_rope_head_dim);
        let turn = |part: &Tensor| -> Result<Tensor, TrainerError> {
            let pairs = if shape.interleaved() {
                separated(part)?
            } else {
                part.shallow_clone()
            };
            Ok(turned(&pairs, (&shared.cos, &shared.sin))?.f_to_kind(input.kind())?)
        };
        let query = match &self.query {
            Query::Plain(linear) => pass.linear(linear, input)?,
            Query::LowRank { down, norm, up } => {
                let low = norm.forward(&pass.linear(down, input)?)?;
                pass.linear(up, &low)?
            }
        };
        let query = query.f_reshape([b, t, self.heads, plain + rope])?.f_transpose(1, 2)?;
        let turned_part = turn(&query.f_narrow(3, plain, rope)?)?;
        let query = Tensor::f_cat(&[&query.f_narrow(3, 0, plain)?, &turned_part], 3)?;

        let low = pass.linear(&self.down, input)?;
        let position = low.f_narrow(2, shape.kv_lora_rank, rope)?.f_unsqueeze(1)?;
        let low = self
            .down_norm
            .forward(&low.f_narrow(2, 0, shape.kv_lora_rank)?)?
            .f_unsqueeze(1)?;
        let position = turn(&position)?;
        let (low, position) = match slot {
            None => (low, position),
            Some((cache, index)) => cache.extend(index, low, position)?,
        };
        let seen = low.size()[2];
        let both = plain + shape.v_head_dim;
        let up = pass.linear(&self.up, &low.f_squeeze_dim(1)?)?;
        let up = up.f_reshape([b, seen, self.heads, both])?.f_transpose(1, 2)?;
        let position = position.f_expand([b, self.heads, seen, rope], false)?;
        let key = Tensor::f_cat(&[&up.f_narrow(3, 0, plain)?, &position], 3)?;
        let value = up.f_narrow(3, plain, shape.v_head_dim)?;
        let [query, key, value] = for_attention([query, key, value], pass)?;
        let bias = shared.bias.f_to_kind(query.kind())?;
        let mixed = Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            Some(&bias),
            0.0,
            false,
            Some(self.scale),
            false,
        )?;
        let mixed = mixed
            .f_transpose(1, 2)?
            .f_reshape([b, t, self.heads * shape.v_head_dim])?;
        pass.linear(&self.output, &mixed.f_to_kind(input.kind())?)
    }
}
