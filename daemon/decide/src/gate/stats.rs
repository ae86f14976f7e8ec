//! The statistics of paired right-or-wrong outcomes.
//!
//! Of `n` items, `b` are those only the champion had right and `c` those only the challenger had right. A small p-value
//! speaks for the challenger being worse.

pub use super::normal::{normal_quantile, normal_tail};
pub use super::proportions::{two_proportions, wilson_interval};
use std::f64::consts::{LN_2, PI};

/// One-sided p-values of McNemar's test, X ~ Binomial(b + c, 1/2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct McNemar {
    /// P(X > b) + P(X = b) / 2. Keeps the level in practice (Fagerland, Lydersen & Laake 2013) and decides.
    pub mid_p: f64,
    /// P(X >= b). Keeps the level by proof, at the price of power; recorded for auditors.
    pub exact_p: f64,
}

/// McNemar's test that the challenger is worse.
pub fn mcnemar(b: u64, c: u64) -> McNemar {
    let m = b + c;
    let at = ln_pmf_half(m, b).exp();
    // Sum the shorter, falling tail: it starts at its largest term, so nothing is lost to rounding or underflow.
    if 2 * b >= m {
        let above = falling_tail(m, b, at);
        McNemar {
            mid_p: above + at / 2.0,
            exact_p: (above + at).min(1.0),
        }
    } else {
        let below = falling_tail(m, c, at);
        McNemar {
            mid_p: 1.0 - (below + at / 2.0),
            exact_p: 1.0 - below,
        }
    }
}

/// P(X > k) for k >= m/2, given P(X = k).
pub(crate) fn falling_tail(m: u64, k: u64, at: f64) -> f64 {
    let (mut term, mut sum) = (at, 0.0);
    for i in k..m {
        term *= (m - i) as f64 / (i + 1) as f64;
        sum += term;
        if term < sum * 1e-18 {
            break;
        }
    }
    sum
}

/// ln P(X = k) for X ~ Binomial(m, 1/2), by Loader's saddle-point expansion (2000): exact to rounding for any m.
pub(crate) fn ln_pmf_half(m: u64, k: u64) -> f64 {
    if k == 0 || k == m {
        return -(m as f64) * LN_2;
    }
    let (n, x, y) = (m as f64, k as f64, (m - k) as f64);
    let half = n / 2.0;
    stirling_error(m) - stirling_error(k) - stirling_error(m - k) - deviance(x, half) - deviance(y, half)
        + 0.5 * (n / (2.0 * PI * x * y)).ln()
}

/// ln n! minus Stirling's approximation, n >= 1.
fn stirling_error(n: u64) -> f64 {
    let x = n as f64;
    if n < 16 {
        let ln_factorial = (2..=n).map(|i| i as f64).product::<f64>().ln();
        return ln_factorial - (0.5 * (2.0 * PI * x).ln() + x * x.ln() - x);
    }
    let r = 1.0 / (x * x);
    (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0 - r / 1188.0)))) / x
}

/// x ln(x / mean) - (x - mean), without cancellation where x is close to the mean.
fn deviance(x: f64, mean: f64) -> f64 {
    let d = x - mean;
    if d.abs() >= 0.1 * (x + mean) {
        return x * (x / mean).ln() - d;
    }
    let v = d / (x + mean);
    let mut sum = d * v;
    let mut term = 2.0 * x * v;
    for j in 1..1000 {
        term *= v * v;
        let next = sum + term / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// Tango's score interval (1998) for the difference (challenger's accuracy minus champion's), at `z` standard errors.
/// Unlike the textbook interval it stays honest for few items and when `b` or `c` is 0.
pub fn tango_interval(b: u64, c: u64, n: u64, z: f64) -> (f64, f64) {
    if n == 0 {
        return (-1.0, 1.0);
    }
    let (gained, lost, n) = (c as f64, b as f64, n as f64);
    let estimate = (gained - lost) / n;
    // Standard errors between the estimate and a supposed true difference, which falls as that difference grows.
    let score = |difference: f64| {
        let linear = -gained - lost + (2.0 * n - gained + lost) * difference;
        let constant = -lost * difference * (1.0 - difference);
        let root = (linear * linear - 8.0 * n * constant).max(0.0).sqrt();
        let only_champion = (root - linear) / (4.0 * n);
        let variance = n * (2.0 * only_champion + difference * (1.0 - difference));
        (gained - lost - n * difference) / variance.max(f64::MIN_POSITIVE).sqrt()
    };
    let solve = |mut inside: f64, mut outside: f64, target: f64| {
        for _ in 0..200 {
            let middle = (inside + outside) / 2.0;
            if score(middle).abs() < target {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        (inside + outside) / 2.0
    };
    (solve(estimate, -1.0, z), solve(estimate, 1.0, z))
}

/// The drop in points that the test would notice nine times in ten, at this churn `psi` and level `alpha`. Not below
/// the smallest number of newly wrong items that can be significant at all, which matters when churn is near 0.
pub fn minimum_detectable_points(n: u64, psi: f64, alpha: f64) -> f64 {
    if n == 0 {
        return 100.0;
    }
    let normal = (normal_quantile(1.0 - alpha) + normal_quantile(0.9)) * (psi / n as f64).sqrt();
    // All m discordant items against the challenger have mid-p 2^-(m+1).
    let fewest = (-alpha.log2() - 1.0).ceil().max(1.0) / n as f64;
    (100.0 * normal.max(fewest)).min(100.0)
}

/// The drop in points that tests which all have to agree notice nine times in ten; each is the standard error of its
/// difference (as a share) and its level. Normal approximation; for one test (z(1 - alpha) + z(.9)) times its error.
pub fn detectable_points(tests: &[(f64, f64)]) -> f64 {
    let power = |drop: f64| -> f64 {
        let each = tests.iter().map(|&(error, alpha)| {
            let beyond = drop / error.max(f64::MIN_POSITIVE) - normal_quantile(1.0 - alpha);
            normal_tail(-beyond)
        });
        each.product()
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if power(middle) < 0.9 {
            low = middle;
        } else {
            high = middle;
        }
    }
    100.0 * high
}
