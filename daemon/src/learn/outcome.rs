//! From the predictions of a finished job to a verdict. The statistics are `wengu_decide`'s; this reads files.

use super::evaluator::PluginScores;
use super::judging::{self, Basis};
use super::manifest::{Item, Manifest};
use super::prepare::{Prepared, audit_name, checklist_name, era_name, reserve_name};
use super::said::Reader;
use super::scores::{BothScores, Said, scores, worse_p};
use super::watched::{self, Watched};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use wengu_decide::gate::Verdict;
use wengu_protocol::job::{JobResult, Mixing, Recompression, Repeat, Stability, Task, layout};
use wengu_store::Store;
use wengu_store::records::EraAccuracy;

/// Version of [`Judgement`].
pub const JUDGEMENT_SCHEMA: u32 = 1;

/// A verdict with all that it was made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judgement {
    /// [`JUDGEMENT_SCHEMA`].
    pub schema: u32,
    /// The decision and its reasons.
    pub verdict: Verdict,
    /// Every item of every era with both answers.
    pub answers: Vec<Answers>,
    /// What else the verdict was made from; absent in judgements from before there was more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Basis>,
    /// What was asked beside the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched: Option<Watched>,
    /// Accuracy on the audit sets: reported, never used to decide.
    pub audit: Vec<EraAccuracy>,
    /// Told beside the verdict; absent in judgements from before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<BothScores>,
    /// What the domain's plugin says; none without a plugin that has an evaluator, or where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_scores: Option<PluginScores>,
    /// What was seen of old examples during training; None where nobody asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_work: Option<OldWork>,
    /// What was lost when the parent's adapter and a new one became one; none where the parent's was trained on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recompression: Option<Recompression>,
}

/// What was seen of old examples during training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OldWork {
    /// How the share of new examples was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mixing: Option<Mixing>,
    /// Accuracy meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stability: Option<Stability>,
}

impl OldWork {
    /// As the trainer reports it; None where it saw nothing.
    pub fn of(result: &JobResult) -> Option<OldWork> {
        let (mixing, stability) = (result.mixing.clone(), result.stability.clone());
        (mixing.is_some() || stability.is_some()).then_some(OldWork { mixing, stability })
    }
}

/// The answers of one era.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answers {
    /// The run that brought the items.
    pub era: u64,
    /// The answers.
    pub items: Vec<Answer>,
}

/// One item with both answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answer {
    /// [`super::examples::text_id`].
    pub text_id: String,
    /// What is right.
    pub label: String,
    /// What the version in service says; None for a first version.
    pub champion: Option<String>,
    /// What the new version says.
    pub challenger: String,
    /// What the champion's answer is worth, where answers are not just right or wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion_score: Option<f64>,
    /// What the new version's answer is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenger_score: Option<f64>,
    /// The item's case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// What it is counted under besides, each as `kind=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
}

impl Answer {
    fn new(task: Task, item: &Item, champion: Option<&Said>, challenger: &Said) -> Answer {
        Answer {
            text_id: item.text_id.clone(),
            label: item.label.clone(),
            champion: champion.map(|said| said.label.clone()),
            challenger: challenger.label.clone(),
            champion_score: champion.and_then(|said| said.score),
            challenger_score: challenger.score,
            case: item.case.clone(),
            slices: judging::slices(task, item),
        }
    }

    /// What the champion's answer is worth: 1 where it is right.
    pub fn champion_worth(&self) -> Option<f64> {
        let champion = self.champion.as_ref()?;
        Some(worth(&self.label, champion, self.champion_score))
    }

    /// What the challenger's answer is worth: 1 where it is right.
    pub fn challenger_worth(&self) -> f64 {
        worth(&self.label, &self.challenger, self.challenger_score)
    }
}

fn worth(expected: &str, said: &str, score: Option<f64>) -> f64 {
    score.unwrap_or(if expected == said { 1.0 } else { 0.0 })
}

