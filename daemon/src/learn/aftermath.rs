//! After the verdict: the files' records follow it, and the configured baselines are measured. Every step is repeated
//! until it goes through; none can change what was decided.

use super::manifest::Manifest;
use super::outcome::add_baseline;
use super::prepare::{is_prepared, prepare_baseline};
use super::runner::{Work, supervise, waits_for_space};
use super::supervise::TrainerEnd;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::files::change_states;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use wengu_failpoint::hit;
use wengu_protocol::job;
use wengu_store::records::{EraAccuracy, FileState, RunRecord, RunState};
use wengu_store::{Batch, Hash};

/// Brings the records of the run's files in line with its verdict. A file that was rewritten meanwhile is left alone.
pub(super) fn settle_files(engine: &Engine, manifest: &Manifest, mut run: RunRecord) -> Result<()> {
    let version = engine.version_of_run(&run.domain, run.run)?;
    // By content, not by path: a file that was renamed meanwhile is still the same delivery.
    let delivered: BTreeSet<&Hash> = manifest.files.values().collect();
    change_states(engine, &run.domain, "files.settled", |file| {
        let FileState::Pooled {
            examples,
            counts,
            tried_in_run,
        } = file.state
        else {
            return None;
        };
        if !delivered.contains(&examples) || tried_in_run == Some(run.run) {
            return None;
        }
        Some(match (run.decision.as_deref(), &version) {
            (Some("promote"), Some(version)) => FileState::Learned {
                examples,
                counts,
                version: version.clone(),
            },
            (Some("regressed"), _) => FileState::HeldBack {
                examples,
                counts,
                run: run.run,
            },
            _ => FileState::Pooled {
                examples,
                counts,
                tried_in_run: Some(run.run),
            },
        })
    })?;
    hit("settle.files");
    run.state = RunState::Comparing;
    engine.store.commit(
        Batch::new("run.settled")
            .at(now_ms())
            .put(&RunRecord::key(&run.domain, run.run), &run)?,
    )?;
    hit("settle.recorded");
    Ok(())
}

/// Measures the configured baselines on the same gate items, then closes the run and clears its job directories.
pub(super) fn compare(context: &Work, mut run: RunRecord) -> Result<()> {
    let engine = context.engine;
    let mut dirs: Vec<PathBuf> = vec![engine.layout.job(&run.domain, run.run, None)];
    let mut accuracy = engine.accuracy(&run)?;
    for baseline in &context.manifest.baselines {
        if !applies(baseline, &run) {
            continue;
        }
        let dir = engine.layout.job(&run.domain, run.run, Some(baseline));
        let measured = measure(context, baseline, &run, &dir, &mut accuracy);
        dirs.push(dir);
        match measured {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // A comparison that could not be made is no reason to leave the run open.
            Err(e) => {
                tracing::warn!(
                    domain = run.domain,
                    run = run.run,
                    baseline,
                    error = format!("{e:#}"),
                    "baseline_failed"
                )
            }
        }
    }
    if run.accuracy.is_some() {
        run.accuracy = Some(engine.store.objects().put_bytes(&serde_json::to_vec(&accuracy)?)?);
    }
    run.state = RunState::Finished;
    run.ended_ms = Some(now_ms());
    engine.store.commit(
        Batch::new("run.finished")
            .at(now_ms())
            .put(&RunRecord::key(&run.domain, run.run), &run)?,
    )?;
    hit("settle.closed");
    for dir in dirs {
        if let Err(e) = std::fs::remove_dir_all(&dir)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), error = %e, "job_directory_not_removed");
        }
    }
    hit("settle.cleared");
    Ok(())
}

/// Trains one baseline and adds its accuracy. False: the daemon stops.
fn measure(context: &Work, baseline: &str, run: &RunRecord, dir: &Path, accuracy: &mut [EraAccuracy]) -> Result<bool> {
    if !dir.join(job::layout::RESULT).exists() && waits_for_space(context.engine) {
        return Ok(false);
    }
    if !is_prepared(dir) {
        prepare_baseline(&context.engine.store, &context.prepared(), baseline, dir)?;
    }
    match supervise(context, run.run, baseline, dir)? {
        TrainerEnd::Completed(_) => {
            let manifests: Vec<&Manifest> = context.ancestors.iter().chain([&context.manifest]).collect();
            let store = &context.engine.store;
            add_baseline(store, accuracy, baseline, dir, &manifests, &context.manifest)?;
            Ok(true)
        }
        TrainerEnd::StoppedByUs => Ok(false),
        end => bail!("{}: {}", end.name(), end.message()),
    }
}

/// A head on the untouched base model is the yardstick of a first version; fine-tuning on the delivery alone is that
/// of an update.
fn applies(baseline: &str, run: &RunRecord) -> bool {
    if run.decision.as_deref() == Some("no_data") && run.verdict.is_none() {
        return false;
    }
    match baseline {
        "head_only" => run.parent.is_none(),
        "plain" => run.parent.is_some(),
        _ => false,
    }
}
