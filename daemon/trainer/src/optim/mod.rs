//! AdamW with its state in the open, so that a job can be resumed bit for bit (libtorch's own optimizers cannot save
//! theirs), the learning-rate schedule, and gradient clipping.

mod adamw;
mod schedule;

pub use adamw::{AdamW, Slot};
pub use schedule::rate_at;

use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// L2 norm of the gradients of all of `parameters` together.
pub fn gradient_norm(parameters: &[&Tensor]) -> Result<f64, TrainerError> {
    let _guard = tch::no_grad_guard();
    let mut sum = 0.0;
    for parameter in parameters {
        let gradient = parameter.f_grad()?;
        if gradient.defined() {
            sum += gradient.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?;
        }
    }
    Ok(sum.sqrt())
}

/// Scales the gradients down so that their global norm is at most `limit`. `norm` is what [`gradient_norm`] gave.
pub fn clip_gradients(parameters: &[&Tensor], norm: f64, limit: f64) -> Result<(), TrainerError> {
    if norm <= limit {
        return Ok(());
    }
    let _guard = tch::no_grad_guard();
    for parameter in parameters {
        let mut gradient = parameter.f_grad()?;
        if gradient.defined() {
            let _ = gradient.f_mul_scalar_(limit / norm)?;
        }
    }
    Ok(())
}

/// Forgets the gradients of `parameters`.
pub fn zero_gradients(parameters: &[&Tensor]) -> Result<(), TrainerError> {
    for parameter in parameters {
        let mut gradient = parameter.f_grad()?;
        if gradient.defined() {
            let _ = gradient.f_detach_()?.f_zero_()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_gradient(gradient: &[f64]) -> Tensor {
        let parameter =
            Tensor::zeros([gradient.len() as i64], (Kind::Double, tch::Device::Cpu)).set_requires_grad(true);
        (&parameter * Tensor::from_slice(gradient)).sum(Kind::Double).backward();
        parameter
    }

    #[test]
    fn clipping_keeps_the_direction_and_bounds_the_norm() {
        let (a, b) = (with_gradient(&[3.0, 0.0]), with_gradient(&[4.0]));
        let norm = gradient_norm(&[&a, &b]).unwrap();
        assert_eq!(norm, 5.0);
        clip_gradients(&[&a, &b], norm, 10.0).unwrap();
        assert_eq!(b.grad().double_value(&[0]), 4.0);
        clip_gradients(&[&a, &b], norm, 1.0).unwrap();
        assert!((a.grad().double_value(&[0]) - 0.6).abs() < 1e-15);
        assert!((b.grad().double_value(&[0]) - 0.8).abs() < 1e-15);
        zero_gradients(&[&a, &b]).unwrap();
        assert_eq!(gradient_norm(&[&a, &b]).unwrap(), 0.0);
    }

    #[test]
    fn a_gradient_that_is_not_finite_shows_in_the_norm() {
        assert!(!gradient_norm(&[&with_gradient(&[1.0, f64::NAN])]).unwrap().is_finite());
        assert!(!gradient_norm(&[&with_gradient(&[f64::INFINITY])]).unwrap().is_finite());
    }
}
