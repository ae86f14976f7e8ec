//! F1, which is no mean over items: paired approximate randomisation and a bootstrap, over items or whole case files.

use super::compare::{Judged, Level, SEED, writable};
use super::paired::{RESAMPLES, sorted_quantiles};
use super::units::group;
use super::{Comparison, ItemLabels, Metric};
use crate::random::below;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::BTreeSet;

/// Two differences this close are the same: a choice that swaps nothing must count as equal.
const TIE: f64 = 1e-12;
/// Ways to swap that are looked at where F1 is told and nothing is decided by it.
const LABEL_SET_DRAWS: u32 = 10_000;

impl Judged for ItemLabels {
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
        self.champion == self.expected && self.challenger != self.expected
    }

    fn compare<'a>(items: impl IntoIterator<Item = &'a Self>, level: &Level) -> Comparison {
        let items: Vec<&ItemLabels> = items.into_iter().collect();
        let n = items.len() as u64;
        let b = items.iter().filter(|item| item.broke()).count() as u64;
        let gained = |item: &&&ItemLabels| item.champion != item.expected && item.challenger == item.expected;
        let c = items.iter().filter(gained).count() as u64;
        let files = group(items.iter().map(|item| item.case_file.as_deref()));
        let shared = files.as_ref().map(|files| files.len() as u64);
        let units = files.unwrap_or_else(|| (0..items.len()).map(|i| vec![i]).collect());
        let single = |label: u32| BTreeSet::from([label]);
        let sets: Vec<Sets<u32>> = items
            .iter()
            .map(|item| [item.expected, item.champion, item.challenger].map(single))
            .collect();
        let sample = Sample::new(&sets, units);
        let (champion, challenger) = sample.scores(0..sample.units.len());
        let mut differences = sample.resampled();
        let mean = differences.iter().sum::<f64>() / RESAMPLES as f64;
        let spread = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>();
        let error = (spread / (RESAMPLES - 1) as f64).sqrt();
        let [low, high, one_sided_low] = match n {
            0 => [-1.0, 1.0, -1.0],
            _ => sorted_quantiles(&mut differences, [0.025, 0.975, 1.0 - level.confidence]),
        };
        let p_value = if n == 0 {
            1.0
        } else {
            sample.worse_p(Counts::macro_f1, level.draws())
        };
        Comparison {
            metric: Metric::MacroF1,
            n,
            files: shared,
            b,
            c,
            psi: (b + c) as f64 / n.max(1) as f64,
            champion_accuracy: champion,
            challenger_accuracy: challenger,
            difference_points: 100.0 * (challenger - champion),
            interval95_points: (100.0 * low, 100.0 * high),
            drop_bound95_points: -100.0 * one_sided_low,
            p_value,
            exact_p: p_value,
            mde_points: if n > 1 {
                level.mde_points(n, error, false)
            } else {
                100.0
            },
            alpha: writable(level.alpha),
        }
    }
}

/// The labels of one item: expected, champion's and challenger's.
type Sets<L> = [BTreeSet<L>; 3];

/// The labels that apply to one item and those that both answered, where any number can.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ItemLabelSets {
    /// What is right.
    pub expected: BTreeSet<String>,
    /// What the champion answered.
    pub champion: BTreeSet<String>,
    /// What the challenger answered.
    pub challenger: BTreeSet<String>,
    /// As for [`super::ItemOutcome::case_file`].
    pub case_file: Option<String>,
}

/// Chances that a macro-F1 and a micro-F1 of the challenger at least this much worse come about where both models are alike: over
/// 10,000 ways to swap their answers, whole case files together. 1 without items.
pub fn label_sets_worse_p(items: &[ItemLabelSets]) -> (f64, f64) {
    if items.is_empty() {
        return (1.0, 1.0);
    }
    let files = group(items.iter().map(|item| item.case_file.as_deref()));
    let units = files.unwrap_or_else(|| (0..items.len()).map(|i| vec![i]).collect());
    let sets: Vec<Sets<&str>> = items
        .iter()
        .map(|item| {
            [&item.expected, &item.champion, &item.challenger].map(|set| set.iter().map(String::as_str).collect())
        })
        .collect();
    let sample = Sample::new(&sets, units);
    let p = |statistic| sample.worse_p(statistic, LABEL_SET_DRAWS);
    (p(Counts::macro_f1), p(Counts::micro_f1))
}

