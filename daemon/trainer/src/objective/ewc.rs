use crate::error::TrainerError;
use crate::fisher::FisherState;
use crate::model::Held;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// The penalty `lambda/2 sum F (W - W*)^2` that holds the parent's weights where they mattered.
///
/// W is what [`Model::held`](crate::model::Model::held) gives. For a low-rank update that is the product `dW = s B A`, not its
/// factors: `(B R, R^-1 A)` is the same function, and a penalty on the factors would tell them apart. For the head it is the rows
/// of the labels that the parent knew.
#[derive(Debug)]
pub struct Ewc<'a> {
    lambda: f64,
    parent: &'a FisherState,
}

impl<'a> Ewc<'a> {
    /// The penalty against `parent`. All that it has must be held in the model too.
    pub fn new(lambda: f64, parent: &'a FisherState, held: &[Held]) -> Result<Ewc<'a>, TrainerError> {
        let whole = parent.entries().map(|(name, entry)| (name, entry.fisher.size(), false));
        let factored = parent.factored().map(|(name, entry)| {
            let shape = vec![entry.rows.size()[0], entry.columns.size()[0]];
            (name, shape, true)
        });
        for (name, expected, is_factored) in whole.chain(factored) {
            let found = held.iter().find(|held| held.name == name);
            let fits = found.is_some_and(|held| {
                let shape = held.shape();
                let grown = shape[0] == expected[0] || held.grows && shape[0] > expected[0];
                grown && shape[1..] == expected[1..] && (held.product().is_some() || !is_factored)
            });
            if !fits {
                let found = found.map_or("is not there".to_owned(), |held| {
                    let factors = if is_factored { " and no factors" } else { "" };
                    format!("has the shape {:?}{factors}", held.shape())
                });
                let text = format!(
                    "the parent's Fisher has `{name}` of the shape {expected:?}, which in the model {found}; \
                     train with the parent's base model and method, or leave `parent.fisher` out"
                );
                return Err(TrainerError::new(JobEnd::BadModel, text));
            }
        }
        Ok(Ewc { lambda, parent })
    }

    /// The penalty at the weights as they are now. None where the parent's Fisher holds nothing.
    pub fn penalty(&self, held: &[Held]) -> Result<Option<Tensor>, TrainerError> {
        let mut terms = Vec::new();
        for (name, entry) in self.parent.entries() {
            let Some(held) = held.iter().find(|held| held.name == name) else {
                continue;
            };
            let known = held.whole()?.f_narrow(0, 0, entry.fisher.size()[0])?;
            let moved = known.f_sub(&entry.anchor)?;
            terms.push(moved.f_square()?.f_mul(&entry.fisher)?.f_sum(None::<Kind>)?);
        }
        for (name, entry) in self.parent.factored() {
            let held = held.iter().find(|held| held.name == name);
            if let Some(product) = held.and_then(Held::product) {
                terms.push(entry.distance(product)?);
            }
        }
        if terms.is_empty() {
            return Ok(None);
        }
        let sum = Tensor::f_stack(&terms, 0)?.f_sum(None::<Kind>)?;
        Ok(Some(sum.f_mul_scalar(self.lambda / 2.0)?))
    }
}
