//! Answers that have scores: their means, the sign-flip test and the bootstrap, over items or whole case files.

use super::compare::{Judged, Level, SEED, writable};
use super::paired::worse_p;
use super::units::{Units, group};
use super::{Comparison, ItemScores, Metric};

/// An answer that is worth less fails an item of the checklist.
const PASSES: f64 = 0.5;

impl Judged for ItemScores {
    fn name(&self) -> &str {
        &self.item
    }

    fn case_file(&self) -> Option<&str> {
        self.case_file.as_deref()
    }

    fn slices(&self) -> &[String] {
        &self.slices
    }

    fn wrong(&self) -> Option<String> {
        let scores = [self.champion, self.challenger];
        let outside = scores.into_iter().find(|score| !(0.0..=1.0).contains(score));
        outside.map(|score| format!("the score {score}, which is not between 0 and 1"))
    }

    fn broke(&self) -> bool {
        self.champion >= PASSES && self.challenger < PASSES
    }

    /// The mean instead of the share that is right, and for the smallest detectable drop the normal approximation of a
    /// paired mean.
    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, level: &Level) -> Comparison {
        let items: Vec<&ItemScores> = items.into_iter().collect();
        let differences: Vec<f64> = items.iter().map(|item| item.challenger - item.champion).collect();
        let n = items.len() as u64;
        let usable = n > 0 && differences.iter().all(|d| d.is_finite());
        // Scores that are none are refused elsewhere; the comparison must still be writable as JSON.
        let mean = |of: fn(&ItemScores) -> f64| match usable {
            true => items.iter().map(|item| of(item)).sum::<f64>() / n as f64,
            false => 0.0,
        };
        let worse = differences.iter().filter(|d| **d < 0.0).count() as u64;
        let better = differences.iter().filter(|d| **d > 0.0).count() as u64;
        let files = group(items.iter().map(|item| item.case_file.as_deref()));
        let sums: Vec<(f64, u64)> = match &files {
            None => differences.iter().map(|d| (*d, 1)).collect(),
            Some(files) => {
                let sum = |file: &Vec<usize>| file.iter().map(|&i| differences[i]).sum();
                files.iter().map(|file| (sum(file), file.len() as u64)).collect()
            }
        };
        let units = Units::new(sums.iter().copied());
        let [low, high, one_sided_low, p_value] = if usable {
            let [low, high, one_sided_low] = units.quantiles(SEED, [0.025, 0.975, 1.0 - level.confidence]);
            let flipped: Vec<f64> = sums.iter().map(|(sum, _)| *sum).collect();
            [low, high, one_sided_low, worse_p(&flipped, SEED, level.draws())]
        } else {
            [-1.0, 1.0, -1.0, 1.0]
        };
        let difference = if usable {
            differences.iter().sum::<f64>() / n as f64
        } else {
            0.0
        };
        Comparison {
            metric: Metric::MeanScore,
            n,
            files: files.map(|files| files.len() as u64),
            b: worse,
            c: better,
            psi: (worse + better) as f64 / n.max(1) as f64,
            champion_accuracy: mean(|item| item.champion),
            challenger_accuracy: mean(|item| item.challenger),
            difference_points: 100.0 * difference,
            interval95_points: (100.0 * low, 100.0 * high),
            drop_bound95_points: -100.0 * one_sided_low,
            p_value,
            exact_p: p_value,
            mde_points: match sums.len() > 1 && usable {
                true => level.mde_points(n, units.error(), false),
                false => 100.0,
            },
            alpha: writable(level.alpha),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Decision, Era, GateConfig, GateMode, ItemOutcome, judge};
    use super::*;

    fn verdict(drop: f64) -> Decision {
        let config = GateConfig {
            alpha: 0.05,
            margin_points: 5.0,
            min_items: 30,
            min_era_items: 20,
            mode: GateMode::RequireNoninferiority,
            accuracy_floor: 0.0,
            metric: Metric::Accuracy,
        };
        // Differences between -0.1 and 0.1 that cancel out, and a drop.
        let item = |i: u32| ItemScores {
            item: format!("i{i}"),
            champion: 0.5,
            challenger: 0.5 + f64::from(i % 21) / 100.0 - 0.1 - drop,
            ..ItemScores::default()
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
                ..ItemOutcome::default()
            })
            .collect();
        let score = |right| if right { 1.0 } else { 0.0 };
        let scores: Vec<ItemScores> = outcomes
            .iter()
            .map(|o| ItemScores {
                item: o.item.clone(),
                champion: score(o.champion_right),
                challenger: score(o.challenger_right),
                ..ItemScores::default()
            })
            .collect();
        let (right, score) = (
            ItemOutcome::compare(&outcomes, &Level::single(0.05)),
            ItemScores::compare(&scores, &Level::single(0.05)),
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
            ..ItemScores::default()
        };
        assert!(item(f64::NAN).wrong().is_some() && item(1.5).wrong().is_some() && item(1.0).wrong().is_none());
    }
}
