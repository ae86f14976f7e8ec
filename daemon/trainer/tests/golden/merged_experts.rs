//! Merged routed experts beside what peft merges from the same adapter (tests/oracle/make_experts.py).

use crate::common::*;
use crate::merged::{alone, answers, case, questions, weights, write};
use wengu_protocol::job::Task;

#[test]
fn merged_experts_are_those_that_peft_merges_and_answer_as_they_do() {
    for name in ["experts_deepseek_v2", "experts_deepseek_v3"] {
        let case = case(name, Task::CausalLm);
        let folder = tempfile::tempdir().unwrap();
        let merged = write(&case, folder.path(), None);
        assert!(merged.class.ends_with("ForCausalLM") && merged.head_apart.is_none());
        let (found, base) = (weights(folder.path()), weights(&case.base));
        let mut wanted = tensors(&golden(name).join("merged.safetensors"));
        let logits = wanted.remove("logits").unwrap();
        let experts = wanted.keys().filter(|key| key.contains(".experts.")).count();
        // Three weights of each of the second layer's eight experts.
        assert_eq!((experts, wanted.len()), (24, 26), "{name}");
        for (key, tensor) in &wanted {
            let scale = tensor.abs().max().double_value(&[]);
            let off = difference(&found[key], tensor);
            assert!(off < 1e-6 * scale, "{name}: {key} {off}");
            assert!(
                difference(&base[key], tensor) > 1e-2 * scale,
                "{name}: {key} was adapted"
            );
        }
        for (key, tensor) in base.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
            assert_eq!(&found[key], tensor, "{name}: {key} was not adapted");
        }
        let off = difference(&answers(&alone(&case, folder.path()), &questions(&case)), &logits);
        println!("{name}: logits differ by at most {off:.2e}");
        assert!(off < 1e-4, "{name}: {off}");
    }
}
