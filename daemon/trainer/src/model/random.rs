//! First values of parameters and masks of dropout, from a generator of our own: they do not depend on libtorch's
//! version, threads or global state.

use crate::error::TrainerError;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};
use tch::Tensor;

/// Numbers that follow from the seed and the parameter's name alone, so that one parameter more changes no other.
fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(name)
        .finalize();
    ChaCha8Rng::from_seed(digest.into())
}

/// Uniform in [0, 1), with 53 bits.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// F32 tensor, uniform in [-bound, bound).
pub fn uniform(seed: u64, name: &str, shape: &[i64], bound: f64) -> Result<Tensor, TrainerError> {
    let mut rng = generator(seed, name);
    tensor(shape, || bound * (2.0 * unit(&mut rng) - 1.0))
}

/// F32 tensor, normal with mean 0 (Box and Muller 1958).
pub fn normal(seed: u64, name: &str, shape: &[i64], deviation: f64) -> Result<Tensor, TrainerError> {
    let mut rng = generator(seed, name);
    tensor(shape, || {
        // 1 - u is in (0, 1]: its logarithm is finite.
        let radius = (-2.0 * (1.0 - unit(&mut rng)).ln()).sqrt();
        deviation * radius * (std::f64::consts::TAU * unit(&mut rng)).cos()
    })
}

/// F32 tensor of 0 (for the given share of the values) and of what makes up for them.
pub fn dropout_mask(seed: u64, name: &str, shape: &[i64], share: f64) -> Result<Tensor, TrainerError> {
    let count = shape.iter().product::<i64>() as usize;
    // 16 bits a value are enough for a share, and this is drawn for every value of every step.
    let dropped = (share * 65536.0).round() as u32;
    let scale = 65536.0 / (65536 - dropped.min(65535)) as f32;
    let mut bits = vec![0u8; 2 * count];
    generator(seed, name).fill_bytes(&mut bits);
    let draw = |pair: &[u8]| u32::from(u16::from_le_bytes([pair[0], pair[1]]));
    let mask: Vec<f32> = bits
        .chunks_exact(2)
        .map(|pair| if draw(pair) < dropped { 0.0 } else { scale })
        .collect();
    Ok(Tensor::f_from_slice(&mask)?.f_reshape(shape)?)
}

fn tensor(shape: &[i64], mut next: impl FnMut() -> f64) -> Result<Tensor, TrainerError> {
    let count = shape.iter().product::<i64>() as usize;
    let values: Vec<f32> = (0..count).map(|_| next() as f32).collect();
    Ok(Tensor::f_from_slice(&values)?.f_reshape(shape)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(tensor: &Tensor) -> Vec<f32> {
        Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap()
    }

    #[test]
    fn values_repeat_and_differ_by_seed_and_name() {
        let draw = |seed, name| values(&normal(seed, name, &[4, 3], 1.0).unwrap());
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn moments_and_bounds_are_as_asked() {
        let drawn = values(&normal(3, "n", &[100, 200], 0.5).unwrap());
        let n = drawn.len() as f64;
        let mean = drawn.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = drawn.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        // Five standard errors of each.
        assert!(mean.abs() < 5.0 * 0.5 / n.sqrt(), "{mean}");
        assert!((variance - 0.25).abs() < 5.0 * 0.25 * (2.0 / n).sqrt(), "{variance}");

        let drawn = values(&uniform(3, "u", &[100, 200], 0.2).unwrap());
        assert!(drawn.iter().all(|x| x.abs() <= 0.2));
        let variance = drawn.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
        assert!((variance / (0.04 / 3.0) - 1.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn a_dropout_mask_drops_its_share_and_keeps_the_mean() {
        let mask = values(&dropout_mask(5, "m", &[200, 500], 0.1).unwrap());
        let n = mask.len() as f64;
        let dropped = mask.iter().filter(|&&x| x == 0.0).count() as f64 / n;
        assert!((dropped - 0.1).abs() < 5.0 * (0.09 / n).sqrt(), "{dropped}");
        assert!(mask.iter().all(|&x| x == 0.0 || (x - 1.0 / 0.9).abs() < 1e-4));
    }
}
