//! Champion and challenger on one set of items.

use super::levels::CONFIDENCE;
use super::stats::{McNemar, detectable_points, mcnemar, normal_quantile, tango_interval};
use super::units::{Units, group, integer_flips};
use super::{Comparison, ItemOutcome, Metric};

/// What two answers to one item can be.
pub trait Judged: Sized {
    /// The item's name.
    fn name(&self) -> &str;

    /// The case file that it shares with other items, if any.
    fn case_file(&self) -> Option<&str>;

    /// What it is counted under besides, each as `kind=value`.
    fn slices(&self) -> &[String];

    /// What makes it worthless, if anything.
    fn wrong(&self) -> Option<String>;

    /// The champion passes it and the challenger fails it.
    fn broke(&self) -> bool;

    /// Compares both on all items.
    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, level: &Level) -> Comparison
    where
        Self: 'a;
}

/// The choices of signs and samples of two comparisons of the same items are the same.
pub(super) const SEED: u64 = 1;

/// What a comparison is held to; the smallest detectable drop is told for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// Level of this test. One that makes no sense is refused elsewhere.
    pub alpha: f64,
    /// Level of the test that has to confirm it, and how many items that has.
    pub confirm: Option<(f64, u64)>,
    /// One-sided confidence of the bound of the drop.
    pub confidence: f64,
}

impl Level {
    /// One test alone.
    pub fn single(alpha: f64) -> Level {
        Level {
            alpha,
            confirm: None,
            confidence: CONFIDENCE,
        }
    }

    /// Choices of signs, 10,000 or so many that a p-value can be far below the level at all.
    pub(super) fn draws(&self) -> u32 {
        match is_level(self.alpha) {
            true => (10.0 / self.alpha).ceil().clamp(10_000.0, 200_000.0) as u32,
            false => 10_000,
        }
    }

    /// The drop in points that is noticed nine times in ten, for this standard error of a difference of `n` items.
    /// `outright`: right or wrong, where a few newly wrong items can never be significant.
    pub(super) fn mde_points(&self, n: u64, error: f64, outright: bool) -> f64 {
        let mut stages = vec![(self.alpha, n)];
        stages.extend(self.confirm.filter(|(_, items)| *items > 0));
        if n == 0 || !stages.iter().all(|(alpha, _)| is_level(*alpha)) {
            return 100.0;
        }
        let errors = stages
            .iter()
            .map(|&(alpha, items)| (error * (n as f64 / items as f64).sqrt(), alpha));
        let normal = detectable_points(&errors.collect::<Vec<_>>());
        // All m discordant items against the challenger have mid-p 2^-(m+1).
        let fewest = |&(alpha, items): &(f64, u64)| 100.0 * (-alpha.log2() - 1.0).ceil().max(1.0) / items as f64;
        let least = if outright {
            stages.iter().map(fewest).fold(0.0, f64::max)
        } else {
            0.0
        };
        normal.max(least).min(100.0)
    }
}

/// An alpha that makes no sense is refused later; the comparison must still be writable as JSON.
pub(super) fn writable(alpha: f64) -> f64 {
    if alpha.is_finite() { alpha } else { 0.0 }
}

fn is_level(alpha: f64) -> bool {
    alpha > 0.0 && alpha <= 0.5
}

impl Judged for ItemOutcome {
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
        None
    }

    fn broke(&self) -> bool {
        self.champion_right && !self.challenger_right
    }

    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, level: &Level) -> Comparison {
        let items: Vec<&ItemOutcome> = items.into_iter().collect();
        let count = |what: fn(&ItemOutcome) -> bool| items.iter().filter(|item| what(item)).count() as u64;
        let n = items.len() as u64;
        let b = count(ItemOutcome::broke);
        let c = count(|item| !item.champion_right && item.challenger_right);
        let both = count(|item| item.champion_right && item.challenger_right);
        let share = |part: u64| if n == 0 { 0.0 } else { part as f64 / n as f64 };
        let found = match group(items.iter().map(|item| item.case_file.as_deref())) {
            None => alone(b, c, n, level.confidence),
            Some(files) => {
                let change = |i: usize| i64::from(items[i].challenger_right) - i64::from(items[i].champion_right);
                together(&files, change, level.confidence)
            }
        };
        Comparison {
            metric: Metric::Accuracy,
            n,
            files: found.files,
            b,
            c,
            psi: share(b + c),
            champion_accuracy: share(both + b),
            challenger_accuracy: share(both + c),
            difference_points: 100.0 * (c as f64 - b as f64) / n.max(1) as f64,
            interval95_points: (100.0 * found.interval.0, 100.0 * found.interval.1),
            drop_bound95_points: -100.0 * found.one_sided_low,
            p_value: found.p.mid_p,
            exact_p: found.p.exact_p,
            mde_points: level.mde_points(n, found.error, true),
            alpha: writable(level.alpha),
        }
    }
}

