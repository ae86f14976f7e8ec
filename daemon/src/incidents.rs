//! Incidents of a domain: opened, repeated and resolved in the transaction of what they follow from. When is `wengu_decide`'s to say.

use crate::alerts;
use crate::clock::{now_ms, to_utc};
use crate::drift::Found;
use crate::engine::Engine;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use wengu_alert::event::{self, Event};
use wengu_decide::drift::Signal;
use wengu_decide::gate::{Comparison, Decision, Metric, Subject, Verdict};
use wengu_decide::incident::{Evidence, Incident, IncidentEvent, IncidentRules, Labels, Phase, Silence};
use wengu_store::records::UnixMs;
use wengu_store::{Batch, Record};

/// The slice of everything.
pub const ALL: &str = "all";
/// Against the anchor, over several runs.
pub const ANCHOR: &str = "anchor";
/// On new work, before it is learned.
pub const LIVE: &str = "live";

/// Table `incident`: one domain, slice and metric. Key: its fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentRecord {
    /// What it is about.
    pub labels: Labels,
    /// Where it stands.
    pub state: Incident,
    /// The run that last said something of it.
    pub run: u64,
    /// What was measured then.
    pub numbers: BTreeMap<String, f64>,
}

impl Record for IncidentRecord {
    const TABLE: &'static str = "incident";
    const VERSION: u16 = 1;
}

/// Table `silence`: nobody is told meanwhile. Key: a hash of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceRecord(pub Silence);

impl Record for SilenceRecord {
    const TABLE: &'static str = "silence";
    const VERSION: u16 = 1;
}

/// What a run says of one slice and metric.
pub struct Said {
    slice: String,
    metric: &'static str,
    evidence: Evidence,
    numbers: BTreeMap<String, f64>,
}

/// What a verdict and what was watched beside it say.
pub fn said(verdict: &Verdict, found: Found) -> Vec<Said> {
    let mut said = of_verdict(verdict);
    let mut add = |metric, evidence| {
        said.push(Said {
            slice: ALL.into(),
            metric,
            evidence,
            numbers: BTreeMap::new(),
        });
    };
    match found.slow {
        Some(Signal::Alarm) => add(ANCHOR, Evidence::Confirmed),
        Some(Signal::Warning) => add(ANCHOR, Evidence::Suspected),
        Some(Signal::Quiet) => add(ANCHOR, Evidence::Clear),
        None => {}
    }
    match found.live {
        true => add(LIVE, Evidence::Confirmed),
        false if found.slow.is_some() => add(LIVE, Evidence::Clear),
        false => {}
    }
    said
}

fn of_verdict(verdict: &Verdict) -> Vec<Said> {
    let metric = match verdict.earlier.metric {
        Metric::Accuracy => "accuracy",
        Metric::MeanScore => "mean_score",
        Metric::MacroF1 => "macro_f1",
    };
    let one = |slice: &str, evidence, comparison: &Comparison| Said {
        slice: slice.into(),
        metric,
        evidence,
        numbers: numbers(comparison),
    };
    if verdict.decision != Decision::Regressed {
        let tests = verdict.confirmation.iter().flat_map(|confirmation| &confirmation.tests);
        return tests
            .map(|test| one(&name(&test.subject), Evidence::Suspected, &test.comparison))
            .collect();
    }
    let eras = verdict.eras.iter().filter(|era| era.regressed);
    let slices = verdict.slices.iter().filter(|slice| slice.regressed);
    let mut said: Vec<Said> = eras
        .map(|era| one(&era.era, Evidence::Confirmed, &era.comparison))
        .chain(slices.map(|slice| one(&slice.slice, Evidence::Confirmed, &slice.comparison)))
        .collect();
    // What no part of the items explains is told of them all.
    if said.is_empty() {
        said.push(one(ALL, Evidence::Confirmed, &verdict.earlier));
    }
    said
}

fn name(subject: &Subject) -> String {
    match subject {
        Subject::Earlier => ALL.into(),
        Subject::Era(name) | Subject::Slice(name) => name.clone(),
    }
}

