//! From records to answers.

use super::history::{self, flip_rate};
use super::judgements;
use super::types::*;
use crate::alerts::OutboxRecord;
use crate::clock;
use crate::clock::human;
use crate::engine::Engine;
use crate::forget::Refused;
use crate::incidents;
use crate::learn::examples::{Examples, LabelSource, Place};
use crate::learn::memory::Memory;
use crate::learn::review;
use crate::learn::sources::SourceState;
use crate::learn::votes::{LabelModel, VotingReport, every_vote};
use anyhow::{Result, bail};
use chrono::Utc;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use wengu_alert::outbox::OutboxState;
use wengu_decide::incident::Phase;
use wengu_decide::schedule::{Decision, WhyNot, decide};
use wengu_store::records::{FileRecord, FileState, How, RunRecord, VersionRecord};
use wengu_store::{Change, Hash};

/// The status screen.
pub fn status(engine: &Engine) -> Result<Status> {
    let mut domains = Vec::new();
    for name in engine.config.domains.keys() {
        domains.push(domain_status(engine, name)?);
    }
    let mut alerts = AlertStatus::default();
    for (_, OutboxRecord(item)) in engine.store.scan::<OutboxRecord>("")? {
        match item.state {
            OutboxState::Pending => alerts.waiting += 1,
            OutboxState::Delivered => alerts.delivered += 1,
            OutboxState::Dead { .. } => alerts.dead += 1,
        }
        if item.state != OutboxState::Delivered {
            alerts.last_error = item.last_outcome.or(alerts.last_error);
        }
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_ms: engine.started_ms,
        now_ms: clock::now_ms(),
        domains,
        alerts,
        disk_problem: crate::disk::problem(engine),
        // A lock that cannot be read is the plugins' trouble; the status must stand.
        unsigned_plugins: engine
            .plugins
            .unsigned()
            .unwrap_or_else(|e| vec![format!("unknown: {e}")]),
    })
}

fn domain_status(engine: &Engine, name: &str) -> Result<DomainStatus> {
    let mut files: BTreeMap<String, u64> = BTreeMap::new();
    engine.store.each(&format!("{name}/"), |_, file: FileRecord| {
        *files.entry(file.state.name().into()).or_default() += 1;
    })?;
    let state = crate::schedule::state(engine, name)?;
    let next = next_step(&decide(Utc::now(), &engine.config.domains[name].schedule, &state));
    let runs = engine.runs(name)?;
    let open = runs.iter().find(|r| r.is_open());
    let last = runs.iter().rev().find(|r| !r.is_open());
    let serving = match engine.current(name)? {
        None => None,
        Some(current) => {
            let version = engine.version(name, &current.version)?;
            Some(Serving {
                path: engine.layout.version(name, &version.id).display().to_string(),
                version: version.id,
                since_ms: current.since_ms,
                how: match current.how {
                    How::Promoted => "promoted".into(),
                    How::RolledBack => "rolled_back".into(),
                    How::Forced => "forced".into(),
                },
                labels: version.labels,
                accuracy: version.accuracy,
            })
        }
    };
    let lasting = lasting_problems(engine, name)?;
    let live = engine.live();
    let problems = live
        .degraded
        .iter()
        .filter(|(key, _)| key.starts_with(&format!("{name}:")))
        .map(|(_, why)| why.clone())
        .chain(lasting);
    Ok(DomainStatus {
        name: name.into(),
        files,
        new_examples: state.new_examples,
        serving,
        problems: problems.collect(),
        intake_busy: live.busy_since.contains_key(name),
        next,
        run: {
            drop(live);
            open.map(|r| run_view(engine, r)).transpose()?
        },
        last_run: last.map(|r| run_view(engine, r)).transpose()?,
    })
}

