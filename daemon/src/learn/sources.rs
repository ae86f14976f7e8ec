//! Where case files come from, how far that is trusted, and what waits for a person: the records behind [`super::guard`].

use super::guard::{Guard, TOP, Trust};
use super::outcome::Judgement;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::feedback::FEEDBACK;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use wengu_config::Domain;
use wengu_decide::sources::{Agreement, Standing, judge};
use wengu_store::records::{FileRecord, UnixMs};
use wengu_store::{Batch, Hash, Record};

/// Longer names are told apart by their beginning: a record has to fit.
const NAME_CHARS: usize = 200;

/// Table `source`: a source that the version in service was asked about, or that a person has judged. Key: `DOMAIN/` and a hash of its
/// name. One without a record is as trusted as its history makes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRecord {
    /// Its name: the folder right below the watched one.
    pub source: String,
    /// What the last run that asked found.
    pub agreement: Agreement,
    /// The same of the domain's held-out items.
    pub usual: Agreement,
    /// What follows.
    pub state: SourceState,
    /// The run that last asked; none where only a person has judged.
    pub run: Option<u64>,
    /// When this last changed.
    pub updated_ms: UnixMs,
}

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum SourceState {
    /// Too few of its examples were asked about.
    Open,
    /// It agrees with the version in service.
    Agrees,
    /// It disagrees far more than the domain's own items: a person is asked.
    Suspicious {
        /// By so many standard deviations.
        z: f64,
    },
    /// A person trusts it.
    Released,
    /// A person does not.
    Rejected,
}

impl Record for SourceRecord {
    const TABLE: &'static str = "source";
    const VERSION: u16 = 1;
}

/// Table `review`: an example that stood out, and what a person said. Key: `DOMAIN/`, its text id, `/` and a hash of its label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReviewRecord {
    /// [`super::examples::text_id`].
    pub text_id: String,
    /// The label it came with.
    pub label: String,
    /// Where it came from.
    pub source: String,
    /// The examples object it stands in.
    pub examples: Hash,
    /// Its place there.
    pub ordinal: u32,
    /// Why it is shown.
    pub reason: String,
    /// The run that found it.
    pub run: u64,
    /// What a person said.
    pub state: ReviewState,
    /// When this last changed.
    pub updated_ms: UnixMs,
}

/// What a person said of an example.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewState {
    /// Nothing yet.
    Held,
    /// It is learned.
    Accepted,
    /// It is not.
    Rejected,
}

impl Record for ReviewRecord {
    const TABLE: &'static str = "review";
    const VERSION: u16 = 1;

    fn objects(&self) -> Vec<Hash> {
        vec![self.examples]
    }
}

/// What the version in service said of an example on probation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// Its source.
    pub source: String,
    /// [`super::examples::text_id`].
    pub text_id: String,
    /// The examples object it stands in.
    pub examples: Hash,
    /// Its place there.
    pub ordinal: u32,
    /// The label it came with.
    pub label: String,
    /// The label it got.
    pub said: String,
    /// Whether the given label is next to impossible to the version in service.
    pub stands_out: bool,
}

/// The source of a file: the folder right below the watched one, with that one's name where there are several.
pub fn source_of(domain: &Domain, file: &FileRecord) -> String {
    let path = file.location();
    let Some(root) = domain.watch.iter().find(|root| path.starts_with(root)) else {
        let over_the_api = Path::new(&file.case_key).starts_with(FEEDBACK);
        return if over_the_api { FEEDBACK } else { TOP }.into();
    };
    let inside = path.strip_prefix(root).unwrap_or(&path);
    let mut parts = inside.components();
    let folder = parts.next().filter(|_| parts.next().is_some());
    let folder = folder.map_or(TOP.into(), |folder| wengu_intake::shown(folder.as_ref()));
    let name = match domain.watch.len() {
        1 => folder,
        _ => format!(
            "{}/{folder}",
            wengu_intake::shown(root.file_name().unwrap_or_default().as_ref())
        ),
    };
    name.chars().take(NAME_CHARS).collect()
}

