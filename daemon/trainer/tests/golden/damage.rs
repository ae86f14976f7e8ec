//! What is not as it should be ends the load, and the message names it.

use crate::common::*;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, Lora, Method, Task};
use wengu_trainer::error::TrainerError;
use wengu_trainer::model::{Batch, Model};

/// A tensor as it is in a file.
type Stored = (String, Dtype, Vec<usize>, Vec<u8>);

/// What is done to a copy of the model.
type Damage = Box<dyn FnOnce(&Path)>;

/// Writes a safetensors file again with its tensors changed.
fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<Stored>)) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut stored: Vec<Stored> = file
        .iter()
        .map(|(name, view)| {
            (
                name.to_owned(),
                view.dtype(),
                view.shape().to_vec(),
                view.data().to_vec(),
            )
        })
        .collect();
    change(&mut stored);
    let views = stored
        .iter()
        .map(|(name, dtype, shape, data)| (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The error of loading a changed copy of the tiny model.
fn error(change: impl FnOnce(&Path)) -> TrainerError {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden("tiny"), folder.path());
    change(folder.path());
    let base = folder.path().join("base");
    match like_tiny(Task::SequenceClassification, &base, folder.path(), 0.0) {
        Ok(_) => panic!("the model was loaded"),
        Err(error) => error,
    }
}

#[test]
fn damaged_files_are_refused_by_name() {
    const ADAPTER: &str = "adapter/adapter_model.safetensors";
    const BASE: &str = "base/model.safetensors";
    const QUERY: &str = "encoder.layer.1.attention.self.query.lora_A.weight";
    let rename = |tensors: &mut Vec<Stored>, from: &str, to: &str| {
        tensors.iter_mut().find(|t| t.0.ends_with(from)).unwrap().0 = to.to_owned();
    };
    let cases: Vec<(&str, Damage)> = vec![
        (
            QUERY,
            Box::new(|f| rewrite(&f.join(ADAPTER), |t| t.retain(|t| !t.0.ends_with(QUERY)))),
        ),
        ("unexpected tensors: [base_model.model.x]", {
            Box::new(move |f| rewrite(&f.join(ADAPTER), |t| rename(t, QUERY, "base_model.model.x")))
        }),
        ("shape [32, 4]", {
            Box::new(|f| {
                rewrite(&f.join(ADAPTER), |t| {
                    t.iter_mut().find(|t| t.0.ends_with(QUERY)).unwrap().2 = vec![32, 4]
                })
            })
        }),
        ("I32", {
            Box::new(|f| {
                rewrite(&f.join(ADAPTER), |t| {
                    t.iter_mut().find(|t| t.0.ends_with(QUERY)).unwrap().1 = Dtype::I32
                })
            })
        }),
        ("differs from the head", {
            Box::new(|f| {
                rewrite(&f.join(ADAPTER), |t| {
                    t.iter_mut().find(|t| t.0.ends_with("bias")).unwrap().3[0] ^= 1
                })
            })
        }),
        ("adapter_model.safetensors", Box::new(|f| cut_short(&f.join(ADAPTER)))),
        (
            "adapter_config.json",
            Box::new(|f| std::fs::remove_file(f.join("adapter/adapter_config.json")).unwrap()),
        ),
        (
            "lora_magnitude_vector",
            Box::new(|f| edit(&f.join("adapter/adapter_config.json"), "use_dora", true.into())),
        ),
        (
            "use_qalora",
            Box::new(|f| edit(&f.join("adapter/adapter_config.json"), "use_qalora", true.into())),
        ),
        ("init_lora_weights", {
            Box::new(|f| {
                edit(
                    &f.join("adapter/adapter_config.json"),
                    "init_lora_weights",
                    "pissa".into(),
                )
            })
        }),
        ("task_type", {
            Box::new(|f| {
                edit(
                    &f.join("adapter/adapter_config.json"),
                    "task_type",
                    "FEATURE_EXTRACTION".into(),
                )
            })
        }),
        (
            "labels.json",
            Box::new(|f| edit(&f.join("head/labels.json"), "labels", vec!["乙", "甲", "丙"].into())),
        ),
        (
            "head.safetensors",
            Box::new(|f| cut_short(&f.join("head/head.safetensors"))),
        ),
        ("bert.encoder.layer.0.output.dense.bias", {
            Box::new(move |f| {
                rewrite(&f.join(BASE), |t| {
                    t.retain(|t| t.0 != "bert.encoder.layer.0.output.dense.bias")
                })
            })
        }),
        ("bert.encoder.layer.2.x", {
            Box::new(|f| {
                rewrite(&f.join(BASE), |t| {
                    t.push(("bert.encoder.layer.2.x".into(), Dtype::F32, vec![1], vec![0; 4]));
                })
            })
        }),
        (
            "pooler",
            Box::new(|f| rewrite(&f.join(BASE), |t| t.retain(|t| !t.0.contains("pooler")))),
        ),
        ("model.safetensors", Box::new(|f| cut_short(&f.join(BASE)))),
        (
            "num_hidden_layers",
            Box::new(|f| edit(&f.join("base/config.json"), "num_hidden_layers", 0.into())),
        ),
    ];
    for (word, change) in cases {
        let error = error(change);
        assert_eq!(error.end, JobEnd::BadModel, "{error}");
        assert!(error.message.contains(word), "{error} does not say {word}");
    }
}

fn cut_short(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() - 7]).unwrap();
}

