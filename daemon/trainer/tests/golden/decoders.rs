//! Small random decoders (tests/oracle/make_decoders.py and make_deepseek.py).

use crate::common::*;
use crate::tiny::agrees;
use std::collections::HashMap;
use tch::Tensor;
use wengu_protocol::job::{JobEnd, Task};
use wengu_trainer::model::{Model, Pooling};

const FAMILIES: [&str; 8] = [
    "llama",
    "qwen2",
    "qwen2_yarn",
    "qwen3",
    "deepseek_v2_lite",
    "deepseek_v2",
    "deepseek_v3",
    "deepseek_v3_fp8",
];

fn model(name: &str) -> Model {
    let (base, parent) = (base(&golden(&format!("{name}/base"))), parent(&golden(name), &LABELS));
    Model::load(
        Task::SequenceClassification,
        &base,
        Some(&parent),
        &strings(&LABELS),
        &adapted(name),
        &[],
        0.0,
        1,
    )
    .unwrap()
}

#[test]
fn logits_and_all_gradients_agree_with_float64_autograd() {
    for name in FAMILIES {
        let model = model(name);
        assert_eq!((model.pooling(), model.limits().max_tokens), (Pooling::Last, 128));
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let gradients = expected.keys().filter(|key| key.starts_with("gradient.")).count();
        assert!(gradients >= 18, "{name}: {gradients}");
        agrees(name, &model, &expected, gradients);
    }
}

#[test]
fn padding_on_either_side_takes_no_part_in_an_answer() {
    for name in FAMILIES {
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let model = model(name);
        for kind in ["left", "whole"] {
            let of = |part: &str| (part.to_owned(), expected[&format!("{kind}.{part}")].shallow_clone());
            let one: HashMap<String, Tensor> = ["ids", "mask", "logits"].map(of).into();
            let off = difference(&model.forward(&batch(&one), None).unwrap(), &one["logits"]);
            println!("{name}, {kind}: logits differ by at most {off:.2e}");
            assert!(off < 1e-4, "{name} {kind}: {off}");
        }
    }
}

#[test]
fn an_adapter_is_written_as_it_was_read() {
    for name in FAMILIES {
        written_again_the_same(&model(name), &golden(name).join("adapter"));
    }
}

#[test]
fn shards_that_are_missing_or_hold_something_else_are_refused_by_name() {
    let refused = |change: &dyn Fn(&std::path::Path)| {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden("llama/base"), folder.path());
        change(folder.path());
        let loaded = Model::load(
            Task::SequenceClassification,
            &base(folder.path()),
            None,
            &strings(&LABELS),
            &adapted("llama"),
            &[],
            0.0,
            1,
        );
        let error = loaded.err().expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadModel);
        error.to_string()
    };
    let index = "model.safetensors.index.json";
    let second = "model-00002-of-00002.safetensors";
    let error = refused(&|folder| std::fs::remove_file(folder.join(second)).unwrap());
    assert!(error.contains(second), "{error}");
    let edit = |folder: &std::path::Path, from: &str, to: &str| {
        let text = std::fs::read_to_string(folder.join(index)).unwrap();
        assert!(text.contains(from));
        std::fs::write(folder.join(index), text.replacen(from, to, 1)).unwrap();
    };
    let error = refused(&|folder| edit(folder, second, "../elsewhere.safetensors"));
    assert!(error.contains("no file of this folder"), "{error}");
    let error = refused(&|folder| edit(folder, "model.norm.weight", "model.morn.weight"));
    assert!(error.contains("model.morn.weight"), "{error}");
    let error = refused(&|folder| {
        let mut all: Vec<(String, Tensor)> = tensors(&folder.join(second)).into_iter().collect();
        all.push(("surplus.weight".into(), Tensor::from_slice(&[1.0f32])));
        Tensor::write_safetensors(&all, folder.join(second)).unwrap();
    });
    assert!(error.contains("its shards hold"), "{error}");
}

#[test]
fn weights_in_eight_bits_are_refused_without_their_factors() {
    let name = "deepseek_v3_fp8";
    let refused = |change: &dyn Fn(&std::path::Path)| {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden(&format!("{name}/base")), folder.path());
        change(folder.path());
        let (base, method) = (base(folder.path()), adapted(name));
        let task = Task::SequenceClassification;
        let loaded = Model::load(task, &base, None, &strings(&LABELS), &method, &[], 0.0, 1);
        let error = loaded.err().expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadModel);
        error.to_string()
    };
    let config = |change: &dyn Fn(&mut serde_json::Value)| {
        refused(&|folder| {
            let path = folder.join("config.json");
            let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change(&mut config);
            std::fs::write(path, config.to_string()).unwrap();
        })
    };
    let error = config(&|config| drop(config.as_object_mut().unwrap().remove("quantization_config")));
    assert!(
        error.contains("quantization_config") && error.contains("8 bits"),
        "{error}"
    );
    let error = config(&|config| config["quantization_config"]["weight_block_size"] = serde_json::json!([16, 16]));
    assert!(error.contains("_scale_inv") && error.contains("is expected"), "{error}");
    let error = config(&|config| config["quantization_config"]["quant_method"] = "gptq".into());
    assert!(error.contains("gptq"), "{error}");
    let error = config(&|config| config["topk_method"] = "greedy".into());
    assert!(error.contains("topk_method"), "{error}");
    let error = config(&|config| config["num_nextn_predict_layers"] = 0.into());
    assert!(
        error.contains("eh_proj"),
        "a layer that nothing announces is surplus: {error}"
    );
    let error = config(&|config| config["kv_lora_rank"] = 13.into());
    assert!(error.contains("kv_a_proj_with_mqa"), "{error}");
}
