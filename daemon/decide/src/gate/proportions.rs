//! Shares: an interval for one, and a test that one of two has grown.

use super::normal::{normal_quantile, normal_tail};

/// Wilson's score interval (1927) for a share of which `part` of `whole` were seen, at this two-sided confidence.
pub fn wilson_interval(part: u64, whole: u64, confidence: f64) -> (f64, f64) {
    if whole == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (whole as f64, part as f64 / whole as f64);
    let z = normal_quantile(1.0 - (1.0 - confidence) / 2.0);
    let (scale, middle) = (1.0 + z * z / n, share + z * z / (2.0 * n));
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

/// One-sided p-value that the share behind `after` (part, whole) is larger than that behind `before`: the z test of two
/// proportions with a pooled variance. 1 where nothing can differ.
pub fn two_proportions(before: (u64, u64), after: (u64, u64)) -> f64 {
    let (n0, n1) = (before.1 as f64, after.1 as f64);
    let pooled = (before.0 + after.0) as f64 / (n0 + n1);
    let variance = pooled * (1.0 - pooled) * (1.0 / n0 + 1.0 / n1);
    if before.1 == 0 || after.1 == 0 || variance <= 0.0 {
        return 1.0;
    }
    normal_tail((after.0 as f64 / n1 - before.0 as f64 / n0) / variance.sqrt())
}