/// What is wrong for longer than a run, or waits for a person: what is being forgotten, a version in service against the gate, what is held for
/// review, incidents that fire, and files unlike those that were learned.
fn lasting_problems(engine: &Engine, name: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let forgetting = crate::forget::list(engine)?
        .into_iter()
        .filter(|record| record.holds(name));
    problems.extend(forgetting.map(|record| {
        format!(
            "{}: something is being forgotten ({}), and no other update starts; `wengu forget show {}` tells how far it is",
            record.id,
            record.step.name(),
            record.id
        )
    }));
    if let Some(current) = engine.current(name)?.filter(|current| current.how == How::Forced) {
        problems.push(format!(
            "version {} was put in service against the gate: {}",
            current.version,
            current.reason.unwrap_or_default()
        ));
    }
    let (sources, held) = review::waiting(engine, name)?;
    let suspicious = sources
        .iter()
        .filter(|source| matches!(source.state, SourceState::Suspicious { .. }))
        .count();
    if suspicious > 0 || !held.is_empty() {
        problems.push(format!(
            "{suspicious} sources and {} examples wait for you: `wengu files review {name}`",
            held.len()
        ));
    }
    let firing = incidents::open(engine, Some(name))?;
    for record in firing.into_iter().filter(|record| record.state.phase == Phase::Firing) {
        let labels = record.labels;
        problems.push(format!(
            "incident: {} of {} since {}; `wengu incidents` tells more",
            labels.metric,
            labels.slice,
            human(record.state.since_ms)
        ));
    }
    if let Some(record) = crate::inputs::found(engine, name)? {
        let when = human(record.checked_ms);
        problems.extend(
            record
                .drift
                .reasons
                .iter()
                .map(|reason| format!("what comes in ({when}): {reason}")),
        );
    }
    Ok(problems)
}

fn next_step(decision: &Decision) -> String {
    match decision {
        Decision::Start { .. } => "an update is about to start".into(),
        Decision::Mark { .. } => "looking at the schedule".into(),
        Decision::Wait { until, why } => {
            let why = match why {
                WhyNot::Running => "an update is under way".into(),
                WhyNot::NoNewExamples => "nothing new to learn".into(),
                WhyNot::TooFewExamples { have, need } => format!("{have} of {need} new examples"),
                WhyNot::NotDueYet => "enough new examples, waits for its hour".into(),
                WhyNot::QuietHours => "quiet hours".into(),
                WhyNot::Backoff { failures } => format!("pausing after {failures} failed updates"),
                WhyNot::IntakeBusy => "a delivery is still coming in".into(),
            };
            match until {
                Some(until) => format!("{why}; looks again at {}", until.format("%Y-%m-%d %H:%M UTC")),
                None => why,
            }
        }
    }
}

/// A run with what a trainer says of it.
pub fn run_view(engine: &Engine, run: &RunRecord) -> Result<RunView> {
    let live = engine
        .live()
        .runs
        .get(&run.domain)
        .filter(|l| l.run == run.run)
        .cloned();
    let reasons = match &run.verdict {
        Some(hash) => engine.judgement(hash)?.verdict.reasons,
        None => Vec::new(),
    };
    Ok(RunView {
        domain: run.domain.clone(),
        run: run.run,
        reason: run.reason.clone(),
        state: run.state.clone(),
        stage: live.as_ref().map(|l| l.stage.clone()),
        progress: live.and_then(|l| l.progress),
        train_examples: run.train_examples,
        new_gate_items: run.new_gate_items,
        parent: run.parent.clone(),
        version: engine.version_of_run(&run.domain, run.run)?,
        decision: run.decision.clone(),
        reasons,
        accuracy: engine.accuracy(run)?,
        planned_ms: run.planned_ms,
        ended_ms: run.ended_ms,
    })
}

/// The files of a domain, or of all, in order of their paths.
pub fn files(engine: &Engine, domain: Option<&str>, state: Option<&str>) -> Result<Vec<FileView>> {
    let prefix = domain.map(|d| format!("{d}/")).unwrap_or_default();
    let mut files: Vec<FileView> = engine
        .store
        .scan::<FileRecord>(&prefix)?
        .into_iter()
        .map(|(_, f)| file_view(&f))
        .chain(refused(engine).filter(|f| domain.is_none_or(|domain| domain == f.domain)))
        .filter(|f| state.is_none_or(|s| s == f.state))
        .collect();
    files.sort_by(|a, b| (&a.domain, &a.path).cmp(&(&b.domain, &b.path)));
    Ok(files)
}

/// Files that lie in a watched folder and are refused, since they were forgotten.
fn refused(engine: &Engine) -> impl Iterator<Item = FileView> {
    let view = |(path, refused): (PathBuf, Refused)| FileView {
        domain: refused.domain,
        path: path.display().to_string(),
        state: "forgotten".into(),
        explanation: refused.why,
        present: true,
        revision: 0,
        counts: None,
        updated_ms: engine.started_ms,
    };
    engine.forgetting.all_refused().into_iter().map(view)
}

fn file_view(file: &FileRecord) -> FileView {
    FileView {
        domain: file.domain.clone(),
        path: file.path.clone(),
        state: file.state.name().into(),
        explanation: explain_state(&file.state),
        present: file.present,
        revision: file.revision,
        counts: file.state.examples().map(|(_, counts)| counts),
        updated_ms: file.updated_ms,
    }
}

