//! The second stage: the reserve confirms what the gate set found, or does not.

use super::compare::{Judged, Level};
use super::comparisons::{by_slice, earlier_items};
use super::facts::decide;
use super::family::{weighted_holm, weights};
use super::judge::check_items;
use super::levels::POOLED_CONFIDENCE;
use super::report;
use super::verdict::{Confirmation, Confirmed};
use super::{Comparison, Decision, Era, Stage1, Subject, Verdict};
use std::collections::HashSet;

/// Decides what the gate set left open. `gate` is what [`super::judge_stage1`] was given; `reserve` holds both versions'
/// answers to the reserve under the names of the same eras (those without items may be left out).
///
/// Every test that tripped is made again on the reserve's items alone, at the second level over all of them. Promotion
/// is then decided by both sets together, at a confidence that makes both looks one of 95 %. Where nothing needs the reserve, the first verdict stands.
pub fn confirm<T: Judged>(stage1: &Stage1, gate: &[Era<T>], reserve: &[Era<T>]) -> Verdict {
    let mut verdict = stage1.verdict.clone();
    let level = verdict.levels.and_then(|levels| levels.reserve);
    let (true, Some(level)) = (stage1.needs_reserve, level) else {
        return verdict;
    };
    if let Err(reason) = check(&verdict, gate, reserve) {
        verdict.decision = Decision::EvalFailed;
        verdict.reasons = vec![reason];
        return verdict;
    }
    let answers = Answers::new(gate, reserve);
    let suspects = suspects(&verdict);
    let config = verdict.config;
    let enough = |subject: &Subject| {
        let least = match subject {
            Subject::Earlier => config.min_items.min(config.min_era_items),
            _ => config.min_era_items,
        };
        answers.reserve_of(subject).len() as u64 >= least.max(1)
    };
    let (testable, bare): (Vec<Subject>, Vec<Subject>) = suspects.into_iter().partition(enough);
    let shares = weights(&testable);
    let compare = |subject: &Subject, alpha: f64| T::compare(answers.reserve_of(subject), &Level::single(alpha));
    let comparisons: Vec<Comparison> = testable
        .iter()
        .zip(&shares)
        .map(|(subject, share)| compare(subject, level * share))
        .collect();
    let p_values: Vec<f64> = comparisons.iter().map(|comparison| comparison.p_value).collect();
    let adjusted = weighted_holm(&p_values, &shares);
    let tested = testable.into_iter().zip(comparisons).zip(adjusted);
    let mut tests: Vec<Confirmed> = tested
        .map(|((subject, comparison), p)| Confirmed {
            subject,
            comparison,
            adjusted_p: Some(p),
            regressed: p <= level,
        })
        .collect();
    tests.extend(bare.into_iter().map(|subject| Confirmed {
        comparison: compare(&subject, config.alpha),
        regressed: gate_p(&verdict, &subject).is_some_and(|p| p <= config.alpha),
        adjusted_p: None,
        subject,
    }));
    for test in tests.iter().filter(|test| test.regressed) {
        match &test.subject {
            Subject::Earlier => {}
            Subject::Era(name) => verdict
                .eras
                .iter_mut()
                .filter(|e| e.era == *name)
                .for_each(|e| e.regressed = true),
            Subject::Slice(key) => verdict
                .slices
                .iter_mut()
                .filter(|s| s.slice == *key)
                .for_each(|s| s.regressed = true),
        }
    }
    let whole_run = Level {
        confidence: POOLED_CONFIDENCE,
        ..Level::single(config.alpha)
    };
    let pooled = |items: Vec<&T>| T::compare(items, &whole_run);
    let newest = verdict.eras.iter().find(|e| e.newest);
    verdict.confirmation = Some(Confirmation {
        items: reserve.iter().map(|era| era.items.len() as u64).sum(),
        pooled: pooled(answers.both(&Subject::Earlier)),
        pooled_newest: newest.map(|era| pooled(answers.both(&Subject::Era(era.era.clone())))),
        tests,
    });
    verdict.decision = decide(&verdict);
    verdict.reasons = report::reasons(&verdict, None);
    verdict
}

