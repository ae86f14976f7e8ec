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
    Yarn(Yarn),
}

/// Slow turns are slower by the factor, fast ones stay, between them it changes linearly (Peng et al. 2023, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// How much longer the context is.
    pub factor: f64,
    /// Tokens of the context that was trained on.
    pub original_max_position: f64,
    /// Turns in it from which on an angle stays.
    pub beta_fast: f64,
    /// Turns in it below which an angle is smaller by the whole factor.
    pub beta_slow: f64,
    /// Whether the borders between them are whole pairs.
    pub truncate: bool,
    /// Factor of cosine and sine, where the model says it.
    pub attention_factor: Option<f64>,
    /// What it follows from otherwise: `mscale` and `mscale_all_dim`.
    pub mscale: Option<(f64, f64)>,
}

/// `0.1 mscale ln(factor) + 1`: what makes up for the flatter attention over a longer context.
pub fn yarn_factor(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 {
        1.0
    } else {
        0.1 * mscale * factor.ln() + 1.0
    }
}

impl Yarn {
    fn scale(&self) -> f64 {
        let of = |mscale| yarn_factor(self.factor, mscale);
        let from_mscale = self.mscale.map_or(of(1.0), |(mscale, all)| of(mscale) / of(all));
        self.attention_factor.unwrap_or(from_mscale)
    }

    /// The pairs between which it changes.
    fn borders(&self, width: f64, theta: f64) -> (f64, f64) {
        let pair = |turns: f64| width * (self.original_max_position / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (low, high) = (pair(self.beta_fast), pair(self.beta_slow));
        let (low, high) = if self.truncate {
            (low.floor(), high.ceil())
        } else {
            (low, high)
        };
        let (low, high) = (low.max(0.0), high.min(width - 1.0));
        (low, if low == high { high + 0.001 } else { high })
    }
}

/// The angle of each pair at position 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    frequencies: Vec<f32>,
    /// Of cosine and sine.
    scale: f64,
}

impl Rope {
    /// For heads of this width.
    pub fn new(head_dim: i64, theta: f64, scaling: Scaling) -> Result<Rope, String> {
        if !(theta.is_finite() && theta > 0.0) {
            return Err(format!("rope_theta is {theta}"));
        }
        let pairs = (0..head_dim / 2).map(|i| (i, theta.powf(-2.0 * i as f64 / head_dim as f64)));
        let scaled = |(pair, frequency): (i64, f64)| match scaling {
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
            Scaling::Yarn(yarn) => {
                let (low, high) = yarn.borders(head_dim as f64, theta);
                let slowed = ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0);
                slowed * frequency / yarn.factor + (1.0 - slowed) * frequency
            }
        };
        let frequencies: Vec<f32> = pairs.map(|pair| scaled(pair) as f32).collect();
        let scale = match scaling {
            Scaling::Yarn(yarn) => yarn.scale(),
            _ => 1.0,
        };
        match frequencies.iter().all(|f| f.is_finite() && *f > 0.0) {
            true => Ok(Rope { frequencies, scale }),
            false => Err("rope scaling gives frequencies that are no positive numbers".into()),
        }
    }

    /// Cosine and sine at `length` positions from `first` on, each [length, head_dim]: the second half repeats the first.
    pub fn tables(&self, first: i64, length: i64, device: tch::Device) -> Result<(Tensor, Tensor), TrainerError> {
        let positions = Tensor::f_arange_start(first, first + length, (Kind::Float, device))?.f_unsqueeze(1)?;
        let frequencies = Tensor::f_from_slice(&self.frequencies)?.f_to_device(device)?;
        let angles = positions.f_mul(&frequencies.f_unsqueeze(0)?)?;
        let angles = Tensor::f_cat(&[&angles, &angles], 1)?;
        let scaled = |table: Tensor| table.f_mul_scalar(self.scale);
        Ok((scaled(angles.f_cos()?)?, scaled(angles.f_sin()?)?))
    }
}

/// The numbers of [.., 2 n] that stand at even places, then the others: pairs of neighbours become pairs of halves.
pub fn separated(input: &Tensor) -> Result<Tensor, TrainerError> {
    let mut size = input.size();
    let width = size.pop().unwrap_or(0);
    size.extend([width / 2, 2]);
    Ok(input.f_reshape(size)?.f_transpose(-1, -2)?.f_flatten(-2, -1)?)
}

/// Queries or keys [b, heads, t, head_dim], turned: number i of the first half and of the second are a pair.
pub fn turned(input: &Tensor, (cos, sin): (&Tensor, &Tensor)) -> Result<Tensor, TrainerError> {
    let half = input.size()[3] / 2;
    let (first, second) = (input.f_narrow(3, 0, half)?, input.f_narrow(3, half, half)?);
    let swapped = Tensor::f_cat(&[&second.f_neg()?, &first], 3)?;
    Ok(input.f_mul(cos)?.f_add(&swapped.f_mul(sin)?)?)
}
