//! A version as a model folder of its own: its adapter added to the base model's weights, its head put in.

use crate::error::TrainerError;
use crate::model::Model;
use std::path::Path;
use wengu_protocol::job::JobEnd;
use wengu_protocol::merge::{MERGE_SCHEMA, Merge, Merged};

/// Reads the specification and writes the folder that it names.
pub fn merge(spec: &Path) -> Result<Merged, TrainerError> {
    let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadJob, spec, error);
    let text = std::fs::read(spec).map_err(|e| bad(&e))?;
    let spec: Merge = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
    if spec.schema != MERGE_SCHEMA {
        return Err(bad(&format!("schema {} is not {MERGE_SCHEMA}", spec.schema)));
    }
    if let Some(reason) = spec.method.why_not_merged() {
        return Err(bad(&reason));
    }
    run(&spec)
}

/// Writes the merged model.
pub fn run(spec: &Merge) -> Result<Merged, TrainerError> {
    let model = Model::load_to_merge(spec.task, &spec.base, &spec.version, &spec.method, &spec.term_tokens)?;
    model.write_merged(&spec.out, spec.precision)
}