struct Found {
    files: Option<u64>,
    p: McNemar,
    interval: (f64, f64),
    one_sided_low: f64,
    /// Standard error of the difference if there were none.
    error: f64,
}

fn alone(b: u64, c: u64, n: u64, confidence: f64) -> Found {
    Found {
        files: None,
        p: mcnemar(b, c),
        interval: tango_interval(b, c, n, normal_quantile(0.975)),
        one_sided_low: tango_interval(b, c, n, normal_quantile(confidence)).0,
        error: ((b + c) as f64).sqrt() / n.max(1) as f64,
    }
}

/// Whole files are flipped and drawn. An interval reaches at least as far from the difference as it would reach from 0 if none of so many
/// independent files had changed: a bootstrap of files without a change would see no width at all.
fn together(files: &[Vec<usize>], change: impl Fn(usize) -> i64, confidence: f64) -> Found {
    let changes: Vec<i64> = files.iter().map(|file| file.iter().map(|&i| change(i)).sum()).collect();
    let units = Units::new(
        files
            .iter()
            .zip(&changes)
            .map(|(file, sum)| (*sum as f64, file.len() as u64)),
    );
    let [low, high, one_sided_low] = units.quantiles(SEED, [0.025, 0.975, 1.0 - confidence]);
    let items: usize = files.iter().map(Vec::len).sum();
    let difference = changes.iter().sum::<i64>() as f64 / items.max(1) as f64;
    let unchanged = |z: f64| {
        let (low, high) = tango_interval(0, 0, files.len() as u64, z);
        ((difference + low).max(-1.0), (difference + high).min(1.0))
    };
    let least = unchanged(normal_quantile(0.975));
    Found {
        files: Some(files.len() as u64),
        p: integer_flips(&changes),
        interval: (low.min(least.0), high.max(least.1)),
        one_sided_low: one_sided_low.min(unchanged(normal_quantile(confidence)).0),
        error: units.null_error(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(n: usize, per_file: usize) -> Vec<ItemOutcome> {
        let item = |i: usize| ItemOutcome {
            item: i.to_string(),
            champion_right: i % 7 != 3,
            challenger_right: i % 5 != 2,
            case_file: Some((i / per_file).to_string()),
            slices: Vec::new(),
        };
        (0..n).map(item).collect()
    }

    #[test]
    fn items_that_are_one_per_file_are_compared_by_mcnemar() {
        let one_each = items(300, 1);
        let mut nameless = one_each.clone();
        nameless.iter_mut().for_each(|item| item.case_file = None);
        let level = Level::single(0.01);
        let compared = ItemOutcome::compare(&one_each, &level);
        assert_eq!(compared, ItemOutcome::compare(&nameless, &level));
        assert_eq!((compared.files, compared.units()), (None, 300));
    }

    #[test]
    fn files_with_several_items_count_once() {
        // The same answers, each ten times over: McNemar would be far surer than the one in ten it may be.
        let once = items(60, 1);
        let tenfold: Vec<ItemOutcome> = once
            .iter()
            .flat_map(|item| {
                (0..10).map(move |copy| ItemOutcome {
                    item: format!("{}/{copy}", item.item),
                    ..item.clone()
                })
            })
            .collect();
        let level = Level::single(0.01);
        let (single, many) = (
            ItemOutcome::compare(&once, &level),
            ItemOutcome::compare(&tenfold, &level),
        );
        assert_eq!((many.n, many.files), (600, Some(60)));
        assert!((many.p_value - single.p_value).abs() < 1e-12 && (many.exact_p - single.exact_p).abs() < 1e-12);
        assert!(
            (many.mde_points - single.mde_points).abs() < 2.0,
            "{} {}",
            many.mde_points,
            single.mde_points
        );
        assert!((many.drop_bound95_points - single.drop_bound95_points).abs() < 1.5);
    }

    #[test]
    fn files_without_a_change_do_not_prove_that_there_is_none() {
        let item = |i: usize| ItemOutcome {
            item: i.to_string(),
            champion_right: true,
            challenger_right: true,
            case_file: Some((i / 10).to_string()),
            slices: Vec::new(),
        };
        let items: Vec<ItemOutcome> = (0..300).map(item).collect();
        let compared = ItemOutcome::compare(&items, &Level::single(0.01));
        // Of 30 files without a change, 8 % more could have changed.
        assert!(compared.drop_bound95_points > 5.0, "{compared:?}");
    }

    #[test]
    fn a_second_test_makes_the_detectable_drop_larger_and_more_of_its_items_make_it_smaller() {
        let points = |confirm| {
            Level {
                confirm,
                ..Level::single(0.1)
            }
            .mde_points(500, (0.1f64 / 500.0).sqrt(), true)
        };
        let (one, small, large) = (points(None), points(Some((0.027, 500))), points(Some((0.027, 5000))));
        assert!(one < large && large < small, "{one} {large} {small}");
        assert!(
            (points(Some((0.027, 1000))) - 4.0).abs() < 0.3,
            "{}",
            points(Some((0.027, 1000)))
        );
    }
}
