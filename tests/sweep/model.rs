//! The smallest base model that learns: the oracle's random BERT with as many embeddings as the WordPiece fixture has tokens.

use crate::root;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;

const POSITIONS: usize = 64;

/// Writes it to `folder`, always the same.
pub fn write(folder: &Path) {
    let golden = root().join("tests/golden/trainer/tiny/base");
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let pooling = r#"{"word_embedding_dimension": 32, "pooling_mode_mean_tokens": true}"#;
    fs::write(folder.join("1_Pooling/config.json"), pooling).unwrap();
    let fixture = root().join("daemon/tokenize/tests/fixtures/wordpiece/tokenizer.json");
    fs::copy(fixture, folder.join("tokenizer.json")).unwrap();
    let tokens = wengu_tokenize::Tokenizer::load(folder).unwrap().vocab_size();
    let bytes = fs::read(golden.join("model.safetensors")).unwrap();
    let held = SafeTensors::deserialize(&bytes).unwrap();
    let grown: Vec<(String, Vec<usize>, Vec<u8>)> = held
        .tensors()
        .into_iter()
        .map(|(name, view)| {
            let (mut shape, mut data) = (view.shape().to_vec(), view.data().to_vec());
            let rows = match &name {
                name if name.contains("word_embeddings") => tokens,
                name if name.contains("position_embeddings") => POSITIONS,
                _ => shape[0],
            };
            if rows != shape[0] {
                shape[0] = rows;
                data = numbers(rows * shape[1], name.len() as u32);
            }
            (name, shape, data)
        })
        .collect();
    let views = grown.iter().map(|(name, shape, data)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), data).unwrap();
        (name, view)
    });
    fs::write(folder.join("model.safetensors"), serialize(views, None).unwrap()).unwrap();
    let mut config: Value = serde_json::from_slice(&fs::read(golden.join("config.json")).unwrap()).unwrap();
    config["architectures"] = serde_json::json!(["BertModel"]);
    config["vocab_size"] = tokens.into();
    config["max_position_embeddings"] = POSITIONS.into();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

/// Between -0.5 and 0.5.
fn numbers(count: usize, seed: u32) -> Vec<u8> {
    let numbers = (0..count).scan(seed, |state, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 8) as f32 / (1 << 24) as f32 - 0.5)
    });
    numbers.flat_map(f32::to_le_bytes).collect()
}
