//! Low-rank updates of routed experts, from adapters that peft read (tests/oracle/make_experts.py).

use crate::common::*;
use crate::tasks::packed_answers_agree;
use std::collections::BTreeSet;
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, Lora};
use wengu_trainer::error::TrainerError;
use wengu_trainer::fisher::{Labels, Rows, squared_gradients};
use wengu_trainer::model::{Batch, Model, Tapped, Trained};

const MODELS: [&str; 2] = ["deepseek_v2", "deepseek_v3"];

fn load(name: &str, with_parent: bool, change: impl Fn(&mut Lora)) -> Result<Model, TrainerError> {
    of_peft(&golden(&format!("experts_{name}")), name, with_parent, change)
}

#[test]
fn answers_and_all_gradients_agree_with_peft() {
    for name in MODELS {
        let expected = tensors(&golden(&format!("experts_{name}/expected.safetensors")));
        packed_answers_agree(name, &load(name, true, |_| ()).unwrap(), &expected);
    }
}

#[test]
fn what_peft_reads_is_written_again_the_same() {
    for name in MODELS {
        let theirs = golden(&format!("experts_{name}/adapter"));
        let folder = written_again_the_same(&load(name, true, |_| ()).unwrap(), &theirs);
        assert_eq!(method_of(folder.path()), method_of(&theirs), "{name}");
    }
}

#[test]
fn an_experts_squares_are_of_the_tokens_that_it_read() {
    let expected = tensors(&golden("experts_deepseek_v3/expected.safetensors"));
    let model = load("deepseek_v3", true, |_| ()).unwrap();
    let ids = expected["ids"].to_kind(Kind::Int64).narrow(0, 0, 24).unsqueeze(0);
    let batch = Batch {
        mask: ids.ones_like().to_kind(Kind::Float),
        items: None,
        ids,
    };
    let labels = batch.ids.flatten(0, -1);
    let log_p = |logits: &Tensor| {
        let log_p =
            logits
                .log_softmax(1, Kind::Float)
                .gather(1, &labels.to_device(logits.device()).unsqueeze(1), false);
        log_p.sum(Kind::Float)
    };
    let squares = {
        let tapped = model.forward_tapped(&batch).unwrap();
        let labels = Labels::Given(labels.shallow_clone());
        squared_gradients(&tapped, &labels, Rows::TokensOfOneExample, &BTreeSet::new()).unwrap()
    };
    log_p(&model.forward(&batch, None).unwrap()).backward();
    let Tapped { logits, taps, .. } = model.forward_tapped(&batch).unwrap();
    let outputs: Vec<&Tensor> = taps.iter().map(|tap| &tap.output).collect();
    let gradients = Tensor::run_backward(&[log_p(&logits)], &outputs, false, false);
    let mut seen = 0;
    for (tap, gradient) in taps.iter().zip(&gradients) {
        let Trained::Routed { input, .. } = &tap.trained else {
            continue;
        };
        // What was added to the weight has the gradient G = g' a, and B has s G A'.
        let product = gradient.tr().matmul(&input.detach()).to_device(tch::Device::Cpu);
        let site = model.adapters().iter().find(|site| site.name == tap.name).unwrap();
        let near = |found: &Tensor, wanted: &Tensor| {
            let scale = wanted.abs().max().double_value(&[]);
            assert!(scale > 0.0 && difference(found, wanted) < 1e-4 * scale, "{}", tap.name);
        };
        near(&(product.matmul(&site.a.detach().tr()) * site.scaling), &site.b.grad());
        let (_, square) = squares.iter().find(|(name, _)| *name == tap.name).unwrap();
        near(square.diagonal().unwrap(), &product.square());
        seen += 1;
    }
    let of_experts = |name: &&str| name.contains(".experts.");
    let told = squares.iter().map(|(name, _)| name.as_str()).filter(of_experts).count();
    assert!(seen > 6 && told == seen, "{seen} {told}");
}

#[test]
fn what_peft_could_not_read_is_refused_by_name() {
    let error = |change: fn(&mut Lora)| {
        let error = load("deepseek_v3", false, change).err().expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadJob);
        assert!(error.message.contains("experts.0."), "{error}");
        error.message
    };
    assert!(error(|lora| lora.target_modules = strings(&["gate_proj"])).contains("up_proj"));
    assert!(error(|lora| lora.target_modules = strings(&["experts.0.down_proj"])).contains("all of them"));
    assert!(error(|lora| lora.dropout = 0.1).contains("dropout"));
    assert!(error(|lora| lora.use_dora = true).contains("plain LoRA"));
    for part in ["down_proj", "mlp"] {
        let saved = move |lora: &mut Lora| lora.modules_to_save = strings(&[part]);
        let error = load("deepseek_v3", false, saved).err().expect("it must be refused");
        assert!(
            error.end == JobEnd::BadJob && error.message.contains("modules_to_save"),
            "{error}"
        );
    }
    assert!(
        load("deepseek_v3", false, |lora| lora.target_modules =
            strings(&["down_proj"]))
        .is_ok()
    );
}