/// Items as units, with labels numbered densely.
struct Sample {
    units: Vec<Vec<[Vec<usize>; 3]>>,
    labels: usize,
}

/// Of a champion (0) or a challenger (1).
type Statistic = fn(&Counts, usize) -> f64;

/// What F1 needs of each label, for both models.
#[derive(Clone)]
struct Counts {
    support: Vec<f64>,
    /// Of the champion and of the challenger: answers, and those that are right.
    answered: [Vec<f64>; 2],
    right: [Vec<f64>; 2],
}

impl Sample {
    fn new<L: Ord>(items: &[Sets<L>], units: Vec<Vec<usize>>) -> Sample {
        let labels: BTreeSet<&L> = items.iter().flatten().flatten().collect();
        let labels: Vec<&L> = labels.into_iter().collect();
        let place = |label: &L| labels.binary_search(&label).expect("collected above");
        let item = |i: usize| items[i].each_ref().map(|set| set.iter().map(place).collect());
        Sample {
            units: units
                .into_iter()
                .map(|unit| unit.into_iter().map(item).collect())
                .collect(),
            labels: labels.len(),
        }
    }

    fn counts(&self) -> Counts {
        let zeros = || vec![0.0; self.labels];
        Counts {
            support: zeros(),
            answered: [zeros(), zeros()],
            right: [zeros(), zeros()],
        }
    }

    /// Macro-F1 of the champion and of the challenger on these units.
    fn scores(&self, units: impl Iterator<Item = usize>) -> (f64, f64) {
        let mut counts = self.counts();
        units.for_each(|unit| counts.add(&self.units[unit], false));
        (counts.macro_f1(0), counts.macro_f1(1))
    }

    fn resampled(&self) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        rng.set_stream(1);
        let n = self.units.len();
        let once = |_| {
            let (champion, challenger) = self.scores((0..n).map(|_| below(&mut rng, n)));
            challenger - champion
        };
        (0..RESAMPLES).map(once).collect()
    }

    /// Share of the ways to swap both models' answers, unit by unit, that make the challenger look at least this bad; the
    /// observed one counts in (Noreen 1989; Phipson & Smyth 2010).
    fn worse_p(&self, statistic: Statistic, draws: u32) -> f64 {
        let difference = |counts: &Counts| statistic(counts, 1) - statistic(counts, 0);
        let mut all = self.counts();
        self.units.iter().for_each(|unit| all.add(unit, false));
        let observed = difference(&all);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let mut same = self.counts();
        let differ = |unit: &&Vec<[Vec<usize>; 3]>| unit.iter().any(|[_, champion, challenger]| champion != challenger);
        self.units
            .iter()
            .filter(|unit| !differ(unit))
            .for_each(|unit| same.add(unit, false));
        let swappable: Vec<&Vec<[Vec<usize>; 3]>> = self.units.iter().filter(differ).collect();
        let mut low = 0;
        let mut bits = 0;
        for _ in 0..draws {
            let mut counts = same.clone();
            for (i, unit) in swappable.iter().enumerate() {
                if i % 64 == 0 {
                    bits = rng.next_u64();
                }
                counts.add(unit, bits >> (i % 64) & 1 == 1);
            }
            low += u32::from(difference(&counts) <= observed + TIE);
        }
        f64::from(low + 1) / f64::from(draws + 1)
    }
}