fn numbers(comparison: &Comparison) -> BTreeMap<String, f64> {
    [
        ("items", comparison.n as f64),
        ("champion", comparison.champion_accuracy),
        ("challenger", comparison.challenger_accuracy),
        ("difference_points", comparison.difference_points),
        ("p_value", comparison.p_value),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// Adds to `batch` what a run's evidence makes of the domain's incidents, and the alerts that follow. A promotion speaks to every
/// incident of the gate.
pub fn advance(
    engine: &Engine,
    mut batch: Batch,
    now: UnixMs,
    run: (&str, u64),
    said: Vec<Said>,
    promoted: bool,
) -> Result<Batch> {
    let (domain, number) = run;
    let mut told = BTreeMap::new();
    for one in said {
        let labels = Labels {
            domain: domain.into(),
            slice: one.slice,
            metric: one.metric.into(),
        };
        told.insert(labels.fingerprint(), (labels, one.evidence, one.numbers));
    }
    if promoted {
        for (fingerprint, record) in engine.store.scan::<IncidentRecord>("")? {
            let gates = record.labels.metric != ANCHOR && record.labels.metric != LIVE;
            if record.labels.domain == domain && gates && record.state.phase != Phase::Ok {
                let entry = told.entry(fingerprint);
                entry.or_insert((record.labels, Evidence::Promoted, record.numbers));
            }
        }
    }
    let silences = silences(engine)?;
    for (fingerprint, (labels, evidence, numbers)) in told {
        let before = engine.store.get::<IncidentRecord>(&fingerprint)?;
        if before.is_none() && matches!(evidence, Evidence::Clear | Evidence::Promoted) {
            continue;
        }
        let record = IncidentRecord {
            state: before.map_or_else(Incident::default, |record| record.state),
            labels,
            run: number,
            numbers,
        };
        batch = moved(engine, batch, now, record, &silences, evidence)?;
    }
    Ok(batch)
}

/// Adds one incident's next state, and its alert.
fn moved(
    engine: &Engine,
    batch: Batch,
    now: UnixMs,
    mut record: IncidentRecord,
    silences: &[Silence],
    evidence: Evidence,
) -> Result<Batch> {
    let before = record.state;
    let (state, event) = before.advance(&rules(engine), &record.labels, silences, evidence, now);
    record.state = state;
    let since = if event == Some(IncidentEvent::Resolved) {
        before.since_ms
    } else {
        state.since_ms
    };
    let incident = event::Incident {
        domain: record.labels.domain.clone(),
        slice: (record.labels.slice != ALL).then(|| record.labels.slice.clone()),
        metric: record.labels.metric.clone(),
        fingerprint: record.labels.fingerprint(),
        since: to_utc(since),
        numbers: record.numbers.clone(),
    };
    let batch = batch.put(&incident.fingerprint, &record)?;
    match event {
        Some(IncidentEvent::Firing | IncidentEvent::Repeat) => {
            alerts::enqueue(engine, batch, now, &Event::IncidentFiring(incident))
        }
        Some(IncidentEvent::Resolved) => alerts::enqueue(engine, batch, now, &Event::IncidentResolved(incident)),
        None => Ok(batch),
    }
}

/// Resolves what has been open for long enough.
pub fn tick(engine: &Engine) -> Result<()> {
    let (now, rules) = (now_ms(), rules(engine));
    for (_, record) in engine.store.scan::<IncidentRecord>("")? {
        if record.state.wakes_ms(&rules).is_some_and(|at| at <= now) {
            let _lock = engine.lock(&record.labels.domain);
            let batch = Batch::new("incident.resolved").at(now);
            engine
                .store
                .commit(moved(engine, batch, now, record, &silences(engine)?, Evidence::Time)?)?;
            engine.outbox_wake.notify_one();
        }
    }
    Ok(())
}

fn rules(engine: &Engine) -> IncidentRules {
    let config = &engine.config.incidents;
    IncidentRules {
        min_open_ms: config.min_open.as_millis() as i64,
        renotify_ms: config.renotify.as_millis() as i64,
        ..IncidentRules::default()
    }
}

fn silences(engine: &Engine) -> Result<Vec<Silence>> {
    let all = engine.store.scan::<SilenceRecord>("")?;
    Ok(all.into_iter().map(|(_, SilenceRecord(silence))| silence).collect())
}

/// Incidents that are not over, the oldest first.
pub fn open(engine: &Engine, domain: Option<&str>) -> Result<Vec<IncidentRecord>> {
    let all = engine
        .store
        .scan::<IncidentRecord>("")?
        .into_iter()
        .map(|(_, record)| record);
    let wanted = |record: &IncidentRecord| domain.is_none_or(|domain| record.labels.domain == domain);
    let mut open: Vec<IncidentRecord> = all
        .filter(|record| record.state.phase != Phase::Ok && wanted(record))
        .collect();
    open.sort_by_key(|record| record.state.since_ms);
    Ok(open)
}

/// Silences that are not over, those that end first in front.
pub fn silenced(engine: &Engine) -> Result<Vec<Silence>> {
    let now = now_ms();
    let mut silences = silences(engine)?;
    silences.retain(|silence| silence.until_ms > now);
    silences.sort_by_key(|silence| silence.until_ms);
    Ok(silences)
}

/// Adds a silence, and forgets those that are over.
pub fn silence(engine: &Engine, silence: Silence) -> Result<()> {
    let now = now_ms();
    let mut batch = Batch::new("incidents.silenced").at(now);
    for (key, SilenceRecord(old)) in engine.store.scan::<SilenceRecord>("")? {
        if old.until_ms <= now {
            batch = batch.delete::<SilenceRecord>(&key);
        }
    }
    let key = blake3::hash(&serde_json::to_vec(&silence)?).to_hex()[..16].to_owned();
    engine.store.commit(batch.put(&key, &SilenceRecord(silence))?)?;
    Ok(())
}
