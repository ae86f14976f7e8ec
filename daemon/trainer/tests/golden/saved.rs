//! Modules that are trained whole beside low-rank updates, from adapters that peft wrote (tests/oracle/make_saved.py).

use crate::common::*;
use crate::tasks::packed_answers_agree;
use crate::tiny::agrees;
use std::collections::BTreeSet;
use std::path::Path;
use wengu_protocol::job::{JobEnd, Lora, Method, Task};
use wengu_trainer::error::TrainerError;
use wengu_trainer::fisher::{Estimate, FisherState, Labels, Rows, squared_gradients};
use wengu_trainer::model::{Batch, Model};
use wengu_trainer::objective::Ewc;

fn load(kind: &str, with_parent: bool, change: impl Fn(&mut Lora)) -> Result<Model, TrainerError> {
    of_peft(&golden(&format!("saved_{kind}")), kind, with_parent, change)
}

#[test]
fn answers_and_all_gradients_agree_with_peft() {
    let expected = tensors(&golden("saved_bert/expected.safetensors"));
    // Two updates of two layers each, three tensors of modules, the head.
    agrees("saved", &load("bert", true, |_| ()).unwrap(), &expected, 8 + 3 + 2);
    let expected = tensors(&golden("saved_llama/expected.safetensors"));
    packed_answers_agree("saved", &load("llama", true, |_| ()).unwrap(), &expected);
}

#[test]
fn what_peft_wrote_is_written_again_the_same() {
    for kind in ["bert", "llama"] {
        let theirs = golden(&format!("saved_{kind}/adapter"));
        let folder = written_again_the_same(&load(kind, true, |_| ()).unwrap(), &theirs);
        let config = |folder: &Path| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(folder.join("adapter_config.json")).unwrap()).unwrap()
        };
        assert_eq!(
            config(folder.path())["modules_to_save"],
            config(&theirs)["modules_to_save"]
        );
    }
}

#[test]
fn fresh_modules_are_the_base_models_and_change_nothing() {
    let expected = tensors(&golden("saved_bert/expected.safetensors"));
    let answers = |model: &Model| model.forward(&batch(&expected), None).unwrap().detach();
    let (with, without) = (
        load("bert", false, |_| ()).unwrap(),
        load("bert", false, |lora| lora.modules_to_save.clear()).unwrap(),
    );
    assert_eq!(answers(&with), answers(&without));
    assert_eq!(with.trainable().len(), without.trainable().len() + 3);
}

#[test]
fn ewc_holds_linear_layers_and_no_tables() {
    let expected = tensors(&golden("saved_bert/expected.safetensors"));
    let model = load("bert", true, |_| ()).unwrap();
    let names: Vec<String> = model.held().unwrap().into_iter().map(|held| held.name).collect();
    assert!(names.iter().any(|name| name == "pooler.dense.weight"), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("word_embeddings")), "{names:?}");
    // Of a single example, the squared gradient is the square of the gradient that training takes.
    let whole = batch(&expected);
    let one = Batch {
        ids: whole.ids.narrow(0, 1, 1),
        mask: whole.mask.narrow(0, 1, 1),
        items: None,
    };
    let label = expected["labels"].to_kind(tch::Kind::Int64).narrow(0, 1, 1);
    let tapped = model.forward_tapped(&one).unwrap();
    let squares = squared_gradients(
        &tapped,
        &Labels::Given(label.shallow_clone()),
        Rows::Examples,
        &BTreeSet::new(),
    )
    .unwrap();
    let gradients = crate::tiny::gradients(&model, &one, &label, None);
    for name in ["pooler.dense.weight", "pooler.dense.bias"] {
        let square = squares.iter().find(|(own, _)| own == name).unwrap();
        let square = square.1.diagonal().unwrap();
        let (_, gradient) = gradients.iter().find(|(own, _)| own == name).unwrap();
        let scale = square.max().double_value(&[]);
        assert!(
            scale > 0.0 && difference(square, &gradient.square()) < 1e-5 * scale,
            "{name}"
        );
    }
    let mut estimate = Estimate::default();
    estimate.add(squares, 1).unwrap();
    let state = FisherState::accumulate(None, 1.0, &estimate.mean().unwrap(), &model.held().unwrap()).unwrap();
    let penalty = Ewc::new(1.0, &state, &model.held().unwrap()).unwrap();
    assert_eq!(
        penalty
            .penalty(&model.held().unwrap())
            .unwrap()
            .unwrap()
            .double_value(&[]),
        0.0
    );
}

#[test]
fn checkpointed_gradients_are_those_of_a_plain_pass() {
    let expected = tensors(&golden("saved_bert/expected.safetensors"));
    let labels = expected["labels"].to_kind(tch::Kind::Int64);
    let model = load("bert", true, |_| ()).unwrap();
    let plain = crate::tiny::gradients(&model, &batch(&expected), &labels, Some(3));
    model
        .trainable()
        .iter_mut()
        .for_each(|(_, tensor, _)| tensor.zero_grad());
    let (logits, kept) = model.forward_sparing(&batch(&expected), 3).unwrap();
    logits.cross_entropy_for_logits(&labels).backward();
    kept.backward().unwrap();
    for ((name, parameter, _), (_, gradient)) in model.trainable().iter().zip(&plain) {
        assert_eq!(&parameter.grad(), gradient, "{name}");
    }
}

#[test]
fn modules_that_are_none_or_are_adapted_too_are_refused_by_name() {
    let error = |kind: &str, change: fn(&mut Lora)| {
        let error = load(kind, false, change).err().expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadJob);
        error.message
    };
    let message = error("bert", |lora| lora.modules_to_save = strings(&["LayerNorm"]));
    assert!(
        message.contains("\"LayerNorm\"") && message.contains("word_embeddings"),
        "{message}"
    );
    let message = error("bert", |lora| lora.modules_to_save = strings(&["query"]));
    assert!(message.contains("both in target_modules"), "{message}");
    // A parent that carries other modules is another adapter.
    let other = load("bert", true, |lora| lora.modules_to_save = strings(&["pooler"]))
        .err()
        .unwrap();
    assert_eq!(other.end, JobEnd::BadModel, "{other}");
    // Qwen2's small model has one table for both ends.
    let lora = Lora {
        target_modules: strings(&["q_proj"]),
        modules_to_save: strings(&["lm_head"]),
        ..Lora::default()
    };
    let base = base(&golden("causal_qwen2/base"));
    let tied = Model::load(Task::CausalLm, &base, None, &[], &Method::Lora(lora), &[], 0.0, 1)
        .err()
        .unwrap();
    assert!(tied.message.contains("tie_word_embeddings"), "{tied}");
}
