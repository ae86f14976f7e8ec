//! Answers token by token, with the keys and values of what was read kept.

use super::decoder::Cache;
use super::{Batch, Model};
use crate::data::random::{Purpose, Stream};
use crate::error::TrainerError;
use tch::{Kind, Tensor};
use wengu_protocol::job::JobEnd;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The likeliest.
    Greedy,
    /// Drawn from the model's distribution.
    Drawn {
        /// Logits are divided by it; above 0.
        temperature: f64,
        /// Only this many of the likeliest; 0: all.
        top_k: usize,
        /// Only the likeliest whose probabilities add up to this (Holtzman et al. 2020, section 3.1); 1: all.
        top_p: f64,
        /// The same seed draws the same tokens.
        seed: u64,
    },
}

/// What is generated.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Tokens after which a row ends.
    pub max_new_tokens: usize,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Tokens that end a row; they are its last.
    pub stop: Vec<i64>,
}

impl Model {
    /// Tokens that follow each prompt. `each` is told of every token as it comes, with its row.
    ///
    /// # Errors
    /// The model is no causal one, a prompt is empty, or prompt and answer are longer than the model takes.
    pub fn generate(
        &self,
        prompts: &[&[i64]],
        generation: &Generation,
        mut each: impl FnMut(usize, i64),
    ) -> Result<Vec<Vec<i64>>, TrainerError> {
        let _guard = tch::no_grad_guard();
        self.check_generation(prompts, generation)?;
        let Batch { mut ids, mut mask, .. } = self.placed(&padded_left(prompts)?)?;
        let mut cache = Cache::default();
        let mut rows: Vec<Vec<i64>> = vec![Vec::new(); prompts.len()];
        let mut ended = vec![false; prompts.len()];
        for step in 0..generation.max_new_tokens {
            let logits = self.next_logits(&ids, &mask, &mut cache)?;
            let chosen = choose(&logits, generation.sampling, step)?;
            for (row, &token) in chosen.iter().enumerate().filter(|(row, _)| !ended[*row]) {
                rows[row].push(token);
                each(row, token);
            }
            for (row, token) in chosen.iter().enumerate() {
                ended[row] |= generation.stop.contains(token);
            }
            if ended.iter().all(|&ended| ended) {
                break;
            }
            ids = Tensor::f_from_slice(&chosen)?
                .f_unsqueeze(1)?
                .f_to_device(mask.device())?;
            let seen = Tensor::f_ones([prompts.len() as i64, 1], (Kind::Float, mask.device()))?;
            mask = Tensor::f_cat(&[&mask, &seen], 1)?;
        }
        Ok(rows)
    }

    fn check_generation(&self, prompts: &[&[i64]], generation: &Generation) -> Result<(), TrainerError> {
        let bad = |message: String| Err(TrainerError::new(JobEnd::BadJob, message));
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let limit = self.limits().max_tokens as usize;
        if prompts.iter().any(|prompt| prompt.is_empty()) || prompts.is_empty() {
            return bad("there is no prompt, or an empty one".into());
        }
        if longest + generation.max_new_tokens > limit {
            let most = generation.max_new_tokens;
            return bad(format!(
                "a prompt of {longest} tokens and {most} new ones are more than the {limit} that the base model takes"
            ));
        }
        if let Sampling::Drawn { temperature, top_p, .. } = generation.sampling
            && !(temperature > 0.0 && temperature.is_finite() && top_p > 0.0 && top_p <= 1.0)
        {
            return bad(format!(
                "temperature {temperature} has to be above 0, top_p {top_p} above 0 and at most 1"
            ));
        }
        Ok(())
    }
}

