//! The BERT encoder (Devlin et al. 2019), its base weights frozen.

use super::bottleneck::SubLayer;
use super::compute::{for_attention, unseen};
use super::config::{Activation, BertConfig, Family};
use super::lora::Linear;
use super::pass::Pass;
use super::weights::Weights;
use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// Name of the pooler's linear layer.
pub const POOLER_DENSE: &str = "pooler.dense";

struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    fn load(weights: &Weights, name: &str, config: &BertConfig) -> Result<LayerNorm, TrainerError> {
        let shape = [config.hidden_size];
        let weight = weights.tensor(&format!("{name}.weight"), &shape)?;
        let bias = weights.tensor(&format!("{name}.bias"), &shape)?;
        Ok(LayerNorm {
            weight,
            bias,
            eps: config.layer_norm_eps,
        })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor, TrainerError> {
        let shape = self.weight.size();
        Ok(input.f_layer_norm(shape, Some(&self.weight), Some(&self.bias), self.eps, false)?)
    }
}

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    attention_norm: LayerNorm,
    intermediate: Linear,
    output: Linear,
    output_norm: LayerNorm,
}

/// The encoder.
pub struct Bert {
    position_embeddings: Tensor,
    family: Family,
    first_position: i64,
    /// The first row of the table: all tokens are of the first segment.
    token_type_embedding: Tensor,
    embeddings_norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Option<Linear>,
    heads: i64,
    activation: Activation,
}

fn linear(weights: &Weights, name: String, inputs: i64, outputs: i64) -> Result<Linear, TrainerError> {
    Linear::load(weights, name, inputs, outputs, true)
}

