//! Whether the case files that come in are like those that were learned from, labelled or not. What is found starts an update early
//! or is shown; nobody is called for it.

mod embedding;

use crate::clock::now_ms;
use crate::engine::Engine;
use crate::learn::examples::{Example, Examples, text_id};
use crate::learn::manifest::Manifest;
use anyhow::Result;
use embedding::Embeddings;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wengu_config::Domain;
use wengu_decide::drift::{Advice, InputDrift, Mmd, Rates, SAMPLE_MAX, mmd};
use wengu_protocol::CaseText;
use wengu_store::records::{FileRecord, UnixMs};
use wengu_store::{Batch, Hash, Record, Store};
use wengu_tokenize::{Segment, SegmentKind, Tokenizer};

/// The chance that files like those before are called unlike, each time that is looked at.
const ALPHA: f64 = 0.01;
/// With fewer new texts there is nothing to say.
const TEXTS_MIN: u64 = 50;
/// So many files are read at most.
const FILES_MAX: usize = 2 * SAMPLE_MAX;
/// Looked at again when there are so many times more new texts: a few times for each version, not with every file.
const GROWN: u64 = 2;

/// Table `inputs`: what was found when new case files were last looked at. Key: the domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// The version in service then.
    pub version: String,
    /// When.
    pub checked_ms: UnixMs,
    /// New texts that there were.
    pub texts: u64,
    /// The test of the embeddings; None where the model's table could not be read.
    pub embeddings: Option<Mmd>,
    /// Terms that were not seen before; None without a plugin that finds any.
    pub new_terms: Option<Rates>,
    /// Tokens that the tokenizer does not know; None where it knows every text.
    pub unknown_tokens: Option<Rates>,
    /// What follows.
    pub drift: InputDrift,
}

impl Record for InputRecord {
    const TABLE: &'static str = "inputs";
    const VERSION: u16 = 1;
}

/// What was last found, where it is about the version in service.
pub fn found(engine: &Engine, domain: &str) -> Result<Option<InputRecord>> {
    let serving = engine.current(domain)?.map(|current| current.version);
    let record = engine.store.get::<InputRecord>(domain)?;
    Ok(record.filter(|record| Some(&record.version) == serving.as_ref()))
}

/// What was last found about these files. Fewer than there were: an update has tried them, and those that have come since are others.
fn known(engine: &Engine, domain: &str, new_texts: u64) -> Result<Option<InputRecord>> {
    Ok(found(engine, domain)?.filter(|record| record.texts <= new_texts))
}

/// Whether an update should start early, by what was last found.
pub fn advise_update(engine: &Engine, domain: &str, new_texts: u64) -> Result<bool> {
    let known = known(engine, domain, new_texts)?;
    Ok(known.is_some_and(|record| record.drift.advice == Advice::Schedule))
}

/// Looks at the case files that no run has tried if it is time to; they have so many texts. Gives whether an update should start early.
pub fn look(engine: &Engine, domain: &Domain, new_texts: u64) -> Result<bool> {
    let Some(current) = engine.current(&domain.name)? else {
        return Ok(false);
    };
    let known = known(engine, &domain.name, new_texts)?;
    let looked_at = known.as_ref().map_or(0, |record| record.texts);
    if new_texts < TEXTS_MIN || new_texts < looked_at * GROWN {
        return Ok(known.is_some_and(|record| record.drift.advice == Advice::Schedule));
    }
    let Some(model) = engine.config.models.get(&domain.model) else {
        return Ok(false);
    };
    let ancestors = engine.ancestry(&domain.name, Some(&current.version))?;
    let learned = learned(&engine.store, &ancestors)?;
    let mut untried = BTreeSet::new();
    engine.store.each(&format!("{}/", domain.name), |_, file: FileRecord| {
        untried.extend(file.state.untried().map(|(examples, _)| examples));
    })?;
    let new = sample(&engine.store, untried, |_| true)?;
    let tests = Tests::of(&model.path, domain, &learned, &new)?;
    let drift = InputDrift::of(
        tests.embeddings.as_ref(),
        tests.new_terms.as_ref(),
        tests.unknown_tokens.as_ref(),
        ALPHA,
    );
    tracing::info!(
        domain = domain.name,
        texts = new_texts,
        advice = ?drift.advice,
        p = tests.embeddings.map(|mmd| mmd.p_value),
        reasons = drift.reasons.join(" "),
        "inputs_looked_at"
    );
    let early = drift.advice == Advice::Schedule;
    let record = InputRecord {
        version: current.version,
        checked_ms: now_ms(),
        texts: new_texts,
        embeddings: tests.embeddings,
        new_terms: tests.new_terms,
        unknown_tokens: tests.unknown_tokens,
        drift,
    };
    let batch = Batch::new("inputs.looked_at").at(record.checked_ms);
    engine.store.commit(batch.put(&domain.name, &record)?)?;
    Ok(early)
}

