//! What people who use the model say of its answers, over the API: it becomes a case file of the domain, in a folder of the daemon's
//! own that is watched like the others, and goes the way of all case files.

use crate::engine::Engine;
use crate::sealing;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use wengu_config::Domain;
use wengu_protocol::CaseText;
use wengu_store::durable;

/// The source of what comes over the API, and the folder that its case keys begin with.
pub const FEEDBACK: &str = "feedback";

/// `POST /v1/feedback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The domain.
    pub domain: String,
    /// The text that was asked about.
    pub text: CaseText,
    /// The right answer, as a case file's label has it.
    pub label: String,
    /// The case that the text is from; without one the text is a case of its own.
    #[serde(default)]
    pub case: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FeedbackTaken {
    /// The case file that it became: `wengu files explain PATH` tells what happens to it.
    pub path: PathBuf,
}

/// Keeps it, durably; the domain is one of the configuration. The same text of the same case again is the next revision of the same file: the last word counts.
///
/// # Errors
/// A request that makes no case file, or a disk that takes none.
pub fn take(engine: &Engine, request: &FeedbackRequest) -> Result<FeedbackTaken> {
    let domain = &engine.config.domains[&request.domain];
    let record = record(domain, request)?;
    let folder = engine.layout.feedback(&domain.name);
    let mut line = serde_json::to_vec(&record)?;
    line.push(b'\n');
    let path = folder.join(file_name(request));
    let line = sealing::feedback(engine.key(), &line)?;
    durable::write_file(&path, &line).with_context(|| path.display().to_string())?;
    Ok(FeedbackTaken { path })
}

/// The record as the domain's case files have it.
fn record(domain: &Domain, request: &FeedbackRequest) -> Result<Value> {
    ensure!(!request.text.as_str().trim().is_empty(), "`text` is empty");
    ensure!(
        !request.label.trim().is_empty(),
        "`label` is empty: say what would have been right"
    );
    let intake = &domain.intake;
    let mut fields = Map::new();
    fields.insert(intake.text_field.clone(), request.text.as_str().into());
    fields.insert(intake.label_field.clone(), request.label.clone().into());
    match (&request.case, &intake.case_field) {
        (None, _) => {}
        (Some(case), Some(field)) => {
            fields.insert(field.clone(), case.clone().into());
        }
        (Some(_), None) => bail!(
            "domain {} has no `case_field`, so records have no case; leave `case` out",
            domain.name
        ),
    }
    Ok(Value::Object(fields))
}

fn file_name(request: &FeedbackRequest) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [request.case.as_deref().unwrap_or_default(), request.text.as_str()] {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    format!("{}.jsonl", &hasher.finalize().to_hex()[..32])
}
