//! Bottleneck adapters that AdapterHub's library wrote (tests/oracle/make_bottleneck.py).

use crate::common::*;
use crate::tasks::{greedy_answers_agree, packed_answers_agree};
use crate::tiny::{agrees, gradients};
use std::collections::BTreeSet;
use std::path::Path;
use tch::{Kind, Tensor};
use wengu_protocol::job::{Bottleneck, JobEnd, Method, NonLinearity, Parent, Placement, Task};
use wengu_trainer::error::TrainerError;
use wengu_trainer::fisher::{Labels, Rows, squared_gradients};
use wengu_trainer::model::{Batch, Model, ParamGroup};

fn bottleneck(placement: Placement, non_linearity: NonLinearity) -> Bottleneck {
    Bottleneck {
        placement,
        reduction_factor: if placement == Placement::SeqBn { 4 } else { 8 },
        non_linearity,
    }
}

/// Name of a golden, its base model, and what it is.
fn classifiers() -> [(&'static str, &'static str, Bottleneck); 4] {
    let (single, double) = (Placement::SeqBn, Placement::DoubleSeqBn);
    [
        ("seq_bn_bert", "tiny", bottleneck(single, NonLinearity::Relu)),
        ("double_seq_bn_bert", "tiny", bottleneck(double, NonLinearity::Swish)),
        ("seq_bn_xlmr", "xlmr", bottleneck(single, NonLinearity::Gelu)),
        ("double_seq_bn_xlmr", "xlmr", bottleneck(double, NonLinearity::Tanh)),
    ]
}

