//! all-MiniLM-L6-v2 on real texts, English and Chinese, padded and cut.

use crate::common::*;
use std::path::PathBuf;
use tch::Kind;
use wengu_protocol::job::{Lora, Method, Task};
use wengu_tokenize::Tokenizer;
use wengu_trainer::model::{Model, Pooling};

const LABELS: [&str; 5] = ["termination", "liability", "symptom", "treatment", "其他"];

/// The model's folder. `make test` fetches it and requires it.
fn folder() -> Option<PathBuf> {
    let folder = repository().join(".deps/models/all-MiniLM-L6-v2");
    if folder.join("model.safetensors").exists() {
        return Some(folder);
    }
    assert!(
        std::env::var_os("WENGU_REQUIRE_MODEL").is_none(),
        "{} is missing",
        folder.display()
    );
    println!(
        "skipped: {} is missing; scripts/setup-model fetches it",
        folder.display()
    );
    None
}

#[test]
fn texts_become_the_ids_that_transformers_gives_them() {
    let Some(folder) = folder() else { return };
    let expected = tensors(&golden("minilm/expected.safetensors"));
    let tokenizer = Tokenizer::load(&folder).unwrap();
    let texts = std::fs::read_to_string(repository().join("tests/oracle/texts.jsonl")).unwrap();
    let mut rows = 0;
    for (row, line) in texts.lines().enumerate() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = record["text"].as_str().unwrap();
        let ids: Vec<i64> = tokenizer
            .encode(text, &[], 128)
            .unwrap()
            .into_iter()
            .map(i64::from)
            .collect();
        let length = expected["mask"].get(row as i64).sum(Kind::Int64).int64_value(&[]);
        let reference = expected["ids"]
            .get(row as i64)
            .narrow(0, 0, length)
            .to_kind(Kind::Int64);
        assert_eq!(ids, Vec::<i64>::try_from(reference).unwrap(), "{text}");
        rows += 1;
    }
    assert_eq!(rows, expected["ids"].size()[0]);
}

#[test]
fn embeddings_and_logits_agree_with_transformers_and_peft() {
    let Some(folder) = folder() else { return };
    let expected = tensors(&golden("minilm/expected.safetensors"));
    let mut parent = parent(&golden("minilm"), &LABELS);
    let adapted = Method::Lora(Lora {
        rank: 8,
        alpha: 16.0,
        dropout: 0.0,
        target_modules: strings(&["query", "value"]),
        ..Lora::default()
    });
    let _guard = tch::no_grad_guard();
    let load = |parent: &_, method: &_| {
        Model::load(
            Task::SequenceClassification,
            &base(&folder),
            Some(parent),
            &strings(&LABELS),
            method,
            &[],
            0.0,
            1,
        )
        .unwrap()
    };
    let model = load(&parent, &adapted);
    assert_eq!((model.pooling(), model.adapters().len()), (Pooling::Mean, 12));
    let adapted = difference(
        &model.forward(&batch(&expected), None).unwrap(),
        &expected["adapted_logits"],
    );
    parent.adapter = None;
    let model = load(&parent, &Method::HeadOnly);
    let logits = difference(&model.forward(&batch(&expected), None).unwrap(), &expected["logits"]);
    let pooled = difference(&model.embed(&batch(&expected)).unwrap(), &expected["pooled"]);
    println!("MiniLM: embeddings differ by at most {pooled:.2e}, logits {logits:.2e}, with an adapter {adapted:.2e}");
    assert!(pooled < 1e-5 && logits < 1e-4 && adapted < 1e-4);
}
