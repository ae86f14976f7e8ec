//! Performance on files that were answered before they were learned from.

use crate::gate::stats::{falling_tail, ln_pmf_half};
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// An e-process over items on which exactly one of two versions is right: the reference, which is the anchor or what
/// served before, and the version that serves. It is a bet that the reference wins more than half of them, so it may be
/// looked at after every item and stopped at any time, and still exceeds 1/alpha with a chance of at most alpha if the
/// version that serves is no worse (Ville's inequality). This needs the pair of versions to be fixed before each label is
/// seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Live {
    /// Items that only the reference had right.
    pub b: u64,
    /// Items that only the version that serves had right.
    pub c: u64,
    /// The highest logarithm of the e-value so far.
    pub peak_ln_e: f64,
}

impl Live {
    /// Takes the answers to one more item.
    #[must_use]
    pub fn advance(&self, reference_right: bool, serving_right: bool) -> Live {
        let mut next = *self;
        next.b += u64::from(reference_right && !serving_right);
        next.c += u64::from(serving_right && !reference_right);
        next.peak_ln_e = next.peak_ln_e.max(next.ln_e());
        next
    }

    /// The logarithm of the e-value now: ln of the mean of (2p)^b (2(1-p))^c over p between 1/2 and 1, which is
    /// 2^(m+1) B(b+1, c+1) (1 - I_1/2(b+1, c+1)) with m = b + c.
    pub fn ln_e(&self) -> f64 {
        let (b, m) = (self.b, self.b + self.c);
        // B(b+1, c+1) = 1 / ((m+1) choose(m, b)), and 1 - I_1/2(b+1, c+1) = P(X <= b) for X ~ Binomial(m+1, 1/2).
        LN_2 - ((m + 1) as f64).ln() - ln_pmf_half(m, b) + ln_at_most(m + 1, b)
    }

    /// The evidence once reached 1/`alpha`.
    pub fn alarms(&self, alpha: f64) -> bool {
        self.peak_ln_e >= -alpha.ln()
    }
}

/// ln P(X <= k) for X ~ Binomial(m, 1/2).
fn ln_at_most(m: u64, k: u64) -> f64 {
    let at = ln_pmf_half(m, k);
    if 2 * k >= m {
        (-falling_tail(m, k, at.exp())).ln_1p()
    } else {
        // By symmetry P(X >= m - k), in units of its largest term, which may be too small for a number.
        at + falling_tail(m, m - k, 1.0).ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_item_is_no_evidence_and_equal_answers_are_none_either() {
        let mut live = Live::default();
        assert!(live.ln_e().abs() < 1e-15);
        for _ in 0..100 {
            live = live.advance(true, true).advance(false, false);
        }
        assert_eq!(live, Live::default());
        // One item: the mean of 2p over (1/2, 1) is 3/2, and of 2(1-p) is 1/2.
        assert!((live.advance(true, false).ln_e() - 1.5f64.ln()).abs() < 1e-14);
        assert!((live.advance(false, true).ln_e() - 0.5f64.ln()).abs() < 1e-14);
    }

    #[test]
    fn a_worse_version_is_found_and_the_alarm_stays() {
        let mut live = Live::default();
        let mut items = 0;
        while !live.alarms(0.01) {
            live = live.advance(items % 4 != 0, items % 4 == 0);
            items += 1;
        }
        assert!((15..80).contains(&items), "{items}");
        for _ in 0..200 {
            live = live.advance(false, true);
        }
        assert!(live.alarms(0.01) && live.ln_e() < -3.0);
        let far = Live {
            b: 10,
            c: 100_000,
            peak_ln_e: 0.0,
        };
        assert!(far.ln_e().is_finite());
    }
}