pub(super) fn explain_state(state: &FileState) -> String {
    match state {
        FileState::Ingested => "a durable copy is held; it will be read next".into(),
        FileState::Pooled { tried_in_run: None, .. } => "its examples wait for the next update".into(),
        FileState::Pooled {
            tried_in_run: Some(run),
            ..
        } => {
            format!("run {run} was held; its examples are tried again together with newer ones")
        }
        FileState::Learned { version, .. } => format!("part of version {version}"),
        FileState::HeldBack { run, .. } => format!(
            "set aside: the update of run {run} was judged a regression or rolled back; correct the file and deliver \
             it again, or `wengu files release`"
        ),
        FileState::Unlabelled { .. } => {
            "nothing in it has a label: add a label field or a sidecar, or a plugin that labels it".into()
        }
        FileState::Quarantined { reason } => reason.clone(),
        FileState::Duplicate { of } => format!("the same bytes as {of}"),
    }
}

/// Everything about one file of a domain that is `seen`; one of another is as if it were not there.
pub fn explain_file(engine: &Engine, path: &str, seen: impl Fn(&str) -> bool) -> Result<FileExplanation> {
    let found = engine
        .store
        .scan::<FileRecord>("")?
        .into_iter()
        .find(|(_, f)| f.path == path && seen(&f.domain));
    let Some((key, file)) = found else {
        bail!(not_there(engine, path, seen))
    };
    let mut explanation = FileExplanation {
        file: file_view(&file),
        content: file.content.map(|h| h.to_string()),
        case_key: file.case_key.clone(),
        reading: Vec::new(),
        examples: Vec::new(),
        rejected: Vec::new(),
        history: file_history(engine, &key)?,
    };
    if let Some((hash, _)) = file.state.examples() {
        let read = Examples::read(&engine.store, &hash)?;
        let dropped = dropped(engine, &file.domain, &hash)?;
        // The label model is fitted over the whole domain; only votes on spans need it here.
        let spans = read.examples.iter().any(|e| e.votes.iter().any(|v| v.span.is_some()));
        let model = match spans {
            true => LabelModel::fit(&every_vote(engine, &file.domain)?),
            false => LabelModel::default(),
        };
        let plugin = read.plugin.clone().unwrap_or_default();
        explanation.reading = vec![format!("format {}", read.format), format!("encoding {}", read.encoding)];
        explanation.reading.extend(read.plugin.map(|p| format!("plugin {p}")));
        explanation.rejected = read.rejected.into_iter().map(|r| (r.line, r.reason)).collect();
        explanation.examples = read
            .examples
            .into_iter()
            .map(|e| ExampleView {
                line: e.line,
                place: e.place.as_ref().map(Place::in_words),
                side: format!("{:?}", e.side).to_lowercase(),
                label: e.label,
                source: match e.source {
                    LabelSource::Gold => "gold".into(),
                    LabelSource::Weak { confidence, .. } => format!("weak {confidence:.2}"),
                    LabelSource::None => "none".into(),
                },
                spans: span_views(&model, &plugin, &e.text),
                text: e.text.chars().take(120).collect::<String>().into(),
                dropped: dropped.get(&e.ordinal).cloned(),
            })
            .collect();
    }
    Ok(explanation)
}

/// Why there is nothing to tell of a path.
pub(super) fn not_there(engine: &Engine, path: &str, seen: impl Fn(&str) -> bool) -> String {
    let refused = refused(engine).find(|file| file.path == path && seen(&file.domain));
    match refused {
        Some(file) => format!("{path}: {}", file.explanation),
        None => format!("no watched folder has shown {path}; check the path, or give it time to settle"),
    }
}

fn span_views(model: &LabelModel, plugin: &str, text: &str) -> Vec<SpanView> {
    let spans = model.spans(plugin, text).into_iter();
    let view = |((begin, end), probabilities): ((u32, u32), Vec<(String, f64)>)| {
        let (label, probability) = probabilities.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let text = text.get(begin as usize..end as usize)?.to_owned();
        Some(SpanView {
            begin,
            end,
            text: text.into(),
            label,
            probability,
        })
    };
    spans.filter_map(view).collect()
}

/// Why examples of an object took no part in the last run that planned with it.
fn dropped(engine: &Engine, domain: &str, examples: &Hash) -> Result<HashMap<u32, String>> {
    for run in engine.runs(domain)?.iter().rev() {
        let manifest = engine.manifest(&run.manifest)?;
        if manifest.files.values().any(|h| h == examples) {
            let of_file = manifest.dropped.into_iter().filter(|d| d.examples == *examples);
            return Ok(of_file.map(|d| (d.ordinal, d.reason)).collect());
        }
    }
    Ok(HashMap::new())
}

