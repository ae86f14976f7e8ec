//! The loop around `wengu_decide::schedule`: gathers the state, asks, and does what the decision says.

use crate::alerts;
use crate::clock;
use crate::disk::{Level, is_full};
use crate::engine::{Engine, PoolCount};
use crate::inputs;
use crate::learn::examples::{Examples, text_id};
use crate::learn::manifest::{MANIFEST_SCHEMA, Manifest};
use crate::learn::plan::{History, guarded};
use crate::learn::sources;
use crate::learn::terms;
use crate::learn::tune;
use crate::learn::votes::{LabelModel, every_vote};
use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wengu_alert::event::Event;
use wengu_config::{Domain, Model};
use wengu_decide::gate::{GateConfig, run_alpha};
use wengu_decide::schedule::{Decision, DomainState, Mark, Reason, decide};
use wengu_failpoint::hit;
use wengu_protocol::job::{BaseModel, Task};
use wengu_store::records::{FileRecord, FileState, RunRecord, RunState, ScheduleRecord};
use wengu_store::{Batch, Hash};

/// Between rounds where nothing wakes the scheduler: who changes what it decides from wakes it, but time does not.
const ROUND: Duration = Duration::from_secs(5);
/// Rounds take at most about this share (one in ...) of a core, as they look at every file of a delivery that comes in.
const DUTY: u32 = 10;
/// But it goes round this often, so that the watchdog sees it.
const LONGEST_ROUND: Duration = Duration::from_secs(20);

/// Starts what is due until the daemon stops.
pub async fn run(engine: Arc<Engine>) {
    loop {
        engine.live().scheduler_alive_ms = clock::now_ms();
        crate::disk::tick(&engine).await;
        let began = Instant::now();
        let worker = engine.clone();
        let round = tokio::task::spawn_blocking(move || {
            if let Err(e) = crate::incidents::tick(&worker) {
                tracing::error!(error = format!("{e:#}"), "incidents_not_looked_at");
            }
            for domain in worker.config.domains.values() {
                if worker.is_stopping() {
                    return;
                }
                if let Err(e) = crate::rollback::follow(&worker, &domain.name) {
                    tracing::error!(domain = domain.name, error = format!("{e:#}"), "version_not_followed");
                }
                if let Err(e) = crate::rollback::roll_back_if_due(&worker, &domain.name) {
                    tracing::error!(domain = domain.name, error = format!("{e:#}"), "rollback_failed");
                }
                if let Err(e) = round(&worker, domain) {
                    let error = format!("{e:#}");
                    tracing::error!(domain = domain.name, error, "plan_failed");
                    // A full disk is no fault of the plan.
                    if !is_full(&e)
                        && let Err(e) = plan_failed(&worker, &domain.name, &error)
                    {
                        tracing::error!(
                            domain = domain.name,
                            error = format!("{e:#}"),
                            "plan_failure_not_recorded"
                        );
                    }
                }
            }
        });
        if round.await.is_err() {
            tracing::error!("schedule_round_panicked");
        }
        tokio::select! {
            () = engine.stopped() => return,
            () = engine.schedule_wake.notified() => {}
            () = tokio::time::sleep(ROUND.max((began.elapsed() * DUTY).min(LONGEST_ROUND))) => {}
        }
    }
}

/// The pool of a domain as the scheduler sees it.
pub fn state(engine: &Engine, domain: &str) -> Result<DomainState> {
    // Only the scheduler opens runs: what is not running now was settled before the files below are read.
    let running = engine.runs(domain)?.iter().any(RunRecord::is_open);
    let schedule = engine.store.get::<ScheduleRecord>(domain)?.unwrap_or_default();
    let PoolCount {
        new_examples,
        new_texts,
        oldest_ms,
        ..
    } = count_pool(engine, domain)?;
    let busy_since = engine.live().busy_since.get(domain).copied();
    Ok(DomainState {
        new_examples,
        oldest_new_at: oldest_ms.map(clock::to_utc),
        mark: schedule.mark_ms.map(|ms| Mark {
            at: clock::to_utc(ms),
            schedule: schedule.mark_schedule.clone(),
        }),
        running,
        intake_busy_since: busy_since.map(clock::to_utc),
        asked_now: schedule.asked,
        failures_in_a_row: schedule.failures_in_a_row,
        last_failure_at: schedule.last_failure_ms.map(clock::to_utc),
        inputs_shifted: inputs::advise_update(engine, domain, new_texts)?,
    })
}

/// Counts what waits for an update; what was counted holds until the next commit.
fn count_pool(engine: &Engine, domain: &str) -> Result<PoolCount> {
    let seq = engine.store.last_seq();
    if let Some(counted) = engine.live().pools.get(domain).filter(|counted| counted.seq == seq) {
        return Ok(*counted);
    }
    let mut count = PoolCount {
        seq,
        new_examples: 0,
        new_texts: 0,
        oldest_ms: None,
    };
    engine.store.each(&format!("{domain}/"), |_, file: FileRecord| {
        if let Some((_, counts)) = file.state.untried() {
            count.new_texts += counts.labelled() + counts.unlabelled;
        }
        if let FileState::Pooled {
            counts,
            tried_in_run: None,
            ..
        } = &file.state
        {
            count.new_examples += counts.train;
            count.oldest_ms = Some(count.oldest_ms.map_or(file.updated_ms, |o| o.min(file.updated_ms)));
        }
    })?;
    engine.live().pools.insert(domain.to_owned(), count);
    Ok(count)
}

