//! How worn a set of items is: each verdict that looks at it chooses by it, and what was chosen looks better there than it is.

use serde::{Deserialize, Serialize};

/// A set of items and how often it was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wear {
    /// The run that brought the items.
    pub era: u64,
    /// How many they are.
    pub items: u64,
    /// Verdicts that were made with them.
    pub looks: u64,
    /// By so many points what serves may look better on them than it is: [`selection_points`].
    pub points: f64,
}

/// By how many points of accuracy the best of `looks` versions that are all the same looks better than them on `items`, at most, on
/// average: sqrt(2 ln looks) times the deviation of one difference, sqrt(psi / items), where two versions disagree about the share
/// `psi` of the items. (The largest of k variables with this deviation; Boucheron, Lugosi & Massart 2013, theorem 2.5. That
/// repeated looks have to be counted: Blum & Hardt 2015.)
pub fn selection_points(looks: u64, items: u64, psi: f64) -> f64 {
    if items == 0 {
        return 0.0;
    }
    100.0 * (2.0 * (looks.max(1) as f64).ln() * psi.clamp(0.0, 1.0) / items as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    /// The best of so many versions that are as good as each other, on average over repetitions.
    fn best(rng: &mut ChaCha8Rng, looks: u64, items: u64, psi: f64) -> f64 {
        const TIMES: u32 = 400;
        let difference = |rng: &mut ChaCha8Rng| -> i64 {
            let of_item = |_| match f64::from(rng.next_u32()) / f64::from(u32::MAX) {
                u if u < psi / 2.0 => 1,
                u if u < psi => -1,
                _ => 0,
            };
            (0..items).map(of_item).sum()
        };
        let once = |rng: &mut ChaCha8Rng| (0..looks).map(|_| difference(rng)).max().unwrap_or_default();
        let sum: i64 = (0..TIMES).map(|_| once(rng)).sum();
        100.0 * sum as f64 / f64::from(TIMES) / items as f64
    }

    #[test]
    fn the_bound_holds_for_versions_that_are_all_the_same_and_is_near() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for looks in [2, 10, 50] {
            let (measured, bound) = (best(&mut rng, looks, 300, 0.1), selection_points(looks, 300, 0.1));
            assert!(
                measured <= bound && measured > 0.4 * bound,
                "{looks} looks: {measured} {bound}"
            );
        }
        assert_eq!((selection_points(1, 300, 0.1), selection_points(9, 0, 0.1)), (0.0, 0.0));
    }
}
