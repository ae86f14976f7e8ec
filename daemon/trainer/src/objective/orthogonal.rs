//! What keeps a new low-rank adapter away from the parent's.

use crate::error::TrainerError;
use crate::model::LoraSite;
use tch::{Kind, Tensor};

/// `lambda sum |A_parent A'|^2` (Frobenius) over the sites that have a parent's update beside their own: the orthogonality loss of O-LoRA
/// (Wang et al. 2023, section 3, `L_orth = sum_jk |O[j, k]|^2`). None where no site has.
///
/// As in the paper, A is as it was trained, neither orthonormalised nor scaled. Their code takes `sum |O[j, k]|` instead, and one A
/// for each task before; here there is one parent, which holds what is left of all.
pub fn orthogonal_penalty(lambda: f64, sites: &[LoraSite]) -> Result<Option<Tensor>, TrainerError> {
    let mut terms = Vec::new();
    for site in sites {
        if let Some(parent) = &site.parent {
            let overlap = parent.a.f_matmul(&site.a.f_transpose(0, 1)?)?;
            terms.push(overlap.f_square()?.f_sum(None::<Kind>)?);
        }
    }
    if terms.is_empty() {
        return Ok(None);
    }
    let sum = Tensor::f_stack(&terms, 0)?.f_sum(None::<Kind>)?;
    Ok(Some(sum.f_mul_scalar(lambda)?))
}
