//! A small random BertForSequenceClassification with an adapter that peft wrote.

use crate::common::*;
use std::collections::HashMap;
use tch::{Kind, Tensor};
use wengu_protocol::job::{Method, Task};
use wengu_trainer::model::{Batch, HEAD, Model, ParamGroup, Tapped, Trained};

pub fn gradients(model: &Model, batch: &Batch, labels: &Tensor, dropout: Option<u64>) -> Vec<(String, Tensor)> {
    for (_, mut tensor, _) in model.trainable() {
        tensor.zero_grad();
    }
    let logits = model.forward(batch, dropout).unwrap();
    logits.cross_entropy_for_logits(labels).backward();
    model
        .trainable()
        .into_iter()
        .map(|(name, tensor, _)| (name, tensor.grad().copy()))
        .collect()
}

#[test]
fn logits_and_all_gradients_agree_with_float64_autograd() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    agrees("tiny", &tiny(&golden("tiny/base"), 0.0).unwrap(), &expected, 28);
}

#[test]
fn padding_on_the_left_and_none_answer_as_transformers_does() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let model = tiny(&golden("tiny/base"), 0.0).unwrap();
    for kind in ["left", "whole"] {
        let of = |part: &str| (part.to_owned(), expected[&format!("{kind}.{part}")].shallow_clone());
        let one: HashMap<String, Tensor> = ["ids", "mask", "logits"].map(of).into();
        let off = difference(&model.forward(&batch(&one), None).unwrap(), &one["logits"]);
        println!("tiny, {kind}: logits differ by at most {off:.2e}");
        assert!(off < 1e-4, "{kind}: {off}");
    }
}

/// Logits to 1e-4, and every gradient to 1e-4 of its largest value.
pub fn agrees(name: &str, model: &Model, expected: &HashMap<String, Tensor>, tensors: usize) {
    let batch = batch(expected);
    let off = difference(&model.forward(&batch, None).unwrap(), &expected["logits"]);
    println!("{name}: logits differ by at most {off:.2e}");
    assert!(off < 1e-4);

    let labels = expected["labels"].to_kind(Kind::Int64);
    let gradients = gradients(model, &batch, &labels, None);
    let wanted = expected.keys().filter(|name| name.starts_with("gradient.")).count();
    assert_eq!((gradients.len(), wanted), (tensors, tensors));
    let mut worst = 0f64;
    for (name, gradient) in &gradients {
        let reference = &expected[&format!("gradient.{name}")];
        let scale = reference.abs().max().double_value(&[]);
        assert!(scale > 0.0, "{name} has no gradient to compare");
        let relative = difference(gradient, reference) / scale;
        worst = worst.max(relative);
        assert!(relative < 1e-4, "{name}: {relative}");
    }
    println!("{name}: gradients differ by at most {worst:.2e} of each tensor's largest value");
}

#[test]
fn what_is_tapped_gives_the_gradients_of_the_factors() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let model = tiny(&golden("tiny/base"), 0.0).unwrap();
    let labels = expected["labels"].to_kind(Kind::Int64);
    let Tapped { logits, taps, .. } = model.forward_tapped(&batch(&expected)).unwrap();
    assert_eq!(logits, model.forward(&batch(&expected), None).unwrap());
    let names: Vec<&str> = taps.iter().map(|tap| tap.name.as_str()).collect();
    let sites: Vec<&str> = model
        .adapters()
        .iter()
        .map(|site| site.name.as_str())
        .chain([HEAD])
        .collect();
    assert_eq!(names, sites);

    let loss = logits.cross_entropy_for_logits(&labels);
    let outputs: Vec<&Tensor> = taps.iter().map(|tap| &tap.output).collect();
    let gradients = Tensor::run_backward(&[loss], &outputs, false, false);
    for ((tap, gradient), site) in taps.iter().zip(&gradients).zip(model.adapters()) {
        let Trained::Weight(input) = &tap.trained else {
            panic!("{} is a linear layer", site.name)
        };
        let product = gradient.flatten(0, -2).tr().matmul(&input.flatten(0, -2));
        let product = product.to_device(tch::Device::Cpu);
        for (factor, found) in [("A", site.b.tr().matmul(&product)), ("B", product.matmul(&site.a.tr()))] {
            let reference = &expected[&format!("gradient.{}.lora_{factor}.weight", site.name)];
            let scale = reference.abs().max().double_value(&[]);
            assert!(
                difference(&(found * site.scaling), reference) < 1e-4 * scale,
                "{} {factor}",
                site.name
            );
        }
    }
}

