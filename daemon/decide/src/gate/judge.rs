//! The first stage: all that the gate set says.

use super::compare::Judged;
use super::comparisons::compare_all;
use super::config::floor as floor_error;
use super::facts::decide;
use super::family::{weighted_holm, weights};
use super::report;
use super::verdict::{Checklist, Repeated};
use super::{Decision, Era, EraOutcomes, GateConfig, Subject, Verdict};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// All that a run is judged by, but for the reserve.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a, T> {
    /// The gate set: eras in order, the newest last. With a single era, that one is what must not get worse.
    pub eras: &'a [Era<T>],
    /// Items that must not break, apart from the eras; none is counted in any statistic.
    pub checklist: &'a [T],
    /// The champion asked twice; None if it was not.
    pub repeated: Option<&'a Repeated>,
    /// How many items the reserve has that could confirm what the gate set finds. Their answers are not needed yet.
    pub reserve_items: u64,
}

impl<'a, T> Evidence<'a, T> {
    /// The gate set and nothing else.
    pub fn gate(eras: &'a [Era<T>]) -> Self {
        Evidence {
            eras,
            checklist: &[],
            repeated: None,
            reserve_items: 0,
        }
    }
}

/// What the gate set said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage1 {
    /// Final unless the reserve is needed; until it was asked, [`Decision::Hold`].
    pub verdict: Verdict,
    /// The gate set tripped: both versions have to answer the reserve, and [`super::confirm`] decides.
    pub needs_reserve: bool,
}

/// Judges a challenger against the champion on the gate set alone, in one stage at the configured alpha.
pub fn judge<T: Judged>(config: &GateConfig, eras: &[Era<T>]) -> Verdict {
    judge_stage1(config, &Evidence::gate(eras)).verdict
}

/// Judges a challenger against the champion. Right and wrong are compared by McNemar's test and Tango's interval, scores
/// by the sign-flip test, macro-F1 by approximate randomisation; the latter two, and files with several items, by the
/// bootstrap.
pub fn judge_stage1<T: Judged>(config: &GateConfig, evidence: &Evidence<'_, T>) -> Stage1 {
    let mut verdict = compare_all(config, evidence);
    verdict.repeated = evidence.repeated.cloned();
    let broken = evidence.checklist.iter().filter(|item| item.broke());
    verdict.checklist = (!evidence.checklist.is_empty()).then(|| Checklist {
        items: evidence.checklist.len() as u64,
        broken: broken.map(|item| item.name().to_owned()).collect(),
    });
    let checked = config.check().and_then(|()| check(evidence));
    let noisy = verdict.repeated.as_ref().filter(|r| !r.differing.is_empty());
    if let Err(reason) = checked {
        return ended(verdict, Decision::EvalFailed, reason);
    } else if let Some(repeated) = noisy {
        let reason = report::noisy(repeated);
        return ended(verdict, Decision::NoisyEval, reason);
    }
    let broke = verdict.checklist.as_ref().is_some_and(|list| !list.broken.is_empty());
    if verdict.earlier.n == 0 && !broke {
        let reason = report::no_data(evidence.eras.len());
        return ended(verdict, Decision::NoData, reason);
    }
    let needs_reserve = test(&mut verdict) && !broke;
    verdict.decision = if needs_reserve {
        Decision::Hold
    } else {
        decide(&verdict)
    };
    verdict.reasons = report::reasons(&verdict, needs_reserve.then_some(evidence.reserve_items));
    Stage1 { verdict, needs_reserve }
}

/// Judges a domain's first version, which has no champion: in `eras`, `champion_right` says whether the most frequent
/// class of the training data would have been right. Promotes if there are enough items, accuracy is at least `floor`
/// (in [0, 1]) and the configured one, and better than always answering that class.
pub fn judge_first(config: &GateConfig, floor: f64, eras: &[EraOutcomes]) -> Verdict {
    let evidence = Evidence::gate(eras);
    let mut verdict = compare_all(config, &evidence);
    verdict.first = true;
    verdict.earlier = verdict.overall.clone();
    let floor_ok = (0.0..=1.0).contains(&floor);
    let check_floor = || floor_ok.then_some(()).ok_or_else(|| floor_error(floor));
    if let Err(reason) = config
        .check()
        .and_then(|()| check(&evidence))
        .and_then(|()| check_floor())
    {
        return ended(verdict, Decision::EvalFailed, reason).verdict;
    }
    if verdict.overall.n == 0 {
        return ended(verdict, Decision::NoData, report::no_data(1)).verdict;
    }
    let (decision, reasons) = report::first(config, floor.max(config.accuracy_floor), &verdict.overall);
    verdict.decision = decision;
    verdict.reasons = reasons;
    verdict
}

