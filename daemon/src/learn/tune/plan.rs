//! What a fitting is made of: the texts as two deliveries in a row, the candidates, the rungs. Nothing of it changes until it ends,
//! whatever happens in the pool or in the configuration.

use super::outcomes::{Counts, REPORT_SCHEMA, Report};
use super::settings::{put, space, untuned, values};
use crate::checked;
use crate::engine::Engine;
use crate::learn::compose;
use crate::learn::data_files::Objects;
use crate::learn::manifest::{Item, Manifest};
use crate::learn::task;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use wengu_config::Domain;
use wengu_decide::tune::{Asked, ETA, Key, Part, Place, Rung, Space, Text, Values, candidates, parts, rungs};
use wengu_protocol::job::Task;

/// Version of [`Plan`]; 1 had no checksum.
const PLAN_SCHEMA: u32 = 2;
/// A trial's memory holds one in so many bytes of its first part, as a memory does of a long stream. With all of it kept there
/// would be nothing to tell settings apart by.
const MEMORY_SHARE: u64 = 10;
const FILE: &str = "plan.json";

/// What a fitting is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_SCHEMA`].
    pub schema: u32,
    /// What may be tried.
    pub space: Space,
    /// The defaults first.
    pub candidates: Vec<Values>,
    /// Few epochs first.
    pub rungs: Vec<Rung>,
    /// Keys that the configuration set.
    pub explicit: Vec<String>,
    /// BLAKE3 of the ids and labels of the texts.
    pub examples: String,
    /// The first update of every trial, with the defaults. Its gate items are the old texts that are asked about.
    pub first: Manifest,
    /// The second; its gate items are the new ones.
    pub second: Manifest,
}

impl Plan {
    /// Plans on what the domain has learned and has in its pool. What is held out takes no part, and neither does what may not be
    /// learned (other runs' held-out items, near duplicates, sources on probation).
    ///
    /// # Errors
    /// Another task, too little data, or nothing to search.
    pub fn make(engine: &Engine, domain: &Domain, trials: u32, seed: u64) -> Result<Plan> {
        ensure!(
            domain.task == Task::SequenceClassification,
            "only settings for text classification are fitted yet (task = \"sequence_classification\"); domain {} has another task",
            domain.name
        );
        let latest = compose::make_manifest(engine, domain)?;
        let has_parent = latest.parent.is_some();
        let ancestors = engine.ancestry(&domain.name, latest.parent.as_deref())?;
        let items = learnable(&ancestors, &latest);
        let texts: Vec<Text> = items
            .iter()
            .map(|item| Text {
                case: case(item),
                label: &item.label,
            })
            .collect();
        let parts = parts(&texts, seed)?;
        let of = |part: Part, asked: bool| -> Vec<Item> {
            let meant = Some(Place { part, asked });
            let placed = items.iter().zip(&parts.places).filter(|(_, place)| **place == meant);
            placed.map(|(item, _)| item.clone()).collect()
        };
        let learning = untuned(engine, domain)?;
        let space = space(domain, &learning, has_parent);
        ensure!(
            !space.searched().is_empty(),
            "the configuration sets every key that could be fitted; take those out of [domains.{}.learning] that are to be",
            domain.name
        );
        let candidates = candidates(&space, &values(&learning), trials as usize, seed);
        let (old, new) = (of(Part::Old, false), of(Part::New, false));
        let old_labels = task::labels(domain.task, &[], old.iter().map(|item| item.label.as_str()));
        let labels = task::labels(domain.task, &old_labels, new.iter().map(|item| item.label.as_str()));
        let base = Manifest {
            run: 1,
            replaces: None,
            parent: None,
            files: BTreeMap::new(),
            terms: Vec::new(),
            validation: Vec::new(),
            asked: Vec::new(),
            reserve: Vec::new(),
            audit: Vec::new(),
            checklist: Vec::new(),
            dropped: Vec::new(),
            method: crate::model::method(&learning.method, &latest.base.path)?,
            learning: learning.training.clone(),
            gradient_checkpointing: false,
            memory_bytes: memory_bytes(engine, &old, old_labels.len())?.min(learning.memory_bytes),
            memory_seed: seed,
            seed,
            anchor: None,
            baselines: Vec::new(),
            ..latest
        };
        Ok(Plan {
            schema: PLAN_SCHEMA,
            rungs: rungs(candidates.len(), learning.training.epochs, ETA),
            space,
            candidates,
            explicit: learning.explicit.iter().map(|key| (*key).to_owned()).collect(),
            examples: digest(&items),
            second: Manifest {
                run: 2,
                labels,
                train: new,
                gate: of(Part::New, true),
                ..base.clone()
            },
            first: Manifest {
                labels: old_labels,
                train: old,
                gate: of(Part::Old, true),
                ..base
            },
        })
    }

