//! How much is trained, and how much memory training and serving take: an estimate from a model's shape alone.
//!
//! With H the hidden size, A heads times their width, K key-value heads times their width, I the feed-forward width, L
//! layers, V the vocabulary, B examples of T tokens, W parameters of the base, P trained ones, and b bytes a number:
//!
//! ```text
//! training   weights      W b                                    frozen, one copy
//!            trained      16 P                                   F32 value, gradient, two moments of AdamW
//!            activations  B T b (L (4A + 6H + c I) + 2 S)        what is kept for the backward pass; c = 1, or 3 where the
//!                                                                feed-forward is gated; S inputs of all adapted layers
//!                         2 B heads T T b                        the scores of one layer's attention and their gradient
//!                         2 B T V 4                              logits and their gradient, of a decoder that writes
//! serving    weights      W b
//!            cache        2 B T K L b                            keys and values, of a decoder
//!            activations  B T b (4A + 2H + c I) + B heads T T b  one layer at a time
//!                         B V 4                                  logits of the last token, of a decoder
//! ```
//!
//! Frozen layers keep no input for the backward pass, so H stands for two normalisations and the residual stream alone
//! (compare Korthikanti et al. 2022, section 4.1, where all weights are trained). The program, its libraries and what the
//! allocator leaves unused come on top. Measured, as the trainer's peak above that of one example of 8 tokens, all-MiniLM-L6-v2
//! in F32 at rank 8: activations of 16 examples took 274 MiB at 128 tokens (348 estimated) and 1.7 GiB at 512 (1.6).

use serde::Serialize;
use wengu_protocol::job::Bottleneck;

/// Bytes that a trained number takes: value, gradient and AdamW's two moments, all F32.
const TRAINED_BYTES: u64 = 16;
const F32_BYTES: u64 = 4;

/// The shape of a model, as its config.json says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shape {
    /// Entries of the vocabulary.
    pub vocab: u64,
    /// Width of the token vectors.
    pub hidden: u64,
    /// Layers.
    pub layers: u64,
    /// Attention heads of a layer.
    pub heads: u64,
    /// Heads of keys and values.
    pub kv_heads: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// Width of the feed-forward layer.
    pub inner: u64,
    /// Tokens that an example can have.
    pub max_tokens: u64,
    /// Whether each token sees only those before it; then the feed-forward layer is gated too.
    pub decoder: bool,
}

impl Shape {
    /// Numbers of a token that one layer's attention and feed-forward give, and `norms` times the hidden size.
    fn of_layer(&self, norms: u64) -> u64 {
        let gated = if self.decoder { 3 } else { 1 };
        4 * self.heads * self.head_dim + norms * self.hidden + gated * self.inner
    }
}

/// Examples that go through the model at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Examples.
    pub batch: u64,
    /// Tokens of each.
    pub tokens: u64,
    /// Bytes of a weight and of an activation: 4 for F32, 2 for BF16.
    pub bytes: u64,
}

/// Bytes that are needed, by what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// The frozen weights.
    pub weights: u64,
    /// What is trained, with gradients and moments; 0 in serving.
    pub trained: u64,
    /// Keys and values of the tokens read so far; 0 in training and for encoders.
    pub cache: u64,
    /// Everything that depends on the tokens and is no cache.
    pub activations: u64,
}

