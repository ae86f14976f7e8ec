//! The terms of the objective. Each is the sum over its examples; the caller divides by their number in the whole
//! optimizer step, so that the split into micro-batches does not change the gradient.

mod ewc;
mod label_set;
mod orthogonal;
mod prior;

pub use ewc::Ewc;
pub use label_set::{binary_cross_entropy_sum, binary_distillation_sum, log_likelihood};
pub use orthogonal::orthogonal_penalty;
pub use prior::prior_correction;

use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// `sum_i weight_i * -log p(label_i)` from logits [b, C], labels I64 [b] and weights [b].
pub fn cross_entropy_sum(logits: &Tensor, labels: &Tensor, weights: &Tensor) -> Result<Tensor, TrainerError> {
    let (labels, weights) = (
        labels.f_to_device(logits.device())?,
        weights.f_to_device(logits.device())?,
    );
    let chosen = logits
        .f_log_softmax(1, None::<Kind>)?
        .f_gather(1, &labels.f_unsqueeze(1)?, false)?
        .f_squeeze_dim(1)?;
    Ok(chosen.f_mul(&weights)?.f_sum(None::<Kind>)?.f_neg()?)
}

/// `sum_i weight_i * -sum_c q_ic log p(c)` from logits [b, C], label probabilities q [b, C] whose rows sum to 1, and
/// weights [b]. What data programming trains on (Ratner et al. 2016, section 2: the expected loss under the label model).
pub fn soft_cross_entropy_sum(
    logits: &Tensor,
    probabilities: &Tensor,
    weights: &Tensor,
) -> Result<Tensor, TrainerError> {
    let expected = logits
        .f_log_softmax(1, None::<Kind>)?
        .f_mul(probabilities)?
        .f_sum_dim_intlist(1, false, None::<Kind>)?;
    Ok(expected.f_mul(weights)?.f_sum(None::<Kind>)?.f_neg()?)
}

/// What a causal model makes of the tokens that should come, from logits [n, vocabulary] and tokens I64 [n]: F32 [n, 2] of each
/// token's log-probability, and 1 where it is the likeliest.
pub fn token_answers(logits: &Tensor, tokens: &Tensor) -> Result<Tensor, TrainerError> {
    let tokens = tokens.f_to_device(logits.device())?.f_unsqueeze(1)?;
    let log_p = logits.f_log_softmax(1, None::<Kind>)?.f_gather(1, &tokens, false)?;
    let first = logits.f_argmax(1, true)?.f_eq_tensor(&tokens)?;
    let answers = Tensor::f_cat(&[&log_p, &first.f_to_kind(Kind::Float)?], 1)?;
    Ok(answers.f_to_device(tch::Device::Cpu)?)
}

/// `T^2 sum_i KL(softmax(teacher_i / T) || softmax(student_i / T))` over the classes the teacher knew: the student's
/// softmax leaves the newer ones out, as the teacher has no opinion on them. T^2 keeps the gradient's scale.
pub fn distillation_sum(student: &Tensor, teacher: &Tensor, temperature: f64) -> Result<Tensor, TrainerError> {
    let known = teacher.size()[1];
    let log_p = |logits: &Tensor| logits.f_div_scalar(temperature)?.f_log_softmax(1, None::<Kind>);
    let teacher = log_p(teacher)?;
    let student = log_p(&student.f_narrow(1, 0, known)?)?;
    let divergence = teacher.f_exp()?.f_mul(&teacher.f_sub(&student)?)?.f_sum(None::<Kind>)?;
    Ok(divergence.f_mul_scalar(temperature * temperature)?)
}

/// The teacher's logits [n, known] without its mistakes: where it knew the label (I64 [n], -1 for none) and another one is its likeliest, these
/// two logits change places, so that it is as sure, and right (probability shift, Wen et al. 2021, "Preparing lessons: improve knowledge distillation
/// with better supervision", section 3.2). Of labels that it did not know it cannot be wrong.
pub fn without_mistakes(teacher: &Tensor, labels: &Tensor) -> Result<Tensor, TrainerError> {
    let known = teacher.size()[1];
    let labels = labels.f_to_device(teacher.device())?.f_unsqueeze(1)?;
    let likeliest = teacher.f_argmax(1, true)?;
    let is_known = labels.f_ge(0)?.f_logical_and(&labels.f_lt(known)?)?;
    // Where it is right, or was not asked, its likeliest changes places with itself.
    let right = labels.f_where_self(&is_known, &likeliest)?;
    let (most, least) = (
        teacher.f_gather(1, &likeliest, false)?,
        teacher.f_gather(1, &right, false)?,
    );
    let swapped = teacher.f_scatter(1, &likeliest, &least)?;
    Ok(swapped.f_scatter(1, &right, &most)?)
}

/// `sum_i mean_c (student_ic - teacher_ic)^2` over the classes the teacher knew: the second term of dark experience replay
/// (Buzzega et al. 2020, eq. 5; as in their code, the mean over classes).
pub fn logit_distance_sum(student: &Tensor, teacher: &Tensor) -> Result<Tensor, TrainerError> {
    let known = teacher.size()[1];
    let apart = student.f_narrow(1, 0, known)?.f_sub(teacher)?;
    Ok(apart.f_square()?.f_sum(None::<Kind>)?.f_div_scalar(known as f64)?)
}