fn writers() -> [(&'static str, Bottleneck); 2] {
    [
        ("seq_bn_llama", bottleneck(Placement::SeqBn, NonLinearity::Relu)),
        (
            "double_seq_bn_llama",
            bottleneck(Placement::DoubleSeqBn, NonLinearity::Swish),
        ),
    ]
}

fn load(
    task: Task,
    base_name: &str,
    parent: Option<&Parent>,
    settings: &Bottleneck,
    seed: u64,
) -> Result<Model, TrainerError> {
    let labels: &[&str] = if task == Task::CausalLm { &[] } else { &LABELS };
    let base = base(&golden(&format!("{base_name}/base")));
    let method = Method::Bottleneck(settings.clone());
    Model::load(task, &base, parent, &strings(labels), &method, &[], 0.0, seed)
}

fn classifier(name: &str, base_name: &str, settings: &Bottleneck) -> Model {
    let parent = parent(&golden(name), &LABELS);
    load(Task::SequenceClassification, base_name, Some(&parent), settings, 1).unwrap()
}

fn writer(name: &str, settings: &Bottleneck) -> Model {
    let parent = Parent {
        head: None,
        ..parent(&golden(name), &[])
    };
    load(Task::CausalLm, "causal_llama", Some(&parent), settings, 1).unwrap()
}

#[test]
fn logits_and_all_gradients_agree_with_adapter_hub() {
    for (name, base_name, settings) in classifiers() {
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let model = classifier(name, base_name, &settings);
        // Four tensors an adapter, two layers, and the head.
        let count = 2 * 4 * settings.placement.per_layer() as usize + 2;
        agrees(name, &model, &expected, count);
    }
}

#[test]
fn answers_of_packed_examples_agree_with_adapter_hub() {
    for (name, settings) in writers() {
        let model = writer(name, &settings);
        let expected = tensors(&golden(name).join("expected.safetensors"));
        packed_answers_agree(name, &model, &expected);
    }
}

#[test]
fn greedy_answers_are_those_of_adapter_hub_with_padding_on_the_left() {
    for (name, settings) in writers() {
        let expected = tensors(&golden(name).join("expected.safetensors"));
        greedy_answers_agree(name, &writer(name, &settings), &expected);
    }
}

#[test]
fn what_adapter_hub_wrote_is_written_again_the_same() {
    let classifiers = classifiers().map(|(name, base_name, settings)| (name, classifier(name, base_name, &settings)));
    let writers = writers().map(|(name, settings)| (name, writer(name, &settings)));
    for (name, model) in classifiers.into_iter().chain(writers) {
        let folder = tempfile::tempdir().unwrap();
        model.save_adapter(folder.path()).unwrap();
        let theirs = golden(name).join("adapter");
        let read = |folder: &Path| tensors(&folder.join("adapter.safetensors"));
        let (found, wanted) = (read(folder.path()), read(&theirs));
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (key, tensor) in &wanted {
            assert_eq!(&found[key], tensor, "{name} {key}");
        }
        let config = |folder: &Path| -> serde_json::Value {
            let text = std::fs::read(folder.join("adapter_config.json")).unwrap();
            let mut config: serde_json::Value = serde_json::from_slice(&text).unwrap();
            // The path of this machine.
            assert!(config["model_name"].take().is_string());
            config
        };
        assert_eq!(config(folder.path()), config(&theirs), "{name}");
    }
}

#[test]
fn what_is_computed_again_gives_the_same_gradients_to_the_last_bit() {
    for (name, base_name, settings) in classifiers() {
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let model = classifier(name, base_name, &settings);
        let (batch, labels) = (batch(&expected), expected["labels"].to_kind(Kind::Int64));
        let plain = gradients(&model, &batch, &labels, Some(5));
        for (_, mut tensor, _) in model.trainable() {
            tensor.zero_grad();
        }
        let (logits, kept) = model.forward_sparing(&batch, 5).unwrap();
        logits.cross_entropy_for_logits(&labels).backward();
        kept.backward().unwrap();
        for ((parameter, expected), (_, tensor, _)) in plain.iter().zip(model.trainable()) {
            assert_eq!(&tensor.grad(), expected, "{name} {parameter}");
        }
    }
}

#[test]
fn the_fisher_of_weights_and_biases_is_that_of_its_definition() {
    let (name, base_name, settings) = &classifiers()[1];
    let expected = tensors(&golden(name).join("expected.safetensors"));
    let model = classifier(name, base_name, settings);
    let (batch, labels) = (batch(&expected), expected["labels"].to_kind(Kind::Int64));
    let tapped = model.forward_tapped(&batch).unwrap();
    for (estimator, given) in [("empirical", Some(&labels)), ("exact", None)] {
        let of = given.map_or(Labels::Expected, |labels| Labels::Given(labels.copy()));
        let tapped = model.forward_tapped(&batch).unwrap();
        let found = squared_gradients(&tapped, &of, Rows::Examples, &BTreeSet::new()).unwrap();
        let p = tapped.logits.detach().softmax(1, Kind::Double);
        // One example and one label at a time, by the whole backward pass.
        let mut sums: Vec<Tensor> = model
            .trainable()
            .iter()
            .map(|(_, t, _)| t.zeros_like().detach())
            .collect();
        for row in 0..batch.ids.size()[0] {
            let one = Batch {
                ids: batch.ids.narrow(0, row, 1),
                mask: batch.mask.narrow(0, row, 1),
                items: None,
            };
            for label in 0..3 {
                let weight = match given {
                    Some(labels) => f64::from(labels.int64_value(&[row]) == label),
                    None => p.double_value(&[row, label]),
                };
                let of_label = gradients(&model, &one, &Tensor::from_slice(&[label]), None);
                for (sum, (_, gradient)) in sums.iter_mut().zip(of_label) {
                    *sum += gradient.square() * weight;
                }
            }
        }
        assert_eq!(found.len(), sums.len());
        for (sum, (parameter, ..)) in sums.iter().zip(model.trainable()) {
            let (_, square) = found.iter().find(|(name, _)| *name == parameter).unwrap();
            let off = difference(square.diagonal().unwrap(), sum) / sum.max().double_value(&[]);
            assert!(off < 1e-4, "{estimator} {parameter}: {off}");
        }
    }
    assert_eq!(
        tapped.taps.len(),
        17,
        "four adapters with two layers of weight and bias, and the head"
    );
}

#[test]
fn a_fresh_adapter_does_little_and_follows_from_the_seed() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let settings = bottleneck(Placement::DoubleSeqBn, NonLinearity::Swish);
    let fresh = |seed| load(Task::SequenceClassification, "tiny", None, &settings, seed).unwrap();
    let answer = |model: &Model| model.forward(&batch(&expected), None).unwrap().detach();
    let (model, again) = (fresh(7), fresh(7));
    assert_eq!(answer(&model), answer(&again));
    assert_ne!(answer(&model), answer(&fresh(8)));
    let groups: Vec<ParamGroup> = model.trainable().iter().map(|(.., group)| *group).collect();
    assert_eq!(groups[..2], [ParamGroup::Adapter, ParamGroup::AdapterBias]);
    for (name, tensor, _) in model
        .trainable()
        .iter()
        .filter(|(name, ..)| name.contains(".adapters."))
    {
        let largest = tensor.abs().max().double_value(&[]);
        assert_eq!(largest == 0.0, name.ends_with("bias"), "{name}: {largest}");
        assert!(largest < 0.1, "{name}: {largest}");
    }
    let bare = answer(&fresh(7).without_adapter());
    let off = difference(&answer(&model), &bare);
    assert!(off > 0.0 && off < 0.1, "{off}");
}

