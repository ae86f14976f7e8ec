//! Draws whose sequences never change: verdicts and plans are made again from their seeds.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// A number from 0 to 1, with as many bits as one has.
pub(crate) fn share(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number below `n`, by Lemire's multiplication: the bias is below 2^-32 of an item.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(rng: &mut ChaCha8Rng, values: &mut [T]) {
    for last in (1..values.len()).rev() {
        values.swap(last, below(rng, last + 1));
    }
}
