//! What is trained, as it was at some point.

use crate::error::TrainerError;
use crate::job::tensors::copy_exact;
use crate::model::Model;
use std::collections::BTreeMap;
use tch::Tensor;
use wengu_protocol::job::JobEnd;

/// Copies of what is trained, by name.
pub type Snapshot = BTreeMap<String, Tensor>;

/// The model's as it is now.
pub fn take(model: &Model) -> Snapshot {
    let copied = |(name, parameter, _): (String, Tensor, _)| (name, parameter.detach().copy());
    model.trainable().into_iter().map(copied).collect()
}

/// Puts it back into the model, whose tensors stay the same ones.
pub fn restore(model: &Model, snapshot: &Snapshot) -> Result<(), TrainerError> {
    let internal = |text: String| TrainerError::new(JobEnd::Internal, text);
    for (name, parameter, _) in model.trainable() {
        let value = snapshot.get(&name);
        let value = value.ok_or_else(|| internal(format!("`{name}` was not kept")))?;
        copy_exact(&parameter, value).map_err(|why| internal(format!("`{name}`: {why}")))?;
    }
    Ok(())
}
