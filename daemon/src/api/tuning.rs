//! Fitting hyper-parameters, asked for and looked at.

use super::types::{TuneRequest, TuneView};
use crate::engine::Engine;
use crate::learn::tune::{self, TuningRecord, TuningState};
use anyhow::{Result, ensure};

/// Fewer are no choice; more take a week.
const TRIALS: std::ops::RangeInclusive<u32> = 2..=256;

/// What was fitted, or is being fitted.
pub fn show(engine: &Engine, domain: &str) -> Result<TuneView> {
    let configured = &engine.config.domains[domain];
    let mut view = TuneView {
        domain: domain.into(),
        state: "never".into(),
        message: None,
        waits: None,
        asked_ms: None,
        ended_ms: None,
        stage: None,
        progress: None,
        report: None,
        settings: tune::sources(engine, configured)?,
    };
    let Some(record) = engine.store.get::<TuningRecord>(domain)? else {
        return Ok(view);
    };
    view.report = tune::latest_report(engine, domain, &record)?;
    (view.asked_ms, view.ended_ms) = (Some(record.asked_ms), record.ended_ms);
    match record.state {
        TuningState::Running => {
            view.state = "running".into();
            view.waits = match engine.next_open_run()? {
                Some(run) => Some(format!("run {} of domain {}", run.run, run.domain)),
                None => tune::waits_for(engine, configured)?.map(String::from),
            };
            let live = engine.live().runs.get(domain).filter(|live| live.run == 0).cloned();
            view.stage = live.as_ref().map(|live| live.stage.clone());
            view.progress = live.and_then(|live| live.progress);
        }
        TuningState::Done => view.state = "done".into(),
        TuningState::Failed { message } => {
            view.state = "failed".into();
            view.message = Some(message);
        }
    }
    Ok(view)
}

/// Begins, or says what would be tried.
pub fn ask(engine: &Engine, request: &TuneRequest) -> Result<TuneView> {
    ensure!(
        TRIALS.contains(&request.trials),
        "{} trials: choose from {} to {}",
        request.trials,
        TRIALS.start(),
        TRIALS.end()
    );
    let domain = &engine.config.domains[&request.domain];
    let seed = request.seed.unwrap_or(domain.learning.seed);
    let plan = tune::ask(
        engine,
        domain,
        request.trials,
        seed,
        request.max_minutes,
        request.dry_run,
    )?;
    let mut view = show(engine, &request.domain)?;
    if let Some(plan) = plan {
        view.state = "planned".into();
        view.report = Some(plan.report());
    }
    Ok(view)
}

/// Back to the defaults.
pub fn reset(engine: &Engine, domain: &str) -> Result<TuneView> {
    tune::reset(engine, domain)?;
    show(engine, domain)
}
