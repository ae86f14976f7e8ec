//! Cross entropies, distillation and the correction of logits.

use super::{assert_close, golden, leaf};
use tch::{Kind, Tensor};
use wengu_trainer::objective::{
    binary_cross_entropy_sum, binary_distillation_sum, cross_entropy_sum, distillation_sum, logit_distance_sum,
    prior_correction, soft_cross_entropy_sum, without_mistakes,
};

#[test]
fn cross_entropy_and_its_gradient() {
    let g = golden("terms.safetensors");
    let logits = leaf(&g["ce.logits"]);
    let value = cross_entropy_sum(&logits, &g["ce.labels"], &g["ce.weights"]).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["ce.value"], 1e-13, "value");
    assert_close(&logits.grad(), &g["ce.gradient"], 1e-13, "gradient");
}

#[test]
fn of_several_labels_the_loss_is_transformers_and_finite_far_out() {
    let g = golden("multi_label.safetensors");
    let logits = leaf(&g["bce.logits"]);
    let value = binary_cross_entropy_sum(&logits, &g["bce.targets"], &g["bce.weights"]).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["bce.value"], 1e-13, "value");
    assert_close(&logits.grad(), &g["bce.gradient"], 1e-13, "gradient");
    let far = leaf(&Tensor::from_slice(&[1e4f32, -1e4, 0.0]).reshape([1, 3]));
    let targets = Tensor::from_slice(&[0f32, 1.0, 1.0]).reshape([1, 3]);
    let value = binary_cross_entropy_sum(&far, &targets, &Tensor::from_slice(&[3f32])).unwrap();
    value.backward();
    assert!((value.double_value(&[]) - (2e4 + 2f64.ln())).abs() < 0.01);
    assert_close(
        &far.grad(),
        &Tensor::from_slice(&[1f32, -1.0, -0.5]).reshape([1, 3]),
        1e-6,
        "far out",
    );
}

#[test]
fn of_several_labels_distillation_is_the_divergence_of_each_that_the_teacher_knew() {
    let g = golden("multi_label.safetensors");
    for temperature in [1, 2, 5] {
        let of = |name: &str| &g[&format!("kd.{temperature}.{name}")];
        let student = leaf(of("student"));
        let value = binary_distillation_sum(&student, of("teacher"), f64::from(temperature)).unwrap();
        value.backward();
        assert_close(&value.detach(), of("value"), 1e-12, "value");
        assert_close(&student.grad(), of("gradient"), 1e-12, "gradient");
        assert_eq!(student.grad().narrow(1, 4, 3).abs().max().double_value(&[]), 0.0);
    }
}

#[test]
fn soft_cross_entropy_is_the_expected_cross_entropy() {
    let g = golden("terms.safetensors");
    let (logits, weights) = (leaf(&g["ce.logits"]), &g["ce.weights"]);
    let (rows, labels) = logits.size2().unwrap();
    // Any distribution: here what another model would say.
    let q = (&g["ce.logits"] * -0.7 + 0.3).softmax(1, Kind::Double);
    let value = soft_cross_entropy_sum(&logits, &q, weights).unwrap();
    value.backward();
    // The expectation, one label at a time, by the term that PyTorch's own values have checked.
    let mut expected = Tensor::from(0.0);
    for label in 0..labels {
        let all = Tensor::full([rows], label, (Kind::Int64, tch::Device::Cpu));
        let share = q.select(1, label) * weights;
        expected += cross_entropy_sum(&g["ce.logits"], &all, &share).unwrap();
    }
    assert_close(&value.detach(), &expected, 1e-13, "value");
    // Its gradient in closed form: w (softmax(logits) - q).
    let gradient = (g["ce.logits"].softmax(1, Kind::Double) - &q) * weights.unsqueeze(1);
    assert_close(&logits.grad(), &gradient, 1e-12, "gradient");
    // Certainty is the plain cross entropy.
    let certain = g["ce.labels"].one_hot(labels).to_kind(Kind::Double);
    let value = soft_cross_entropy_sum(&g["ce.logits"], &certain, weights).unwrap();
    assert_close(&value, &g["ce.value"], 1e-13, "certain");
}

#[test]
fn distillation_and_its_gradient_at_three_temperatures() {
    let g = golden("terms.safetensors");
    for temperature in [1.0, 2.0, 5.0] {
        let get = |name: &str| &g[&format!("kd.{temperature:.0}.{name}")];
        let student = leaf(get("student"));
        let value = distillation_sum(&student, get("teacher"), temperature).unwrap();
        value.backward();
        assert_close(&value.detach(), get("value"), 1e-12, "value");
        assert_close(&student.grad(), get("gradient"), 1e-12, "gradient");
        // The classes that the teacher did not know are left alone.
        let new = student.grad().narrow(1, 4, 3).abs().max().double_value(&[]);
        assert_eq!(new, 0.0);
    }
}

#[test]
fn a_teacher_without_its_mistakes_is_as_sure_and_right() {
    let of = |rows: [[f64; 3]; 5]| Tensor::from_slice(&rows.concat()).reshape([5, 3]);
    let teacher = of([
        [1.0, 4.0, 2.0],
        [1.0, 4.0, 2.0],
        [3.0, -1.0, 0.5],
        [0.0, 5.0, 1.0],
        [2.0, 1.0, 0.0],
    ]);
    // Right; wrong; wrong; a label that it did not know; none.
    let labels = Tensor::from_slice(&[1i64, 0, 2, 3, -1]);
    let heard = of([
        [1.0, 4.0, 2.0],
        [4.0, 1.0, 2.0],
        [0.5, -1.0, 3.0],
        [0.0, 5.0, 1.0],
        [2.0, 1.0, 0.0],
    ]);
    assert_eq!(without_mistakes(&teacher, &labels).unwrap(), heard);
}

#[test]
fn the_distance_of_logits_of_a_grown_head_and_its_gradient() {
    let g = golden("terms.safetensors");
    let student = leaf(&g["der.student"]);
    let value = logit_distance_sum(&student, &g["der.teacher"]).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["der.value"], 1e-13, "value");
    assert_close(&student.grad(), &g["der.gradient"], 1e-13, "gradient");
    let new = student.grad().narrow(1, 4, 3).abs().max().double_value(&[]);
    assert_eq!(new, 0.0);
}

#[test]
fn logits_are_corrected_by_the_shares_of_their_labels() {
    let g = golden("terms.safetensors");
    let counts = |name: &str| Vec::<f64>::try_from(&g[&format!("prior.{name}")]).unwrap();
    let learned: Vec<u64> = counts("learned").iter().map(|n| *n as u64).collect();
    let correction = prior_correction(0.7, &counts("new"), &counts("replayed"), [1.0; 2], &learned);
    let correction = Tensor::from_slice(&correction).to_kind(Kind::Double);
    assert_close(&correction, &g["prior.correction"], 1e-6, "correction");
    let logits = leaf(&g["prior.logits"]);
    let ones = Tensor::ones([5], (Kind::Double, tch::Device::Cpu));
    let corrected = &logits + &g["prior.correction"];
    let value = cross_entropy_sum(&corrected, &g["prior.labels"], &ones).unwrap();
    value.backward();
    assert_close(&value.detach(), &g["prior.value"], 1e-13, "value");
    assert_close(&logits.grad(), &g["prior.gradient"], 1e-12, "gradient");
}
