use super::compare::Judged;
use super::report::{self, Facts};
use super::{Decision, Era, EraOutcomes, EraVerdict, GateConfig, GateMode, VERDICT_SCHEMA, Verdict};
use std::collections::HashSet;

/// Judges a challenger against the champion. `eras` are in order, the newest last; with a single era, that one is what
/// must not get worse. Right and wrong are compared by McNemar's test and Tango's interval, scores by the sign-flip test and the
/// bootstrap.
pub fn judge<T: Judged>(config: &GateConfig, eras: &[Era<T>]) -> Verdict {
    let mut verdict = compare_all(config, eras);
    if let Err(reason) = check(config, eras) {
        return ended(verdict, Decision::EvalFailed, reason);
    }
    if verdict.earlier.n == 0 {
        return ended(verdict, Decision::NoData, report::no_data(eras.len()));
    }
    test_regressions(config, &mut verdict);
    decide(verdict)
}

/// Judges a domain's first version, which has no champion: in `eras`, `champion_right` says whether the most frequent
/// class of the training data would have been right. Promotes if there are enough items, accuracy is at least `floor`
/// (in [0, 1]) and better than always answering that class.
pub fn judge_first(config: &GateConfig, floor: f64, eras: &[EraOutcomes]) -> Verdict {
    let mut verdict = compare_all(config, eras);
    verdict.first = true;
    verdict.earlier = verdict.overall.clone();
    let floor_ok = (0.0..=1.0).contains(&floor);
    let floor_reason = || format!("The accuracy floor is {floor}; it must lie between 0 and 1.");
    if let Err(reason) = check(config, eras).and_then(|()| floor_ok.then_some(()).ok_or_else(floor_reason)) {
        return ended(verdict, Decision::EvalFailed, reason);
    }
    if verdict.overall.n == 0 {
        return ended(verdict, Decision::NoData, report::no_data(1));
    }
    let (decision, reasons) = report::first(config, floor, &verdict.overall);
    verdict.decision = decision;
    verdict.reasons = reasons;
    verdict
}

fn ended(mut verdict: Verdict, decision: Decision, reason: String) -> Verdict {
    verdict.decision = decision;
    verdict.reasons = vec![reason];
    verdict
}

/// What makes the numbers worthless, in a sentence.
fn check<T: Judged>(config: &GateConfig, eras: &[Era<T>]) -> Result<(), String> {
    if !(config.alpha > 0.0 && config.alpha <= 0.5) {
        return Err(format!(
            "The gate's alpha is {}; it must be above 0 and at most 0.5.",
            config.alpha
        ));
    }
    if !(config.margin_points > 0.0 && config.margin_points <= 100.0) {
        return Err(format!(
            "The gate's margin is {} points; it must be above 0 and at most 100.",
            config.margin_points
        ));
    }
    let mut names = HashSet::new();
    let mut items = HashSet::new();
    for era in eras {
        if !names.insert(&era.era) {
            return Err(format!("The evaluation names era {} twice.", era.era));
        }
        for outcome in &era.items {
            if outcome.name().is_empty() {
                return Err(format!("The evaluation of era {} has an item without a name.", era.era));
            }
            if let Some(what) = outcome.wrong() {
                let (era, item) = (&era.era, outcome.name());
                return Err(format!("The evaluation of era {era} has item {item} with {what}."));
            }
            if !items.insert(outcome.name()) {
                return Err(format!(
                    "The evaluation counts item {} twice (again in era {}).",
                    outcome.name(),
                    era.era
                ));
            }
        }
    }
    Ok(())
}

