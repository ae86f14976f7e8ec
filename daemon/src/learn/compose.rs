//! What an update would be made of: its manifest, from the pool, the settings and what serves.

use crate::clock;
use crate::engine::Engine;
use crate::learn::examples::{Examples, text_id};
use crate::learn::manifest::{MANIFEST_SCHEMA, Manifest};
use crate::learn::plan::{History, guarded};
use crate::learn::sources;
use crate::learn::terms;
use crate::learn::tune;
use crate::learn::votes::{LabelModel, every_vote};
use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use std::collections::{BTreeMap, BTreeSet};
use wengu_config::{Domain, Model};
use wengu_decide::gate::{GateConfig, run_alpha};
use wengu_protocol::job::{BaseModel, Task};
use wengu_store::Hash;
use wengu_store::records::{FileRecord, FileState, RunRecord};

/// What an update would be made of now.
pub fn make_manifest(engine: &Engine, domain: &Domain) -> Result<Manifest> {
    let name = &domain.name;
    let (files, pool) = pool(engine, name)?;
    let runs = engine.runs(name)?;
    let run = runs.last().map_or(1, |r| r.run + 1);
    let learning = &tune::learning(engine, domain)?;
    let base = model_of(engine, domain)?;
    let method = crate::model::method(&learning.method, &base.path)?;
    crate::serving::require(domain, &method)?;
    crate::fit::require(domain, &method, &base.path)?;
    let described = BaseModel {
        precision: base.precision,
        device: base.device,
        ..crate::model::describe(&base.path)?
    };
    let settings = Manifest {
        schema: MANIFEST_SCHEMA,
        domain: name.clone(),
        task: domain.task,
        run,
        replaces: None,
        parent: engine.current(name)?.map(|c| c.version),
        files,
        labels: Vec::new(),
        threshold: (domain.task == Task::MultiLabelClassification).then_some(domain.label_threshold),
        terms: Vec::new(),
        train: Vec::new(),
        validation: Vec::new(),
        asked: Vec::new(),
        gate: Vec::new(),
        reserve: Vec::new(),
        audit: Vec::new(),
        checklist: Vec::new(),
        dropped: Vec::new(),
        base: described,
        method,
        learning: learning.training.clone(),
        gradient_checkpointing: false,
        max_length: learning.max_length,
        memory_bytes: learning.memory_bytes,
        memory_seed: learning.seed,
        seed: learning.seed.wrapping_mul(1_000_003).wrapping_add(run),
        threads: match engine.config.trainer.threads {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            n => n,
        },
        gate_rules: gate_rules(domain, &runs)?,
        anchor: None,
        baselines: learning.baselines.clone(),
        plugins: Vec::new(),
        code_version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut manifest = compose(engine, domain, settings, pool)?;
    fit_into_memory(engine, &mut manifest);
    Ok(manifest)
}

/// Has the steps of a run split so that they fit into memory.
pub fn fit_into_memory(engine: &Engine, manifest: &mut Manifest) {
    let (labels, length) = (manifest.labels.len(), manifest.max_length);
    let planned = crate::memory_plan::step(
        &manifest.base,
        manifest.task,
        labels,
        &manifest.method,
        &manifest.learning,
        length,
    )
    .and_then(|step| {
        let device = manifest.base.device;
        crate::memory_plan::plan(&step, &engine.config.trainer, device, &manifest.learning)
    });
    match planned {
        Ok(memory) => {
            let learning = &mut manifest.learning;
            learning.accumulation = memory.accumulation.min(learning.batch_size);
            manifest.gradient_checkpointing = memory.gradient_checkpointing;
        }
        // The trainer says by name what is wrong with a model.
        Err(error) => tracing::warn!("no memory plan for this run: {error:#}"),
    }
}

/// Fills a manifest that has its settings, its parent and its seed with the examples of `pool`, as the history of the parent has
/// them take part.
pub fn compose(
    engine: &Engine,
    domain: &Domain,
    mut manifest: Manifest,
    mut pool: Vec<(Hash, Examples)>,
) -> Result<Manifest> {
    let name = &domain.name;
    let ancestors = engine.ancestry(name, manifest.parent.as_deref())?;
    let mut history = History::default();
    for ancestor in &ancestors {
        history.add(ancestor);
    }
    pool.extend(waiting(engine, &ancestors, &history)?);
    let parent_labels = ancestors.last().map(|m| m.labels.clone()).unwrap_or_default();
    if let Some(other) = ancestors.last().filter(|parent| parent.task != manifest.task) {
        bail!(
            "the version in service answers {:?}, the configuration asks for {:?}: go back to that, or use another domain",
            other.task,
            manifest.task
        );
    }
    // Votes are for labels.
    if manifest.task == Task::SequenceClassification {
        let model = LabelModel::fit(&every_vote(engine, name)?);
        for (_, file) in &mut pool {
            model.settle(file, domain.intake.min_confidence);
        }
    }
    let guard = sources::guard(engine, domain)?;
    let mut plan = guarded(&pool, manifest.task, &parent_labels, &history, &guard);
    if manifest.task == Task::CausalLm {
        plan.leave_out_too_long(&pool, &manifest.base.path, manifest.max_length)?;
    }
    let parent_terms = ancestors.last().map(|m| m.terms.clone()).unwrap_or_default();
    let learning = &domain.learning;
    manifest.validation = plan.take_validation(manifest.task, learning.validation_percent, manifest.seed);
    manifest.plugins = pool.iter().filter_map(|(_, e)| e.plugin.clone()).collect();
    manifest.plugins.sort();
    manifest.plugins.dedup();
    manifest.terms = terms::choose(
        &pool,
        &plan.train,
        parent_terms,
        learning.term_tokens as usize,
        &manifest.base.path,
    )?;
    manifest.labels = plan.labels;
    manifest.train = plan.train;
    manifest.gate = plan.gate;
    manifest.reserve = plan.reserve;
    manifest.audit = plan.audit;
    manifest.checklist = plan.checklist;
    manifest.asked = plan.asked;
    manifest.dropped = plan.dropped;
    manifest.anchor = crate::drift::anchor_of(engine, &manifest, &ancestors)?;
    Ok(manifest)
}

/// Runs of so many days tell how many a year has.
const RATE_DAYS: i64 = 28;

/// What a challenger must show, at the level that follows from the false alarms that the domain may have in a year.
fn gate_rules(domain: &Domain, runs: &[RunRecord]) -> Result<GateConfig> {
    let since = clock::now_ms() - TimeDelta::days(RATE_DAYS).num_milliseconds();
    let recent = runs.iter().filter(|run| run.planned_ms >= since).count();
    // This one counts too.
    let a_year = (recent + 1) as f64 * 365.0 / RATE_DAYS as f64;
    Ok(GateConfig {
        alpha: run_alpha(domain.gate.false_alarms_per_year, a_year)?,
        ..domain.gate.rules
    })
}

fn model_of<'a>(engine: &'a Engine, domain: &Domain) -> Result<&'a Model> {
    let model = engine.config.models.get(&domain.model);
    model.context("the domain's model is not configured")
}

