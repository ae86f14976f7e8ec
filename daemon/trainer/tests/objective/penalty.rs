//! The penalty of elastic weight consolidation.

use super::{assert_close, golden, leaf};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};
use wengu_trainer::fisher::{Entry, FisherState, HEAD_BIAS, HEAD_WEIGHT};
use wengu_trainer::model::{Held, LoraSite, Value, held_head};
use wengu_trainer::objective::Ewc;
use wengu_trainer::optim::AdamW;

#[test]
fn the_ewc_penalty_and_its_gradient() {
    let g = golden("terms.safetensors");
    let parameter = |name: &str| leaf(&g[&format!("ewc.parameter/{name}")]);
    let site = |name: &str| LoraSite {
        name: name.into(),
        a: parameter(&format!("{name}.a")),
        b: parameter(&format!("{name}.b")),
        scaling: g["ewc.scaling"].double_value(&[]),
        dora: None,
        parent: None,
    };
    let sites = [site("first"), site("second")];
    let (weight, bias) = (parameter(HEAD_WEIGHT), parameter(HEAD_BIAS));
    let parent = parent_state(&g, &["first", "second", HEAD_WEIGHT, HEAD_BIAS]);
    let held = held(&sites, &weight, &bias);
    let ewc = Ewc::new(g["ewc.lambda"].double_value(&[]), &parent, &held).unwrap();
    let value = ewc.penalty(&held).unwrap().unwrap();
    value.backward();
    assert_close(&value.detach(), &g["ewc.value"], 1e-13, "value");
    for (name, tensor) in [
        ("first.a", &sites[0].a),
        ("first.b", &sites[0].b),
        ("second.a", &sites[1].a),
        ("second.b", &sites[1].b),
        (HEAD_WEIGHT, &weight),
        (HEAD_BIAS, &bias),
    ] {
        assert_close(&tensor.grad(), &g[&format!("ewc.gradient/{name}")], 1e-12, name);
    }
}

/// What a model with these sites and this head holds.
pub fn held(sites: &[LoraSite], weight: &Tensor, bias: &Tensor) -> Vec<Held> {
    let products = sites.iter().map(|site| Held {
        name: site.name.clone(),
        value: site.held().unwrap(),
        grows: false,
    });
    products.chain(held_head(weight, bias)).collect()
}

fn parent_state(g: &BTreeMap<String, Tensor>, names: &[&str]) -> FisherState {
    let mut state = FisherState::default();
    for &name in names {
        let part = |part: &str| g[&format!("ewc.{part}/{name}")].copy();
        state.insert(
            name,
            Entry {
                fisher: part("fisher"),
                anchor: part("anchor"),
            },
        );
    }
    state
}

#[test]
fn one_step_from_the_anchor_the_penalty_pulls_back_with_lambda_f_times_the_distance() {
    let fisher = Tensor::from_slice(&[0.5f64, 2.0, 1.0, 3.0]).reshape([2, 2]);
    let start = Tensor::from_slice(&[1.0f64, -1.0, 0.5, 0.0]).reshape([2, 2]);
    let weight = leaf(&start);
    let bias = leaf(&Tensor::zeros([2], (Kind::Double, tch::Device::Cpu)));
    let mut parent = FisherState::default();
    parent.insert(
        HEAD_WEIGHT,
        Entry {
            fisher: fisher.copy(),
            anchor: start.copy(),
        },
    );
    let held = held_head(&weight, &bias);
    let ewc = Ewc::new(10.0, &parent, &held).unwrap();

    let at_anchor = ewc.penalty(&held).unwrap().unwrap();
    assert_eq!(at_anchor.double_value(&[]), 0.0);
    let mut optimizer = AdamW::new();
    optimizer.add(HEAD_WEIGHT, &weight, 0.0, true).unwrap();
    (&weight * Tensor::from_slice(&[1.0f64, -2.0, 3.0, 1.0]).reshape([2, 2]))
        .sum(Kind::Double)
        .backward();
    optimizer.step(0.0, 0.1).unwrap();
    wengu_trainer::optim::zero_gradients(&optimizer.parameters()).unwrap();

    let penalty = ewc.penalty(&held).unwrap().unwrap();
    penalty.backward();
    assert!(penalty.double_value(&[]) > 0.0);
    assert_close(
        &weight.grad(),
        &(10.0 * fisher * (weight.detach() - start)),
        1e-12,
        "gradient",
    );
}

#[test]
fn a_fisher_that_does_not_fit_the_model_is_refused_by_name() {
    let g = golden("terms.safetensors");
    let (weight, bias) = (
        g["ewc.parameter/classifier.weight"].copy(),
        g["ewc.parameter/classifier.bias"].copy(),
    );
    let parent = parent_state(&g, &["first"]);
    let error = Ewc::new(1.0, &parent, &held_head(&weight, &bias)).unwrap_err();
    assert!(
        error.message.contains("`first`") && error.message.contains("not there"),
        "{}",
        error.message
    );
    let shrunk = weight.narrow(0, 0, 2);
    let parent = parent_state(&g, &[HEAD_WEIGHT]);
    assert!(Ewc::new(1.0, &parent, &held_head(&shrunk, &bias)).is_err());
    // A prompt of another length is another one: only a head grows.
    let rows = |count: i64| Tensor::ones([count, 3], (Kind::Float, tch::Device::Cpu));
    let prompt = |count: i64| Held {
        name: "prompt_embeddings".into(),
        value: Value::Whole(rows(count)),
        grows: false,
    };
    let mut parent = FisherState::default();
    let (fisher, anchor) = (rows(4), rows(4));
    parent.insert("prompt_embeddings", Entry { fisher, anchor });
    assert!(Ewc::new(1.0, &parent, &[prompt(4)]).is_ok());
    let error = Ewc::new(1.0, &parent, &[prompt(5)]).unwrap_err();
    assert!(error.message.contains("[5, 3]"), "{}", error.message);
}