/// Judges the finished job in `job_dir`.
pub fn judge_job(store: &Store, job_dir: &Path, prepared: &Prepared, repeat: Option<Repeat>) -> Result<Judgement> {
    let manifest = prepared.manifest;
    // A first causal model is judged against the base model, which answers in the same way.
    let first = manifest.parent.is_none() && manifest.task != Task::CausalLm;
    let mut reader = Reader::new(store, manifest)?;
    let mut both = |set: &str, items: &[Item]| -> Result<(Vec<Said>, Option<Vec<Said>>)> {
        let challenger = reader.read(job_dir, layout::CHALLENGER, set, items, manifest.model())?;
        let champion = match first {
            true => None,
            false => Some(reader.read(job_dir, layout::CHAMPION, set, items, prepared.parent_model())?),
        };
        Ok((challenger, champion))
    };
    let (mut answers, mut reserve, mut audit, mut checklist) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut by_challenger, mut by_champion) = (Vec::new(), Vec::new());
    for m in prepared.ancestors.iter().chain([manifest]) {
        let paired = |items: &[Item], challenger: &[Said], champion: Option<&[Said]>| Answers {
            era: m.run,
            items: paired_answers(manifest.task, items, challenger, champion),
        };
        let (challenger, champion) = both(&era_name(m.run), &m.gate)?;
        answers.push(paired(&m.gate, &challenger, champion.as_deref()));
        by_challenger.extend(challenger);
        by_champion.extend(champion.unwrap_or_default());
        for (name, items, into) in [
            (reserve_name(m.run), &m.reserve, &mut reserve),
            (audit_name(m.run), &m.audit, &mut audit),
            (checklist_name(m.run), &m.checklist, &mut checklist),
        ] {
            if !items.is_empty() {
                let (challenger, champion) = both(&name, items)?;
                into.push(paired(items, &challenger, champion.as_deref()));
            }
        }
    }
    let mut basis = Basis {
        task: manifest.task,
        stand_in: first.then(|| majority_label(&manifest.train)),
        reserve_items: reserve.iter().map(|era| era.items.len() as u64).sum(),
        reserve,
        checklist,
        repeat,
    };
    let verdict = judging::decide(&manifest.gate_rules, &answers, &basis);
    if verdict.confirmation.is_none() {
        // Nobody has looked at the reserve, and nobody does.
        basis.reserve.clear();
    }
    let items = answers.iter().flat_map(|era| &era.items);
    let expected: Vec<&str> = items.map(|item| item.label.as_str()).collect();
    let champion = match first {
        true => None,
        false => scores(manifest.task, &expected, &by_champion)?,
    };
    let scores = scores(manifest.task, &expected, &by_challenger)?;
    Ok(Judgement {
        schema: JUDGEMENT_SCHEMA,
        scores: scores.map(|challenger| BothScores {
            worse_p: worse_p(manifest.task, &answers),
            challenger,
            champion,
        }),
        plugin_scores: None,
        old_work: None,
        recompression: None,
        verdict,
        audit: accuracy(&audit),
        answers,
        basis: Some(basis),
        watched: Some(watched::read(store, job_dir, prepared)?),
    })
}

fn paired_answers(task: Task, items: &[Item], challenger: &[Said], champion: Option<&[Said]>) -> Vec<Answer> {
    let answers = items.iter().enumerate();
    let answers = answers.map(|(i, item)| Answer::new(task, item, champion.map(|said| &said[i]), &challenger[i]));
    answers.collect()
}

/// The most frequent label of the training data: what a model that always says the same would say.
fn majority_label(train: &[Item]) -> String {
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    for item in train {
        *count.entry(&item.label).or_default() += 1;
    }
    let most = count
        .into_iter()
        .max_by_key(|(label, n)| (*n, std::cmp::Reverse(*label)));
    most.map(|(label, _)| label.to_string()).unwrap_or_default()
}

/// The accuracy of champion and challenger per era, as the run record keeps it.
pub fn era_accuracy(judgement: &Judgement) -> Vec<EraAccuracy> {
    accuracy(&judgement.answers)
}

/// The mean worth of the answers of each era that has any.
fn accuracy(answers: &[Answers]) -> Vec<EraAccuracy> {
    let with_items = answers.iter().filter(|era| !era.items.is_empty());
    let of_era = with_items.map(|era| {
        let n = era.items.len() as f64;
        let mut accuracy = BTreeMap::new();
        let right: f64 = era.items.iter().map(Answer::challenger_worth).sum();
        accuracy.insert("challenger".to_string(), right / n);
        let champion: Option<Vec<f64>> = era.items.iter().map(Answer::champion_worth).collect();
        if let Some(champion) = champion {
            accuracy.insert("champion".to_string(), champion.iter().sum::<f64>() / n);
        }
        EraAccuracy {
            era: era.era,
            items: era.items.len() as u64,
            accuracy,
        }
    });
    of_era.collect()
}

/// Adds a baseline's accuracy on the same gate items to `eras`.
pub fn add_baseline(
    store: &Store,
    eras: &mut [EraAccuracy],
    name: &str,
    job_dir: &Path,
    manifests: &[&Manifest],
    manifest: &Manifest,
) -> Result<()> {
    let mut reader = Reader::new(store, manifest)?;
    for m in manifests {
        if let Some(era) = eras.iter_mut().find(|e| e.era == m.run) {
            let said = reader.read(job_dir, layout::CHALLENGER, &era_name(m.run), &m.gate, manifest.model())?;
            let answers = said.iter().zip(&m.gate);
            let right: f64 = answers
                .map(|(said, item)| Answer::new(manifest.task, item, None, said).challenger_worth())
                .sum();
            era.accuracy.insert(name.to_string(), right / m.gate.len() as f64);
        }
    }
    Ok(())
}