/// A text, and where the plugin's terms stand in it. Tests take texts to be independent: there is one of each case.
struct Text {
    text: CaseText,
    segments: Vec<Segment>,
}

impl Text {
    fn terms(&self) -> impl Iterator<Item = &str> {
        let terms = self.segments.iter().filter(|s| s.kind == SegmentKind::Term);
        terms.filter_map(|s| self.text.get(s.begin as usize..s.end as usize))
    }
}

/// Texts that were learned, the same ones each time.
fn learned(store: &Store, ancestors: &[Manifest]) -> Result<Vec<Text>> {
    let items = ancestors.iter().flat_map(|manifest| &manifest.train);
    let learned: BTreeSet<&str> = items.clone().map(|item| item.text_id.as_str()).collect();
    let files: BTreeSet<Hash> = items.map(|item| item.examples).collect();
    sample(store, files, |text_id| learned.contains(text_id))
}

/// One text of each case in these files, at most so many as the tests take, in an order that has nothing to do with arrival.
fn sample(store: &Store, files: impl IntoIterator<Item = Hash>, wanted: impl Fn(&str) -> bool) -> Result<Vec<Text>> {
    let mut by_case: BTreeMap<String, (String, Text)> = BTreeMap::new();
    for hash in files.into_iter().take(FILES_MAX) {
        let file = Examples::read(store, &hash)?;
        for Example {
            case, text, segments, ..
        } in file.examples
        {
            let id = text_id(&text);
            let first = by_case.get(&case).is_none_or(|(kept, _)| id < *kept);
            if first && wanted(&id) {
                by_case.insert(case, (id, Text { text, segments }));
            }
        }
    }
    let mut texts: Vec<(String, Text)> = by_case.into_values().collect();
    texts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(texts.into_iter().map(|(_, text)| text).take(SAMPLE_MAX).collect())
}

struct Tests {
    embeddings: Option<Mmd>,
    new_terms: Option<Rates>,
    unknown_tokens: Option<Rates>,
}

impl Tests {
    fn of(model_dir: &Path, domain: &Domain, learned: &[Text], new: &[Text]) -> Result<Tests> {
        let tokenizer = Tokenizer::load(model_dir)?;
        let length = domain.learning.max_length as usize;
        let encode = |texts: &[Text]| -> Result<Vec<Vec<u32>>> {
            let ids = texts
                .iter()
                .map(|t| Ok(tokenizer.encode(&t.text, &t.segments, length)?));
            ids.collect()
        };
        let (old_ids, new_ids) = (encode(learned)?, encode(new)?);
        let embeddings = match Embeddings::open(model_dir)? {
            None => None,
            Some(table) => {
                let means = |ids: &[Vec<u32>]| table.means(ids.iter().map(Vec::as_slice));
                mmd(
                    table.dimensions,
                    &means(&old_ids)?,
                    &means(&new_ids)?,
                    domain.learning.seed,
                )
            }
        };
        let unknown = tokenizer.unknown_id().map(|unknown| {
            let share = |texts: &[Vec<u32>]| {
                let ids = texts.iter().flatten();
                (
                    ids.clone().filter(|id| **id == unknown).count() as u64,
                    ids.count() as u64,
                )
            };
            Rates {
                reference: share(&old_ids),
                current: share(&new_ids),
            }
        });
        Ok(Tests {
            embeddings,
            new_terms: new_terms(learned, new),
            unknown_tokens: unknown,
        })
    }
}

/// How many terms are new, beside how many of one half of what was learned are new to the other half. None without terms.
fn new_terms(learned: &[Text], new: &[Text]) -> Option<Rates> {
    let (one, other) = learned.split_at(learned.len() / 2);
    let known: BTreeSet<&str> = one.iter().flat_map(Text::terms).collect();
    let share = |texts: &[Text]| {
        let terms: Vec<&str> = texts.iter().flat_map(Text::terms).collect();
        let new = terms.iter().filter(|term| !known.contains(*term)).count();
        (new as u64, terms.len() as u64)
    };
    let rates = Rates {
        reference: share(other),
        current: share(new),
    };
    (rates.reference.1 > 0 && rates.current.1 > 0).then_some(rates)
}