fn check<T: Judged>(verdict: &Verdict, gate: &[Era<T>], reserve: &[Era<T>]) -> Result<(), String> {
    let names = |eras: &mut dyn Iterator<Item = (String, u64)>| eras.collect::<Vec<_>>();
    let judged = names(&mut verdict.eras.iter().map(|e| (e.era.clone(), e.comparison.n)));
    let given = names(&mut gate.iter().map(|e| (e.era.clone(), e.items.len() as u64)));
    if judged != given {
        return Err("The gate's answers are not those that the first stage was given.".into());
    }
    let mut seen: HashSet<&str> = gate.iter().flat_map(|era| &era.items).map(Judged::name).collect();
    let mut eras = HashSet::new();
    for era in reserve {
        if !gate.iter().any(|e| e.era == era.era) {
            return Err(format!(
                "The reserve has era {}, which the gate does not have.",
                era.era
            ));
        }
        if !eras.insert(&era.era) {
            return Err(format!("The reserve names era {} twice.", era.era));
        }
        check_items(&format!("the reserve's era {}", era.era), &era.items, &mut seen)?;
    }
    Ok(())
}

/// What the gate set tripped on.
fn suspects(verdict: &Verdict) -> Vec<Subject> {
    let level = verdict.levels.map_or(0.0, |levels| levels.gate);
    let eras = verdict.eras.iter().map(|e| Subject::Era(e.era.clone()));
    let slices = verdict.slices.iter().map(|s| Subject::Slice(s.slice.clone()));
    let all = [Subject::Earlier].into_iter().chain(eras).chain(slices);
    all.filter(|subject| gate_p(verdict, subject).is_some_and(|p| p <= level))
        .collect()
}

/// The adjusted p-value on the gate set.
pub(super) fn gate_p(verdict: &Verdict, subject: &Subject) -> Option<f64> {
    match subject {
        Subject::Earlier => verdict.earlier_adjusted_p,
        Subject::Era(name) => verdict.eras.iter().find(|e| e.era == *name)?.adjusted_p,
        Subject::Slice(key) => verdict.slices.iter().find(|s| s.slice == *key)?.adjusted_p,
    }
}

/// The answers to both sets.
struct Answers<'a, T> {
    gate: &'a [Era<T>],
    reserve: &'a [Era<T>],
    /// Empty with a single era, which is an earlier one then.
    newest: Option<&'a str>,
}

impl<'a, T: Judged> Answers<'a, T> {
    fn new(gate: &'a [Era<T>], reserve: &'a [Era<T>]) -> Self {
        let newest = gate.last().filter(|_| gate.len() > 1).map(|era| era.era.as_str());
        Answers { gate, reserve, newest }
    }

    fn reserve_of(&self, subject: &Subject) -> Vec<&'a T> {
        let earlier = || {
            self.reserve
                .iter()
                .filter(|era| Some(era.era.as_str()) != self.newest)
                .flat_map(|e| &e.items)
        };
        match subject {
            Subject::Earlier => earlier().collect(),
            Subject::Era(name) => self
                .reserve
                .iter()
                .filter(|e| e.era == *name)
                .flat_map(|e| &e.items)
                .collect(),
            Subject::Slice(key) => by_slice(&earlier().collect::<Vec<_>>())
                .remove(key.as_str())
                .unwrap_or_default(),
        }
    }

    fn both(&self, subject: &Subject) -> Vec<&'a T> {
        let mut items: Vec<&T> = match subject {
            Subject::Era(name) => self
                .gate
                .iter()
                .filter(|e| e.era == *name)
                .flat_map(|e| &e.items)
                .collect(),
            _ => earlier_items(self.gate).collect(),
        };
        items.extend(self.reserve_of(subject));
        items
    }
}
