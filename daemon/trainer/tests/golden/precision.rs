//! BF16 against the float64 values that F32 is held to. How far peft and transformers are from them in BF16
//! (tests/oracle/bf16.py) says what its eight bits allow.

use crate::common::*;
use crate::tiny::gradients;
use tch::Kind;
use wengu_protocol::job::{Lora, Method, Precision, Task};
use wengu_trainer::model::Model;

#[test]
fn in_bf16_answers_and_gradients_stay_near_and_what_is_trained_stays_f32() {
    let method = |names: &[&str], rank, alpha| {
        Method::Lora(Lora {
            rank,
            alpha,
            dropout: 0.0,
            target_modules: strings(names),
            ..Lora::default()
        })
    };
    let peft: serde_json::Value = serde_json::from_slice(&std::fs::read(golden("bf16.json")).unwrap()).unwrap();
    let all = [
        "down_proj",
        "gate_proj",
        "k_proj",
        "o_proj",
        "q_proj",
        "up_proj",
        "v_proj",
    ];
    for name in ["llama", "qwen2", "qwen3"] {
        let mut base = base(&golden(&format!("{name}/base")));
        base.precision = Precision::Bf16;
        let parent = parent(&golden(name), &LABELS);
        let labels = strings(&LABELS);
        let (task, method) = (Task::SequenceClassification, method(&all, 4, 12.0));
        let model = Model::load(task, &base, Some(&parent), &labels, &method, &[], 0.0, 1).unwrap();
        let expected = tensors(&golden(name).join("expected.safetensors"));
        let batch = batch(&expected);
        let logits = model.forward(&batch, None).unwrap();
        let scale = expected["logits"].abs().max().double_value(&[]);
        let off = difference(&logits, &expected["logits"]) / scale;
        assert_eq!(logits.kind(), Kind::Float);
        assert!(off > 1e-6, "{name}: this is F32");

        let mut worst = 0f64;
        for (part, gradient) in gradients(&model, &batch, &expected["labels"].to_kind(Kind::Int64), None) {
            assert_eq!(gradient.kind(), Kind::Float);
            let reference = &expected[&format!("gradient.{part}")];
            let distance = (&gradient - reference).norm().double_value(&[]) / reference.norm().double_value(&[]);
            worst = worst.max(distance);
        }
        println!("{name}: logits off by {off:.2e} of the largest, gradients by {worst:.2e} of their norm");
        // The adapter's own products are F32 there and BF16 here.
        let allowed = |what: &str| 1.5 * peft[name][what].as_f64().unwrap();
        assert!(
            off < allowed("logits") && worst < allowed("gradients"),
            "{name}: {off} {worst}"
        );
    }
}
