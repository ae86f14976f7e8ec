//! rsLoRA, ranks and alphas by pattern, and DoRA, from adapters that peft wrote (tests/oracle/make_peft.py).

use crate::common::*;
use crate::tasks::packed_answers_agree;
use crate::tiny::agrees;
use wengu_protocol::job::{JobEnd, Lora, Method, Task};
use wengu_trainer::error::TrainerError;
use wengu_trainer::model::{Model, Trained};

const METHODS: [&str; 3] = ["rslora", "patterns", "dora"];

fn load(name: &str, kind: &str, change: impl Fn(&mut Lora)) -> Result<Model, TrainerError> {
    of_peft(&golden(&format!("{name}_{kind}")), kind, true, change)
}

#[test]
fn answers_and_all_gradients_agree_with_peft() {
    for name in METHODS {
        let expected = tensors(&golden(&format!("{name}_bert/expected.safetensors")));
        let gradients = expected.keys().filter(|key| key.starts_with("gradient.")).count();
        agrees(name, &load(name, "bert", |_| ()).unwrap(), &expected, gradients);

        let model = load(name, "llama", |_| ()).unwrap();
        let expected = tensors(&golden(&format!("{name}_llama/expected.safetensors")));
        packed_answers_agree(name, &model, &expected);
    }
}

#[test]
fn what_peft_wrote_is_written_again_the_same() {
    for (name, kind) in METHODS.iter().flat_map(|name| [(name, "bert"), (name, "llama")]) {
        let theirs = golden(&format!("{name}_{kind}/adapter"));
        let folder = written_again_the_same(&load(name, kind, |_| ()).unwrap(), &theirs);
        assert_eq!(method_of(folder.path()), method_of(&theirs), "{name} {kind}");
    }
}

#[test]
fn the_product_is_what_the_layer_adds() {
    for name in METHODS {
        let model = load(name, "bert", |_| ()).unwrap();
        let expected = tensors(&golden(&format!("{name}_bert/expected.safetensors")));
        let taps = model.forward_tapped(&batch(&expected)).unwrap().taps;
        let weights = tensors(&golden("tiny/base/model.safetensors"));
        for (site, tap) in model.adapters().iter().zip(taps) {
            let part = |part: &str| &weights[&format!("bert.{}.{part}", site.name)];
            let weight = part("weight") + site.product().unwrap();
            let Trained::Weight(input) = &tap.trained else {
                panic!("{} is a linear layer", site.name)
            };
            let said = input.to_device(tch::Device::Cpu).linear(&weight, Some(part("bias")));
            let off = difference(&said.detach(), &tap.output.detach());
            assert!(off < 1e-4, "{name} {}: {off}", site.name);
        }
    }
}

#[test]
fn fresh_magnitudes_change_nothing_and_dropout_reaches_the_base_weight_too() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let model = |use_dora: bool, dropout: f64| {
        let lora = Lora {
            dropout,
            use_dora,
            target_modules: strings(&["query", "dense"]),
            ..Lora::default()
        };
        let base = base(&golden("tiny/base"));
        let task = Task::SequenceClassification;
        Model::load(task, &base, None, &strings(&LABELS), &Method::Lora(lora), &[], 0.0, 1).unwrap()
    };
    let answer = |model: &Model, seed| model.forward(&batch(&expected), seed).unwrap().detach();
    let plain = answer(&model(false, 0.0), None);
    assert!(difference(&answer(&model(true, 0.0), None), &plain) < 1e-5);
    // With B = 0 and magnitudes as they began, dropout has nothing to change.
    assert!(difference(&answer(&model(true, 0.5), Some(3)), &plain) < 1e-5);
}

#[test]
fn another_method_than_the_parents_is_refused_by_name() {
    let refused = |name: &str, change: &dyn Fn(&mut Lora)| {
        let error = load(name, "bert", change).err().expect("it must be refused");
        assert_eq!(error.end, JobEnd::BadJob);
        error.to_string()
    };
    let error = refused("dora", &|lora| lora.use_dora = false);
    assert!(error.contains("use_dora") && error.contains("start anew"), "{error}");
    let error = refused("rslora", &|lora| lora.use_rslora = false);
    assert!(error.contains("use_rslora"), "{error}");
    let error = refused("patterns", &|lora| lora.rank_pattern.clear());
    assert!(error.contains("ranks"), "{error}");
}
