//! The model against expected values that PyTorch, transformers and peft computed (see tests/oracle).

mod beside;
mod bottlenecks;
mod common;
mod damage;
mod decoders;
#[path = "../train_support/device.rs"]
mod device;
mod experts;
mod merged;
mod merged_experts;
mod methods;
mod minilm;
mod multi_label;
mod precision;
mod prompts;
mod recompute;
mod saved;
mod table;
mod tasks;
mod terms;
mod tiny;
mod written;
mod xlmr;
