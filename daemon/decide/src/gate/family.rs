//! The tests of one run, held to one level together.

use super::Subject;

/// Adjusted p-values by Holm's procedure (1979): rejecting those at or below alpha keeps the chance of any false
/// rejection at alpha.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    weighted_holm(p_values, &vec![1.0; p_values.len()])
}

/// Holm's procedure with weights (Holm 1979, section 4): a test with twice the weight gets twice the level. Weights are
/// above 0; only their ratios matter.
pub(super) fn weighted_holm(p_values: &[f64], weights: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| (p_values[a] / weights[a]).total_cmp(&(p_values[b] / weights[b])));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut left: f64 = weights.iter().sum();
    let mut largest: f64 = 0.0;
    for i in order {
        largest = largest.max(p_values[i] * (left / weights[i])).min(1.0);
        adjusted[i] = largest;
        left -= weights[i];
    }
    adjusted
}

/// The share of the level that each test has: half for the earlier eras together and half for all eras and slices, which
/// share it equally; all of it where there is only one side.
pub(super) fn weights(subjects: &[Subject]) -> Vec<f64> {
    let parts = subjects.iter().filter(|s| **s != Subject::Earlier).count();
    let (whole, part) = match parts == subjects.len() {
        true => (0.0, 1.0 / parts as f64),
        false => shares(parts),
    };
    let of = |subject: &Subject| if *subject == Subject::Earlier { whole } else { part };
    subjects.iter().map(of).collect()
}

/// The share of the earlier eras together, and that of each of so many eras and slices beside them.
pub(super) fn shares(parts: usize) -> (f64, f64) {
    match parts {
        0 => (1.0, 1.0),
        parts => (0.5, 0.5 / parts as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(got: &[f64], want: &[f64]) {
        assert_eq!(got.len(), want.len());
        for (a, b) in got.iter().zip(want) {
            assert!((a - b).abs() < 1e-12, "{got:?} {want:?}");
        }
    }

    #[test]
    fn holm_steps_down_and_stays_monotone() {
        // Worked by hand: sorted .005 .01 .03 .04 times 4 3 2 1 is .02 .03 .06 .04, made non-decreasing.
        assert_near(&holm(&[0.01, 0.04, 0.03, 0.005]), &[0.03, 0.06, 0.06, 0.02]);
        assert_eq!(holm(&[0.9, 0.8]), vec![1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn weights_give_the_whole_half_and_the_parts_the_other() {
        let part = |name: &str| Subject::Slice(name.into());
        let subjects = [Subject::Earlier, part("a=1"), part("a=2")];
        assert_eq!(weights(&subjects), [0.5, 0.25, 0.25]);
        assert_eq!(weights(&subjects[..1]), [1.0]);
        assert_eq!(weights(&subjects[1..]), [0.5, 0.5]);
        assert!(weights(&[]).is_empty());
        // By hand: .01/.25 is first, times 1/.25 = .04; then .03/.5, times .75/.5 = .045; then .2 times 1.
        assert_near(
            &weighted_holm(&[0.03, 0.2, 0.01], &[0.5, 0.25, 0.25]),
            &[0.045, 0.2, 0.04],
        );
    }
}