fn ended(mut verdict: Verdict, decision: Decision, reason: String) -> Stage1 {
    verdict.decision = decision;
    verdict.reasons = vec![reason];
    Stage1 {
        verdict,
        needs_reserve: false,
    }
}

/// What makes the numbers worthless, in a sentence.
fn check<T: Judged>(evidence: &Evidence<'_, T>) -> Result<(), String> {
    let mut names = HashSet::new();
    let mut items = HashSet::new();
    for era in evidence.eras {
        if !names.insert(&era.era) {
            return Err(format!("The evaluation names era {} twice.", era.era));
        }
        check_items(&format!("era {}", era.era), &era.items, &mut items)?;
    }
    check_items("the checklist", evidence.checklist, &mut items)
}

/// The same for one list of items; `seen` holds the names of the lists before.
pub(super) fn check_items<'a, T: Judged>(of: &str, items: &'a [T], seen: &mut HashSet<&'a str>) -> Result<(), String> {
    for item in items {
        let name = item.name();
        if name.is_empty() {
            return Err(format!("The evaluation of {of} has an item without a name."));
        }
        if let Some(what) = item.wrong() {
            return Err(format!("The evaluation of {of} has item {name} with {what}."));
        }
        let pair = |slice: &str| {
            slice
                .split_once('=')
                .is_some_and(|(k, v)| !k.is_empty() && !v.is_empty())
        };
        if let Some(slice) = item.slices().iter().find(|slice| !pair(slice)) {
            return Err(format!(
                "The evaluation of {of} has item {name} in the slice `{slice}`, which is not of the form kind=value."
            ));
        }
        if !seen.insert(name) {
            return Err(format!("The evaluation counts item {name} twice (again in {of})."));
        }
    }
    Ok(())
}

/// Holm's procedure over the earlier eras together and every era and slice that is judged. True if something is
/// suspect that the reserve has to confirm; without a reserve it is a regression already.
fn test(verdict: &mut Verdict) -> bool {
    let (subjects, p_values) = tests(verdict);
    let adjusted = weighted_holm(&p_values, &weights(&subjects));
    let levels = verdict.levels.expect("set with the comparisons");
    let single = levels.reserve.is_none();
    let mut tripped = false;
    for (subject, p) in subjects.iter().zip(adjusted) {
        let trips = p <= levels.gate;
        tripped |= trips;
        match subject {
            Subject::Earlier => verdict.earlier_adjusted_p = Some(p),
            Subject::Era(name) => {
                let era = verdict.eras.iter_mut().find(|e| e.era == *name).expect("it is judged");
                (era.adjusted_p, era.regressed) = (Some(p), trips && single);
            }
            Subject::Slice(key) => {
                let slice = verdict
                    .slices
                    .iter_mut()
                    .find(|s| s.slice == *key)
                    .expect("it is judged");
                (slice.adjusted_p, slice.regressed) = (Some(p), trips && single);
            }
        }
    }
    tripped && !single
}

/// What is tested, with its p-value.
fn tests(verdict: &Verdict) -> (Vec<Subject>, Vec<f64>) {
    let config = &verdict.config;
    // A collapse is a collapse on few items too, so this floor is the lower of the two.
    let floor = config.min_items.min(config.min_era_items);
    let earlier = (verdict.earlier.n >= floor).then_some((Subject::Earlier, verdict.earlier.p_value));
    let eras = verdict.eras.iter().filter(|e| e.judged);
    let eras = eras.map(|e| (Subject::Era(e.era.clone()), e.comparison.p_value));
    let slices = verdict.slices.iter().filter(|s| s.judged);
    let slices = slices.map(|s| (Subject::Slice(s.slice.clone()), s.comparison.p_value));
    earlier.into_iter().chain(eras).chain(slices).unzip()
}
