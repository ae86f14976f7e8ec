//! What is asked beside the gate: the version in service, of new examples before they are learned, and the anchor, of the same and of
//! the audit sets. From this slow slides and a poor performance on new work show.

use super::data_files::Writer;
use super::manifest::{Asked, Item, Manifest};
use super::memory::read_rows;
use super::prepare::{Prepared, audit_name};
use super::said::{Model, Reader};
use super::scores::Said;
use super::sources::Answered;
use super::task;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use wengu_decide::gate::ItemOutcome;
use wengu_decide::sources::stands_out;
use wengu_protocol::job::{Anchor, Task, layout};
use wengu_store::Store;

/// So many new examples are asked at most; they cost a pass each.
const FRESH_MAX: usize = 1000;

/// Right and wrong answers beside the gate's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// New examples that the version in service answered before they were learned.
    pub fresh_items: u64,
    /// Those it had right.
    pub fresh_right: u64,
    /// The version that the others are compared with; None: there was none but the version in service.
    pub anchor: Option<String>,
    /// New examples: the anchor as champion, the version in service as challenger.
    #[serde(default)]
    pub fresh: Vec<ItemOutcome>,
    /// Audit items: the anchor as champion, the version in service before the run as challenger.
    #[serde(default)]
    pub before: Vec<ItemOutcome>,
    /// The same with the run's result as challenger.
    #[serde(default)]
    pub after: Vec<ItemOutcome>,
    /// Examples of new sources, which are not learned yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Answered>,
}

impl Watched {
    /// The audit items with the version that serves after the run.
    pub fn serving(&self, promoted: bool) -> &[ItemOutcome] {
        if promoted { &self.after } else { &self.before }
    }
}

/// The manifest of the run that made the anchor.
fn anchor_manifest<'a>(prepared: &Prepared<'a>) -> Option<&'a Manifest> {
    let run = crate::drift::run_of(prepared.manifest.anchor.as_deref()?);
    prepared.ancestors.iter().find(|manifest| manifest.run == run)
}

/// New examples whose labels `labels` has, and that are asked.
fn fresh<'a>(manifest: &'a Manifest, labels: &[String]) -> Vec<&'a Item> {
    let known = knows(manifest.task, labels);
    manifest
        .train
        .iter()
        .filter(|item| known(item))
        .take(FRESH_MAX)
        .collect()
}

/// Whether a model with these labels could answer the item right.
fn knows(task: Task, labels: &[String]) -> impl Fn(&Item) -> bool {
    let labels: BTreeSet<String> = labels.iter().cloned().collect();
    move |item| !task.is_by_text() || task::unknown_label(task, &labels, &item.label).is_none()
}

/// Examples of new sources that are asked about, each source about as many.
fn asked<'a>(manifest: &'a Manifest, labels: &[String]) -> Vec<&'a Asked> {
    let known = |asked: &&Asked| labels.contains(&asked.item.label);
    let mut of_source: BTreeMap<&str, usize> = BTreeMap::new();
    let mut placed: Vec<(usize, &Asked)> = Vec::new();
    for asked in manifest.asked.iter().filter(known) {
        let place = of_source.entry(&asked.source).or_default();
        placed.push((*place, asked));
        *place += 1;
    }
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().take(FRESH_MAX).map(|(_, asked)| asked).collect()
}

/// Writes the sets; gives the one that the parent is asked, and what the anchor is.
pub(super) fn write(store: &Store, prepared: &Prepared, dir: &Path) -> Result<(Option<PathBuf>, Option<Anchor>)> {
    let manifest = prepared.manifest;
    if prepared.parent_dir.is_none() {
        return Ok((None, None));
    }
    let on_probation = asked(manifest, &prepared.parent_labels)
        .into_iter()
        .map(|asked| &asked.item);
    let asked: Vec<&Item> = on_probation.chain(fresh(manifest, &prepared.parent_labels)).collect();
    let mut writer = Writer::new(store, manifest, &manifest.terms[..prepared.parent_terms], dir)?;
    let fresh_set = match asked.is_empty() {
        true => None,
        false => {
            let rows = writer.items(asked)?;
            Some(writer.write(layout::FRESH, &rows, None)?)
        }
    };
    let (Some(anchor), Some(anchor_dir)) = (anchor_manifest(prepared), &prepared.anchor_dir) else {
        return Ok((fresh_set, None));
    };
    let mut writer = Writer::new(store, manifest, &manifest.terms[..anchor.terms.len()], dir)?;
    let mut eval = BTreeMap::new();
    let asked = fresh(manifest, &anchor.labels);
    if !asked.is_empty() {
        let rows = writer.items(asked)?;
        eval.insert(layout::FRESH.to_owned(), writer.write("anchor-fresh", &rows, None)?);
    }
    for era in prepared
        .ancestors
        .iter()
        .chain([manifest])
        .filter(|era| !era.audit.is_empty())
    {
        let name = audit_name(era.run);
        let rows = writer.items(&era.audit)?;
        eval.insert(name.clone(), writer.write(&format!("anchor-{name}"), &rows, None)?);
    }
    let version = prepared.version(anchor_dir, &anchor.labels, anchor.terms.len());
    Ok((fresh_set, Some(Anchor { version, eval })))
}

