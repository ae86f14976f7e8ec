//! What is known of every class without a text of it: means, and one covariance that all classes share, of the vectors that the head
//! answers. They give a linear discriminant that no later update can unlearn; it is added to the trained head, which stays
//! one linear layer. While the head was trained on the memory's few texts of an old class, its mean was taken over all of them.
//!
//! An update moves the vectors, so the parent's statistics are moved along ([`drift`]).

mod drift;
mod file;

pub use drift::Drift;
pub use file::Kept;

use crate::error::TrainerError;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// Share of the mean variance that is added to every variance before the covariance is inverted. On contract clauses 0.1 to 0.3 did equally
/// well, 0.02 worse (LEARNING.md).
pub const SHRINKAGE: f64 = 0.2;

/// Counts, means and scatter, in double precision.
#[derive(Debug)]
pub struct ClassStatistics {
    /// Examples of each class, by the weights that they are trained with, [classes].
    pub counts: Tensor,
    /// Mean vector of each class, [classes, hidden]; zeros where there is no example.
    pub means: Tensor,
    /// Sum over all examples of the outer product of vector minus class mean, [hidden, hidden].
    pub scatter: Tensor,
}

impl ClassStatistics {
    /// Of no example.
    pub fn empty(classes: i64, hidden: i64) -> Result<ClassStatistics, TrainerError> {
        let zeros = |shape: &[i64]| Tensor::f_zeros(shape, (Kind::Double, tch::Device::Cpu));
        Ok(ClassStatistics {
            counts: zeros(&[classes])?,
            means: zeros(&[classes, hidden])?,
            scatter: zeros(&[hidden, hidden])?,
        })
    }

    /// With room for so many classes; new ones have no example.
    pub fn grown(self, classes: i64) -> Result<ClassStatistics, TrainerError> {
        let more = ClassStatistics::empty(classes - self.counts.size()[0], self.means.size()[1])?;
        Ok(ClassStatistics {
            counts: Tensor::f_cat(&[self.counts, more.counts], 0)?,
            means: Tensor::f_cat(&[self.means, more.means], 0)?,
            scatter: self.scatter,
        })
    }

    /// Takes examples in: vectors [n, hidden], of which each class holds a share [n, classes]. The result is that of all examples at
    /// once (Chan, Golub and LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances", eq. 2.1).
    pub fn add(&mut self, vectors: &Tensor, shares: &Tensor) -> Result<(), TrainerError> {
        let _guard = tch::no_grad_guard();
        let (vectors, shares) = (vectors.f_to_kind(Kind::Double)?, shares.f_to_kind(Kind::Double)?);
        let counts = shares.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
        let at_least = |counts: &Tensor| counts.f_clamp_min(f64::MIN_POSITIVE)?.f_unsqueeze(1);
        // Around the middle of the batch, as products of large numbers would lose what tells them apart.
        let middle = vectors.f_mean_dim([0i64].as_slice(), true, Kind::Double)?;
        let centred = vectors.f_sub(&middle)?;
        let sums = shares.f_tr()?.f_matmul(&centred)?;
        let means = sums.f_div(&at_least(&counts)?)?;
        let weights = shares.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Double)?;
        let within = centred.f_tr()?.f_matmul(&centred.f_mul(&weights)?)?;
        let within = within.f_sub(&sums.f_tr()?.f_matmul(&means)?)?;
        let all = self.counts.f_add(&counts)?;
        let moved = means.f_add(&middle)?.f_sub(&self.means)?;
        // Between what was there and what comes: nothing where one of them is empty.
        let between = self.counts.f_mul(&counts)?.f_unsqueeze(1)?.f_div(&at_least(&all)?)?;
        let between = moved.f_tr()?.f_matmul(&moved.f_mul(&between)?)?;
        self.scatter = self.scatter.f_add(&within)?.f_add(&between)?;
        let share = counts.f_unsqueeze(1)?.f_div(&at_least(&all)?)?;
        self.means = self.means.f_add(&moved.f_mul(&share)?)?;
        self.counts = all;
        Ok(())
    }

    /// Weight [classes, hidden] and bias [classes] of the linear discriminant with equal priors: `W = M S^-1`, `b_c = -1/2 m_c S^-1
    /// m_c`, where the shared covariance S has [`SHRINKAGE`] of its mean variance added to its diagonal (Hastie, Tibshirani and
    /// Friedman 2009, section 4.3; streaming: Hayes and Kanan 2020, "Lifelong machine learning with deep streaming linear
    /// discriminant analysis"). A class without an example stands in the middle of the others. None without two classes.
    pub fn discriminant(&self) -> Result<Option<(Tensor, Tensor)>, TrainerError> {
        let seen = self.counts.f_gt(0.0)?;
        let classes = seen.f_sum(Kind::Int64)?.f_int64_value(&[])?;
        let examples = self.counts.f_sum(Kind::Double)?;
        let variance = self.scatter.f_trace()?.f_div(&examples)?.f_double_value(&[])?;
        if classes < 2 || variance.is_nan() || variance <= 0.0 {
            return Ok(None);
        }
        let middle = self.counts.f_unsqueeze(0)?.f_matmul(&self.means)?.f_div(&examples)?;
        let means = self.means.f_where_self(&seen.f_unsqueeze(1)?, &middle)?;
        let added = SHRINKAGE * variance / self.means.size()[1] as f64;
        let factor = factor(&self.scatter.f_div(&examples)?, added)?;
        let weight = means.f_tr()?.f_cholesky_solve(&factor, false)?.f_tr()?;
        let bias = weight
            .f_mul(&means)?
            .f_sum_dim_intlist([1i64].as_slice(), false, Kind::Double)?
            .f_mul_scalar(-0.5)?;
        Ok(Some((weight.f_contiguous()?, bias)))
    }
}

/// Cholesky factor of a covariance with this number added to its diagonal.
fn factor(covariance: &Tensor, added: f64) -> Result<Tensor, TrainerError> {
    let unit = Tensor::f_eye(covariance.size()[0], (Kind::Double, tch::Device::Cpu))?;
    let (factor, fails_at) = covariance
        .f_add(&unit.f_mul_scalar(added)?)?
        .f_linalg_cholesky_ex(false, false)?;
    // With what is added no covariance fails, so that these numbers came from elsewhere.
    match fails_at.f_int64_value(&[])? {
        0 => Ok(factor),
        _ => Err(TrainerError::new(
            JobEnd::BadModel,
            "the statistics of classes hold no covariance (it is not positive definite); take the parent's own \
             statistics.safetensors again, or set `discriminant_weight = 0`",
        )),
    }
}
