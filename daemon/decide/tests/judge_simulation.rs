//! The gate's promises, by seeded simulation.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use wengu_decide::gate::{Decision, EraOutcomes, GateConfig, GateMode, ItemOutcome, judge};

const CONFIG: GateConfig = GateConfig {
    alpha: 0.05,
    margin_points: 3.0,
    min_items: 50,
    min_era_items: 50,
    mode: GateMode::RequireNoninferiority,
    accuracy_floor: 0.0,
    metric: wengu_decide::gate::Metric::Accuracy,
};

/// Items on which champion and challenger differ with probability `psi`, and the challenger is `drop` worse.
fn era(rng: &mut ChaCha8Rng, name: &str, n: usize, psi: f64, drop: f64) -> EraOutcomes {
    let items = (0..n)
        .map(|i| {
            let u = rng.next_u64() as f64 / 2f64.powi(64);
            let lost = u < (psi + drop) / 2.0;
            let gained = !lost && u < psi;
            ItemOutcome {
                item: format!("{name}{i}"),
                champion_right: !gained,
                challenger_right: !lost,
                ..ItemOutcome::default()
            }
        })
        .collect();
    EraOutcomes {
        era: name.into(),
        items,
    }
}

fn regressed(seed: u64, repeats: usize, eras: impl Fn(&mut ChaCha8Rng) -> Vec<EraOutcomes>) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..repeats)
        .filter(|_| judge(&CONFIG, &eras(&mut rng)).decision == Decision::Regressed)
        .count()
}

#[test]
fn null_retrains_are_called_regressions_no_more_often_than_alpha() {
    let repeats = 1500;
    let count = regressed(11, repeats, |rng| {
        vec![
            era(rng, "a", 200, 0.10, 0.0),
            era(rng, "b", 100, 0.20, 0.0),
            era(rng, "c", 100, 0.15, 0.0),
        ]
    });
    // Holm over 4 tests at .05; three standard errors of a rate of exactly .05 are 25 of 1500.
    assert!(count <= 75 + 25, "{count} of {repeats} null retrains");
    assert!(count >= 10, "{count} of {repeats}: the test has no power at all");
}

#[test]
fn a_planted_drop_is_found_as_often_as_enumeration_predicts() {
    // One era, so one test at .05: exact power by enumeration is .8095 (n 300, psi .10, drop 5 points).
    let repeats = 1000;
    let count = regressed(12, repeats, |rng| vec![era(rng, "a", 300, 0.10, 0.05)]);
    let predicted = enumerated_power(300, 0.10, 0.05, 0.05);
    let deviation = 3.5 * (predicted * (1.0 - predicted) * repeats as f64).sqrt();
    let expected = predicted * repeats as f64;
    assert!(
        (count as f64 - expected).abs() < deviation,
        "{count} found, {expected:.0} predicted"
    );
    assert!(predicted > 0.7);
}

#[test]
fn a_drop_in_one_small_era_is_found_and_a_null_is_seldom_promoted_past_the_margin() {
    let repeats = 300;
    let count = regressed(13, repeats, |rng| {
        vec![
            era(rng, "a", 400, 0.08, 0.0),
            era(rng, "b", 100, 0.25, 0.24),
            era(rng, "c", 100, 0.08, 0.0),
        ]
    });
    assert!(count >= repeats * 95 / 100, "{count} of {repeats}");
    // A challenger exactly at the margin is promoted at most one time in twenty.
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let promoted = (0..1000)
        .filter(|_| judge(&CONFIG, &[era(&mut rng, "a", 1000, 0.10, 0.03)]).decision == Decision::Promote)
        .count();
    assert!(promoted <= 50 + 21, "{promoted} of 1000 at the margin were promoted");
}

fn enumerated_power(n: u64, psi: f64, drop: f64, alpha: f64) -> f64 {
    let mut ln_factorials = vec![0.0];
    for i in 1..=n {
        ln_factorials.push(ln_factorials[i as usize - 1] + (i as f64).ln());
    }
    let pmf = |n: u64, k: u64, p: f64| {
        let choose = ln_factorials[n as usize] - ln_factorials[k as usize] - ln_factorials[(n - k) as usize];
        (choose + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()).exp()
    };
    let wrong = (psi + drop) / (2.0 * psi);
    (0..=n)
        .map(|m| {
            // The p-value from its definition, independent of the gate's own.
            let mid_p = |b: u64| (b + 1..=m).map(|x| pmf(m, x, 0.5)).sum::<f64>() + pmf(m, b, 0.5) / 2.0;
            let rejected = (0..=m).rev().take_while(|&b| mid_p(b) <= alpha);
            pmf(n, m, psi) * rejected.map(|b| pmf(m, b, wrong)).sum::<f64>()
        })
        .sum()
}
