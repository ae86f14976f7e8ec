//! Champion and challenger on one set of items.

use super::stats::{mcnemar, minimum_detectable_points, normal_quantile, tango_interval};
use super::{Comparison, ItemOutcome, ItemScores, one_sided_low, paired};

/// What two answers to one item can be.
pub trait Judged: Sized {
    /// The item's name.
    fn name(&self) -> &str;

    /// What makes it worthless, if anything.
    fn wrong(&self) -> Option<String>;

    /// Compares both on all items. `alpha` is the level that the smallest detectable drop is told for.
    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, alpha: f64) -> Comparison
    where
        Self: 'a;
}

/// The choices of signs and samples of two comparisons of the same items are the same.
const SEED: u64 = 1;

/// An alpha that makes no sense is refused later; the comparison must still be writable as JSON.
fn writable(alpha: f64) -> f64 {
    if alpha.is_finite() { alpha } else { 0.0 }
}

fn is_level(alpha: f64) -> bool {
    alpha > 0.0 && alpha <= 0.5
}

impl Judged for ItemOutcome {
    fn name(&self) -> &str {
        &self.item
    }

    fn wrong(&self) -> Option<String> {
        None
    }

    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, alpha: f64) -> Comparison {
        let (mut n, mut b, mut c, mut both) = (0u64, 0u64, 0u64, 0u64);
        for item in items {
            n += 1;
            match (item.champion_right, item.challenger_right) {
                (true, true) => both += 1,
                (true, false) => b += 1,
                (false, true) => c += 1,
                (false, false) => {}
            }
        }
        let share = |part: u64| if n == 0 { 0.0 } else { part as f64 / n as f64 };
        let p = mcnemar(b, c);
        let (low, high) = tango_interval(b, c, n, normal_quantile(0.975));
        let (one_sided_low, _) = tango_interval(b, c, n, normal_quantile(0.95));
        let psi = share(b + c);
        Comparison {
            n,
            b,
            c,
            psi,
            champion_accuracy: share(both + b),
            challenger_accuracy: share(both + c),
            difference_points: if n == 0 {
                0.0
            } else {
                100.0 * (c as f64 - b as f64) / n as f64
            },
            interval95_points: (100.0 * low, 100.0 * high),
            drop_bound95_points: -100.0 * one_sided_low,
            p_value: p.mid_p,
            exact_p: p.exact_p,
            mde_points: if is_level(alpha) {
                minimum_detectable_points(n, psi, alpha)
            } else {
                100.0
            },
            alpha: writable(alpha),
        }
    }
}

impl Judged for ItemScores {
    fn name(&self) -> &str {
        &self.item
    }

    fn wrong(&self) -> Option<String> {
        let scores = [self.champion, self.challenger];
        let outside = scores.into_iter().find(|score| !(0.0..=1.0).contains(score));
        outside.map(|score| format!("the score {score}, which is not between 0 and 1"))
    }

    /// Scores: the mean instead of the share that is right, the sign-flip test and the bootstrap over items, and for the
    /// smallest detectable drop the normal approximation of a paired mean.
    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, alpha: f64) -> Comparison {
        let items: Vec<&ItemScores> = items.into_iter().collect();
        let differences: Vec<f64> = items.iter().map(|item| item.challenger - item.champion).collect();
        let n = items.len() as u64;
        let mean = |of: fn(&ItemScores) -> f64| items.iter().map(|item| of(item)).sum::<f64>() / n.max(1) as f64;
        let worse = differences.iter().filter(|d| **d < 0.0).count() as u64;
        let better = differences.iter().filter(|d| **d > 0.0).count() as u64;
        let found = paired(&differences, SEED);
        let difference = found.map_or(0.0, |found| found.difference);
        let spread: f64 = differences.iter().map(|d| (d - difference).powi(2)).sum();
        let error = (spread / (n.max(2) - 1) as f64 / n.max(1) as f64).sqrt();
        let (low, high) = found.map_or((-1.0, 1.0), |found| found.interval);
        let p_value = found.map_or(1.0, |found| found.worse_p);
        Comparison {
            n,
            b: worse,
            c: better,
            psi: (worse + better) as f64 / n.max(1) as f64,
            champion_accuracy: mean(|item| item.champion),
            challenger_accuracy: mean(|item| item.challenger),
            difference_points: 100.0 * difference,
            interval95_points: (100.0 * low, 100.0 * high),
            drop_bound95_points: -100.0 * one_sided_low(&differences, SEED).unwrap_or(-1.0),
            p_value,
            exact_p: p_value,
            mde_points: if is_level(alpha) && n > 1 {
                (100.0 * error * (normal_quantile(1.0 - alpha) + normal_quantile(0.9))).min(100.0)
            } else {
                100.0
            },
            alpha: writable(alpha),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decision, Era, GateConfig, GateMode, judge};
    use super::*;

    fn verdict(drop: f64) -> Decision {
        let config = GateConfig {
            alpha: 0.05,
            margin_points: 5.0,
            min_items: 30,
            min_era_items: 20,
            mode: GateMode::RequireNoninferiority,
        };
        // Differences between -0.1 and 0.1 that cancel out, and a drop.
        let item = |i: u32| ItemScores {
            item: format!("i{i}"),
            champion: 0.5,
            challenger: 0.5 + f64::from(i % 21) / 100.0 - 0.1 - drop,
        };
        let items = (0..210).map(item).collect();
        let era = "one".into();
        judge(&config, &[Era { era, items }]).decision
    }

    #[test]
    fn scores_are_judged_by_their_means() {
        assert_eq!(verdict(0.0), Decision::Promote);
        assert_eq!(verdict(0.02), Decision::Regressed);
        assert_eq!(verdict(-0.2), Decision::Promote);
    }

    #[test]
    fn right_and_wrong_as_scores_say_nearly_what_mcnemar_says() {
        let outcomes: Vec<ItemOutcome> = (0..100)
            .map(|i| ItemOutcome {
                item: i.to_string(),
                champion_right: i % 3 != 0,
                challenger_right: i % 4 != 0,
            })
            .collect();
        let score = |right| if right { 1.0 } else { 0.0 };
        let scores: Vec<ItemScores> = outcomes
            .iter()
            .map(|o| ItemScores {
                item: o.item.clone(),
                champion: score(o.champion_right),
                challenger: score(o.challenger_right),
            })
            .collect();
        let (right, score) = (
            ItemOutcome::compare(&outcomes, 0.05),
            ItemScores::compare(&scores, 0.05),
        );
        assert_eq!(
            (right.n, right.b, right.c, right.psi),
            (score.n, score.b, score.c, score.psi)
        );
        assert!((right.difference_points - score.difference_points).abs() < 1e-9);
        // The sign-flip test of -1, 0 and 1 is McNemar's exact test, up to its 10,000 drawn choices.
        assert!(
            (right.exact_p - score.p_value).abs() < 0.02,
            "{} {}",
            right.exact_p,
            score.p_value
        );
        let near = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() < 1.5 && (a.1 - b.1).abs() < 1.5;
        assert!(near(right.interval95_points, score.interval95_points));
    }

    #[test]
    fn a_score_that_is_none_fails_the_evaluation() {
        let item = |score| ItemScores {
            item: "i".into(),
            champion: 0.5,
            challenger: score,
        };
        assert!(item(f64::NAN).wrong().is_some() && item(1.5).wrong().is_some() && item(1.0).wrong().is_none());
    }
}