impl Counts {
    fn add(&mut self, unit: &[[Vec<usize>; 3]], swapped: bool) {
        for [expected, champion, challenger] in unit {
            expected.iter().for_each(|&label| self.support[label] += 1.0);
            let said = if swapped {
                [challenger, champion]
            } else {
                [champion, challenger]
            };
            for (who, labels) in said.into_iter().enumerate() {
                for &label in labels {
                    self.answered[who][label] += 1.0;
                    self.right[who][label] += f64::from(u8::from(expected.contains(&label)));
                }
            }
        }
    }

    /// As [`crate::metrics::Confusion::macro_f1`]; 0 without items.
    fn macro_f1(&self, who: usize) -> f64 {
        let (mut sum, mut labels) = (0.0, 0.0);
        for label in 0..self.support.len() {
            let whole = self.support[label] + self.answered[who][label];
            if whole > 0.0 {
                sum += 2.0 * self.right[who][label] / whole;
                labels += 1.0;
            }
        }
        if labels == 0.0 { 0.0 } else { sum / labels }
    }

    /// F1 over all decisions together; 0 where no label applies or is answered.
    fn micro_f1(&self, who: usize) -> f64 {
        let sum = |counts: &[f64]| counts.iter().sum::<f64>();
        let whole = sum(&self.support) + sum(&self.answered[who]);
        if whole == 0.0 {
            0.0
        } else {
            2.0 * sum(&self.right[who]) / whole
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Confusion;

    fn items(n: u32, challenger: impl Fn(u32) -> u32) -> Vec<ItemLabels> {
        let item = |i: u32| ItemLabels {
            item: i.to_string(),
            expected: i % 4,
            champion: if i.is_multiple_of(9) { (i + 1) % 4 } else { i % 4 },
            challenger: challenger(i),
            ..ItemLabels::default()
        };
        (0..n).map(item).collect()
    }

    #[test]
    fn the_scores_are_those_of_the_metric() {
        let items = items(200, |i| if i.is_multiple_of(5) { 3 } else { i % 4 });
        let compared = ItemLabels::compare(&items, &Level::single(0.05));
        let list = |of: fn(&ItemLabels) -> u32| items.iter().map(of).collect::<Vec<u32>>();
        let expected = list(|i| i.expected);
        for (got, said) in [
            (compared.champion_accuracy, list(|i| i.champion)),
            (compared.challenger_accuracy, list(|i| i.challenger)),
        ] {
            let want = Confusion::new(4, &expected, &said).unwrap().macro_f1().unwrap();
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
        let (low, high) = compared.interval95_points;
        assert!(low < compared.difference_points && compared.difference_points < high);
    }

    #[test]
    fn a_label_that_is_lost_is_seen_and_the_same_answers_are_the_same() {
        // A label that is never answered any more: many items, so plainly worse.
        let worse = ItemLabels::compare(
            &items(200, |i| if i % 4 == 2 { 1 } else { i % 4 }),
            &Level::single(0.05),
        );
        assert!(worse.p_value < 0.001 && worse.difference_points < -10.0, "{worse:?}");
        let same = ItemLabels::compare(
            &items(200, |i| if i.is_multiple_of(9) { (i + 1) % 4 } else { i % 4 }),
            &Level::single(0.05),
        );
        assert_eq!((same.p_value, same.difference_points), (1.0, 0.0));
        let none = ItemLabels::compare(&[], &Level::single(0.05));
        assert_eq!((none.n, none.p_value, none.mde_points), (0, 1.0, 100.0));
    }

    #[test]
    fn items_of_one_file_are_swapped_together() {
        let mut items = items(120, |i| if i % 4 == 2 { 1 } else { i % 4 });
        let apart = ItemLabels::compare(&items, &Level::single(0.05));
        items
            .iter_mut()
            .enumerate()
            .for_each(|(i, item)| item.case_file = Some((i / 40).to_string()));
        let together = ItemLabels::compare(&items, &Level::single(0.05));
        assert_eq!(together.files, Some(3));
        // Three files have eight choices; nothing below 1/8 can come of them.
        assert!(
            together.p_value > 0.1 && apart.p_value < 0.1,
            "{} {}",
            together.p_value,
            apart.p_value
        );
    }
}
