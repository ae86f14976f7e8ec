//! One trial: two updates in a row, the second on what the first has made, as runs of the domain would be.

use super::outcomes::{Outcome, Trial};
use super::plan::Plan;
use crate::checked;
use crate::engine::Engine;
use crate::learn::adopt::{Adoption, adopt};
use crate::learn::compose;
use crate::learn::manifest::Manifest;
use crate::learn::outcome::judge_job;
use crate::learn::prepare::{Prepared, is_prepared, prepare_update};
use crate::learn::runner::{Work, supervise};
use crate::learn::supervise::TrainerEnd;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Instant;
use wengu_decide::tune::score;
use wengu_failpoint::hit;
use wengu_protocol::job::{self, JobResult};
use wengu_store::Hash;

/// Trainers that are started for one update of a trial before it counts as failed.
const MAX_ATTEMPTS: u32 = 2;
const FIRST: &str = "first.json";
/// Version of [`First`]; 1 had no checksum.
const FIRST_SCHEMA: u32 = 2;

/// The first update of a trial, once it has ended.
#[derive(Debug, Serialize, Deserialize)]
struct First {
    /// [`FIRST_SCHEMA`].
    schema: u32,
    version: String,
    seconds: f64,
}

/// How a training ended.
enum Ended {
    Well(Box<JobResult>, f64),
    Badly(String, f64),
    /// It goes on from its checkpoint.
    Stopped,
}

/// Does one training of a trial in `dir`. None: there is another to do.
pub(super) fn advance(
    engine: &Engine,
    plan: &Plan,
    (rung, candidate): (usize, usize),
    dir: &Path,
) -> Result<Option<Outcome>> {
    let (mut first, mut second) = plan.updates(rung, candidate);
    let outcome = |seconds: f64| Trial {
        rung,
        candidate,
        score: None,
        failure: None,
        seconds,
    };
    let failed = |message: String, seconds: f64| {
        let trial = Trial {
            failure: Some(message.chars().take(600).collect()),
            ..outcome(seconds)
        };
        Some(Outcome::new(trial, Vec::new()))
    };
    let stage = |update: u32| {
        format!(
            "tune: rung {} of {}, candidate {candidate}, update {update}",
            rung + 1,
            plan.rungs.len()
        )
    };
    let versions = dir.join("versions");
    let Some(before) = read_first(dir)? else {
        compose::fit_into_memory(engine, &mut first);
        let prepared = prepared(&first, None, &[]);
        let job_dir = dir.join("1");
        let (result, seconds) = match train(engine, &prepared, &job_dir, &stage(1))? {
            Ended::Well(result, seconds) => (result, seconds),
            Ended::Badly(message, seconds) => return Ok(failed(message, seconds)),
            Ended::Stopped => return Ok(None),
        };
        let judgement = judge_job(&engine.store, &job_dir, &prepared, result.repeat)?;
        let version = adopt(&Adoption {
            store: &engine.store,
            prepared: &prepared,
            manifest_hash: Hash::of(&serde_json::to_vec(&first)?),
            job_dir: &job_dir,
            result: &result,
            judgement: &judgement,
            versions_dir: &versions,
        })?;
        hit("tune.adopted");
        let first = First {
            schema: FIRST_SCHEMA,
            version,
            seconds,
        };
        checked::write(&dir.join(FIRST), &first)?;
        hit("tune.first_written");
        std::fs::remove_dir_all(&job_dir).with_context(|| job_dir.display().to_string())?;
        return Ok(None);
    };
    let parent_dir = versions.join(&before.version);
    second.parent = Some(before.version);
    compose::fit_into_memory(engine, &mut second);
    let ancestors = [first];
    let prepared = prepared(&second, Some(&parent_dir), &ancestors);
    let job_dir = dir.join("2");
    let (result, seconds) = match train(engine, &prepared, &job_dir, &stage(2))? {
        Ended::Well(result, seconds) => (result, before.seconds + seconds),
        Ended::Badly(message, seconds) => return Ok(failed(message, before.seconds + seconds)),
        Ended::Stopped => return Ok(None),
    };
    let judgement = match judge_job(&engine.store, &job_dir, &prepared, result.repeat) {
        Ok(judgement) => judgement,
        // Answers that are no numbers say of the settings that they are no good.
        Err(e) => return Ok(failed(format!("its answers cannot be read: {e:#}"), seconds)),
    };
    let answers = judgement.answers.iter().flat_map(|era| &era.items);
    let right: Vec<bool> = answers.map(|answer| answer.challenger == answer.label).collect();
    let score = score(&plan.asked(), &right).context("the answers of a trial do not fit what was asked")?;
    let trial = Trial {
        score: Some(score),
        ..outcome(seconds)
    };
    Ok(Some(Outcome::new(trial, right)))
}

/// None: it has not ended, or what is there is not what was written, so that it is made again.
fn read_first(dir: &Path) -> Result<Option<First>> {
    let remedy = "the first update of this trial is made again";
    checked::read_or_anew(&dir.join(FIRST), FIRST_SCHEMA, remedy)
}

fn prepared<'a>(manifest: &'a Manifest, parent: Option<&Path>, ancestors: &'a [Manifest]) -> Prepared<'a> {
    Prepared {
        manifest,
        parent_dir: parent.map(Path::to_path_buf),
        anchor_dir: None,
        parent_labels: ancestors.last().map(|m| m.labels.clone()).unwrap_or_default(),
        parent_terms: 0,
        ancestors,
    }
}

fn train(engine: &Engine, prepared: &Prepared, dir: &Path, stage: &str) -> Result<Ended> {
    if !is_prepared(dir) {
        prepare_update(&engine.store, prepared, dir).context("preparing the job directory failed")?;
    }
    let context = Work {
        engine,
        manifest: prepared.manifest.clone(),
        ancestors: Vec::new(),
    };
    let began = Instant::now();
    let mut attempts = 0;
    loop {
        attempts += 1;
        // No run has the number 0.
        let end = supervise(&context, 0, stage, dir)?;
        let seconds = began.elapsed().as_secs_f64();
        match end {
            TrainerEnd::Completed(result) => return Ok(Ended::Well(result, seconds)),
            TrainerEnd::StoppedByUs => return Ok(Ended::Stopped),
            end if end.may_be_retried() && attempts < MAX_ATTEMPTS => {
                tracing::warn!(stage, end = end.name(), message = end.message(), "tune_attempt_failed");
                let result = dir.join(job::layout::RESULT);
                if result.exists() {
                    std::fs::remove_file(result)?;
                }
            }
            end => return Ok(Ended::Badly(format!("{}: {}", end.name(), end.message()), seconds)),
        }
    }
}
