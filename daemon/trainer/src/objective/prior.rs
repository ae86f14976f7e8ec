//! What a label's frequency in a step has to do with its frequency in all that was learned.

/// Added to a logit, so that its label does not gain by being replayed more or less often than it was learned: for label c,
/// `tau (log p_step(c) - log p_all(c))` (Menon et al. 2021, eq. 10; there p_all is uniform).
///
/// A step shows the new examples and the replayed ones, with weights that add up to 2 (1 each, where the share of new examples
/// stays); `new`, `replayed` and `learned` are how much of each label there is. Half an example is added to each, so that a label without any has a finite share.
pub fn prior_correction(
    tau: f64,
    new: &[f64],
    replayed: &[f64],
    [of_new, of_replayed]: [f64; 2],
    learned: &[u64],
) -> Vec<f32> {
    let learned: Vec<f64> = learned.iter().map(|&n| n as f64).collect();
    let of_step = shares(new).into_iter().zip(shares(replayed));
    of_step
        .zip(shares(&learned))
        .map(|((new, replayed), all)| (tau * (f64::midpoint(of_new * new, of_replayed * replayed) / all).ln()) as f32)
        .collect()
}

fn shares(counts: &[f64]) -> Vec<f64> {
    let all: f64 = counts.iter().sum::<f64>() + 0.5 * counts.len() as f64;
    counts.iter().map(|count| (count + 0.5) / all).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_that_is_seen_as_often_as_it_was_learned_is_left_as_it_is() {
        let counts = [30.0, 10.0, 60.0];
        let same = prior_correction(1.0, &counts, &counts, [1.0; 2], &[30, 10, 60]);
        assert!(same.iter().all(|c| c.abs() < 1e-6), "{same:?}");
        assert_eq!(
            prior_correction(0.0, &[5.0, 0.0], &[2.0, 3.0], [1.0; 2], &[1, 9]),
            [0.0, 0.0]
        );
    }

    #[test]
    fn old_labels_of_a_small_memory_are_raised_in_the_step() {
        // 100 of each label in all; the step shows the new label in one half, the two old ones in the other.
        let correction = prior_correction(1.0, &[0.0, 0.0, 1e9], &[5e8, 5e8, 0.0], [1.0; 2], &[1_000_000_000; 3]);
        for (found, share) in correction.iter().zip([0.25, 0.25, 0.5]) {
            assert!(
                (f64::from(*found) - (share * 3.0f64).ln()).abs() < 1e-6,
                "{correction:?}"
            );
        }
    }
}
