//! The Fisher of a large weight by its row and column sums.

use super::Entry;
use crate::error::TrainerError;
use crate::model::{Held, Product, Trained};
use std::collections::BTreeSet;
use tch::{Kind, Tensor};
use wengu_protocol::job::{FisherForm, JobEnd};

/// Entries of all low-rank updates' products together from which [`FisherForm::Auto`] keeps their sums instead: as many diagonals and
/// anchors take 64 MiB in every version, and each step's penalty reads them.
pub const FACTORED_FROM: i64 = 1 << 23;

/// A diagonal Fisher `F [out, in]` as `r c' / S`, from its row sums r, its column sums c and its sum S, and the product that it was
/// taken at as its factors. Of all matrices of rank 1 it is the nearest in generalised Kullback-Leibler divergence (Shazeer and Stern 2018,
/// section 3). Sums add up, so that what is accumulated over updates is that of the accumulated Fisher.
#[derive(Debug)]
pub struct Factored {
    /// r [out], not negative.
    pub rows: Tensor,
    /// c [in], not negative.
    pub columns: Tensor,
    /// The product then.
    pub anchor: Product,
}

impl Factored {
    /// `r c' / S`, [out, in], as F64; zeros where nothing mattered.
    pub fn diagonal(&self) -> Result<Tensor, TrainerError> {
        let (rows, columns) = (
            self.rows.f_to_kind(Kind::Double)?,
            self.columns.f_to_kind(Kind::Double)?,
        );
        Ok(rows.f_outer(&columns)?.f_mul_scalar(inverse_sum(&rows)?)?)
    }

    /// `sum_oi r_o c_i / S (L R - L* R*)_oi^2` without a matrix [out, in]: with `U = [L, -L*]` and `V = [R; R*]` it is the sum over
    /// `(U' diag(r) U) * (V diag(c) V')`, two matrices as small as both ranks together. In F64, since the product hardly moves.
    pub fn distance(&self, product: &Product) -> Result<Tensor, TrainerError> {
        let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
        let rows = double(&self.rows)?;
        let u = Tensor::f_cat(&[double(&product.left)?, double(&self.anchor.left)?.f_neg()?], 1)?;
        let v = Tensor::f_cat(&[double(&product.right)?, double(&self.anchor.right)?], 0)?;
        let left = u.f_transpose(0, 1)?.f_matmul(&u.f_mul(&rows.f_unsqueeze(1)?)?)?;
        let right = v.f_mul(&double(&self.columns)?)?.f_matmul(&v.f_transpose(0, 1)?)?;
        let sum = left.f_mul(&right)?.f_sum(Kind::Double)?;
        Ok(sum.f_mul_scalar(inverse_sum(&rows)?)?.f_to_kind(product.left.kind())?)
    }
}

fn inverse_sum(rows: &Tensor) -> Result<f64, TrainerError> {
    let sum = rows.f_sum(Kind::Double)?.f_double_value(&[])?;
    Ok(if sum > 0.0 { 1.0 / sum } else { 0.0 })
}

/// Row and column sums of an entry.
pub fn sums_of(entry: &Entry) -> Result<(Tensor, Tensor), TrainerError> {
    let over = |dim: i64| entry.fisher.f_sum_dim_intlist(dim, false, Kind::Double);
    Ok((over(1)?, over(0)?))
}

/// The products whose Fisher is kept by its sums.
pub fn factored(form: FisherForm, held: &[Held]) -> BTreeSet<String> {
    let products = || held.iter().filter_map(|held| Some((&held.name, held.product()?)));
    let entries: i64 = products().map(|(_, product)| product.entries()).sum();
    let is_factored = match form {
        FisherForm::Diagonal => false,
        FisherForm::Factored => true,
        FisherForm::Auto => entries >= FACTORED_FROM,
    };
    let names = products().map(|(name, _)| name.clone());
    names.filter(|_| is_factored).collect()
}

/// Row sums [out] and column sums [in] over the examples of `(sum_t g_t (x) a_t)^2`, weighted by `weights` [b], for a layer whose output's
/// gradient is g and that saw a. Not one matrix [out, in] is made: over an example's tokens, a row's sum is `sum_t g_t ((a a') g)_t`.
pub fn sums_of_examples(
    trained: &Trained,
    gradient: &Tensor,
    mask: &Tensor,
    weights: Option<&Tensor>,
) -> Result<(Tensor, Tensor), TrainerError> {
    let on = |tensor: &Tensor| tensor.f_to_device(gradient.device())?.f_to_kind(gradient.kind());
    // Gradients and inputs as [groups, tokens, ..]; which tokens of a group are of one example; each token's weight.
    let (g, a, same, weight) = match trained {
        Trained::Weight(input) if input.dim() == 2 => {
            let weight = weights.map(|weights| on(weights)?.f_reshape([-1, 1, 1])).transpose()?;
            (
                gradient.f_unsqueeze(1)?,
                on(&input.f_detach()?)?.f_unsqueeze(1)?,
                None,
                weight,
            )
        }
        Trained::Weight(input) => {
            let weight = weights.map(|weights| on(weights)?.f_reshape([-1, 1, 1])).transpose()?;
            (
                gradient.f_mul(&on(mask)?.f_unsqueeze(2)?)?,
                on(&input.f_detach()?)?,
                None,
                weight,
            )
        }
        Trained::Routed { input, places } => {
            let tokens = mask.size2()?.1;
            let examples = places.f_floor_divide_scalar(tokens)?;
            let same = on(&examples.f_unsqueeze(1)?.f_eq_tensor(&examples.f_unsqueeze(0)?)?)?;
            let seen = on(mask)?.f_flatten(0, 1)?.f_index_select(0, places)?.f_unsqueeze(1)?;
            let of_each = |weights: &Tensor| on(weights)?.f_index_select(0, &examples)?.f_reshape([1, -1, 1]);
            let weight = weights.map(of_each).transpose()?;
            let g = gradient.f_mul(&seen)?.f_unsqueeze(0)?;
            (g, on(&input.f_detach()?)?.f_unsqueeze(0)?, Some(same), weight)
        }
        Trained::Bias | Trained::Rows { .. } => {
            return Err(TrainerError::new(
                JobEnd::Internal,
                "only a weight has row and column sums",
            ));
        }
    };
    // Each token of `x` with the inner products of `by` with all tokens of its example.
    let sums = |x: &Tensor, by: &Tensor| -> Result<Tensor, TrainerError> {
        let mut inner = by.f_matmul(&by.f_transpose(1, 2)?)?;
        if let Some(same) = &same {
            inner = inner.f_mul(same)?;
        }
        let mut of_tokens = x.f_mul(&inner.f_matmul(x)?)?;
        if let Some(weight) = &weight {
            of_tokens = of_tokens.f_mul(weight)?;
        }
        // A sum of squares, but for the rounding of its parts.
        Ok(of_tokens
            .f_sum_dim_intlist([0i64, 1].as_slice(), false, None::<Kind>)?
            .f_clamp_min(0.0)?)
    };
    Ok((sums(&g, &a)?, sums(&a, &g)?))
}