impl Bert {
    /// Takes its tensors from the weights file; the pooler's only if the model uses it.
    pub fn load(weights: &Weights, config: &BertConfig, with_pooler: bool) -> Result<Bert, TrainerError> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let table = |name: &str, rows: i64| weights.tensor(&format!("embeddings.{name}.weight"), &[rows, hidden]);
        let layers = (0..config.num_hidden_layers).map(|index| {
            let name = |part: &str| format!("encoder.layer.{index}.{part}");
            Ok(Layer {
                query: linear(weights, name("attention.self.query"), hidden, hidden)?,
                key: linear(weights, name("attention.self.key"), hidden, hidden)?,
                value: linear(weights, name("attention.self.value"), hidden, hidden)?,
                attention_output: linear(weights, name("attention.output.dense"), hidden, hidden)?,
                attention_norm: LayerNorm::load(weights, &name("attention.output.LayerNorm"), config)?,
                intermediate: linear(weights, name("intermediate.dense"), hidden, inner)?,
                output: linear(weights, name("output.dense"), inner, hidden)?,
                output_norm: LayerNorm::load(weights, &name("output.LayerNorm"), config)?,
            })
        });
        Ok(Bert {
            position_embeddings: table("position_embeddings", config.max_position_embeddings)?,
            family: config.family,
            first_position: config.first_position(),
            token_type_embedding: table("token_type_embeddings", config.type_vocab_size)?.f_select(0, 0)?,
            embeddings_norm: LayerNorm::load(weights, "embeddings.LayerNorm", config)?,
            layers: layers.collect::<Result<_, TrainerError>>()?,
            pooler: with_pooler
                .then(|| linear(weights, POOLER_DENSE.to_owned(), hidden, hidden))
                .transpose()?,
            heads: config.num_attention_heads,
            activation: config.hidden_act,
        })
    }

    /// The linear layers that can be adapted, in the model's order.
    pub fn linears(&mut self) -> impl Iterator<Item = &mut Linear> {
        let layers = self.layers.iter_mut().flat_map(|layer| {
            let Layer {
                query,
                key,
                value,
                attention_output,
                intermediate,
                output,
                ..
            } = layer;
            [query, key, value, attention_output, intermediate, output]
        });
        layers.chain(self.pooler.as_mut())
    }

    /// What the first layer reads, [b, t, hidden], and what is added to the attention's scores in every layer, from embedded
    /// tokens [b, t, hidden] and a mask [b, t] of 1 and 0.
    pub fn begin(&self, words: &Tensor, mask: &Tensor) -> Result<(Tensor, Tensor), TrainerError> {
        let positions = self.positions(mask)?;
        let sum = words.f_add(&positions)?.f_add(&self.token_type_embedding)?;
        let hidden = self.embeddings_norm.forward(&sum)?;
        let bias = mask
            .f_neg()?
            .f_add_scalar(1.0)?
            .f_mul_scalar(unseen(hidden.kind()))?
            .f_unsqueeze(1)?
            .f_unsqueeze(1)?;
        Ok((hidden, bias))
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Embeddings of the positions, [t, hidden] or [b, t, hidden].
    fn positions(&self, mask: &Tensor) -> Result<Tensor, TrainerError> {
        match self.family {
            Family::Bert => Ok(self.position_embeddings.f_narrow(0, 0, mask.size()[1])?),
            Family::Roberta => {
                let mask = mask.f_to_kind(Kind::Int64)?;
                let counted = mask.f_cumsum(1, Kind::Int64)?.f_mul(&mask)?;
                // Padding stands at the padding's own row, the first token at the one after it.
                let rows = counted.f_add_scalar(self.first_position - 1)?;
                Ok(Tensor::f_embedding(&self.position_embeddings, &rows, -1, false, false)?)
            }
        }
    }

    /// What one layer makes of its input, [b, t, hidden].
    pub fn layer(&self, index: usize, input: &Tensor, bias: &Tensor, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        let layer = &self.layers[index];
        let (b, t, hidden) = input.size3()?;
        let mut project = |linear: &Linear| -> Result<Tensor, TrainerError> {
            let flat = pass.linear(linear, input)?;
            Ok(flat
                .f_reshape([b, t, self.heads, hidden / self.heads])?
                .f_transpose(1, 2)?)
        };
        let parts = [project(&layer.query)?, project(&layer.key)?, project(&layer.value)?];
        let [query, key, value] = for_attention(parts, pass)?;
        let bias = bias.f_to_kind(query.kind())?;
        let mixed =
            Tensor::f_scaled_dot_product_attention(&query, &key, &value, Some(&bias), 0.0, false, None::<f64>, false)?;
        let mixed = mixed
            .f_transpose(1, 2)?
            .f_reshape([b, t, hidden])?
            .f_to_kind(input.kind())?;
        let said = pass.linear(&layer.attention_output, &mixed)?;
        let norm = |sum: Tensor| layer.attention_norm.forward(&sum);
        let attended = pass.join((index, SubLayer::Attention), &said, input, norm)?;
        let inner = self.activation.apply(&pass.linear(&layer.intermediate, &attended)?)?;
        let said = pass.linear(&layer.output, &inner)?;
        let norm = |sum: Tensor| layer.output_norm.forward(&sum);
        pass.join((index, SubLayer::FeedForward), &said, &attended, norm)
    }

    /// BERT's pooled embedding of the first token's vector, [b, hidden].
    pub fn pooler(&self, first: &Tensor, pass: &mut Pass) -> Result<Tensor, TrainerError> {
        match &self.pooler {
            Some(pooler) => Ok(pass.linear(pooler, first)?.f_tanh()?),
            None => Ok(first.shallow_clone()),
        }
    }
}

impl Activation {
    fn apply(self, input: &Tensor) -> Result<Tensor, TrainerError> {
        Ok(match self {
            Activation::Gelu => input.f_gelu("none")?,
            Activation::GeluTanh => input.f_gelu("tanh")?,
            Activation::Relu => input.f_relu()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::random;
    use super::*;

    #[test]
    fn attention_is_repeatable_and_padding_has_no_part_in_it() {
        let draw = |name: &str| random::normal(1, name, &[2, 4, 16, 8], 1.0).unwrap();
        let (query, key, value) = (draw("query"), draw("key"), draw("value"));
        let attend = |t: i64, bias: Option<&Tensor>| {
            let [q, k, v] = [&query, &key, &value].map(|x| x.narrow(2, 0, t));
            Tensor::scaled_dot_product_attention(&q, &k, &v, bias, 0.0, false, None::<f64>, false)
        };
        let bias = Tensor::zeros([2, 1, 1, 16], (Kind::Float, tch::Device::Cpu));
        let _ = bias.narrow(3, 10, 6).fill_(f64::from(f32::MIN));
        let padded = attend(16, Some(&bias));
        assert_eq!(padded, attend(16, Some(&bias)));
        let difference = (padded.narrow(2, 0, 10) - attend(10, None))
            .abs()
            .max()
            .double_value(&[]);
        assert!(difference < 1e-6, "{difference}");
    }
}
