//! Whether two sets of embeddings are from one distribution.

use crate::random::shuffle;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// Of each set, so many are drawn at most. It bounds the cost (a second in a release build would be 400 of each), and
/// keeps a difference that matters to nobody from becoming significant by numbers alone.
pub const SAMPLE_MAX: usize = 200;
const PERMUTATIONS: u32 = 1000;

/// The result of the test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mmd {
    /// Embeddings of the reference that were used.
    pub reference: u64,
    /// Embeddings of the current set that were used.
    pub current: u64,
    /// The unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, lemma 6), with a Gaussian kernel
    /// whose width is the median distance.
    pub squared: f64,
    /// Share of 1,000 ways to exchange embeddings between the sets with at least this estimate; the given one counts in.
    pub p_value: f64,
}

/// Tests embeddings of `dimensions` numbers each, row after row. Every random choice follows from `seed`. None where a set
/// has fewer than two embeddings, does not consist of whole ones, or has a number that is not finite.
pub fn mmd(dimensions: usize, reference: &[f32], current: &[f32], seed: u64) -> Option<Mmd> {
    let whole = |set: &[f32]| dimensions > 0 && set.len().is_multiple_of(dimensions) && set.len() / dimensions >= 2;
    let finite = |set: &[f32]| set.iter().all(|value| value.is_finite());
    if ![reference, current].iter().all(|set| whole(set) && finite(set)) {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = sample(&mut rng, dimensions, reference);
    let first = rows.len();
    rows.extend(sample(&mut rng, dimensions, current));
    let kernel = kernel(&rows);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let squared = estimate(&kernel, &order, first);
    let mut at_least = 0;
    for _ in 0..PERMUTATIONS {
        shuffle(&mut rng, &mut order);
        // Sums in another order differ by rounding.
        at_least += u32::from(estimate(&kernel, &order, first) >= squared - 1e-12);
    }
    Some(Mmd {
        reference: first as u64,
        current: (rows.len() - first) as u64,
        squared,
        p_value: f64::from(at_least + 1) / f64::from(PERMUTATIONS + 1),
    })
}

fn sample<'a>(rng: &mut ChaCha8Rng, dimensions: usize, set: &'a [f32]) -> Vec<&'a [f32]> {
    let mut rows: Vec<&[f32]> = set.chunks_exact(dimensions).collect();
    if rows.len() > SAMPLE_MAX {
        shuffle(rng, &mut rows);
        rows.truncate(SAMPLE_MAX);
    }
    rows
}

/// exp(-d^2 / (2 s^2)) for each pair, where s is the median distance of two different rows; row after row.
fn kernel(rows: &[&[f32]]) -> Vec<f64> {
    let n = rows.len();
    let mut squares = vec![0.0; n * n];
    let mut pairs = Vec::with_capacity(n * (n - 1) / 2);
    for i in 0..n {
        for j in 0..i {
            let difference = rows[i].iter().zip(rows[j]).map(|(a, b)| f64::from(*a) - f64::from(*b));
            let square: f64 = difference.map(|d| d * d).sum();
            squares[i * n + j] = square;
            squares[j * n + i] = square;
            pairs.push(square);
        }
    }
    pairs.sort_by(f64::total_cmp);
    let median = (pairs[(pairs.len() - 1) / 2].sqrt() + pairs[pairs.len() / 2].sqrt()) / 2.0;
    let scale = 2.0 * (median * median).max(f64::MIN_POSITIVE);
    squares.into_iter().map(|square| (-square / scale).exp()).collect()
}

/// The estimate if the first `first` of `order` are the reference.
fn estimate(kernel: &[f64], order: &[usize], first: usize) -> f64 {
    let n = order.len();
    let mut in_first = vec![0.0; n];
    order[..first].iter().for_each(|&i| in_first[i] = 1.0);
    // Sums over ordered pairs: within the reference, and from it to all; the rest follows from the total.
    let (mut within, mut from_first, mut total) = (0.0, 0.0, 0.0);
    for (i, row) in kernel.chunks_exact(n).enumerate() {
        let all: f64 = row.iter().sum();
        total += all;
        if in_first[i] == 1.0 {
            from_first += all;
            within += row.iter().zip(&in_first).map(|(k, member)| k * member).sum::<f64>();
        }
    }
    let (a, b) = (first as f64, (n - first) as f64);
    let between = from_first - within;
    let within_rest = total - within - 2.0 * between;
    (within - a) / (a * (a - 1.0)) + (within_rest - b) / (b * (b - 1.0)) - 2.0 * between / (a * b)
}