#[test]
fn padding_takes_no_part_in_an_answer() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let folder = tempfile::tempdir().unwrap();
    tiny_with_mean_pooling(folder.path());
    let with_pooler = tiny(&golden("tiny/base"), 0.0).unwrap();
    let with_mean = Model::load(
        Task::SequenceClassification,
        &base(folder.path()),
        None,
        &strings(&LABELS),
        &Method::HeadOnly,
        &[],
        0.0,
        1,
    )
    .unwrap();
    let padded = batch(&expected);
    for model in [with_pooler, with_mean] {
        let together = model.forward(&padded, None).unwrap();
        for row in 0..padded.ids.size()[0] {
            let length = padded.mask.get(row).sum(Kind::Int64).int64_value(&[]);
            let cut = |tensor: &Tensor| tensor.narrow(0, row, 1).narrow(1, 0, length);
            let alone = model
                .forward(
                    &Batch {
                        ids: cut(&padded.ids),
                        mask: cut(&padded.mask),
                        items: None,
                    },
                    None,
                )
                .unwrap();
            assert!(difference(&alone, &together.narrow(0, row, 1)) < 1e-5);
        }
    }
}

#[test]
fn a_training_step_repeats_bit_for_bit() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let labels = expected["labels"].to_kind(Kind::Int64);
    let step = |seed| {
        let model = tiny(&golden("tiny/base"), 0.1).unwrap();
        gradients(&model, &batch(&expected), &labels, seed)
    };
    let first = step(Some(5));
    assert_eq!(first, step(Some(5)));
    assert_ne!(first, step(Some(6)));
    assert_ne!(first, step(None));
}

#[test]
fn a_fresh_adapter_changes_nothing_and_follows_from_the_seed() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let load = |method: &Method, seed| {
        Model::load(
            Task::SequenceClassification,
            &base(&golden("tiny/base")),
            None,
            &strings(&LABELS),
            method,
            &[],
            0.0,
            seed,
        )
        .unwrap()
    };
    let answer = |model: &Model| model.forward(&batch(&expected), None).unwrap().detach();
    let fresh = load(&tiny_method(0.0), 7);
    assert_eq!(fresh.adapters().len(), 13);
    assert_eq!(answer(&fresh), answer(&load(&Method::HeadOnly, 7)));
    let factors = |model: &Model| model.adapters().iter().map(|site| site.a.copy()).collect::<Vec<_>>();
    assert_eq!(factors(&fresh), factors(&load(&tiny_method(0.0), 7)));
    assert_ne!(factors(&fresh), factors(&load(&tiny_method(0.0), 8)));
    for site in fresh.adapters() {
        let bound = 1.0 / (site.a.size()[1] as f64).sqrt();
        assert!(site.a.abs().max().double_value(&[]) <= bound && site.a.std(true).double_value(&[]) > bound / 3.0);
    }
}

#[test]
fn only_the_head_is_trained_where_only_the_head_is_asked_for() {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    let model = Model::load(
        Task::SequenceClassification,
        &base(&golden("tiny/base")),
        None,
        &strings(&LABELS),
        &Method::HeadOnly,
        &[],
        0.0,
        1,
    )
    .unwrap();
    let groups: Vec<ParamGroup> = model.trainable().into_iter().map(|(.., group)| group).collect();
    assert_eq!(groups, [ParamGroup::HeadWeight, ParamGroup::HeadBias]);
    let labels = expected["labels"].to_kind(Kind::Int64);
    let gradients = gradients(&model, &batch(&expected), &labels, None);
    assert!(
        gradients
            .iter()
            .all(|(_, gradient)| gradient.abs().max().double_value(&[]) > 0.0)
    );
    let pooled = model.embed(&batch(&expected)).unwrap();
    assert!(!pooled.requires_grad());
    assert_eq!(
        model.answer(&pooled, None).unwrap(),
        model.forward(&batch(&expected), None).unwrap()
    );
}
