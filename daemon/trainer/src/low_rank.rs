//! A sum of low-rank products as one of less rank.

use crate::error::TrainerError;
use tch::{Kind, Tensor};

/// Of all matrices of its rank the one that is nearest to a sum of products (Eckart and Young 1936), in float64.
#[derive(Debug)]
pub struct Compressed {
    /// A, [rank, in]: its rows have the length 1 and are at right angles.
    pub a: Tensor,
    /// B, [out, rank], the largest column first.
    pub b: Tensor,
    /// Squared Frobenius norm of the sum.
    pub whole: f64,
    /// Squared Frobenius norm of what `B A` lacks of it.
    pub lost: f64,
}

/// The sum of the products `B A` of `terms` (B [out, r], A [r, in]), cut to `rank`.
///
/// `[B1 B2] [A1; A2] = Q_B (R_B R_A') Q_A'` with the QR decompositions of the stacked B and of the stacked A', so that the singular
/// values are those of a matrix as small as the ranks' sum, and no matrix [out, in] is made.
pub fn compress(terms: &[(&Tensor, &Tensor)], rank: i64) -> Result<Compressed, TrainerError> {
    let _guard = tch::no_grad_guard();
    let double = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Double);
    let b: Vec<Tensor> = terms.iter().map(|(b, _)| double(b)).collect::<Result<_, _>>()?;
    let a: Vec<Tensor> = terms.iter().map(|(_, a)| double(a)).collect::<Result<_, _>>()?;
    let (q_b, r_b) = Tensor::f_linalg_qr(&Tensor::f_cat(&b, 1)?, "reduced")?;
    let (q_a, r_a) = Tensor::f_linalg_qr(&Tensor::f_cat(&a, 0)?.f_transpose(0, 1)?, "reduced")?;
    let (left, values, right) = r_b.f_matmul(&r_a.f_transpose(0, 1)?)?.f_svd(true, true)?;
    let kept = rank.min(values.size()[0]);
    let squares = values.f_square()?;
    let sum = |tensor: &Tensor| -> Result<f64, TrainerError> { Ok(tensor.f_sum(Kind::Double)?.f_double_value(&[])?) };
    let b = q_b.f_matmul(&left.f_narrow(1, 0, kept)?.f_mul(&values.f_narrow(0, 0, kept)?)?)?;
    let a = q_a.f_matmul(&right.f_narrow(1, 0, kept)?)?.f_transpose(0, 1)?;
    // Where the matrix is smaller than the rank, the rest of it is nothing.
    let missing = rank - kept;
    Ok(Compressed {
        a: a.f_constant_pad_nd([0, 0, 0, missing])?,
        b: b.f_constant_pad_nd([0, missing])?,
        whole: sum(&squares)?,
        lost: sum(&squares.f_narrow(0, kept, squares.size()[0] - kept)?)?,
    })
}
