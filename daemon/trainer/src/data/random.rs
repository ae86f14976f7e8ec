//! Random choices that are pure functions of (seed, purpose, index), so that a job resumed at any step repeats them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream of random numbers is for. The numbers are part of what makes a job repeatable: never reuse one.
#[derive(Debug, Clone, Copy)]
pub enum Purpose {
    /// Order of the new examples in an epoch.
    Shuffle = 1,
    /// Order in which a round through the replay memory goes.
    Replay = 2,
    /// Dropout masks.
    Dropout = 3,
    /// Which examples the Fisher is estimated on.
    FisherExamples = 4,
    /// Labels drawn for the sampled Fisher.
    FisherLabels = 5,
    /// Tokens that are drawn where a model answers.
    Generation = 6,
    /// Entries of the vocabulary that a prompt begins as.
    Prompt = 7,
}

/// A stream of random numbers.
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream for this seed, purpose and index; other values give unrelated streams.
    pub fn new(seed: u64, purpose: Purpose, index: u64) -> Stream {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&index.to_le_bytes());
        Stream(ChaCha8Rng::from_seed(key))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, n), without the bias of a plain remainder. `n` must not be 0.
    pub fn below(&mut self, n: u64) -> u64 {
        let reject_from = u64::MAX - u64::MAX % n;
        loop {
            let bits = self.bits();
            if bits < reject_from {
                return bits % n;
            }
        }
    }

    /// Uniform in [0, 1), with 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// The numbers below `n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..n).collect();
        self.shuffle(&mut rows);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_each_part_of_their_key() {
        let first = |seed, purpose, index| Stream::new(seed, purpose, index).bits();
        let base = first(1, Purpose::Shuffle, 0);
        assert_eq!(base, first(1, Purpose::Shuffle, 0));
        for other in [
            first(2, Purpose::Shuffle, 0),
            first(1, Purpose::Replay, 0),
            first(1, Purpose::Shuffle, 1),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn permutations_hold_every_row_and_are_uniform() {
        let mut counts = [[0u32; 4]; 4];
        for index in 0..8000 {
            let rows = Stream::new(7, Purpose::Shuffle, index).permutation(4);
            let mut sorted = rows.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            for (place, row) in rows.into_iter().enumerate() {
                counts[place][row] += 1;
            }
        }
        // Each cell is binomial(8000, 1/4): 2000 with a deviation of 39; five of them.
        assert!(counts.iter().flatten().all(|n| (1805..2195).contains(n)), "{counts:?}");
    }
}