    /// Both updates of a trial. The second one's parent is not known yet.
    pub fn updates(&self, rung: usize, candidate: usize) -> (Manifest, Manifest) {
        let with = |manifest: &Manifest| {
            let mut manifest = manifest.clone();
            let keys: Vec<Key> = self.space.searched();
            let is_explicit = |key: &str| self.explicit.iter().any(|set| set == key);
            let values = &self.candidates[candidate];
            put(
                &mut manifest.learning,
                &mut manifest.method,
                values,
                &keys,
                &is_explicit,
            );
            manifest.learning.epochs = self.rungs[rung].epochs;
            manifest
        };
        (with(&self.first), with(&self.second))
    }

    /// What every trial is asked, in the order of its answers.
    pub fn asked(&self) -> Vec<Asked> {
        let of = |manifest: &Manifest, part: Part| -> Vec<Asked> {
            let items = manifest.gate.iter().map(|item| Asked {
                case: case(item).to_owned(),
                part,
            });
            items.collect()
        };
        let mut asked = of(&self.first, Part::Old);
        asked.extend(of(&self.second, Part::New));
        asked
    }

    /// A report of no trial.
    pub fn report(&self) -> Report {
        Report {
            schema: REPORT_SCHEMA,
            examples: self.examples.clone(),
            counts: Counts {
                old: self.first.train.len(),
                old_asked: self.first.gate.len(),
                new: self.second.train.len(),
                new_asked: self.second.gate.len(),
                late_labels: self.second.labels.len() - self.first.labels.len(),
            },
            space: self.space.clone(),
            candidates: self.candidates.clone(),
            rungs: self.rungs.clone(),
            trials: Vec::new(),
            fit: None,
        }
    }

    /// Writes it into the folder of the fitting.
    pub fn save(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        checked::write(&folder.join(FILE), self)
    }

    /// Reads it; None where there is none, or what is there is not what was written: then the fitting begins anew.
    pub fn load(folder: &Path) -> Result<Option<Plan>> {
        checked::read_or_anew(&folder.join(FILE), PLAN_SCHEMA, "the fitting begins anew")
    }
}

/// The case of an item; manifests from before cases were kept have texts alone.
fn case(item: &Item) -> &str {
    item.case.as_deref().unwrap_or(&item.text_id)
}

/// Every text that is learned or may be, by its id, with its newest label.
fn learnable(ancestors: &[Manifest], latest: &Manifest) -> Vec<Item> {
    let runs = || ancestors.iter().chain([latest]);
    let held_out: HashSet<&str> = runs()
        .flat_map(Manifest::held_out)
        .map(|item| item.text_id.as_str())
        .collect();
    let learned = runs().flat_map(|run| run.train.iter().chain(&run.validation));
    let items: BTreeMap<&str, &Item> = learned
        .filter(|item| !held_out.contains(item.text_id.as_str()))
        .map(|item| (item.text_id.as_str(), item))
        .collect();
    items.into_values().cloned().collect()
}

fn digest(items: &[Item]) -> String {
    let mut hasher = blake3::Hasher::new();
    for item in items {
        for part in [&item.text_id, &item.label] {
            hasher
                .update(&(part.len() as u64).to_le_bytes())
                .update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Text and logits count, as in a version's memory.
fn memory_bytes(engine: &Engine, old: &[Item], labels: usize) -> Result<u64> {
    let mut objects = Objects::new(&engine.store);
    let mut bytes = 0;
    for item in old {
        bytes += (objects.remembered(item)?.text.len() + 4 * labels) as u64;
    }
    Ok(bytes / MEMORY_SHARE)
}
