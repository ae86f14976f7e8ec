use crate::error::TrainerError;
use crate::fisher::{FisherState, HEAD_BIAS, HEAD_WEIGHT};
use crate::model::LoraSite;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// The penalty `lambda/2 sum F (W - W*)^2` that holds the parent's weights where they mattered.
///
/// For an adapter W is the product `dW = s B A`, not its factors: `(B R, R^-1 A)` is the same function, and a penalty
/// on the factors would tell them apart. For the head it is the rows of the labels that the parent knew.
#[derive(Debug)]
pub struct Ewc<'a> {
    lambda: f64,
    parent: &'a FisherState,
}

impl<'a> Ewc<'a> {
    /// The penalty against `parent`. Every site of it has to be a site of the model.
    pub fn new(
        lambda: f64,
        parent: &'a FisherState,
        sites: &[LoraSite],
        head: Option<(&Tensor, &Tensor)>,
    ) -> Result<Ewc<'a>, TrainerError> {
        for (name, entry) in parent.entries() {
            let found = match name {
                HEAD_WEIGHT => head.map(|head| head.0.size()),
                HEAD_BIAS => head.map(|head| head.1.size()),
                _ => {
                    let site = sites.iter().find(|site| site.name == name);
                    site.map(|site| vec![site.b.size()[0], site.a.size()[1]])
                }
            };
            let expected = entry.fisher.size();
            let grows = matches!(name, HEAD_WEIGHT | HEAD_BIAS);
            let fits = found.as_ref().is_some_and(|found| {
                found[1..] == expected[1..]
                    && if grows {
                        found[0] >= expected[0]
                    } else {
                        found[0] == expected[0]
                    }
            });
            if !fits {
                let found = found.map_or("is not there".to_owned(), |shape| format!("has the shape {shape:?}"));
                let text = format!(
                    "the parent's Fisher has `{name}` of the shape {expected:?}, which in the model {found}; \
                     train with the parent's base model and target_modules, or leave `parent.fisher` out"
                );
                return Err(TrainerError::new(JobEnd::BadModel, text));
            }
        }
        Ok(Ewc { lambda, parent })
    }

    /// The penalty at the weights as they are now. None where the parent's Fisher holds nothing.
    pub fn penalty(
        &self,
        sites: &[LoraSite],
        head: Option<(&Tensor, &Tensor)>,
    ) -> Result<Option<Tensor>, TrainerError> {
        let mut terms = Vec::new();
        for (name, entry) in self.parent.entries() {
            let weight = match (name, head) {
                (HEAD_WEIGHT, Some((weight, _))) => weight.f_narrow(0, 0, entry.fisher.size()[0])?,
                (HEAD_BIAS, Some((_, bias))) => bias.f_narrow(0, 0, entry.fisher.size()[0])?,
                _ => match sites.iter().find(|site| site.name == name) {
                    Some(site) => site.product()?,
                    None => continue,
                },
            };
            let moved = weight.f_sub(&entry.anchor)?;
            terms.push(moved.f_square()?.f_mul(&entry.fisher)?.f_sum(None::<Kind>)?);
        }
        if terms.is_empty() {
            return Ok(None);
        }
        let sum = Tensor::f_stack(&terms, 0)?.f_sum(None::<Kind>)?;
        Ok(Some(sum.f_mul_scalar(self.lambda / 2.0)?))
    }
}