/// Examples that accepted runs left out for later: held-out ones whose label could not be learned then, and those that wait for their source or
/// a person.
fn waiting(engine: &Engine, ancestors: &[Manifest], history: &History) -> Result<Vec<(Hash, Examples)>> {
    let mut ordinals: BTreeMap<String, (Hash, BTreeSet<u32>)> = BTreeMap::new();
    for dropped in ancestors.iter().flat_map(|m| &m.dropped).filter(|d| d.waiting) {
        let entry = ordinals.entry(dropped.examples.to_string());
        entry
            .or_insert_with(|| (dropped.examples, BTreeSet::new()))
            .1
            .insert(dropped.ordinal);
    }
    let mut waiting = Vec::new();
    for (hash, wanted) in ordinals.into_values() {
        let mut file = Examples::read(&engine.store, &hash)?;
        file.examples
            .retain(|e| wanted.contains(&e.ordinal) && !history.knows(&text_id(&e.text)));
        if !file.examples.is_empty() {
            waiting.push((hash, file));
        }
    }
    Ok(waiting)
}

type Pool = (BTreeMap<String, Hash>, Vec<(Hash, Examples)>);

/// The pooled files of a domain: record key to examples object, and the examples themselves.
fn pool(engine: &Engine, domain: &str) -> Result<Pool> {
    let (mut files, mut pool) = (BTreeMap::new(), Vec::new());
    for (key, file) in engine.store.scan::<FileRecord>(&format!("{domain}/"))? {
        if let FileState::Pooled { examples, .. } = file.state {
            pool.push((examples, Examples::read(&engine.store, &examples)?));
            files.insert(key, examples);
        }
    }
    Ok((files, pool))
}
