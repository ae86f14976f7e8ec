//! Normalisation by the root mean square.

use super::super::weights::Weights;
use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// Root mean square normalisation (Zhang and Sennrich 2019).
pub struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    /// Takes `name.weight` [width].
    pub fn load(weights: &Weights, name: &str, width: i64, eps: f64) -> Result<RmsNorm, TrainerError> {
        let weight = weights.tensor(&format!("{name}.weight"), &[width])?;
        Ok(RmsNorm { weight, eps })
    }

    /// The input, scaled along its last dimension. Computed in F32.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor, TrainerError> {
        let wide = input.f_to_kind(Kind::Float)?;
        let mean = wide.f_square()?.f_mean_dim(-1, true, Kind::Float)?;
        let scaled = wide.f_mul(&mean.f_add_scalar(self.eps)?.f_rsqrt()?)?;
        Ok(scaled.f_to_kind(input.kind())?.f_mul(&self.weight)?)
    }
}
