//! From recorded answers to the verdict, without a file or a clock: the same answers give the same verdict, byte for byte, whenever
//! they are judged again.

use super::examples::LabelSource;
use super::manifest::Item;
use super::outcome::{Answer, Answers, Judgement};
use super::task;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wengu_decide::gate::{
    Era, Evidence, GateConfig, ItemLabels, ItemOutcome, ItemScores, Judged, Metric, Repeated, Verdict, confirm,
    judge_first, judge_stage1,
};
use wengu_protocol::job::{Repeat, Task};

/// What a verdict is made from beside the answers to the gate set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Basis {
    /// What the model answers.
    pub task: Task,
    /// What a first version is compared with: always this label. None where there was a champion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<String>,
    /// Items of the reserve.
    pub reserve_items: u64,
    /// The answers to them, where the gate set made it necessary to look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserve: Vec<Answers>,
    /// The answers to what must not break.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<Answers>,
    /// The champion asked twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

/// Judges again what was judged: the verdict as it was recorded. None for a judgement that does not hold all it was made from.
pub fn replay(judgement: &Judgement) -> Option<Verdict> {
    let basis = judgement.basis.as_ref()?;
    Some(decide(&judgement.verdict.config, &judgement.answers, basis))
}

/// The verdict.
pub(super) fn decide(rules: &GateConfig, answers: &[Answers], basis: &Basis) -> Verdict {
    let told = distinct_slices(answers);
    let slices = |answer: &Answer| -> Vec<String> {
        let slices = answer.slices.iter();
        slices.filter(|slice| told.contains(*slice)).cloned().collect()
    };
    let stand_in = basis.stand_in.as_deref().unwrap_or_default();
    let outcome = |answer: &Answer| ItemOutcome {
        item: answer.text_id.clone(),
        champion_right: answer.champion.as_deref().unwrap_or(stand_in) == answer.label,
        challenger_right: answer.challenger == answer.label,
        case_file: answer.case.clone(),
        slices: slices(answer),
    };
    if basis.stand_in.is_some() {
        return judge_first(rules, 0.0, &eras(answers, outcome));
    }
    if basis.task != Task::CausalLm && rules.metric == Metric::MacroF1 {
        let labels = labels(answers, basis);
        let index = |label: &str| labels.binary_search(&label).unwrap_or_default() as u32;
        return two_stages(rules, answers, basis, |answer| ItemLabels {
            item: answer.text_id.clone(),
            expected: index(&answer.label),
            champion: index(answer.champion.as_deref().unwrap_or_default()),
            challenger: index(&answer.challenger),
            case_file: answer.case.clone(),
            slices: slices(answer),
        });
    }
    if basis.task != Task::CausalLm {
        return two_stages(rules, answers, basis, outcome);
    }
    // A missing score is one that the gate refuses.
    two_stages(rules, answers, basis, |answer| ItemScores {
        item: answer.text_id.clone(),
        champion: answer.champion_worth().unwrap_or(f64::NAN),
        challenger: answer.challenger_worth(),
        case_file: answer.case.clone(),
        slices: slices(answer),
    })
}

/// Every label that is right or was said, sorted; the empty one stands for no answer.
fn labels<'a>(answers: &'a [Answers], basis: &'a Basis) -> Vec<&'a str> {
    let all = answers.iter().chain(&basis.reserve).chain(&basis.checklist);
    let said = |answer: &'a Answer| [Some(&answer.label), Some(&answer.challenger), answer.champion.as_ref()];
    let all = all.flat_map(|era| &era.items).flat_map(said).flatten();
    let labels: BTreeSet<&str> = all.map(String::as_str).chain([""]).collect();
    labels.into_iter().collect()
}

fn two_stages<T: Judged>(
    rules: &GateConfig,
    answers: &[Answers],
    basis: &Basis,
    item: impl Fn(&Answer) -> T,
) -> Verdict {
    let gate = eras(answers, &item);
    // The trainer counts; which items they were is in its log at most.
    let repeated = basis.repeat.filter(|repeat| repeat.answers > 0).map(|repeat| Repeated {
        items: repeat.answers,
        differing: (1..=repeat.differ).map(|place| format!("answer {place}")).collect(),
    });
    let checklist: Vec<T> = basis.checklist.iter().flat_map(|era| &era.items).map(&item).collect();
    let evidence = Evidence {
        eras: &gate,
        checklist: &checklist,
        repeated: repeated.as_ref(),
        reserve_items: basis.reserve_items,
    };
    let stage1 = judge_stage1(rules, &evidence);
    if !stage1.needs_reserve {
        return stage1.verdict;
    }
    confirm(&stage1, &gate, &eras(&basis.reserve, &item))
}

fn eras<T>(answers: &[Answers], item: impl Fn(&Answer) -> T) -> Vec<Era<T>> {
    let eras = answers.iter().map(|era| Era {
        era: format!("run {}", era.era),
        items: era.items.iter().map(&item).collect(),
    });
    eras.collect()
}

/// The slices of an item.
pub(super) fn slices(task: Task, item: &Item) -> Vec<String> {
    let source = match item.source {
        LabelSource::Gold => "gold",
        LabelSource::Weak { .. } | LabelSource::None => "weak",
    };
    let mut labels: Vec<String> = task::of_text(task, &item.label).into_iter().collect();
    if labels.is_empty() && task == Task::MultiLabelClassification {
        labels.push("(none)".to_owned());
    }
    let labels = labels.into_iter().map(|label| format!("label={label}"));
    let language = item.language.iter().map(|language| format!("language={language}"));
    let named = item.slices.iter().cloned();
    language
        .chain(labels)
        .chain([format!("source={source}")])
        .chain(named)
        .collect()
}

/// Slices of a kind that has several: one slice that all items are in says nothing of its own.
fn distinct_slices(answers: &[Answers]) -> BTreeSet<String> {
    let mut kinds: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
    for slice in answers
        .iter()
        .flat_map(|era| &era.items)
        .flat_map(|answer| &answer.slices)
    {
        let kind = slice.split_once('=').map_or("", |(kind, _)| kind);
        kinds.entry(kind).or_default().insert(slice);
    }
    let several = kinds.into_values().filter(|slices| slices.len() > 1);
    several.flatten().cloned().collect()
}
