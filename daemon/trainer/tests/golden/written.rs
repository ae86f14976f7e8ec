//! Adapters that the trainer writes. `tests/oracle/run` has PEFT read the same folders: it sets WENGU_ORACLE_OUT.

use crate::common::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use tch::Tensor;
use wengu_protocol::job::{Bottleneck, Lora, Method, NonLinearity, Parent, Placement, PromptTuning, Task, TermToken};
use wengu_trainer::model::Model;

/// Moves every factor and the head away from where they begin.
fn shake(model: &Model) {
    let _guard = tch::no_grad_guard();
    for (index, (_, mut tensor, _)) in model.trainable().into_iter().enumerate() {
        let count = tensor.numel() as i64;
        let wave = (Tensor::arange(count, (tch::Kind::Float, tch::Device::Cpu)) * (0.7 + 0.1 * index as f64)).sin();
        tensor.copy_(&(&tensor + wave.reshape(tensor.size()) * 0.1));
    }
}

fn write(model: &Model, folder: &Path, expected: &HashMap<String, Tensor>) {
    model.save_adapter(&folder.join("adapter")).unwrap();
    model.save_head(&folder.join("head")).unwrap();
    let logits = model.forward(&batch(expected), None).unwrap().detach();
    let expected = [
        ("ids", &expected["ids"]),
        ("mask", &expected["mask"]),
        ("logits", &logits),
    ];
    Tensor::write_safetensors(&expected, folder.join("expected.safetensors")).unwrap();
}

fn read_again(base_path: &Path, folder: &Path, method: &Method, terms: &[TermToken], labels: &[&str]) -> Model {
    let parent = Parent {
        adapter: Some(folder.join("adapter")),
        head: Some(folder.join("head")),
        labels: strings(labels),
        fisher: None,
        statistics: None,
        term_tokens: terms.len() as u32,
    };
    Model::load(
        Task::SequenceClassification,
        &base(base_path),
        Some(&parent),
        &strings(labels),
        method,
        terms,
        0.0,
        99,
    )
    .unwrap()
}

