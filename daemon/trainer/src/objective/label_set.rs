//! Terms for examples with any number of labels, each of which applies or does not: independent Bernoulli variables with the
//! probabilities `sigmoid(logit)`.

use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// `sum_i weight_i * mean_c -(q_ic log p_ic + (1 - q_ic) log(1 - p_ic))` from logits [b, C], the labels' probabilities q [b, C] and
/// weights [b]: as transformers computes it for `problem_type` "multi_label_classification", where every weight is 1 / b.
pub fn binary_cross_entropy_sum(
    logits: &Tensor,
    probabilities: &Tensor,
    weights: &Tensor,
) -> Result<Tensor, TrainerError> {
    let device = logits.device();
    let losses = losses(logits, &probabilities.f_to_device(device)?)?;
    let of_rows = losses.f_mean_dim(Some([1].as_slice()), false, None::<Kind>)?;
    Ok(of_rows.f_mul(&weights.f_to_device(device)?)?.f_sum(None::<Kind>)?)
}

/// `T^2 sum_i mean_c KL(sigmoid(teacher_ic / T) || sigmoid(student_ic / T))` over the labels that the teacher knew, each KL between
/// two Bernoulli distributions. T^2 keeps the gradient's scale.
pub fn binary_distillation_sum(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor, TrainerError> {
    let known = teacher.size()[1];
    let teacher = teacher.f_div_scalar(temperature)?;
    let student = student.f_narrow(1, 0, known)?.f_div_scalar(temperature)?;
    let said = teacher.f_sigmoid()?;
    // Cross entropy less the teacher's own entropy.
    let divergence = losses(&student, &said)?.f_sub(&losses(&teacher, &said)?)?;
    let scale = temperature * temperature / known as f64;
    Ok(divergence.f_sum(None::<Kind>)?.f_mul_scalar(scale)?)
}

/// `sum log p(labels)` of each row, [b]: the log-likelihood of what `labels` [b, C] says of each label.
pub fn log_likelihood(logits: &Tensor, labels: &Tensor) -> Result<Tensor, TrainerError> {
    let of_rows = losses(logits, labels)?.f_sum_dim_intlist(1, false, None::<Kind>)?;
    Ok(of_rows.f_neg()?)
}

/// `-(q log p + (1 - q) log(1 - p))` of each logit z, in the form that does not overflow: `(1 - q) z - log sigmoid(z)`.
fn losses(logits: &Tensor, probabilities: &Tensor) -> Result<Tensor, TrainerError> {
    let not = probabilities.f_neg()?.f_add_scalar(1.0)?;
    Ok(not.f_mul(logits)?.f_sub(&logits.f_log_sigmoid()?)?)
}