/// Reads what was answered.
pub(super) fn read(store: &Store, job_dir: &Path, prepared: &Prepared) -> Result<Watched> {
    let manifest = prepared.manifest;
    let mut watched = Watched::default();
    if prepared.parent_dir.is_none() {
        return Ok(watched);
    }
    let mut reader = Reader::new(store, manifest)?;
    let owned = |items: Vec<&Item>| -> Vec<Item> { items.into_iter().cloned().collect() };
    // One file holds both: first the examples on probation.
    let on_probation = asked(manifest, &prepared.parent_labels);
    let fresh_items = fresh(manifest, &prepared.parent_labels);
    let both = owned(
        on_probation
            .iter()
            .map(|asked| &asked.item)
            .chain(fresh_items)
            .collect(),
    );
    let (of_probation, asked) = both.split_at(on_probation.len());
    let parent = prepared.parent_model();
    let mut said = reader.read(job_dir, layout::CHAMPION, layout::FRESH, &both, parent)?;
    let of_asked = said.split_off(of_probation.len());
    let of_labels = probabilities(job_dir, of_probation, &prepared.parent_labels)?;
    watched.asked = on_probation
        .iter()
        .zip(said)
        .zip(of_labels)
        .map(|((asked, said), of_label)| Answered {
            source: asked.source.clone(),
            text_id: asked.item.text_id.clone(),
            examples: asked.item.examples,
            ordinal: asked.item.ordinal,
            label: asked.item.label.clone(),
            stands_out: stands_out(of_label, said.confidence.unwrap_or(0.0)),
            said: said.label,
        })
        .collect();
    let is_right = |said: &Said, item: &Item| match said.score {
        // A causal model's answer counts as right where every token was the likeliest.
        Some(score) => score >= 1.0,
        None => said.label == item.label,
    };
    let serving: Vec<bool> = of_asked
        .iter()
        .zip(asked)
        .map(|(said, item)| is_right(said, item))
        .collect();
    let mut right = |kind: &str, set: &str, items: &[Item], model: Model| -> Result<Vec<bool>> {
        let said = reader.read(job_dir, kind, set, items, model)?;
        Ok(said
            .iter()
            .zip(items)
            .map(|(said, item)| is_right(said, item))
            .collect())
    };
    watched.fresh_items = serving.len() as u64;
    watched.fresh_right = serving.iter().filter(|right| **right).count() as u64;
    let (Some(anchor), Some(_)) = (anchor_manifest(prepared), &prepared.anchor_dir) else {
        return Ok(watched);
    };
    watched.anchor.clone_from(&manifest.anchor);
    let known = knows(manifest.task, &anchor.labels);
    let of_both = owned(fresh(manifest, &anchor.labels));
    let by_anchor = right(layout::ANCHOR, layout::FRESH, &of_both, anchor.model())?;
    let by_item: BTreeMap<&str, bool> = asked.iter().map(|item| item.text_id.as_str()).zip(serving).collect();
    for (item, anchor_right) in of_both.iter().zip(by_anchor) {
        if let Some(serving_right) = by_item.get(item.text_id.as_str()) {
            watched.fresh.push(outcome(item, anchor_right, *serving_right));
        }
    }
    for era in prepared.ancestors.iter().chain([manifest]) {
        let name = audit_name(era.run);
        let by_anchor = right(layout::ANCHOR, &name, &era.audit, anchor.model())?;
        let before = right(layout::CHAMPION, &name, &era.audit, parent)?;
        let after = right(layout::CHALLENGER, &name, &era.audit, manifest.model())?;
        for (place, item) in era.audit.iter().enumerate().filter(|(_, item)| known(item)) {
            watched.before.push(outcome(item, by_anchor[place], before[place]));
            watched.after.push(outcome(item, by_anchor[place], after[place]));
        }
    }
    Ok(watched)
}

/// The probability that the version in service gives to the label of each of the first items of the set.
fn probabilities(job_dir: &Path, items: &[Item], labels: &[String]) -> Result<Vec<f64>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let path = job_dir
        .join(layout::CHAMPION)
        .join(format!("{}.safetensors", layout::FRESH));
    let (logits, _, columns) = read_rows(&path, "logits")?;
    let of_label = |(row, item): (&[f32], &Item)| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| f64::from(logit - largest).exp();
        let place = labels.iter().position(|label| *label == item.label);
        let all: f64 = row.iter().map(|&logit| weight(logit)).sum();
        place.map_or(0.0, |place| weight(row[place]) / all)
    };
    Ok(logits.chunks(columns.max(1)).zip(items).map(of_label).collect())
}

fn outcome(item: &Item, champion_right: bool, challenger_right: bool) -> ItemOutcome {
    ItemOutcome {
        item: item.text_id.clone(),
        champion_right,
        challenger_right,
        case_file: item.case.clone(),
        slices: Vec::new(),
    }
}
