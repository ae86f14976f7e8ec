//! What the trials said.

use super::record::TuningRecord;
use crate::checked;
use crate::engine::Engine;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use wengu_decide::tune::{Fit, Rung, Score, Space, Values};
use wengu_store::durable;

/// Version of [`Report`].
pub const REPORT_SCHEMA: u32 = 1;
const REPORT: &str = "report.json";
const ANSWERS: &str = "answers";
/// Version of [`Outcome`]; 1 had no checksum.
const OUTCOME_SCHEMA: u32 = 2;

/// What was tried and how it went. It holds no text and no id of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_SCHEMA`].
    pub schema: u32,
    /// BLAKE3 of the ids and labels of the texts.
    pub examples: String,
    /// How many of them.
    pub counts: Counts,
    /// What might be tried.
    pub space: Space,
    /// What was tried; the defaults first.
    pub candidates: Vec<Values>,
    /// On how much.
    pub rungs: Vec<Rung>,
    /// Those that ended, in their order.
    pub trials: Vec<Trial>,
    /// What came of it.
    pub fit: Option<Fit>,
}

/// How many texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The first update learns.
    pub old: usize,
    /// Of its kind are asked about.
    pub old_asked: usize,
    /// The second update learns.
    pub new: usize,
    /// Of its kind are asked about.
    pub new_asked: usize,
    /// Labels that only the second update brings.
    pub late_labels: usize,
}

/// A trial that ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its rung, from 0.
    pub rung: usize,
    /// Number of its candidate.
    pub candidate: usize,
    /// None: it failed.
    pub score: Option<Score>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Wall seconds of its two trainers, without what a stop in between undid.
    pub seconds: f64,
}

/// A trial with its answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// [`OUTCOME_SCHEMA`].
    schema: u32,
    pub trial: Trial,
    /// Whether each answer was right, in the order of what was asked; empty where it failed.
    pub right: Vec<bool>,
}

impl Outcome {
    pub fn new(trial: Trial, right: Vec<bool>) -> Outcome {
        Outcome {
            schema: OUTCOME_SCHEMA,
            trial,
            right,
        }
    }
}

/// The trials that ended, by rung and candidate.
#[derive(Default)]
pub(super) struct Outcomes(pub BTreeMap<(usize, usize), Outcome>);

impl Outcomes {
    /// Reads them from the folder of a fitting. One that is not what was written is removed, so that it is tried again.
    pub fn load(folder: &Path) -> Result<Outcomes> {
        let mut outcomes = BTreeMap::new();
        let answers = folder.join(ANSWERS);
        if answers.exists() {
            durable::remove_temporaries(&answers)?;
            for entry in std::fs::read_dir(&answers).with_context(|| answers.display().to_string())? {
                let path = entry?.path();
                let read = checked::read_or_anew::<Outcome>(&path, OUTCOME_SCHEMA, "this trial is made again")?;
                if let Some(outcome) = read {
                    outcomes.insert((outcome.trial.rung, outcome.trial.candidate), outcome);
                } else if path.exists() {
                    std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
                }
            }
        }
        Ok(Outcomes(outcomes))
    }

    /// The scores, for what decides what is next.
    pub fn scores(&self) -> BTreeMap<(usize, usize), Option<f64>> {
        let of = |outcome: &Outcome| outcome.trial.score.as_ref().map(Score::mean);
        self.0.iter().map(|(at, outcome)| (*at, of(outcome))).collect()
    }

    /// Seconds of all of them.
    pub fn seconds(&self) -> f64 {
        self.0.values().map(|outcome| outcome.trial.seconds).sum()
    }

    /// The answers of the last rung in which the defaults and another came to an end.
    pub fn answers(&self) -> Option<BTreeMap<usize, Vec<bool>>> {
        let of = |rung: usize| -> BTreeMap<usize, Vec<bool>> {
            let ended = self
                .0
                .iter()
                .filter(|((at, _), o)| *at == rung && o.trial.score.is_some());
            ended.map(|((_, candidate), o)| (*candidate, o.right.clone())).collect()
        };
        let last = self.0.keys().map(|(rung, _)| *rung).max()?;
        let mut rungs = (0..=last).rev().map(of);
        rungs.find(|answers| answers.len() > 1 && answers.contains_key(&0))
    }
}

/// Keeps a trial's answers, for good: what is there is not tried again.
pub(super) fn keep(folder: &Path, outcome: &Outcome) -> Result<()> {
    let answers = folder.join(ANSWERS);
    std::fs::create_dir_all(&answers).with_context(|| answers.display().to_string())?;
    let name = format!("{}-{:03}.json", outcome.trial.rung, outcome.trial.candidate);
    checked::write(&answers.join(name), outcome)
}

/// Writes the report of a fitting that is under way, for those who look on.
pub(super) fn show(folder: &Path, mut report: Report, outcomes: &Outcomes) -> Result<()> {
    report.trials = outcomes.0.values().map(|outcome| outcome.trial.clone()).collect();
    checked::write(&folder.join(REPORT), &report)
}

/// What was tried last or is being tried; None where nothing was.
pub fn latest_report(engine: &Engine, domain: &str, record: &TuningRecord) -> Result<Option<Report>> {
    let Some(hash) = &record.report else {
        let path = engine.layout.tuning(domain, record.asked_ms).join(REPORT);
        return checked::read(&path, REPORT_SCHEMA, "it is written anew when the next trial ends");
    };
    serde_json::from_slice(&engine.store.objects().get(hash)?)
        .context("the report of a fitting")
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_whose_answers_were_damaged_counts_as_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let trial = |candidate| Trial {
            rung: 0,
            candidate,
            score: None,
            failure: Some("NaN".into()),
            seconds: 1.5,
        };
        for candidate in [0, 1] {
            keep(dir.path(), &Outcome::new(trial(candidate), vec![true])).unwrap();
        }
        let path = dir.path().join(ANSWERS).join("0-001.json");
        let sound = std::fs::read(&path).unwrap();
        for (how, bad) in checked::damages(&sound) {
            std::fs::write(&path, bad).unwrap();
            let left: Vec<_> = Outcomes::load(dir.path()).unwrap().0.into_keys().collect();
            assert_eq!((left, path.exists()), (vec![(0, 0)], false), "{how}");
        }
        std::fs::write(&path, sound).unwrap();
        assert_eq!(Outcomes::load(dir.path()).unwrap().0.len(), 2);
    }
}
