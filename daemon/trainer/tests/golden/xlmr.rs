//! A small random XLM-RoBERTa (tests/oracle/make_xlmr.py).

use crate::common::*;
use crate::tiny::agrees;
use std::collections::HashMap;
use tch::Tensor;
use wengu_protocol::job::Task;
use wengu_trainer::model::{Model, Pooling};

fn model() -> Model {
    like_tiny(Task::SequenceClassification, &golden("xlmr/base"), &golden("xlmr"), 0.0).unwrap()
}

#[test]
fn logits_and_all_gradients_agree_with_float64_autograd() {
    let model = model();
    // 26 rows of positions, of which two lie before the first token.
    assert_eq!((model.pooling(), model.limits().max_tokens), (Pooling::Mean, 24));
    agrees("xlmr", &model, &tensors(&golden("xlmr/expected.safetensors")), 26);
}

#[test]
fn an_adapter_is_written_as_peft_wrote_it() {
    written_again_the_same(&model(), &golden("xlmr/adapter"));
}

#[test]
fn positions_are_counted_over_tokens_wherever_the_padding_is() {
    let expected = tensors(&golden("xlmr/expected.safetensors"));
    let model = model();
    for kind in ["left", "whole"] {
        let of = |name: &str| (name.to_owned(), expected[&format!("{kind}.{name}")].shallow_clone());
        let one: HashMap<String, Tensor> = ["ids", "mask", "logits"].map(of).into();
        let off = difference(&model.forward(&batch(&one), None).unwrap(), &one["logits"]);
        println!("xlmr, {kind}: logits differ by at most {off:.2e}");
        assert!(off < 1e-4);
    }
}
