//! Gradient checkpointing gives the gradients of a plain pass.

use crate::common::*;
use crate::tiny::gradients;
use tch::{Kind, Tensor};
use wengu_protocol::job::{Lora, Method, Task};
use wengu_trainer::model::{Batch, Model};

fn llama(target: &str, dropout: f64) -> Model {
    let names = target.split(' ').collect::<Vec<_>>();
    let method = Method::Lora(Lora {
        rank: 4,
        alpha: 12.0,
        dropout,
        target_modules: strings(&names),
        ..Lora::default()
    });
    let base = base(&golden("llama/base"));
    let model = Model::load(
        Task::SequenceClassification,
        &base,
        None,
        &strings(&LABELS),
        &method,
        &[],
        0.2,
        1,
    )
    .unwrap();
    // B is 0 in a fresh adapter, and with it the gradient of A.
    for site in model.adapters() {
        let _guard = tch::no_grad_guard();
        let mut b = site.b.shallow_clone();
        let _ = b.fill_(0.01);
    }
    model
}

fn sparing(model: &Model, batch: &Batch, labels: &Tensor, dropout: u64) -> Vec<(String, Tensor)> {
    for (_, mut tensor, _) in model.trainable() {
        tensor.zero_grad();
    }
    let (logits, kept) = model.forward_sparing(batch, dropout).unwrap();
    assert_eq!(logits, model.forward(batch, Some(dropout)).unwrap());
    logits.cross_entropy_for_logits(labels).backward();
    kept.backward().unwrap();
    let of = |(name, tensor, _): (String, Tensor, _)| (name, tensor.grad().copy());
    model.trainable().into_iter().map(of).collect()
}

#[test]
fn what_is_computed_again_gives_the_same_gradients_to_the_last_bit() {
    let bert = tensors(&golden("tiny/expected.safetensors"));
    let decoder = tensors(&golden("llama/expected.safetensors"));
    let cases = [
        ("bert", tiny(&golden("tiny/base"), 0.1).unwrap(), &bert),
        ("llama", llama("q_proj v_proj down_proj", 0.1), &decoder),
        ("llama without dropout", llama("q_proj", 0.0), &decoder),
        // Nothing is trained below it: the layers before it are not gone back through.
        ("llama's last layer", llama("layers.1.mlp.up_proj", 0.1), &decoder),
    ];
    for (name, model, expected) in cases {
        let (batch, labels) = (batch(expected), expected["labels"].to_kind(Kind::Int64));
        let found = sparing(&model, &batch, &labels, 5);
        assert_eq!(found, gradients(&model, &batch, &labels, Some(5)), "{name}");
        let moved = found
            .iter()
            .filter(|(_, g)| g.abs().max().double_value(&[]) > 0.0)
            .count();
        assert_eq!(moved, found.len(), "{name}: every gradient is there");
    }
}
