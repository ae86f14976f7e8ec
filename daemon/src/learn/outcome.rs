//! From the predictions of a finished job to a verdict. The statistics are `wengu_decide`'s; this reads files.

use super::evaluator::PluginScores;
use super::manifest::{Item, Manifest};
use super::memory::read_logits;
use super::prepare::{audit_name, era_name};
use super::scores::{BothScores, Said, said, scores};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use wengu_decide::gate::{EraOutcomes, ItemOutcome, Verdict, judge, judge_first};
use wengu_decide::metrics::argmax_rows;
use wengu_protocol::job::layout;
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
    /// Accuracy on the audit sets: reported, never used to decide.
    pub audit: Vec<EraAccuracy>,
    /// Told beside the verdict; absent in judgements from before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<BothScores>,
    /// What the domain's plugin says; none without a plugin that has an evaluator, or where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_scores: Option<PluginScores>,
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
}

/// Judges the finished job in `job_dir`.
pub fn judge_job(
    job_dir: &Path,
    manifest: &Manifest,
    ancestors: &[Manifest],
    parent_labels: &[String],
) -> Result<Judgement> {
    let first = manifest.parent.is_none();
    let mut answers = Vec::new();
    let mut audit = Vec::new();
    let (mut by_challenger, mut by_champion) = (Vec::new(), Vec::new());
    for m in ancestors.iter().chain([manifest]) {
        let challenger = predictions(job_dir, layout::CHALLENGER, &era_name(m.run), &m.gate, &manifest.labels)?;
        let champion = if first {
            None
        } else {
            Some(predictions(
                job_dir,
                layout::CHAMPION,
                &era_name(m.run),
                &m.gate,
                parent_labels,
            )?)
        };
        let items = m.gate.iter().enumerate().map(|(i, item)| Answer {
            text_id: item.text_id.clone(),
            label: item.label.clone(),
            champion: champion.as_ref().map(|c| c[i].label.clone()),
            challenger: challenger[i].label.clone(),
        });
        answers.push(Answers {
            era: m.run,
            items: items.collect(),
        });
        by_challenger.extend(challenger);
        by_champion.extend(champion.unwrap_or_default());
        if !m.audit.is_empty() {
            audit.push(accuracy_of(
                job_dir,
                m.run,
                &audit_name(m.run),
                &m.audit,
                &manifest.labels,
                first,
                parent_labels,
            )?);
        }
    }
    let verdict = if first {
        judge_first(
            &manifest.gate_rules,
            0.0,
            &outcomes(&answers, &majority_label(&manifest.train)),
        )
    } else {
        judge(&manifest.gate_rules, &outcomes(&answers, ""))
    };
    let items = answers.iter().flat_map(|era| &era.items);
    let expected: Vec<&str> = items.map(|item| item.label.as_str()).collect();
    let champion = match first {
        true => None,
        false => scores(&expected, &by_champion)?,
    };
    let scores = scores(&expected, &by_challenger)?.map(|challenger| BothScores { challenger, champion });
    Ok(Judgement {
        schema: JUDGEMENT_SCHEMA,
        scores,
        plugin_scores: None,
        verdict,
        answers,
        audit,
    })
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

/// `stand_in` answers where there is no champion.
fn outcomes(answers: &[Answers], stand_in: &str) -> Vec<EraOutcomes> {
    let outcome = |a: &Answer| ItemOutcome {
        item: a.text_id.clone(),
        champion_right: a.champion.as_deref().unwrap_or(stand_in) == a.label,
        challenger_right: a.challenger == a.label,
    };
    answers
        .iter()
        .map(|era| EraOutcomes {
            era: format!("run {}", era.era),
            items: era.items.iter().map(outcome).collect(),
        })
        .collect()
}

/// The accuracy of champion and challenger per era, as the run record keeps it.
pub fn era_accuracy(judgement: &Judgement) -> Vec<EraAccuracy> {
    judgement
        .answers
        .iter()
        .filter(|era| !era.items.is_empty())
        .map(|era| {
            let n = era.items.len() as f64;
            let mut accuracy = BTreeMap::new();
            let right = era.items.iter().filter(|a| a.challenger == a.label).count();
            accuracy.insert("challenger".to_string(), right as f64 / n);
            if era.items.iter().all(|a| a.champion.is_some()) {
                let right = era
                    .items
                    .iter()
                    .filter(|a| a.champion.as_deref() == Some(&a.label))
                    .count();
                accuracy.insert("champion".to_string(), right as f64 / n);
            }
            EraAccuracy {
                era: era.era,
                items: era.items.len() as u64,
                accuracy,
            }
        })
        .collect()
}

/// Adds a baseline's accuracy on the same gate items to `eras`.
pub fn add_baseline(
    eras: &mut [EraAccuracy],
    name: &str,
    job_dir: &Path,
    manifests: &[&Manifest],
    labels: &[String],
) -> Result<()> {
    for m in manifests {
        if let Some(era) = eras.iter_mut().find(|e| e.era == m.run) {
            let said = predictions(job_dir, layout::CHALLENGER, &era_name(m.run), &m.gate, labels)?;
            let right = said
                .iter()
                .zip(&m.gate)
                .filter(|(said, item)| said.label == item.label)
                .count();
            era.accuracy
                .insert(name.to_string(), right as f64 / m.gate.len() as f64);
        }
    }
    Ok(())
}

fn accuracy_of(
    job_dir: &Path,
    era: u64,
    set: &str,
    items: &[Item],
    labels: &[String],
    first: bool,
    parent_labels: &[String],
) -> Result<EraAccuracy> {
    let share = |said: Vec<Said>| {
        said.iter()
            .zip(items)
            .filter(|(said, item)| said.label == item.label)
            .count() as f64
            / items.len() as f64
    };
    let mut accuracy = BTreeMap::new();
    accuracy.insert(
        "challenger".into(),
        share(predictions(job_dir, layout::CHALLENGER, set, items, labels)?),
    );
    if !first {
        accuracy.insert(
            "champion".into(),
            share(predictions(job_dir, layout::CHAMPION, set, items, parent_labels)?),
        );
    }
    Ok(EraAccuracy {
        era,
        items: items.len() as u64,
        accuracy,
    })
}

/// The label with the largest logit for each item; anything that is not a finite number fails the evaluation.
fn predictions(job_dir: &Path, kind: &str, set: &str, items: &[Item], labels: &[String]) -> Result<Vec<Said>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let path = job_dir.join(kind).join(format!("{set}.safetensors"));
    let (logits, rows, columns) = read_logits(&path)?;
    ensure!(
        rows == items.len() && columns == labels.len(),
        "{}: logits are [{rows}, {columns}], expected [{}, {}]",
        path.display(),
        items.len(),
        labels.len()
    );
    let best = argmax_rows(&logits, columns).with_context(|| path.display().to_string())?;
    said(&logits, &best, labels)
}