pub(super) fn source_key(domain: &str, source: &str) -> String {
    format!("{domain}/{}", &blake3::hash(source.as_bytes()).to_hex()[..32])
}

fn review_key(domain: &str, text_id: &str, label: &str) -> String {
    format!("{domain}/{text_id}/{}", &blake3::hash(label.as_bytes()).to_hex()[..16])
}

/// What a plan has to know.
pub fn guard(engine: &Engine, domain: &Domain) -> Result<Guard> {
    let prefix = format!("{}/", domain.name);
    let mut guard = Guard {
        rules: domain.sources,
        ..Guard::default()
    };
    if domain.task != wengu_protocol::job::Task::SequenceClassification {
        // What other tasks answer is not right or wrong as a whole.
        guard.rules.probation_items = 0;
    }
    engine.store.each(&prefix, |_, file: FileRecord| {
        if let Some((examples, _)) = file.state.examples() {
            guard.origin.insert(examples, source_of(domain, &file));
        }
    })?;
    for (_, record) in engine.store.scan::<SourceRecord>(&prefix)? {
        let trust = match record.state {
            SourceState::Open => Trust::OnProbation,
            SourceState::Agrees | SourceState::Released => Trust::Trusted,
            SourceState::Suspicious { .. } => Trust::Suspicious,
            SourceState::Rejected => Trust::Rejected,
        };
        guard.standing.insert(record.source, trust);
    }
    for (_, record) in engine.store.scan::<ReviewRecord>(&prefix)? {
        guard.reviews.insert((record.text_id, record.label), record.state);
    }
    Ok(guard)
}

/// Adds to the transaction of a verdict what it says of the sources that were asked about.
pub(super) fn advance(
    engine: &Engine,
    mut batch: Batch,
    domain: &str,
    run: u64,
    judgement: &Judgement,
) -> Result<Batch> {
    let answered = judgement.watched.iter().flat_map(|watched| &watched.asked);
    let mut by_source: BTreeMap<&str, Agreement> = BTreeMap::new();
    let now = now_ms();
    for answer in answered {
        let agreement = by_source.entry(&answer.source).or_default();
        agreement.asked += 1;
        agreement.agreed += u64::from(answer.said == answer.label);
        let key = review_key(domain, &answer.text_id, &answer.label);
        if answer.stands_out && engine.store.get::<ReviewRecord>(&key)?.is_none() {
            let record = ReviewRecord {
                text_id: answer.text_id.clone(),
                label: answer.label.clone(),
                source: answer.source.clone(),
                examples: answer.examples,
                ordinal: answer.ordinal,
                reason: format!("the version in service is near certain that it is \"{}\"", answer.said),
                run,
                state: ReviewState::Held,
                updated_ms: now,
            };
            batch = batch.put(&key, &record)?;
        }
    }
    let items = judgement.answers.iter().flat_map(|era| &era.items);
    let worth = items.filter_map(|item| item.champion_worth());
    let usual = worth.fold(Agreement::default(), |all, worth| Agreement {
        asked: all.asked + 1,
        agreed: all.agreed + u64::from(worth >= 1.0),
    });
    let enough = engine
        .config
        .domains
        .get(domain)
        .map_or(1, |domain| domain.sources.probation_items);
    for (source, agreement) in by_source {
        let key = source_key(domain, source);
        let judged = engine.store.get::<SourceRecord>(&key)?;
        // What a person said holds.
        if judged.is_some_and(|record| matches!(record.state, SourceState::Released | SourceState::Rejected)) {
            continue;
        }
        let state = match judge(agreement, usual, enough) {
            Standing::Open => SourceState::Open,
            Standing::Agrees => SourceState::Agrees,
            Standing::Suspicious { z } => SourceState::Suspicious { z },
        };
        tracing::info!(domain, run, source, ?state, "source_judged");
        let record = SourceRecord {
            source: source.to_owned(),
            agreement,
            usual,
            state,
            run: Some(run),
            updated_ms: now,
        };
        batch = batch.put(&key, &record)?;
    }
    Ok(batch)
}