fn round(engine: &Engine, domain: &Domain) -> Result<()> {
    let _lock = engine.lock(&domain.name);
    // What is being forgotten is not learned, and what had learned it is not continued.
    if crate::forget::holds(engine, &domain.name)? {
        return Ok(());
    }
    let now = Utc::now();
    let mut state = state(engine, &domain.name)?;
    if !state.running {
        let new_texts = count_pool(engine, &domain.name)?.new_texts;
        match inputs::look(engine, domain, new_texts) {
            Ok(early) => state.inputs_shifted = early,
            // Nothing has to be learned for it, so nothing has failed.
            Err(e) => tracing::warn!(domain = domain.name, error = format!("{e:#}"), "inputs_not_looked_at"),
        }
    }
    match decide(now, &domain.schedule, &state) {
        // What is due stays due.
        Decision::Start { .. } if engine.disk.look().level >= Level::NoTraining => Ok(()),
        Decision::Start { reason, mark } => start(engine, domain, now, reason, &mark),
        Decision::Mark { mark, .. } => {
            let mut record = engine.store.get::<ScheduleRecord>(&domain.name)?.unwrap_or_default();
            set_mark(&mut record, &mark);
            engine.store.commit(
                Batch::new("schedule.marked")
                    .at(now.timestamp_millis())
                    .put(&domain.name, &record)?,
            )?;
            Ok(())
        }
        Decision::Wait { .. } => Ok(()),
    }
}

/// An update that could not even be planned (a model folder that is gone, a damaged object) counts as a failed run:
/// it is told, shown, and tried again after a pause that grows.
fn plan_failed(engine: &Engine, domain: &str, error: &str) -> Result<()> {
    let _lock = engine.lock(domain);
    let now = clock::now_ms();
    let mut record = engine.store.get::<ScheduleRecord>(domain)?.unwrap_or_default();
    record.asked = false;
    record.failures_in_a_row += 1;
    record.last_failure_ms = Some(now);
    engine.live().degraded.insert(
        format!("{domain}:plan"),
        format!("the update could not be planned: {error}"),
    );
    let event = Event::TrainingFailed {
        domain: domain.into(),
        run: "none".into(),
        end: "plan_failed".into(),
        failures: record.failures_in_a_row,
    };
    let batch = Batch::new("plan.failed").at(now).put(domain, &record)?;
    engine.store.commit(alerts::enqueue(engine, batch, now, &event)?)?;
    engine.outbox_wake.notify_one();
    Ok(())
}

fn set_mark(record: &mut ScheduleRecord, mark: &Mark) {
    record.mark_ms = Some(mark.at.timestamp_millis());
    record.mark_schedule = mark.schedule.clone();
}

fn start(engine: &Engine, domain: &Domain, now: DateTime<Utc>, reason: Reason, mark: &Mark) -> Result<()> {
    let manifest = make_manifest(engine, domain)?;
    hit("plan.made");
    let hash = engine.store.objects().put_bytes(&serde_json::to_vec(&manifest)?)?;
    hit("plan.stored");
    let run = manifest.run;
    let mut schedule = engine.store.get::<ScheduleRecord>(&domain.name)?.unwrap_or_default();
    set_mark(&mut schedule, mark);
    schedule.asked = false;
    let record = planned(&manifest, hash, reason_name(reason), now.timestamp_millis());
    let batch = Batch::new("run.planned")
        .at(now.timestamp_millis())
        .put(&domain.name, &schedule)?
        .put(&RunRecord::key(&domain.name, run), &record)?;
    engine.store.commit(batch)?;
    hit("plan.recorded");
    engine.wake_runner();
    engine.live().degraded.remove(&format!("{}:plan", domain.name));
    sweep_jobs(engine, &domain.name)?;
    tracing::info!(
        domain = domain.name,
        run,
        reason = record.reason,
        train_examples = record.train_examples,
        new_gate_items = record.new_gate_items,
        "run_planned"
    );
    Ok(())
}

/// The record of a run that begins.
pub fn planned(manifest: &Manifest, hash: Hash, reason: &str, now_ms: i64) -> RunRecord {
    RunRecord {
        domain: manifest.domain.clone(),
        run: manifest.run,
        reason: reason.into(),
        manifest: hash,
        parent: manifest.parent.clone(),
        train_examples: manifest.train.len() as u64,
        new_gate_items: manifest.gate.len() as u64,
        state: RunState::Planned,
        attempts: 0,
        planned_ms: now_ms,
        ended_ms: None,
        verdict: None,
        decision: None,
        accuracy: None,
    }
}

/// Job directories of runs that have ended: the last failed one is kept for its log until the next run is planned.
fn sweep_jobs(engine: &Engine, domain: &str) -> Result<()> {
    for run in engine.runs(domain)?.iter().filter(|run| !run.is_open()) {
        let dir = engine.layout.job(domain, run.run, None);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
    }
    Ok(())
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Asked => "asked",
        Reason::Cron => "cron",
        Reason::Missed => "missed",
        Reason::Threshold => "threshold",
        Reason::Stale => "stale",
        Reason::InputsShifted => "inputs_shifted",
    }
}

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