/// The journal's events about one record.
fn file_history(engine: &Engine, key: &str) -> Result<Vec<(i64, String)>> {
    let mut history = Vec::new();
    for event in engine.store.journal_events(1)? {
        let event = event?;
        let about = |change: &Change| {
            let (Change::Put { table, key: k, .. } | Change::Delete { table, key: k }) = change;
            table == "file" && k == key
        };
        if event.changes.iter().any(about) {
            history.push((event.at_ms, event.event));
        }
    }
    Ok(history)
}

/// How the labelling functions of a domain do, by plugin.
pub fn functions(engine: &Engine, domain: &str) -> Result<Vec<VotingReport>> {
    Ok(LabelModel::fit(&every_vote(engine, domain)?).reports().to_vec())
}

/// A domain's versions, newest first.
pub fn versions(engine: &Engine, domain: &str) -> Result<Vec<VersionView>> {
    let current = engine.current(domain)?.map(|c| c.version);
    let mut versions: Vec<VersionView> = engine
        .store
        .scan::<VersionRecord>(&format!("{domain}/"))?
        .into_iter()
        .map(|(_, v)| version_view(v, current.as_deref()))
        .collect();
    versions.sort_by_key(|v| std::cmp::Reverse(v.run));
    Ok(versions)
}

fn version_view(v: VersionRecord, current: Option<&str>) -> VersionView {
    VersionView {
        serving: current == Some(v.id.as_str()),
        id: v.id,
        run: v.run,
        parent: v.parent,
        decision: v.decision,
        labels: v.labels,
        accuracy: v.accuracy,
        created_ms: v.created_ms,
    }
}

/// Everything about one version; without an id, about the one in service.
pub fn explain_version(engine: &Engine, domain: &str, id: Option<&str>) -> Result<VersionExplanation> {
    let current = engine.current(domain)?.map(|c| c.version);
    let id = match (id, &current) {
        (Some(id), _) => id.to_string(),
        (None, Some(current)) => current.clone(),
        (None, None) => bail!("domain {domain} has no version in service yet"),
    };
    let version = engine.version(domain, &id)?;
    let run = engine.run(domain, version.run)?;
    let manifest = engine.manifest(&run.manifest)?;
    let dir = engine.layout.version(domain, &id);
    let (mut audit, mut flips) = (Vec::new(), Vec::new());
    let (mut scores, mut plugin_scores, mut negative_flip_rate, mut old_work) = (None, None, None, None);
    let mut recompression = None;
    if let Some(hash) = &run.verdict {
        let judgement = engine.judgement(hash)?;
        negative_flip_rate = flip_rate(&judgement);
        audit = judgement.audit;
        scores = judgement.scores;
        plugin_scores = judgement.plugin_scores;
        old_work = judgement.old_work;
        recompression = judgement.recompression;
        flips = judgements::flips(&judgement.answers);
    }
    let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
    for dropped in manifest.dropped {
        *left_out.entry(dropped.reason).or_default() += 1;
    }
    Ok(VersionExplanation {
        version: version_view(version, current.as_deref()),
        run: run_view(engine, &run)?,
        path: dir.display().to_string(),
        labels: manifest.labels,
        files: manifest.files.len() as u64,
        left_out,
        memory_examples: Memory::count(&dir, engine.key())?,
        audit,
        scores,
        plugin_scores,
        learning: history::scores(engine, domain, &id)?,
        negative_flip_rate,
        old_work,
        adapter_start: manifest.learning.adapter_start,
        recompression,
        flips,
        base_sha256: manifest
            .base
            .sha256
            .get("model.safetensors")
            .or(manifest.base.sha256.get("model.safetensors.index.json"))
            .cloned()
            .unwrap_or_default(),
        seed: manifest.seed,
        plugins: plugins_now(engine, manifest.plugins),
    })
}

/// The plugins of a version (`ID VERSION SHA256`), each with what is installed now where that is something else.
fn plugins_now(engine: &Engine, plugins: Vec<String>) -> Vec<String> {
    let now = |plugin: &str| {
        let mut words = plugin.split(' ');
        let (id, sha256) = (words.next()?, words.nth(1)?);
        match engine.plugins.find(id) {
            Ok(p) if p.manifest.sha256.as_deref() == Some(sha256) => None,
            Ok(p) => Some(format!("{} is in use now", p.manifest.version)),
            Err(_) => Some("not installed any more".into()),
        }
    };
    plugins
        .into_iter()
        .map(|plugin| match now(&plugin) {
            Some(now) => format!("{plugin} ({now})"),
            None => plugin,
        })
        .collect()
}
