//! What waits for a person of what came in, and what the person says.

use super::data_files::Objects;
use super::guard::TOP;
use super::sources::{ReviewRecord, ReviewState, SourceRecord, SourceState, source_key, source_of};
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};
use wengu_config::Domain;
use wengu_protocol::CaseText;
use wengu_store::Batch;
use wengu_store::records::FileRecord;

/// What waits for a person, or for more examples.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewList {
    /// Sources that are not trusted, or not yet.
    pub sources: Vec<SourceRecord>,
    /// Examples that stand out.
    pub examples: Vec<ReviewView>,
}

/// An example that stands out, with its text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReviewView {
    /// Its record.
    pub record: ReviewRecord,
    /// The beginning of its text.
    pub text: CaseText,
}

/// What waits, without the texts.
pub fn waiting(engine: &Engine, domain: &str) -> Result<(Vec<SourceRecord>, Vec<ReviewRecord>)> {
    let prefix = format!("{domain}/");
    let sources = engine.store.scan::<SourceRecord>(&prefix)?.into_iter();
    let sources = sources.map(|(_, record)| record);
    let waits = |record: &SourceRecord| !matches!(record.state, SourceState::Agrees | SourceState::Released);
    let examples = engine.store.scan::<ReviewRecord>(&prefix)?.into_iter();
    let examples = examples.map(|(_, record)| record);
    let held = |record: &ReviewRecord| record.state == ReviewState::Held;
    Ok((sources.filter(waits).collect(), examples.filter(held).collect()))
}

/// Lists what waits.
pub fn list(engine: &Engine, domain: &str) -> Result<ReviewList> {
    let (sources, held) = waiting(engine, domain)?;
    let mut objects = Objects::new(&engine.store);
    let mut examples = Vec::new();
    for record in held {
        let text = match objects.example(&record.examples, record.ordinal)? {
            Some(example) => example.text.chars().take(120).collect::<String>().into(),
            None => CaseText::default(),
        };
        examples.push(ReviewView { record, text });
    }
    Ok(ReviewList { sources, examples })
}

/// A person trusts a source, or does not.
pub fn decide_source(engine: &Engine, domain: &Domain, source: &str, trusted: bool) -> Result<()> {
    let mut known = false;
    engine.store.each(&format!("{}/", domain.name), |_, file: FileRecord| {
        known |= source_of(domain, &file) == source;
    })?;
    ensure!(
        known,
        "no file of domain {} comes from {source}; a source is a folder right below the watched one, or `{TOP}`",
        domain.name
    );
    let _lock = engine.lock(&domain.name);
    let key = source_key(&domain.name, source);
    let record = engine.store.get::<SourceRecord>(&key)?;
    let record = SourceRecord {
        source: source.to_owned(),
        agreement: record.as_ref().map(|record| record.agreement).unwrap_or_default(),
        usual: record.as_ref().map(|record| record.usual).unwrap_or_default(),
        run: record.and_then(|record| record.run),
        state: if trusted {
            SourceState::Released
        } else {
            SourceState::Rejected
        },
        updated_ms: now_ms(),
    };
    let event = if trusted { "source.released" } else { "source.rejected" };
    engine
        .store
        .commit(Batch::new(event).at(record.updated_ms).put(&key, &record)?)?;
    engine.schedule_wake.notify_one();
    Ok(())
}

/// A person has looked at the examples whose text ids begin so. Returns how many.
pub fn decide_examples(engine: &Engine, domain: &str, id: &str, accepted: bool) -> Result<u64> {
    let _lock = engine.lock(domain);
    let now = now_ms();
    let event = if accepted { "review.accepted" } else { "review.rejected" };
    let mut batch = Batch::new(event).at(now);
    let mut decided = 0;
    for (key, mut record) in engine.store.scan::<ReviewRecord>(&format!("{domain}/{id}"))? {
        record.state = if accepted {
            ReviewState::Accepted
        } else {
            ReviewState::Rejected
        };
        record.updated_ms = now;
        batch = batch.put(&key, &record)?;
        decided += 1;
    }
    if decided == 0 {
        bail!("nothing that waits for review begins with {id}; `wengu files review {domain}` lists it");
    }
    engine.store.commit(batch)?;
    engine.schedule_wake.notify_one();
    Ok(decided)
}
