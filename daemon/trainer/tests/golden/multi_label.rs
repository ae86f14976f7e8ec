//! The tiny BERT as transformers trains it for texts with any number of labels.

use crate::common::*;
use std::collections::{BTreeSet, HashMap};
use tch::{Kind, Tensor};
use wengu_protocol::job::Task;
use wengu_trainer::fisher::{Estimate, Labels, Rows, squared_gradients};
use wengu_trainer::model::Model;
use wengu_trainer::objective::binary_cross_entropy_sum;

fn model() -> Model {
    like_tiny(
        Task::MultiLabelClassification,
        &golden("tiny/base"),
        &golden("tiny"),
        0.0,
    )
    .unwrap()
}

fn expected() -> HashMap<String, Tensor> {
    tensors(&golden("multi_label/expected.safetensors"))
}

/// Every value of `found` to 1e-4 of the largest.
fn near(found: &Tensor, reference: &Tensor, what: &str) {
    let scale = reference.abs().max().double_value(&[]);
    let off = difference(found, reference) / scale;
    assert!(scale > 0.0 && off < 1e-4, "{what}: {off:e} of {scale:e}");
}

#[test]
fn loss_and_all_gradients_agree_with_transformers() {
    let (model, expected) = (model(), expected());
    let logits = model.forward(&batch(&expected), None).unwrap();
    assert!(difference(&logits, &expected["logits"]) < 1e-4);
    let rows = logits.size()[0];
    let weights = Tensor::full([rows], 1.0 / rows as f64, (Kind::Float, tch::Device::Cpu));
    let loss = binary_cross_entropy_sum(&logits, &expected["targets"], &weights).unwrap();
    near(&loss.detach().reshape([1]), &expected["loss"], "loss");
    loss.backward();
    let trained = model.trainable();
    let wanted = expected.keys().filter(|name| name.starts_with("gradient.")).count();
    assert_eq!((trained.len(), wanted), (28, 28));
    for (name, parameter, _) in trained {
        near(&parameter.grad(), &expected[&format!("gradient.{name}")], &name);
    }
}

#[test]
fn the_fisher_is_that_of_its_definition() {
    let (model, expected) = (model(), expected());
    for (estimator, labels) in [
        ("exact", Labels::EveryOutcome),
        ("given", Labels::Outcomes(expected["targets"].shallow_clone())),
    ] {
        let tapped = model.forward_tapped(&batch(&expected)).unwrap();
        let mut estimate = Estimate::default();
        let squares = squared_gradients(&tapped, &labels, Rows::Examples, &BTreeSet::new()).unwrap();
        estimate.add(squares, expected["targets"].size()[0] as usize).unwrap();
        let mean = estimate.mean().unwrap();
        assert_eq!(mean.len(), 15, "13 adapted layers, the head's weight and bias");
        for (name, fisher) in mean {
            near(
                fisher.diagonal().unwrap(),
                &expected[&format!("{estimator}.{name}")],
                &format!("{estimator} {name}"),
            );
        }
    }
}