/// Names and shapes of a written adapter, and its configuration without the path of the base model.
fn described(folder: &Path, file: &str) -> serde_json::Value {
    let mut shapes = serde_json::Map::new();
    for (name, tensor) in tensors(&folder.join("adapter").join(file)) {
        shapes.insert(name, tensor.size().into());
    }
    let config = std::fs::read(folder.join("adapter/adapter_config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let base = ["base_model_name_or_path", "model_name"]
        .into_iter()
        .find(|key| config.get(key).is_some());
    assert!(config[base.unwrap()].take().is_string());
    serde_json::json!({"adapter_config.json": config, file: shapes})
}

fn check(name: &str, base_path: &Path, method: &Method, terms: &[TermToken]) {
    let questions = match method {
        Method::PromptTuning(_) => "prompt_bert",
        _ if terms.is_empty() => "tiny",
        _ => "terms",
    };
    let expected = tensors(&golden(questions).join("expected.safetensors"));
    let model = Model::load(
        Task::SequenceClassification,
        &base(base_path),
        None,
        &strings(&LABELS),
        method,
        terms,
        0.0,
        3,
    )
    .unwrap();
    shake(&model);
    let kept = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os("WENGU_ORACLE_OUT") {
        Some(out) => PathBuf::from(out).join(name),
        None => kept.path().to_owned(),
    };
    write(&model, &folder, &expected);

    let again = read_again(base_path, &folder, method, terms, &LABELS);
    let answer = |model: &Model| model.forward(&batch(&expected), None).unwrap().detach();
    assert_eq!(answer(&model), answer(&again));
    let twice = tempfile::tempdir().unwrap();
    write(&again, twice.path(), &expected);
    let file = match method {
        Method::Bottleneck(_) => "adapter.safetensors",
        _ => "adapter_model.safetensors",
    };
    for file in [
        &format!("adapter/{file}"),
        "adapter/adapter_config.json",
        "head/head.safetensors",
        "head/labels.json",
    ] {
        assert_eq!(
            std::fs::read(folder.join(file)).unwrap(),
            std::fs::read(twice.path().join(file)).unwrap(),
            "{file}"
        );
    }

    let path = golden(&format!("written/{name}.json"));
    let found = format!("{:#}\n", described(&folder, file));
    if std::env::var_os("WENGU_ORACLE_OUT").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    assert_eq!(
        found,
        std::fs::read_to_string(path).unwrap(),
        "the format of adapters has changed"
    );
}

#[test]
fn an_adapter_of_a_model_that_classifies_is_as_peft_writes_it() {
    check("sequence_classification", &golden("tiny/base"), &tiny_method(0.0), &[]);
}

#[test]
fn adapters_of_other_kinds_are_as_peft_writes_them() {
    let of = |change: &dyn Fn(&mut Lora)| {
        let Method::Lora(mut lora) = tiny_method(0.0) else {
            unreachable!()
        };
        change(&mut lora);
        Method::Lora(lora)
    };
    let patterns = |lora: &mut Lora| {
        lora.rank_pattern = [("query".to_owned(), 2), (r"layer\.1\.output\.dense".to_owned(), 6)].into();
        lora.alpha_pattern = [(r".*\.attention\..*".to_owned(), 5.5)].into();
    };
    check("rslora", &golden("tiny/base"), &of(&|lora| lora.use_rslora = true), &[]);
    check("dora", &golden("tiny/base"), &of(&|lora| lora.use_dora = true), &[]);
    check("patterns", &golden("tiny/base"), &of(&patterns), &[]);
    let saved = |lora: &mut Lora| {
        lora.target_modules = strings(&["query", "value"]);
        lora.modules_to_save = strings(&["pooler", "word_embeddings"]);
    };
    check("saved", &golden("tiny/base"), &of(&saved), &[]);
}

#[test]
fn an_adapter_with_term_tokens_is_as_peft_writes_it() {
    check("term_tokens", &golden("tiny/base"), &tiny_method(0.0), &term_tokens());
}

#[test]
fn an_adapter_of_a_bare_encoder_is_as_peft_writes_it() {
    let (kept, folder) = base_with_mean_pooling("feature_extraction");
    check("feature_extraction", &folder, &tiny_method(0.05), &[]);
    drop(kept);
}

#[test]
fn a_prompt_is_as_peft_writes_it() {
    let method = Method::PromptTuning(PromptTuning { virtual_tokens: 5 });
    check("prompt", &golden("tiny/base"), &method, &[]);
    let (kept, folder) = base_with_mean_pooling("prompt_mean");
    check("prompt_mean", &folder, &method, &[]);
    drop(kept);
}

#[test]
fn bottlenecks_are_as_adapter_hub_writes_them() {
    let method = |placement, non_linearity| {
        Method::Bottleneck(Bottleneck {
            placement,
            reduction_factor: 5,
            non_linearity,
        })
    };
    let single = method(Placement::SeqBn, NonLinearity::GeluNew);
    check("seq_bn", &golden("tiny/base"), &single, &[]);
    let (kept, folder) = base_with_mean_pooling("double_seq_bn");
    check(
        "double_seq_bn",
        &folder,
        &method(Placement::DoubleSeqBn, NonLinearity::Swish),
        &[],
    );
    drop(kept);
}

/// PEFT reads the base model too, from the path in adapter_config.json. The folder is there as long as what comes with it.
fn base_with_mean_pooling(name: &str) -> (tempfile::TempDir, PathBuf) {
    let kept = tempfile::tempdir().unwrap();
    let folder = match std::env::var_os("WENGU_ORACLE_OUT") {
        Some(out) => PathBuf::from(out).join(format!("base_of_{name}")),
        None => kept.path().join("base"),
    };
    tiny_with_mean_pooling(&folder);
    (kept, folder)
}

#[test]
fn labels_that_are_added_leave_the_logits_of_the_others_as_they_were() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let before = tiny(&golden("tiny/base"), 0.0).unwrap();
    let parent = parent(&golden("tiny"), &LABELS);
    let labels = strings(&["甲", "乙", "丙", "丁", "戊"]);
    let after = Model::load(
        Task::SequenceClassification,
        &base(&golden("tiny/base")),
        Some(&parent),
        &labels,
        &tiny_method(0.0),
        &[],
        0.0,
        1,
    )
    .unwrap();
    let answer = |model: &Model| model.forward(&batch(&expected), None).unwrap().detach();
    // A matrix of another size may be multiplied in another order.
    assert!(difference(&answer(&after).narrow(1, 0, 3), &answer(&before)) < 1e-5);
    assert_eq!(after.head().unwrap().0.size(), [5, 32]);
    assert_eq!(after.labels(), labels);
}
