//! Which examples take part in a run. Pure: the same pool and the same history give the same plan, in whatever order
//! the files arrived.

use super::examples::{Example, Examples, LabelSource};
use super::guard::Guard;
use super::language;
use super::manifest::{Asked, Dropped, Item, Manifest};
use super::task::{self, Encoder};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use wengu_decide::near::{self, NearSet};
use wengu_decide::split::{self, HeldOut, Side};
use wengu_protocol::job::Task;
use wengu_store::Hash;

/// What earlier accepted runs have used.
#[derive(Debug, Default)]
pub struct History {
    /// Text learned, with its label.
    learned: HashMap<String, String>,
    /// Text of gate, reserve and audit sets.
    held_out: BTreeSet<String>,
    /// Fingerprints of the texts learned, by label.
    near_learned: BTreeMap<String, NearSet>,
    /// Fingerprints of the texts held out, by label.
    near_held_out: BTreeMap<String, NearSet>,
    /// How many training examples each object gave.
    trained: HashMap<Hash, u64>,
}

impl History {
    /// Adds the examples of an accepted run.
    pub fn add(&mut self, manifest: &Manifest) {
        self.add_trained(&manifest.train);
        self.add_trained(&manifest.validation);
        self.add_kept_back(manifest.held_out());
    }

    /// Adds what was learned.
    pub fn add_trained(&mut self, items: &[Item]) {
        for item in items {
            *self.trained.entry(item.examples).or_default() += 1;
            self.learned.insert(item.text_id.clone(), item.label.clone());
            if let Some(near) = item.near {
                self.near_learned.entry(item.label.clone()).or_default().add(near);
            }
        }
    }

    /// Adds what is held out.
    pub fn add_kept_back<'a>(&mut self, items: impl IntoIterator<Item = &'a Item>) {
        for item in items {
            self.held_out.insert(item.text_id.clone());
            if let Some(near) = item.near {
                self.near_held_out.entry(item.label.clone()).or_default().add(near);
            }
        }
    }

    /// Whether an accepted run has used the text, for whatever.
    pub fn knows(&self, text_id: &str) -> bool {
        self.learned.contains_key(text_id) || self.held_out.contains(text_id)
    }

    /// Whether nearly the same text was learned with the label.
    pub fn has_learned_near(&self, label: &str, near: u64) -> bool {
        self.near_learned
            .get(label)
            .is_some_and(|learned| learned.has_near(near))
    }

    /// Whether nearly the same text is held out with the label.
    pub fn has_held_out_near(&self, label: &str, near: u64) -> bool {
        self.near_held_out
            .get(label)
            .is_some_and(|held_out| held_out.has_near(near))
    }

    /// Whether nearly the same text is held out, with whatever label.
    pub fn has_any_held_out_near(&self, near: u64) -> bool {
        self.near_held_out.values().any(|held_out| held_out.has_near(near))
    }

    /// How many training examples each object gave.
    pub fn trained(&self) -> &HashMap<Hash, u64> {
        &self.trained
    }
}

/// The examples of a run.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// The label set: the parent's, then the new ones by name.
    pub labels: Vec<String>,
    /// New training examples, by text id.
    pub train: Vec<Item>,
    /// Examples of new sources, which the version in service is asked about first.
    pub asked: Vec<Asked>,
    /// New gate items, by text id.
    pub gate: Vec<Item>,
    /// New items of the reserve, by text id.
    pub reserve: Vec<Item>,
    /// New audit items, by text id.
    pub audit: Vec<Item>,
    /// New items of the checklist, by text id.
    pub checklist: Vec<Item>,
    /// The rest.
    pub dropped: Vec<Dropped>,
}