/// Prompts that end together.
fn padded_left(prompts: &[&[i64]]) -> Result<Batch, TrainerError> {
    let width = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
    let mut ids = vec![0i64; prompts.len() * width];
    let mut mask = vec![0i64; prompts.len() * width];
    for (row, prompt) in prompts.iter().enumerate() {
        let begin = row * width + width - prompt.len();
        ids[begin..][..prompt.len()].copy_from_slice(prompt);
        mask[begin..][..prompt.len()].fill(1);
    }
    let shape = [prompts.len() as i64, width as i64];
    Ok(Batch {
        ids: Tensor::f_from_slice(&ids)?.f_reshape(shape)?,
        mask: Tensor::f_from_slice(&mask)?.f_reshape(shape)?,
        items: None,
    })
}

/// One token a row from logits [b, vocabulary]. A row's draw depends on the seed, the row and the step alone.
fn choose(logits: &Tensor, sampling: Sampling, step: usize) -> Result<Vec<i64>, TrainerError> {
    let Sampling::Drawn {
        temperature,
        top_k,
        top_p,
        seed,
    } = sampling
    else {
        return Ok(Vec::<i64>::try_from(logits.f_argmax(1, false)?)?);
    };
    let (rows, vocabulary) = logits.size2()?;
    let p = logits
        .f_to_kind(Kind::Double)?
        .f_div_scalar(temperature)?
        .f_softmax(1, Kind::Double)?;
    let (p, tokens) = p.f_sort(1, true)?;
    let kept = if top_k == 0 {
        vocabulary
    } else {
        vocabulary.min(top_k as i64)
    };
    (0..rows)
        .map(|row| {
            let p = Vec::<f64>::try_from(p.f_select(0, row)?.f_narrow(0, 0, kept)?)?;
            let index = (row as u64) << 32 | step as u64;
            let place = drawn(&p, top_p, Stream::new(seed, Purpose::Generation, index).unit());
            Ok(tokens.f_int64_value(&[row, place as i64])?)
        })
        .collect()
}

/// The place that `unit` in [0, 1) falls on, in falling probabilities of which the first that add up to `top_p` count.
fn drawn(p: &[f64], top_p: f64, unit: f64) -> usize {
    let all: f64 = p.iter().sum();
    let mut kept = 0;
    let mut sum = 0.0;
    while kept < p.len() && (kept == 0 || sum < top_p * all) {
        sum += p[kept];
        kept += 1;
    }
    let mut left = unit * sum;
    for (place, p) in p[..kept].iter().enumerate() {
        if left < *p {
            return place;
        }
        left -= p;
    }
    kept.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nucleus_is_drawn_from_and_in_its_proportions() {
        let p = [0.5, 0.3, 0.15, 0.05];
        assert_eq!(drawn(&p, 1.0, 0.96), 3);
        assert_eq!(drawn(&p, 0.8, 0.99), 1);
        assert_eq!(drawn(&p, 0.01, 0.99), 0);
        let second = (0..1000)
            .filter(|i| drawn(&p, 0.8, f64::from(*i) / 1000.0) == 1)
            .count();
        assert_eq!(second, 375);
    }

    #[test]
    fn draws_follow_the_temperature_and_repeat_by_seed() {
        let logits = Tensor::from_slice(&[2.0f32, 1.0, 0.0, -1.0]).repeat([2000, 1]);
        let drawn = |temperature, top_k, seed| {
            let sampling = Sampling::Drawn {
                temperature,
                top_k,
                top_p: 1.0,
                seed,
            };
            choose(&logits, sampling, 3).unwrap()
        };
        assert_eq!(drawn(1.0, 0, 7), drawn(1.0, 0, 7));
        assert_ne!(drawn(1.0, 0, 7), drawn(1.0, 0, 8));
        assert!(drawn(1.0, 2, 7).iter().all(|&token| token < 2));
        let share = |temperature: f64| drawn(temperature, 0, 7).iter().filter(|&&t| t == 0).count() as f64 / 2000.0;
        // softmax(2, 1, 0, -1) gives 0.6439 to the first, at temperature 0.5 0.8650.
        assert!((share(1.0) - 0.6439).abs() < 0.05, "{}", share(1.0));
        assert!((share(0.5) - 0.8650).abs() < 0.04, "{}", share(0.5));
    }
}
