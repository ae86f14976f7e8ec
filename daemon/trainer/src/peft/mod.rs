//! PEFT directories: `adapter_config.json` and `adapter_model.safetensors`, as Hugging Face's peft writes and reads
//! them, and with it every server that takes adapters.
//!
//! peft itself loads an adapter with wrong names in silence, as one that does nothing. Here reading fails on a missing
//! and on an unexpected key.

mod config;
mod io;
mod keys;
mod pattern;
mod prompt;

pub use config::{AdapterConfig, Task};
pub(crate) use io::check_names;
pub use io::{Parts, ReadParts, read, tensor_bytes, write};
pub use keys::Keys;
pub use pattern::rank_and_scaling;
pub use prompt::{BaseShape, PromptConfig, read_prompt, write_prompt};

use tch::Tensor;

/// Rows of the embedding table that the adapter carries (`trainable_token_indices`).
#[derive(Debug)]
pub struct TokenRows {
    /// Their token ids.
    pub ids: Vec<i64>,
    /// Their embeddings, F32 [tokens, hidden]: the values themselves, whatever the key's name says.
    pub rows: Tensor,
}

/// A file of a PEFT directory: what the adapter is.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// A file of a PEFT directory: its tensors.
pub const TENSORS_FILE: &str = "adapter_model.safetensors";

/// A low-rank update `scaling * B A` of one linear layer.
pub struct LoraSite {
    /// The layer's path in the encoder, such as `encoder.layer.0.attention.self.query`.
    pub name: String,
    /// A, [rank, in].
    pub a: Tensor,
    /// B, [out, rank].
    pub b: Tensor,
    /// alpha / rank, or alpha / sqrt(rank).
    pub scaling: f64,
    /// Lengths of the adapted weight's rows, where they are trained.
    pub dora: Option<Dora>,
    /// A parent's update that stays as it is beside this one, with the same scaling. It is in no directory.
    pub parent: Option<Factors>,
}

/// The factors of an update that is not trained.
pub struct Factors {
    /// A, [rank, in].
    pub a: Tensor,
    /// B, [out, rank].
    pub b: Tensor,
}

/// What DoRA adds to a site: the layer's weight becomes `m (W + scaling B A) / |W + scaling B A|`, row by row.
pub struct Dora {
    /// m, F32 [out].
    pub magnitude: Tensor,
    /// W, [out, in], as the base model holds it.
    pub base: Tensor,
}
