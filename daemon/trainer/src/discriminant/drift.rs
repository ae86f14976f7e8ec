use super::{ClassStatistics, factor};
use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// Share of the mean variance by which the fit is held back: with few texts, a vector's movement is told from a few directions only. On
/// contract clauses 0.1 to 1 did equally well (LEARNING.md).
pub const RIDGE: f64 = 0.3;

/// How an update moved the vectors, as one affine map, fitted to texts whose vectors are known before and after (Gomez-Villa et al.
/// 2024, "Exemplar-free continual representation learning via learnable drift compensation"). What is fitted is the movement, by ridge
/// regression: a direction in which nothing is known does not move.
pub struct Drift {
    /// Mean vector before, [1, hidden].
    before: Tensor,
    /// Mean movement, [1, hidden].
    mean: Tensor,
    /// Movement of a vector's distance from the mean, [hidden, hidden].
    slope: Tensor,
}

impl Drift {
    /// From the same texts' vectors before and after, both [n, hidden].
    pub fn fit(before: &Tensor, after: &Tensor) -> Result<Drift, TrainerError> {
        let _guard = tch::no_grad_guard();
        let (old, new) = (before.f_to_kind(Kind::Double)?, after.f_to_kind(Kind::Double)?);
        let moved = new.f_sub(&old)?;
        let mean_of = |all: &Tensor| all.f_mean_dim([0i64].as_slice(), true, Kind::Double);
        let (before, mean) = (mean_of(&old)?, mean_of(&moved)?);
        let centred = old.f_sub(&before)?;
        let gram = centred.f_tr()?.f_matmul(&centred)?;
        // Where all vectors are one, there is no slope to fit.
        let held = RIDGE * gram.f_trace()?.f_double_value(&[])? / gram.size()[0] as f64;
        let factor = factor(&gram, held.max(f64::MIN_POSITIVE))?;
        let target = centred.f_tr()?.f_matmul(&moved.f_sub(&mean)?)?;
        let slope = target.f_cholesky_solve(&factor, false)?;
        Ok(Drift { before, mean, slope })
    }

    /// The statistics as they would be of the moved vectors.
    pub fn applied(&self, statistics: ClassStatistics) -> Result<ClassStatistics, TrainerError> {
        let _guard = tch::no_grad_guard();
        let ClassStatistics { counts, means, scatter } = statistics;
        let movement = means.f_sub(&self.before)?.f_matmul(&self.slope)?.f_add(&self.mean)?;
        let seen = counts.f_gt(0.0)?.f_to_kind(Kind::Double)?.f_unsqueeze(1)?;
        let hidden = self.slope.size()[0];
        let map = Tensor::f_eye(hidden, (Kind::Double, tch::Device::Cpu))?.f_add(&self.slope)?;
        Ok(ClassStatistics {
            means: means.f_add(&movement.f_mul(&seen)?)?,
            scatter: map.f_tr()?.f_matmul(&scatter)?.f_matmul(&map)?,
            counts,
        })
    }
}
