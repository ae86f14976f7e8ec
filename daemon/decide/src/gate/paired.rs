//! Paired scores of two models on the same items: any score, where [`super::stats`] has right and wrong.

use crate::random::below;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// Up to so many items that differ, every choice of signs is tried; beyond, as many are drawn.
const EXACT_ITEMS_MAX: usize = 13;
/// Choices of signs that are drawn.
const FLIPS: u32 = 10_000;
/// Samples of the items, with replacement, behind the interval.
pub(super) const RESAMPLES: usize = 10_000;
/// Two sums this close are the same: addition is not exact, and equal choices must count as equal.
const TIE: f64 = 1e-9;

/// What differences (challenger's score minus champion's, item by item) say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Items.
    pub items: u64,
    /// Mean difference.
    pub difference: f64,
    /// 95 % of the means of resampled items (percentile bootstrap, Efron & Tibshirani 1993, section 13.3).
    pub interval: (f64, f64),
    /// One-sided p-value of the sign-flip permutation test: the chance of a mean this low if it were chance alone which of
    /// the two models gets which of an item's scores (Edgington & Onghena 2007, chapter 5). Drawn choices count
    /// themselves in, (k + 1) / (n + 1), so that it is never 0 (Phipson & Smyth 2010).
    pub worse_p: f64,
}

/// Compares. Every random choice follows from `seed`. None without items, or where a difference is not finite.
pub fn paired(differences: &[f64], seed: u64) -> Option<Paired> {
    if differences.is_empty() || differences.iter().any(|d| !d.is_finite()) {
        return None;
    }
    Some(Paired {
        items: differences.len() as u64,
        difference: mean(differences),
        interval: interval(differences, seed),
        worse_p: worse_p(differences, seed, FLIPS),
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The p-value of [`Paired::worse_p`], by `draws` choices of signs where they are too many to try all.
pub(super) fn worse_p(differences: &[f64], seed: u64, draws: u32) -> f64 {
    // Items without a difference are the same either way.
    let sizes: Vec<f64> = differences.iter().filter(|d| **d != 0.0).map(|d| d.abs()).collect();
    let observed: f64 = differences.iter().sum();
    let tie = TIE * sizes.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let flipped = |sign: &dyn Fn(usize) -> bool| -> f64 {
        let signed = sizes
            .iter()
            .enumerate()
            .map(|(i, size)| if sign(i) { -size } else { *size });
        signed.sum()
    };
    if sizes.len() <= EXACT_ITEMS_MAX {
        let all = 1u32 << sizes.len();
        let low = (0..all).filter(|choice| flipped(&|i| choice >> i & 1 == 1) <= observed + tie);
        return low.count() as f64 / f64::from(all);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut signs = vec![0u64; sizes.len().div_ceil(64)];
    let mut low = 0;
    for _ in 0..draws {
        signs.iter_mut().for_each(|bits| *bits = rng.next_u64());
        low += u32::from(flipped(&|i| signs[i / 64] >> (i % 64) & 1 == 1) <= observed + tie);
    }
    f64::from(low + 1) / f64::from(draws + 1)
}

/// The bound above which the mean difference lies with 95 % (percentile bootstrap, one-sided). None without items, or where a
/// difference is not finite.
pub fn one_sided_low(differences: &[f64], seed: u64) -> Option<f64> {
    let usable = !differences.is_empty() && differences.iter().all(|d| d.is_finite());
    usable.then(|| resampled(&alone(differences), seed, [0.05])[0])
}

fn interval(differences: &[f64], seed: u64) -> (f64, f64) {
    let [low, high] = resampled(&alone(differences), seed, [0.025, 0.975]);
    (low, high)
}

fn alone(differences: &[f64]) -> Vec<(f64, u64)> {
    differences.iter().map(|d| (*d, 1)).collect()
}

/// Quantiles of the mean of an item when units are drawn again; a unit is the sum of its items and their number.
pub(super) fn resampled<const N: usize>(units: &[(f64, u64)], seed: u64, shares: [f64; N]) -> [f64; N] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(1);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = (0..units.len()).map(|_| units[below(&mut rng, units.len())]);
            let (sum, items) = drawn.fold((0.0, 0), |(sum, items), unit| (sum + unit.0, items + unit.1));
            sum / items as f64
        })
        .collect();
    sorted_quantiles(&mut means, shares)
}

pub(super) fn sorted_quantiles<const N: usize>(values: &mut [f64], shares: [f64; N]) -> [f64; N] {
    values.sort_by(f64::total_cmp);
    shares.map(|share| {
        let place = share * (values.len() - 1) as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    })
}
