//! A new adapter beside the one that peft wrote, and the one that both become.

use crate::common::*;
use tch::{Kind, Tensor};
use wengu_protocol::job::{Method, Task};
use wengu_trainer::model::{LoraSite, Model};

/// The tiny model with its adapter and a new one beside it.
fn beside() -> Model {
    let mut model = tiny(&golden("tiny/base"), 0.0).unwrap();
    model.begin_beside_parent(3).unwrap();
    model
}

fn put(target: &Tensor, value: &Tensor) {
    let _guard = tch::no_grad_guard();
    target.shallow_clone().copy_(value);
}

/// Numbers of about the size of 0.1 that differ from site to site.
fn numbers(shape: &[i64], site: usize) -> Tensor {
    let count = shape.iter().product::<i64>();
    let places = Tensor::arange(count, (Kind::Float, tch::Device::Cpu)) * 1.7 + site as f64;
    places.sin().reshape(shape) * 0.1
}

fn logits(model: &Model) -> Tensor {
    let expected = tensors(&golden("tiny/expected.safetensors"));
    model.forward(&batch(&expected), None).unwrap().detach()
}

fn largest(tensor: &Tensor) -> f64 {
    tensor.abs().max().double_value(&[])
}

#[test]
fn a_new_adapter_begins_without_a_word_of_its_own() {
    let alone = tiny(&golden("tiny/base"), 0.0).unwrap();
    let model = beside();
    assert!(model.is_beside_parent() && !alone.is_beside_parent());
    assert!(largest(&(logits(&model) - logits(&alone))) < 1e-6);
    let mut rows = 0;
    for (site, old) in model.adapters().iter().zip(alone.adapters()) {
        assert_eq!(site.a.size(), old.a.size());
        assert!(site.a.requires_grad() && site.b.requires_grad());
        assert!(largest(&site.b) == 0.0 && site.parent.as_ref().unwrap().a.equal(&old.a.detach()));
        // As kaiming_uniform(a = sqrt(5)) draws it: uniform below 1 / sqrt(in).
        let bound = 1.0 / (site.a.size()[1] as f64).sqrt();
        assert!(largest(&site.a) <= bound && largest(&site.a) > 0.5 * bound);
        rows += site.a.size()[0];
    }
    assert!(rows > 0);
    // The head's parts, and of each site A and B: what is the parent's is not trained.
    let plain: Vec<String> = alone.trainable().into_iter().map(|(name, ..)| name).collect();
    let names: Vec<String> = model.trainable().into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, plain);
}

#[test]
fn where_the_rank_is_enough_one_adapter_says_what_two_said() {
    let mut model = beside();
    // Of the ranks of the parent's and of the new one, a half each.
    for (index, site) in model.adapters().iter().enumerate() {
        let parent = site.parent.as_ref().unwrap();
        let half = site.a.size()[0] / 2;
        put(&site.b, &numbers(&site.b.size(), index));
        for b in [&site.b.detach(), &parent.b] {
            let rest = b.narrow(1, half, half);
            put(&rest, &rest.zeros_like());
        }
    }
    let (two, products) = (logits(&model), products(model.adapters()));
    let said = model.join_parent().unwrap().unwrap();
    assert!(said.relative_error < 1e-6, "{}", said.relative_error);
    assert!(!model.is_beside_parent() && model.join_parent().unwrap().is_none());
    assert!(largest(&(logits(&model) - &two)) < 1e-5);
    for (site, before) in model.adapters().iter().zip(&products) {
        assert!(largest(&(site.product().unwrap().detach() - before)) < 1e-6 * largest(before));
    }
}

fn products(sites: &[LoraSite]) -> Vec<Tensor> {
    sites.iter().map(|site| site.product().unwrap().detach()).collect()
}

#[test]
fn what_is_lost_is_told_by_layer_and_is_the_least_that_can_be() {
    let mut model = beside();
    for (index, site) in model.adapters().iter().enumerate() {
        put(&site.b, &numbers(&site.b.size(), index));
    }
    let before = products(model.adapters());
    let said = model.join_parent().unwrap().unwrap();
    let (mut lost, mut whole) = (0.0, 0.0);
    for (site, before) in model.adapters().iter().zip(&before) {
        let double = |tensor: &Tensor| tensor.to_kind(Kind::Double);
        let (before, after) = (double(before), double(&site.product().unwrap().detach()));
        let norm = |tensor: &Tensor| tensor.norm().double_value(&[]);
        let error = norm(&(&before - &after)) / norm(&before);
        // Singular values below the rank, of the product as a whole.
        let values = Vec::<f64>::try_from(before.svd(true, false).1).unwrap();
        let squares = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
        let least = (squares(&values[site.a.size()[0] as usize..]) / squares(&values)).sqrt();
        assert!(
            least > 0.01 && (error - least).abs() < 1e-6,
            "{}: {error} for {least}",
            site.name
        );
        assert!((said.layers[&site.name] - least).abs() < 1e-6, "{}", site.name);
        lost += (&before - &after).square().sum(Kind::Double).double_value(&[]);
        whole += before.square().sum(Kind::Double).double_value(&[]);
        // Rows as long as a fresh A's.
        let lengths = site.a.detach().square().sum_dim_intlist(1, false, Kind::Double);
        assert!(largest(&(lengths - 1.0 / 3.0)) < 1e-6);
    }
    assert!((said.relative_error - (lost / whole).sqrt()).abs() < 1e-6);
    let worst = said.layers.values().copied().fold(0.0, f64::max);
    assert_eq!(said.worst().unwrap().1, worst);
}

#[test]
fn what_is_no_low_rank_update_or_is_dora_cannot_have_another_beside_it() {
    let base = base(&golden("tiny/base"));
    let labels = strings(&LABELS);
    let dora = |lora: wengu_protocol::job::Lora| wengu_protocol::job::Lora { use_dora: true, ..lora };
    let Method::Lora(plain) = tiny_method(0.0) else {
        unreachable!("the tiny model's method is LoRA")
    };
    for method in [Method::HeadOnly, Method::Lora(dora(plain))] {
        let task = Task::SequenceClassification;
        let mut model = Model::load(task, &base, None, &labels, &method, &[], 0.0, 1).unwrap();
        let error = model.begin_beside_parent(1).unwrap_err();
        assert!(error.message.contains("adapter_start"), "{}", error.message);
    }
}

#[test]
fn each_layer_keeps_its_own_rank_and_scaling() {
    for name in ["patterns_bert", "rslora_bert"] {
        let mut model = of_peft(&golden(name), "bert", true, |_| ()).unwrap();
        let of = |model: &Model| -> Vec<(Vec<i64>, Vec<i64>, f64)> {
            let sites = model.adapters().iter();
            sites.map(|site| (site.a.size(), site.b.size(), site.scaling)).collect()
        };
        let (before, as_they_were) = (of(&model), products(model.adapters()));
        model.begin_beside_parent(3).unwrap();
        // The new one is still nothing, so that the parent's rank is enough.
        let said = model.join_parent().unwrap().unwrap();
        assert!(said.relative_error < 1e-6, "{name}: {}", said.relative_error);
        assert_eq!(of(&model), before, "{name}");
        for (now, before) in products(model.adapters()).iter().zip(&as_they_were) {
            assert!(largest(&(now - before)) < 1e-6 * largest(before), "{name}");
        }
    }
}
