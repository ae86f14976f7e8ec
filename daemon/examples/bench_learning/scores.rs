//! What the answers of one run are worth.

use crate::files::Update;
use anyhow::Result;
use std::collections::BTreeMap;
use wengu::learn::outcome::Answer;
use wengu_decide::marked::{self, Marked};
use wengu_decide::metrics::{SpanScores, worst_case_accuracy};
use wengu_protocol::job::{Stability, Task};

/// Whether it is right: of a causal model, whether every token of the answer is the likeliest, so that it would be said word by word.
pub fn right(answer: &Answer) -> bool {
    match answer.challenger_score {
        Some(tokens) => tokens >= 1.0,
        None => answer.challenger == answer.label,
    }
}

/// Accuracy, or the F1 of spans.
pub fn score(task: Task, items: &[Answer]) -> Result<f64> {
    if task != Task::TokenClassification {
        let right = items.iter().filter(|item| right(item)).count();
        return Ok(right as f64 / items.len().max(1) as f64);
    }
    span_score(items.iter().map(|item| (&item.label, &item.challenger)))
}

/// The same of the version before. None where there was none.
pub fn score_before(task: Task, items: &[Answer]) -> Result<Option<f64>> {
    let Some(said) = items
        .iter()
        .map(|item| item.champion.as_ref())
        .collect::<Option<Vec<_>>>()
    else {
        return Ok(None);
    };
    let pairs = || items.iter().zip(said.iter().copied());
    if task == Task::TokenClassification {
        return span_score(pairs().map(|(item, said)| (&item.label, said))).map(Some);
    }
    let is_right =
        |(item, said): &(&Answer, &String)| item.champion_score.map_or(**said == item.label, |tokens| tokens >= 1.0);
    Ok(Some(
        pairs().filter(is_right).count() as f64 / items.len().max(1) as f64,
    ))
}

fn span_score<'a>(answers: impl Iterator<Item = (&'a String, &'a String)>) -> Result<f64> {
    let mut counted = SpanScores::default();
    for (expected, said) in answers {
        let (expected, said) = (marked::parse(expected)?, marked::parse(said)?);
        counted.add_spans(&spans(&expected), &spans(&said));
    }
    Ok(counted.micro_f1().unwrap_or(0.0))
}

fn spans(marked: &[Marked]) -> std::collections::BTreeSet<(&str, usize, usize)> {
    marked
        .iter()
        .map(|Marked(begin, end, kind)| (kind.as_str(), *begin, *end))
        .collect()
}

pub fn stabilities(updates: &[Update]) -> impl Iterator<Item = &Stability> {
    let old_work = updates.iter().flat_map(|update| &update.old_work);
    old_work.flat_map(|old_work| &old_work.stability)
}

/// The least that each delivery ever had of its old examples, with what the last version says to the last test set.
pub fn worst_case(updates: &[Update], matrix: &[Vec<Option<f64>>]) -> Option<f64> {
    let mut minima: BTreeMap<u64, f64> = BTreeMap::new();
    for era in stabilities(updates).flat_map(|stability| &stability.eras) {
        let least = minima.entry(era.run).or_insert(era.minimum);
        *least = least.min(era.minimum);
    }
    let newest = *matrix.last()?.last()?;
    let minimum = minima.values().sum::<f64>() / minima.len() as f64;
    newest
        .filter(|_| !minima.is_empty())
        .map(|newest| worst_case_accuracy(matrix.len(), newest, minimum))
}
