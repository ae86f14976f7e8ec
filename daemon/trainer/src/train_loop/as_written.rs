//! The model with the one adapter that would be written of it, for as long as it is asked.

use super::snapshot;
use crate::error::TrainerError;
use crate::job::tensors::copy_exact;
use crate::model::Model;
use tch::Tensor;
use wengu_protocol::job::JobEnd;

/// What `ask` says while a new adapter beside the parent's is one with it, compressed to one's rank. The model is then as before.
pub fn as_written<T>(model: &Model, ask: impl FnOnce() -> Result<T, TrainerError>) -> Result<T, TrainerError> {
    if !model.is_beside_parent() {
        return ask();
    }
    let trained = snapshot::take(model);
    let parents = model.adapters().iter().filter_map(|site| site.parent.as_ref());
    let parents: Vec<(&Tensor, Tensor)> = parents.map(|parent| (&parent.b, parent.b.copy())).collect();
    model.recompress()?;
    let said = ask()?;
    for (target, value) in &parents {
        copy_exact(target, value).map_err(|why| TrainerError::new(JobEnd::Internal, why))?;
    }
    snapshot::restore(model, &trained)?;
    Ok(said)
}
