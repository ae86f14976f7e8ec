//! A self-starting CUSUM for falls: no baseline has to be measured first, so none can be measured wrongly.

use serde::{Deserialize, Serialize};

/// Runs that only teach it what is usual.
pub const WARM_UP_RUNS: u64 = 20;
/// Falls of less than so many standard deviations a run are let pass: half of the step that is looked for.
const SLACK: f64 = 0.5;
/// One run counts for so many standard deviations at most, so that it is never enough alone: sudden falls are the gate's.
const STEP_MAX: f64 = 6.0;

/// The running numbers. A value is compared with the mean and spread of all before it (Hawkins 1987; Hawkins & Olwell
/// 1998, chapter 7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cusum {
    /// Values so far.
    pub runs: u64,
    /// Their mean.
    pub mean: f64,
    /// Sum of their squared differences to it.
    pub squares: f64,
    /// Standard deviations fallen, beyond the slack.
    pub fallen: f64,
}

impl Cusum {
    /// Takes the next value.
    #[must_use]
    pub fn advance(&self, value: f64) -> Cusum {
        let fallen = match self.runs >= WARM_UP_RUNS {
            true => (self.fallen - self.standardised(value) - SLACK).max(0.0),
            false => 0.0,
        };
        // Welford's update.
        let runs = self.runs + 1;
        let mean = self.mean + (value - self.mean) / runs as f64;
        Cusum {
            runs,
            mean,
            squares: self.squares + (value - self.mean) * (value - mean),
            fallen,
        }
    }

    /// The value as a standard normal one, if it is like those before it: Student's t of its distance to their mean, by
    /// Wallace's transformation (1959), which is within 0.001 from 18 degrees of freedom on.
    fn standardised(&self, value: f64) -> f64 {
        let n = self.runs as f64;
        let distance = value - self.mean;
        let spread = (self.squares / (n - 1.0)).sqrt();
        if spread <= f64::EPSILON * self.mean.abs().max(1.0) {
            let same = distance.abs() <= 1e-9;
            return if same { 0.0 } else { STEP_MAX.copysign(distance) };
        }
        let t = distance / spread * (n / (n + 1.0)).sqrt();
        let freedom = n - 1.0;
        let size = (8.0 * freedom + 1.0) / (8.0 * freedom + 3.0) * (freedom * (t * t / freedom).ln_1p()).sqrt();
        size.min(STEP_MAX).copysign(t)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(values: impl IntoIterator<Item = f64>) -> Cusum {
        values
            .into_iter()
            .fold(Cusum::default(), |cusum, value| cusum.advance(value))
    }

    /// Ups and downs of one standard deviation about 90.
    fn usual(runs: usize) -> impl Iterator<Item = f64> {
        (0..runs).map(|i| if i % 2 == 0 { 91.0 } else { 89.0 })
    }

    #[test]
    fn values_are_standardised_as_students_t_says() {
        let cusum = after(usual(20));
        assert!((cusum.mean - 90.0).abs() < 1e-12 && (cusum.squares - 20.0).abs() < 1e-9);
        // scipy: norm.ppf(t.cdf(x, 19)) for x = (value - 90) / sqrt(20/19) * sqrt(20/21).
        for (value, want) in [(89.0, -0.927_914_f64), (88.0, -1.796_657), (93.0, 2.570_248)] {
            let got = cusum.standardised(value);
            assert!((got - want).abs() < 1e-3, "{value}: {got} {want}");
        }
    }

    #[test]
    fn nothing_adds_up_before_the_warm_up_or_without_a_fall() {
        assert_eq!(after([90.0, 50.0, 10.0]).fallen, 0.0);
        assert!(after(usual(300)).fallen < 2.0);
        assert_eq!(after([90.0; 50]).fallen, 0.0, "values that never change");
    }

    #[test]
    fn a_lasting_fall_adds_up_and_one_bad_run_does_not_suffice() {
        let one_bad = after(usual(40).chain([0.0]));
        assert!(one_bad.fallen <= STEP_MAX, "{one_bad:?}");
        let lasting = after(usual(40).chain([87.0; 6]));
        assert!(lasting.fallen > 6.0, "{lasting:?}");
        let constant = after([90.0; 40]).advance(80.0);
        assert_eq!(constant.fallen, STEP_MAX - SLACK);
    }
}
