//! The statistics of paired right-or-wrong outcomes.
//!
//! Of `n` items, `b` are those only the champion had right and `c` those only the challenger had right. A small p-value
//! speaks for the challenger being worse.

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
fn falling_tail(m: u64, k: u64, at: f64) -> f64 {
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
fn ln_pmf_half(m: u64, k: u64) -> f64 {
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

/// Quantile of the standard normal distribution for 0 < p < 1 (Wichura 1988, AS 241, exact to 16 digits).
pub fn normal_quantile(p: f64) -> f64 {
    let poly = |coefficients: [f64; 8], x: f64| coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c);
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180625 - q * q;
        return q * poly(CENTRE.0, r) / poly(CENTRE.1, r);
    }
    let r = (-p.min(1.0 - p).ln()).sqrt();
    let (coefficients, shift) = if r <= 5.0 { (&MIDDLE, 1.6) } else { (&FAR, 5.0) };
    (poly(coefficients.0, r - shift) / poly(coefficients.1, r - shift)).copysign(q)
}

const CENTRE: ([f64; 8], [f64; 8]) = (
    [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_545e3,
    ],
);
const MIDDLE: ([f64; 8], [f64; 8]) = (
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
);
const FAR: ([f64; 8], [f64; 8]) = (
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
);