#[test]
fn families_without_a_place_for_them_are_refused() {
    for base_name in ["qwen2", "qwen3", "deepseek_v2", "deepseek_v3"] {
        let settings = bottleneck(Placement::SeqBn, NonLinearity::Relu);
        let refused = load(Task::SequenceClassification, base_name, None, &settings, 1).err();
        let error = refused.expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadJob);
        assert!(
            error.message.contains(base_name) && error.message.contains("llama"),
            "{error}"
        );
    }
}

/// Loads a copy of BERT's adapter after `change`; it has to be refused.
fn refused(settings: &Bottleneck, change: impl Fn(&Path)) -> TrainerError {
    let folder = tempfile::tempdir().unwrap();
    copy(&golden("seq_bn_bert"), folder.path());
    change(folder.path());
    let parent = parent(folder.path(), &LABELS);
    let loaded = load(Task::SequenceClassification, "tiny", Some(&parent), settings, 1);
    loaded.err().expect("it must be refused")
}

#[test]
fn a_directory_that_is_not_what_it_should_be_is_refused_by_name() {
    let settings = bottleneck(Placement::SeqBn, NonLinearity::Relu);
    let edit = |change: &dyn Fn(&mut serde_json::Value)| {
        refused(&settings, |folder| {
            let path = folder.join("adapter/adapter_config.json");
            let mut config = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            change(&mut config);
            std::fs::write(path, config.to_string()).unwrap();
        })
    };
    for (field, value) in [
        ("ln_after", true.into()),
        ("scaling", serde_json::json!(4.0)),
        ("leave_out", serde_json::json!([1])),
        ("is_parallel", true.into()),
        ("dropout", serde_json::json!(0.1)),
        ("something_new", serde_json::json!("on")),
        ("original_ln_before", false.into()),
        ("non_linearity", "leakyrelu".into()),
        ("reduction_factor", serde_json::json!({"default": 4})),
    ] {
        let error = edit(&|config| config["config"][field] = value.clone());
        assert_eq!(error.end, JobEnd::BadModel);
        assert!(error.message.contains(field), "{field}: {error}");
    }
    let error = edit(&|config| config["model_type"] = "roberta".into());
    assert!(error.message.contains("\"roberta\""), "{error}");
    let error = edit(&|config| config["name"] = "other".into());
    assert!(
        error.message.contains("missing tensors") && error.message.contains("unexpected"),
        "{error}"
    );

    let error = refused(&settings, |folder| {
        let path = folder.join("adapter/adapter.safetensors");
        let mut all: Vec<(String, Tensor)> = tensors(&path).into_iter().collect();
        all.retain(|(name, _)| !name.ends_with("layer.1.output.adapters.wengu.adapter_up.bias"));
        Tensor::write_safetensors(&all, path).unwrap();
    });
    assert_eq!(error.end, JobEnd::BadModel);
    let missing = "missing tensors: [bert.encoder.layer.1.output.adapters.wengu.adapter_up.bias]";
    assert!(error.message.contains(missing), "{error}");

    for other in [
        bottleneck(Placement::SeqBn, NonLinearity::Tanh),
        bottleneck(Placement::DoubleSeqBn, NonLinearity::Relu),
    ] {
        let error = refused(&other, |_| ());
        assert_eq!(error.end, JobEnd::BadJob);
        assert!(error.message.contains("start anew"), "{error}");
    }
}

#[test]
fn an_adapter_of_another_method_is_refused_by_name() {
    let settings = bottleneck(Placement::SeqBn, NonLinearity::Relu);
    let said = refused_parent("tiny", &Method::Bottleneck(settings));
    assert!(
        said.contains("\"LORA\"") && said.contains("take the parent's method"),
        "{said}"
    );
    let said = refused_parent("seq_bn_bert", &tiny_method(0.0));
    assert!(
        said.contains("peft_type") && said.contains("take the parent's method"),
        "{said}"
    );
}