impl Memory {
    /// All of it, in bytes. What is beyond 64 bits stays there: it must not come out as little.
    pub fn total(&self) -> u64 {
        let parts = [self.weights, self.trained, self.cache, self.activations];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// Numbers of low-rank factors A [rank, in] and B [out, rank] over `sites`, given as (in, out).
pub fn lora_parameters(sites: &[(u64, u64)], rank: u64) -> u64 {
    sites.iter().map(|(inputs, outputs)| rank * (inputs + outputs)).sum()
}

/// Numbers of a head with weight [labels, hidden] and bias [labels].
pub fn head_parameters(labels: u64, hidden: u64) -> u64 {
    labels * (hidden + 1)
}

/// Numbers of `tokens` trained embeddings before the text.
pub fn prompt_parameters(tokens: u64, hidden: u64) -> u64 {
    tokens * hidden
}

/// (in, out) of the layers of bottleneck adapters in a model of this shape: to the small width and back, at each place.
pub fn bottleneck_sites(shape: &Shape, settings: &Bottleneck) -> Vec<(u64, u64)> {
    let (hidden, width) = (shape.hidden, settings.width(shape.hidden));
    let places = 0..shape.layers * settings.placement.per_layer();
    places.flat_map(|_| [(hidden, width), (width, hidden)]).collect()
}

/// Numbers of weights [out, in] and biases [out] over `sites`, given as (in, out).
pub fn affine_parameters(sites: &[(u64, u64)]) -> u64 {
    sites.iter().map(|(inputs, outputs)| outputs * (inputs + 1)).sum()
}

/// Memory to train `trained` of a model with `parameters`; `sites` are the adapted layers, given as (in, out).
pub fn to_train(shape: &Shape, parameters: u64, trained: u64, sites: &[(u64, u64)], load: Load) -> Memory {
    let inputs: u64 = sites.iter().map(|(inputs, _)| inputs).sum();
    let token = product(&[shape.layers, shape.of_layer(6)]) + product(&[2, inputs]);
    let kept = token * product(&[load.batch, load.tokens, load.bytes]);
    let logits = if shape.decoder {
        product(&[2, load.batch, load.tokens, shape.vocab, F32_BYTES])
    } else {
        0
    };
    Memory {
        weights: bytes(product(&[parameters, load.bytes])),
        trained: bytes(product(&[trained, TRAINED_BYTES])),
        cache: 0,
        activations: bytes(kept + 2 * scores(shape, load) + logits),
    }
}

/// The same where of each layer its input alone is kept, and the layer computed again (gradient checkpointing).
pub fn to_train_sparing(shape: &Shape, parameters: u64, trained: u64, sites: &[(u64, u64)], load: Load) -> Memory {
    let whole = to_train(shape, parameters, trained, sites, load);
    let kept = product(&[shape.layers, shape.hidden, load.batch, load.tokens, load.bytes]);
    let layers = shape.layers.max(1);
    // What a plain pass keeps of all layers is there for one at a time; logits are there once, whichever way.
    let one = Shape { layers: 1, ..*shape };
    let of_one: Vec<(u64, u64)> = sites
        .iter()
        .take(sites.len().div_ceil(layers as usize))
        .copied()
        .collect();
    let one = to_train(&one, 0, 0, &of_one, load);
    Memory {
        activations: bytes(kept + u128::from(one.activations)),
        ..whole
    }
}

/// Memory to train a head alone, over vectors that are computed layer by layer and kept no longer than a layer.
pub fn to_train_head(shape: &Shape, parameters: u64, trained: u64, load: Load) -> Memory {
    Memory {
        weights: bytes(product(&[parameters, load.bytes])),
        trained: bytes(product(&[trained, TRAINED_BYTES])),
        cache: 0,
        activations: bytes(one_layer(shape, load)),
    }
}

/// Memory to answer one batch with a model of `parameters`, its adapter merged or too small to count.
pub fn to_serve(shape: &Shape, parameters: u64, load: Load) -> Memory {
    let (cache, logits) = if shape.decoder {
        let width = [shape.kv_heads, shape.head_dim, shape.layers];
        let cache = product(&width) * product(&[2, load.batch, load.tokens, load.bytes]);
        (cache, product(&[load.batch, shape.vocab, F32_BYTES]))
    } else {
        (0, 0)
    };
    Memory {
        weights: bytes(product(&[parameters, load.bytes])),
        trained: 0,
        cache: bytes(cache),
        activations: bytes(one_layer(shape, load) + logits),
    }
}

fn one_layer(shape: &Shape, load: Load) -> u128 {
    product(&[load.batch, load.tokens, load.bytes, shape.of_layer(2)]) + scores(shape, load)
}

fn scores(shape: &Shape, load: Load) -> u128 {
    product(&[load.batch, shape.heads, load.tokens, load.tokens, load.bytes])
}

/// Of sizes below 2^25 each, which config.json and the command line are held to: no overflow.
fn product(sizes: &[u64]) -> u128 {
    sizes.iter().map(|&size| u128::from(size)).product()
}

fn bytes(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wengu_protocol::job::{NonLinearity, Placement};

    /// Llama 3.1 8B, as its config.json says.
    const LLAMA: Shape = Shape {
        vocab: 128_256,
        hidden: 4096,
        layers: 32,
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        inner: 14_336,
        max_tokens: 131_072,
        decoder: true,
    };
    const PARAMETERS: u64 = 8_030_261_248;

    #[test]
    fn trained_numbers_are_those_that_peft_and_adapters_count() {
        // q_proj 4096 -> 4096 and v_proj 4096 -> 1024 of 32 layers at rank 8: print_trainable_parameters says 3,407,872.
        let sites = [(4096, 4096), (4096, 1024)].repeat(32);
        assert_eq!(lora_parameters(&sites, 8), 3_407_872);
        assert_eq!(head_parameters(3, 384), 1155);
        assert_eq!(prompt_parameters(20, 4096), 81_920);
        // SeqBnConfig with reduction_factor 16 in BERT-base: adapter_summary() of adapters 1.3 says 894,528.
        let bert = Shape {
            hidden: 768,
            layers: 12,
            ..LLAMA
        };
        let settings = Bottleneck {
            placement: Placement::SeqBn,
            reduction_factor: 16,
            non_linearity: NonLinearity::Relu,
        };
        let sites = bottleneck_sites(&bert, &settings);
        assert_eq!((sites.len(), affine_parameters(&sites)), (24, 894_528));
    }

    #[test]
    fn a_served_decoder_keeps_keys_and_values() {
        let load = Load {
            batch: 1,
            tokens: 2048,
            bytes: 2,
        };
        let memory = to_serve(&LLAMA, PARAMETERS, load);
        assert_eq!(memory.weights, 16_060_522_496);
        // 128 KiB a token in BF16.
        assert_eq!(memory.cache, 2048 * 131_072);
        assert_eq!(memory.total(), memory.weights + memory.cache + memory.activations);
    }

    #[test]
    fn what_no_machine_has_does_not_come_out_as_little() {
        let shape = Shape { heads: 1024, ..LLAMA };
        let load = Load {
            batch: 65_536,
            tokens: 16_777_216,
            bytes: 4,
        };
        assert_eq!(to_train(&shape, PARAMETERS, 1, &[], load).total(), u64::MAX);
        assert_eq!(to_serve(&shape, PARAMETERS, load).total(), u64::MAX);
    }

    #[test]
    fn more_tokens_precision_or_rank_never_take_less() {
        let sites = [(4096, 4096), (4096, 1024)].repeat(32);
        let train = |rank, batch, tokens, bytes| {
            let load = Load { batch, tokens, bytes };
            to_train(&LLAMA, PARAMETERS, lora_parameters(&sites, rank), &sites, load).total()
        };
        let least = train(8, 1, 128, 2);
        for more in [
            train(16, 1, 128, 2),
            train(8, 2, 128, 2),
            train(8, 1, 256, 2),
            train(8, 1, 128, 4),
        ] {
            assert!(more > least);
        }
        let load = Load {
            batch: 1,
            tokens: 128,
            bytes: 2,
        };
        assert!(to_train_head(&LLAMA, PARAMETERS, 10, load).total() < least);
    }

    #[test]
    fn an_encoder_has_no_cache_and_no_logits_of_a_vocabulary() {
        let encoder = Shape {
            decoder: false,
            ..LLAMA
        };
        let load = Load {
            batch: 1,
            tokens: 128,
            bytes: 4,
        };
        assert_eq!(to_serve(&encoder, 100, load).cache, 0);
        let larger = Shape {
            vocab: 1_000_000,
            ..encoder
        };
        assert_eq!(
            to_train(&encoder, 100, 10, &[], load),
            to_train(&larger, 100, 10, &[], load)
        );
    }
}
