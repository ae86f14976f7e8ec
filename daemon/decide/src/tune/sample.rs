//! Which values are tried.

use super::space::{Space, Values};
use crate::random::{below, share, shuffle};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// A candidate that was drawn before is drawn again so often, until the space counts as used up.
const DRAWS_MAX: u32 = 100;

/// The defaults, then up to `count - 1` others, all different; fewer where the space has no more. What is not searched is the
/// defaults'. The rate, which matters most, is stratified: its orders of magnitude are cut into as many parts as there are
/// draws, and each part gives one (McKay, Beckman & Conover 1979).
pub fn candidates(space: &Space, defaults: &Values, count: usize, seed: u64) -> Vec<Values> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = vec![*defaults];
    let others = count.saturating_sub(1);
    for part in shuffled(&mut rng, others) {
        for _ in 0..DRAWS_MAX {
            let place = (part as f64 + share(&mut rng)) / others as f64;
            let drawn = Values {
                learning_rate: space
                    .learning_rate
                    .map_or(defaults.learning_rate, |(least, most)| rate(least, most, place)),
                batch_size: one_of(&mut rng, &space.batch_size).unwrap_or(defaults.batch_size),
                rank: one_of(&mut rng, &space.rank).or(defaults.rank),
                ewc_lambda: one_of(&mut rng, &space.ewc_lambda).unwrap_or(defaults.ewc_lambda),
                distill_temperature: one_of(&mut rng, &space.distill_temperature)
                    .unwrap_or(defaults.distill_temperature),
                replay_ratio: one_of(&mut rng, &space.replay_ratio).unwrap_or(defaults.replay_ratio),
            };
            if !all.contains(&drawn) {
                all.push(drawn);
                break;
            }
        }
    }
    all
}

/// The rate at a share of the way, in orders of magnitude, with three digits: more say nothing.
fn rate(least: f64, most: f64, place: f64) -> f64 {
    let exact = (least.ln() + place * (most / least).ln()).exp();
    let unit = 10f64.powi(exact.log10().floor() as i32 - 2);
    // Through its text, so that the file that somebody copies it into gives the same number.
    let text = format!("{:.2e}", (exact / unit).round() * unit);
    text.parse::<f64>().unwrap_or(exact).clamp(least, most)
}

fn one_of<T: Copy>(rng: &mut ChaCha8Rng, values: &[T]) -> Option<T> {
    // Drawn in any case, so that a setting that is not searched leaves the others' draws as they are.
    let at = below(rng, values.len().max(1));
    values.get(at).copied()
}

fn shuffled(rng: &mut ChaCha8Rng, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(rng, &mut order);
    order
}