fn edit(path: &Path, field: &str, value: serde_json::Value) {
    let mut content: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    content[field] = value;
    std::fs::write(path, content.to_string()).unwrap();
}

#[test]
fn another_base_model_than_the_job_names_is_refused() {
    let mut base = base(&golden("tiny/base"));
    base.sha256.insert("model.safetensors".into(), "0".repeat(64));
    let error = Model::load(
        Task::SequenceClassification,
        &base,
        None,
        &strings(&LABELS),
        &Method::HeadOnly,
        &[],
        0.0,
        1,
    )
    .err()
    .unwrap();
    assert_eq!(error.end, JobEnd::BadModel);
    assert!(error.message.contains("model.safetensors"), "{error}");
}

#[test]
fn a_job_that_contradicts_its_parent_is_refused() {
    let base = base(&golden("tiny/base"));
    let parent = parent(&golden("tiny"), &LABELS);
    let load = |labels: &[&str], method: &Method| {
        Model::load(
            Task::SequenceClassification,
            &base,
            Some(&parent),
            &strings(labels),
            method,
            &[],
            0.0,
            1,
        )
        .err()
        .unwrap()
        .end
    };
    assert_eq!(load(&["乙", "甲", "丙"], &tiny_method(0.0)), JobEnd::UnknownLabel);
    assert_eq!(load(&["甲", "乙"], &tiny_method(0.0)), JobEnd::UnknownLabel);
    assert_eq!(load(&["甲", "乙", "丙", "丙"], &tiny_method(0.0)), JobEnd::BadJob);
    assert_eq!(load(&LABELS, &Method::HeadOnly), JobEnd::BadJob);
    let lora = |rank, targets: &[&str]| {
        Method::Lora(Lora {
            rank,
            alpha: 12.0,
            dropout: 0.0,
            target_modules: strings(targets),
            ..Lora::default()
        })
    };
    assert_eq!(load(&LABELS, &lora(0, &["query"])), JobEnd::BadJob);
    assert_eq!(load(&LABELS, &lora(4, &["q_proj"])), JobEnd::BadJob);
    assert_eq!(load(&LABELS, &lora(4, &[])), JobEnd::BadJob);
    // The adapter on disk has other layers.
    assert_eq!(load(&LABELS, &lora(4, &["query"])), JobEnd::BadModel);
    let other_alpha = Method::Lora(Lora {
        rank: 4,
        alpha: 8.0,
        dropout: 0.0,
        target_modules: strings(&["dense", "key", "query", "value"]),
        ..Lora::default()
    });
    assert_eq!(load(&LABELS, &other_alpha), JobEnd::BadJob);
}

#[test]
fn half_precision_and_bare_names_load_and_answer_nearly_the_same() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let reference = tiny(&golden("tiny/base"), 0.0)
        .unwrap()
        .forward(&batch(&expected), None)
        .unwrap();
    for (kind, dtype) in [(Kind::Half, Dtype::F16), (Kind::BFloat16, Dtype::BF16)] {
        let folder = tempfile::tempdir().unwrap();
        copy(&golden("tiny/base"), folder.path());
        rewrite(&folder.path().join("model.safetensors"), |stored| {
            for (name, stored_dtype, shape, data) in stored.iter_mut() {
                let shape: Vec<i64> = shape.iter().map(|&n| n as i64).collect();
                let half = Tensor::from_data_size(data, &shape, Kind::Float).to_kind(kind);
                let mut bytes = vec![0; 2 * half.numel()];
                half.copy_data_u8(&mut bytes, half.numel());
                *name = name.trim_start_matches("bert.").to_owned();
                (*stored_dtype, *data) = (dtype, bytes);
            }
        });
        let half = tiny(folder.path(), 0.0)
            .unwrap()
            .forward(&batch(&expected), None)
            .unwrap();
        assert_eq!(half.kind(), Kind::Float);
        let off = difference(&half, &reference);
        assert!(off > 0.0 && off < 0.15, "{kind:?}: {off}");
    }
}

#[test]
fn batches_that_libtorch_would_trip_over_are_bad_data() {
    let model = tiny(&golden("tiny/base"), 0.0).unwrap();
    let end = |ids: Tensor, mask: Tensor| model.forward(&Batch { ids, mask, items: None }, None).unwrap_err().end;
    let ids = |value: i64, t: i64| Tensor::full([2, t], value, (Kind::Int64, tch::Device::Cpu));
    let mask = |t: i64| Tensor::ones([2, t], (Kind::Bool, tch::Device::Cpu));
    assert!(
        model
            .forward(
                &Batch {
                    ids: ids(159, 24),
                    mask: mask(24),
                    items: None,
                },
                None
            )
            .is_ok()
    );
    assert_eq!(end(ids(160, 24), mask(24)), JobEnd::BadData);
    assert_eq!(end(ids(-1, 24), mask(24)), JobEnd::BadData);
    assert_eq!(end(ids(1, 25), mask(25)), JobEnd::BadData);
    assert_eq!(end(ids(1, 8), mask(7)), JobEnd::BadData);
    assert_eq!(end(ids(1, 0), mask(0)), JobEnd::BadData);
}
