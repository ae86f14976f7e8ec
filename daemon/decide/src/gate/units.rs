//! Case files as units: several items of one file stand or fall together, so the file is what is flipped and drawn.

use super::paired::resampled;
use super::stats::McNemar;
use std::collections::HashMap;

/// The indexes of each file's items, in the order in which the files appear; an item without a file is a unit of its own.
/// None where no file has two items.
pub(super) fn group<'a>(files: impl Iterator<Item = Option<&'a str>>) -> Option<Vec<Vec<usize>>> {
    let mut units: Vec<Vec<usize>> = Vec::new();
    let mut place: HashMap<&str, usize> = HashMap::new();
    let mut shared = false;
    for (i, file) in files.enumerate() {
        match file.and_then(|file| place.get(file)) {
            Some(&unit) => {
                units[unit].push(i);
                shared = true;
            }
            None => {
                place.extend(file.map(|file| (file, units.len())));
                units.push(vec![i]);
            }
        }
    }
    shared.then_some(units)
}

/// Sums of the differences of each unit, and how many items it has.
pub(super) struct Units(Vec<(f64, u64)>);

impl Units {
    pub(super) fn new(units: impl Iterator<Item = (f64, u64)>) -> Units {
        Units(units.collect())
    }

    /// Quantiles of the mean difference of an item when whole units are drawn again.
    pub(super) fn quantiles<const N: usize>(&self, seed: u64, shares: [f64; N]) -> [f64; N] {
        resampled(&self.0, seed, shares)
    }

    /// Standard error of the mean difference where the true one is 0.
    pub(super) fn null_error(&self) -> f64 {
        let items: u64 = self.0.iter().map(|(_, items)| items).sum();
        let squares: f64 = self.0.iter().map(|(sum, _)| sum * sum).sum();
        squares.sqrt() / items.max(1) as f64
    }

    /// Standard error of the mean difference (a ratio of sums, Cochran 1977, section 6.3).
    pub(super) fn error(&self) -> f64 {
        let items: u64 = self.0.iter().map(|(_, items)| items).sum();
        let mean = self.0.iter().map(|(sum, _)| sum).sum::<f64>() / items.max(1) as f64;
        let squares: f64 = self.0.iter().map(|(sum, n)| (sum - mean * *n as f64).powi(2)).sum();
        let units = self.0.len() as f64;
        (squares * units / (units - 1.0).max(1.0)).sqrt() / items.max(1) as f64
    }
}

/// The sign-flip test that the sum of `changes` is this low by chance, exactly: the distribution of the sum over all
/// choices of signs, by adding one change after the other. Where every change is 1 it is McNemar's test.
pub(super) fn integer_flips(changes: &[i64]) -> McNemar {
    let total: usize = changes.iter().map(|change| change.unsigned_abs() as usize).sum();
    // Chance that the changes which are turned upwards add up to the index.
    let mut chance = vec![0.0; total + 1];
    chance[0] = 1.0;
    let mut reached = 0;
    for size in changes
        .iter()
        .map(|change| change.unsigned_abs() as usize)
        .filter(|size| *size > 0)
    {
        reached += size;
        for sum in (0..=reached).rev() {
            let turned = if sum >= size { chance[sum - size] } else { 0.0 };
            chance[sum] = (chance[sum] + turned) / 2.0;
        }
    }
    let ups: usize = changes
        .iter()
        .filter(|change| **change > 0)
        .map(|change| *change as usize)
        .sum();
    let below: f64 = chance[..ups].iter().sum();
    McNemar {
        mid_p: (below + chance[ups] / 2.0).min(1.0),
        exact_p: (below + chance[ups]).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::stats::mcnemar;
    use super::*;

    #[test]
    fn changes_of_one_are_mcnemars_test() {
        for (b, c) in [(0, 0), (3, 0), (0, 4), (10, 7), (40, 61), (200, 150)] {
            let changes: Vec<i64> = (0..b).map(|_| -1).chain((0..c).map(|_| 1)).chain([0, 0]).collect();
            let (got, want) = (integer_flips(&changes), mcnemar(b, c));
            assert!((got.mid_p - want.mid_p).abs() < 1e-12, "{b} {c}: {got:?} {want:?}");
            assert!((got.exact_p - want.exact_p).abs() < 1e-12, "{b} {c}: {got:?} {want:?}");
        }
    }

    #[test]
    fn files_are_grouped_in_order_and_items_without_one_stand_alone() {
        let files = [Some("a"), None, Some("b"), Some("a"), None];
        assert_eq!(
            group(files.into_iter()),
            Some(vec![vec![0, 3], vec![1], vec![2], vec![4]])
        );
        assert_eq!(group([Some("a"), None, Some("b"), None].into_iter()), None);
    }
}
