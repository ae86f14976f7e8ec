//! Rotary positions (Su et al. 2021): pairs of a query's or key's numbers turn by an angle that grows with the position.

use crate::error::TrainerError;
use std::f64::consts::TAU;
use tch::{Kind, Tensor};

/// How the angles of a longer context follow from those of the one that was trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scaling {
    None,
    /// All angles are smaller by the factor.
    Linear {
        factor: f64,
    },
    /// Slow turns are slower by the factor, fast ones stay, between them it changes smoothly (Llama 3.1).
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_max_position: f64,
    },
}

/// The angle of each pair at position 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    frequencies: Vec<f32>,
}

impl Rope {
    /// For heads of this width.
    pub fn new(head_dim: i64, theta: f64, scaling: Scaling) -> Result<Rope, String> {
        if !(theta.is_finite() && theta > 0.0) {
            return Err(format!("rope_theta is {theta}"));
        }
        let pairs = (0..head_dim / 2).map(|i| theta.powf(-2.0 * i as f64 / head_dim as f64));
        let scaled = |frequency: f64| match scaling {
            Scaling::None => frequency,
            Scaling::Linear { factor } => frequency / factor,
            Scaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position,
            } => {
                let turns = original_max_position * frequency / TAU;
                let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let kept = kept.clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / factor
            }
        };
        let frequencies: Vec<f32> = pairs.map(|frequency| scaled(frequency) as f32).collect();
        match frequencies.iter().all(|f| f.is_finite() && *f > 0.0) {
            true => Ok(Rope { frequencies }),
            false => Err("rope scaling gives frequencies that are no positive numbers".into()),
        }
    }

    /// Cosine and sine at `length` positions from `first` on, each [length, head_dim]: the second half repeats the first.
    pub fn tables(&self, first: i64, length: i64, device: tch::Device) -> Result<(Tensor, Tensor), TrainerError> {
        let positions = Tensor::f_arange_start(first, first + length, (Kind::Float, device))?.f_unsqueeze(1)?;
        let frequencies = Tensor::f_from_slice(&self.frequencies)?.f_to_device(device)?;
        let angles = positions.f_mul(&frequencies.f_unsqueeze(0)?)?;
        let angles = Tensor::f_cat(&[&angles, &angles], 1)?;
        Ok((angles.f_cos()?, angles.f_sin()?))
    }
}

/// Queries or keys [b, heads, t, head_dim], turned: number i of the first half and of the second are a pair.
pub fn turned(input: &Tensor, (cos, sin): (&Tensor, &Tensor)) -> Result<Tensor, TrainerError> {
    let half = input.size()[3] / 2;
    let (first, second) = (input.f_narrow(3, 0, half)?, input.f_narrow(3, half, half)?);
    let swapped = Tensor::f_cat(&[&second.f_neg()?, &first], 3)?;
    Ok(input.f_mul(cos)?.f_add(&swapped.f_mul(sin)?)?)
}
