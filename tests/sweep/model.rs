//! The smallest base model that learns: the oracle's random BERT with as many embeddings as the WordPiece fixture has tokens.

use crate::support::{grown, root};
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
    let rows = |name: &str| match name {
        name if name.contains("word_embeddings") => Some(tokens),
        name if name.contains("position_embeddings") => Some(POSITIONS),
        _ => None,
    };
    grown(&golden, folder, rows, |config| {
        config["architectures"] = serde_json::json!(["BertModel"]);
        config["vocab_size"] = tokens.into();
        config["max_position_embeddings"] = POSITIONS.into();
    });
}