/// All comparisons, with nothing decided yet.
fn compare_all<T: Judged>(config: &GateConfig, eras: &[Era<T>]) -> Verdict {
    let newest = eras.len().saturating_sub(1);
    let judged: Vec<bool> = eras
        .iter()
        .enumerate()
        .map(|(i, era)| judged_alone(config, eras, i, era.items.len() as u64))
        .collect();
    // The test of the earlier eras together, and one for each era that is judged alone.
    let tests = 1 + judged.iter().filter(|&&j| j).count();
    let alpha = config.alpha / tests as f64;
    let pool = |eras: &[Era<T>]| T::compare(eras.iter().flat_map(|e| &e.items), alpha);
    Verdict {
        schema: VERDICT_SCHEMA,
        decision: Decision::EvalFailed,
        reasons: Vec::new(),
        config: *config,
        first: false,
        overall: pool(eras),
        earlier: pool(if eras.len() > 1 { &eras[..newest] } else { eras }),
        earlier_adjusted_p: None,
        eras: eras
            .iter()
            .zip(judged)
            .enumerate()
            .map(|(i, (era, judged))| EraVerdict {
                era: era.era.clone(),
                newest: i == newest && eras.len() > 1,
                comparison: T::compare(&era.items, alpha),
                judged,
                adjusted_p: None,
                regressed: false,
            })
            .collect(),
    }
}

/// An era that is all there is of the earlier eras is not tested a second time: that would only cost power.
fn judged_alone<T>(config: &GateConfig, eras: &[Era<T>], index: usize, items: u64) -> bool {
    let newest = eras.len() - 1;
    let earlier_with_items = eras[..newest].iter().filter(|e| !e.items.is_empty()).count();
    let duplicate = if index == newest {
        eras.len() == 1
    } else {
        earlier_with_items == 1
    };
    items > 0 && items >= config.min_era_items && !duplicate
}

/// Holm's step-down procedure over the earlier eras together and every era that is judged alone.
fn test_regressions(config: &GateConfig, verdict: &mut Verdict) {
    let judged: Vec<usize> = (0..verdict.eras.len()).filter(|&i| verdict.eras[i].judged).collect();
    // A collapse is a collapse on few items too, so this floor is the lower of the two.
    let floor = config.min_items.min(config.min_era_items);
    let earlier = (verdict.earlier.n >= floor).then_some(verdict.earlier.p_value);
    let p_values: Vec<f64> = earlier
        .into_iter()
        .chain(judged.iter().map(|&i| verdict.eras[i].comparison.p_value))
        .collect();
    let mut adjusted = holm(&p_values).into_iter();
    if earlier.is_some() {
        verdict.earlier_adjusted_p = adjusted.next();
    }
    for (i, p) in judged.into_iter().zip(adjusted) {
        verdict.eras[i].adjusted_p = Some(p);
        verdict.eras[i].regressed = p <= config.alpha;
    }
}

/// Adjusted p-values: rejecting those at or below alpha keeps the chance of any false rejection at alpha.
fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, i) in order.into_iter().enumerate() {
        largest = largest.max(p_values[i] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[i] = largest;
    }
    adjusted
}

fn decide(mut verdict: Verdict) -> Verdict {
    let config = &verdict.config;
    let newest = verdict
        .eras
        .iter()
        .find(|e| e.newest && e.comparison.n >= config.min_items.max(1));
    let facts = Facts {
        earlier_regressed: verdict.earlier_adjusted_p.is_some_and(|p| p <= config.alpha),
        too_few: verdict.earlier.n < config.min_items,
        earlier_inferior: verdict.earlier.drop_bound95_points >= config.margin_points,
        newest_inferior: newest.is_some_and(|e| e.comparison.drop_bound95_points >= config.margin_points),
    };
    let regressed = facts.earlier_regressed || verdict.eras.iter().any(|e| e.regressed);
    let inferior = facts.earlier_inferior || facts.newest_inferior;
    verdict.decision = if regressed {
        Decision::Regressed
    } else if facts.too_few || (inferior && config.mode == GateMode::RequireNoninferiority) {
        Decision::Hold
    } else {
        Decision::Promote
    };
    verdict.reasons = report::reasons(&verdict, &facts);
    verdict
}

#[cfg(test)]
mod tests {
    use super::holm;

    #[test]
    fn holm_steps_down_and_stays_monotone() {
        // Worked by hand: sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, made non-decreasing.
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
        assert_eq!(holm(&[0.9, 0.8]), vec![1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