impl Plan {
    /// Leaves out instructions that with their answers have more tokens than `max_length`: a model that learns half an answer
    /// learns to stop in the middle.
    pub fn leave_out_too_long(&mut self, files: &[(Hash, Examples)], model_dir: &Path, max_length: u32) -> Result<()> {
        let encoder = Encoder::load(Task::CausalLm, model_dir, max_length)?;
        let by_hash: HashMap<&Hash, &Examples> = files.iter().map(|(hash, file)| (hash, file)).collect();
        for set in [
            &mut self.train,
            &mut self.gate,
            &mut self.reserve,
            &mut self.audit,
            &mut self.checklist,
        ] {
            for item in std::mem::take(set) {
                let held = by_hash.get(&item.examples).and_then(|file| {
                    let mut examples = file.examples.iter();
                    examples.find(|example| example.ordinal == item.ordinal)
                });
                let text = &held.context("a planned example stands in no file")?.text;
                let tokens = encoder.instruction(text, &item.label)?.ids.len();
                if tokens <= max_length as usize {
                    set.push(item);
                    continue;
                }
                self.dropped.push(Dropped {
                    waiting: false,
                    examples: item.examples,
                    ordinal: item.ordinal,
                    reason: format!("it has more than `max_length` = {max_length} tokens with its answer"),
                });
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Takes about so many of a hundred training examples out, to say when training should stop: the same ones whenever the run is
    /// planned. A label of texts keeps at least one example to learn.
    pub fn take_validation(&mut self, task: Task, percent: u32, seed: u64) -> Vec<Item> {
        let of_run = format!("validation {seed}");
        let held_out = HeldOut {
            gate_percent: percent,
            ..HeldOut::default()
        };
        let chosen = |item: &Item| split::side(&of_run, &item.text_id, &held_out) == Side::Gate;
        let (mut taken, mut kept): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut self.train).into_iter().partition(chosen);
        if task.is_by_text() {
            let learned: BTreeSet<String> = kept.iter().flat_map(|item| task::of_text(task, &item.label)).collect();
            let back: Vec<Item>;
            (taken, back) = taken
                .into_iter()
                .partition(|item| task::unknown_label(task, &learned, &item.label).is_none());
            kept.extend(back);
            kept.sort_by(|a, b| a.text_id.cmp(&b.text_id));
        }
        self.train = kept;
        taken
    }
}

struct Candidate<'a> {
    hash: Hash,
    example: &'a Example,
    label: &'a str,
}

/// Plans a run over the pooled `files` (examples object and its content).
///
/// Held-out sides win over training, earlier use wins over new use, gold labels win over weak ones, and texts that two
/// people labelled differently are left out.
pub fn plan(files: &[(Hash, Examples)], task: Task, parent_labels: &[String], history: &History) -> Plan {
    finish(settle(files, history), task, parent_labels)
}

/// As [`plan`], without what the guard takes out.
pub fn guarded(
    files: &[(Hash, Examples)],
    task: Task,
    parent_labels: &[String],
    history: &History,
    guard: &Guard,
) -> Plan {
    let mut plan = settle(files, history);
    plan.guard(history, guard);
    finish(plan, task, parent_labels)
}

fn finish(mut plan: Plan, task: Task, parent_labels: &[String]) -> Plan {
    choose_labels(&mut plan, task, parent_labels);
    plan.dropped.sort_by_key(|d| (d.examples.to_string(), d.ordinal));
    plan
}

fn settle(files: &[(Hash, Examples)], history: &History) -> Plan {
    let mut plan = Plan::default();
    let mut by_text: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    for (hash, file) in files {
        for example in &file.examples {
            match &example.label {
                Some(label) => by_text
                    .entry(super::examples::text_id(&example.text))
                    .or_default()
                    .push(Candidate {
                        hash: *hash,
                        example,
                        label,
                    }),
                None => plan.dropped.push(Dropped {
                    waiting: false,
                    examples: *hash,
                    ordinal: example.ordinal,
                    reason: "no label: neither a field nor a sidecar nor a labelling function gave one".into(),
                }),
            }
        }
    }
    for (text_id, candidates) in by_text {
        settle_text(&mut plan, history, text_id, candidates);
    }
    plan
}

/// Decides what one text, in all the places where it stands, is used for.
fn settle_text(plan: &mut Plan, history: &History, text_id: String, mut candidates: Vec<Candidate>) {
    let mut drop = |candidate: &Candidate, reason: String| {
        plan.dropped.push(Dropped {
            waiting: false,
            examples: candidate.hash,
            ordinal: candidate.example.ordinal,
            reason,
        });
    };
    // Gold first; then the held-out sides; then an order that does not depend on arrival.
    candidates.sort_by_key(|c| {
        (
            c.example.source != LabelSource::Gold,
            side_order(c.example.side),
            c.hash.to_string(),
            c.example.ordinal,
        )
    });
    let gold = candidates[0].example.source == LabelSource::Gold;
    let conflict = candidates
        .iter()
        .filter(|c| (c.example.source == LabelSource::Gold) == gold)
        .any(|c| c.label != candidates[0].label);
    if conflict {
        for c in &candidates {
            drop(
                c,
                "the same text was delivered with different labels: decide for one and deliver it again".into(),
            );
        }
        return;
    }
    let label = candidates[0].label;
    if history.held_out.contains(&text_id) {
        for c in &candidates {
            drop(c, "the text is a held-out item of an earlier delivery".into());
        }
        return;
    }
    let side = candidates
        .iter()
        .map(|c| c.example.side)
        .min_by_key(|s| side_order(*s))
        .unwrap_or(Side::Train);
    // A new label for a text that was learned is a correction, and is learned; anything else about it is known.
    if let Some(learned) = history.learned.get(&text_id)
        && (side != Side::Train || learned == label)
    {
        for c in &candidates {
            drop(c, "the text was learned in an earlier run".into());
        }
        return;
    }
    for c in &candidates[1..] {
        drop(c, "the same text stands in this delivery more than once".into());
    }
    let item = Item {
        text_id,
        examples: candidates[0].hash,
        ordinal: candidates[0].example.ordinal,
        label: label.to_string(),
        source: candidates[0].example.source.clone(),
        case: Some(candidates[0].example.case.clone()),
        language: Some(language::of(&candidates[0].example.text).to_owned()),
        slices: candidates[0].example.slices.clone(),
        near: Some(near::fingerprint(&candidates[0].example.text)),
    };
    match side {
        Side::Train => plan.train.push(item),
        Side::Gate => plan.gate.push(item),
        Side::Reserve => plan.reserve.push(item),
        Side::Audit => plan.audit.push(item),
        Side::Checklist => plan.checklist.push(item),
    }
}

/// Labels are those that can be learned; held-out items with another label cannot be answered and are left out.
fn choose_labels(plan: &mut Plan, task: Task, parent_labels: &[String]) {
    plan.labels = task::labels(task, parent_labels, plan.train.iter().map(|item| item.label.as_str()));
    let all: BTreeSet<String> = plan.labels.iter().cloned().collect();
    for set in [&mut plan.gate, &mut plan.reserve, &mut plan.audit, &mut plan.checklist] {
        for item in std::mem::take(set) {
            match task::unknown_label(task, &all, &item.label) {
                None => set.push(item),
                Some(label) => plan.dropped.push(Dropped {
                    waiting: true,
                    examples: item.examples,
                    ordinal: item.ordinal,
                    reason: format!("held out, but no training example has the label \"{label}\" yet"),
                }),
            }
        }
    }
}

fn side_order(side: Side) -> u8 {
    match side {
        Side::Checklist => 0,
        Side::Audit => 1,
        Side::Reserve => 2,
        Side::Gate => 3,
        Side::Train => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(ordinal: u32, side: Side, text: &str, label: Option<&str>, source: LabelSource) -> Example {
        Example {
            ordinal,
            line: ordinal + 1,
            place: None,
            case: "c".into(),
            side,
            text: text.into(),
            label: label.map(String::from),
            source,
            votes: vec![],
            segments: vec![],
            slices: vec![],
        }
    }

    fn file(n: u8, examples: Vec<Example>) -> (Hash, Examples) {
        let hash = Hash::of(&[n]);
        let file = Examples {
            schema: 1,
            content: hash,
            format: "jsonl".into(),
            encoding: "UTF-8".into(),
            plugin: None,
            voting: None,
            terms: vec![],
            examples,
            rejected: vec![],
        };
        (hash, file)
    }

    fn texts(items: &[Item]) -> Vec<&str> {
        items.iter().map(|i| i.label.as_str()).collect()
    }

    #[test]
    fn held_out_text_never_trains() {
        let files = [
            file(
                1,
                vec![example(0, Side::Train, "same words", Some("a"), LabelSource::Gold)],
            ),
            file(
                2,
                vec![example(0, Side::Gate, "Same  words", Some("a"), LabelSource::Gold)],
            ),
            file(3, vec![example(0, Side::Train, "other", Some("a"), LabelSource::Gold)]),
        ];
        let plan = plan(&files, Task::SequenceClassification, &[], &History::default());
        assert_eq!((plan.train.len(), plan.gate.len(), plan.dropped.len()), (1, 1, 1));
        assert_eq!(plan.train[0].text_id, super::super::examples::text_id("other"));
    }

    #[test]
    fn arrival_order_does_not_matter() {
        let mut files = vec![
            file(1, vec![example(0, Side::Train, "x", Some("b"), LabelSource::Gold)]),
            file(2, vec![example(0, Side::Train, "y", Some("a"), LabelSource::Gold)]),
            file(3, vec![example(0, Side::Train, "x", Some("b"), LabelSource::Gold)]),
        ];
        let one = plan(&files, Task::SequenceClassification, &[], &History::default());
        files.reverse();
        assert_eq!(
            one,
            plan(&files, Task::SequenceClassification, &[], &History::default())
        );
        assert_eq!(one.labels, ["a", "b"]);
    }

    #[test]
    fn gold_beats_weak_and_conflicting_gold_is_left_out() {
        let weak = LabelSource::Weak {
            confidence: 0.9,
            probabilities: vec![],
        };
        let files = [file(
            1,
            vec![
                example(0, Side::Train, "x", Some("weak"), weak),
                example(1, Side::Train, "x", Some("gold"), LabelSource::Gold),
                example(2, Side::Train, "y", Some("a"), LabelSource::Gold),
                example(3, Side::Train, "y", Some("b"), LabelSource::Gold),
                example(4, Side::Train, "z", None, LabelSource::None),
            ],
        )];
        let plan = plan(&files, Task::SequenceClassification, &[], &History::default());
        assert_eq!(texts(&plan.train), ["gold"]);
        assert_eq!(plan.dropped.len(), 4);
    }

    #[test]
    fn a_validation_set_is_the_same_again_and_leaves_every_label_something_to_learn() {
        let examples = (0..200).map(|i| {
            let label = if i == 0 { "rare" } else { ["a", "b"][i as usize % 2] };
            example(i, Side::Train, &format!("text {i}"), Some(label), LabelSource::Gold)
        });
        let files = [file(1, examples.collect())];
        let planned = || plan(&files, Task::SequenceClassification, &[], &History::default());
        let all = planned().train;
        for seed in 0..40 {
            let mut plan = planned();
            let held = plan.take_validation(Task::SequenceClassification, 20, seed);
            assert!((20..60).contains(&held.len()), "{}", held.len());
            assert_eq!(plan.train.len() + held.len(), 200);
            assert!(plan.train.iter().any(|item| item.label == "rare"), "seed {seed}");
            assert!(held.iter().all(|item| !plan.train.contains(item)));
            assert_eq!(planned().take_validation(Task::SequenceClassification, 20, seed), held);
        }
        let mut plan = planned();
        assert!(plan.take_validation(Task::SequenceClassification, 0, 1).is_empty());
        assert_eq!(plan.train, all);
    }

    #[test]
    fn labels_grow_at_the_end_and_gate_items_need_a_learnable_label() {
        let files = [file(
            1,
            vec![
                example(0, Side::Train, "x", Some("new"), LabelSource::Gold),
                example(1, Side::Gate, "y", Some("unseen"), LabelSource::Gold),
                example(2, Side::Gate, "z", Some("zeta"), LabelSource::Gold),
            ],
        )];
        let plan = plan(
            &files,
            Task::SequenceClassification,
            &["zeta".into(), "alpha".into()],
            &History::default(),
        );
        assert_eq!(plan.labels, ["zeta", "alpha", "new"]);
        assert_eq!(texts(&plan.gate), ["zeta"]);
        let waiting: Vec<u32> = plan.dropped.iter().filter(|d| d.waiting).map(|d| d.ordinal).collect();
        assert_eq!(waiting, [1], "it is looked at again when its label can be learned");
    }
}
