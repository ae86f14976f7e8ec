//! Rungs: many candidates for a few epochs, few for all.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Of a rung's candidates one in so many goes on, to so many times the epochs.
pub const ETA: u32 = 2;

/// A rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Epochs of each of a trial's updates.
    pub epochs: u32,
    /// Candidates that are tried, where no trial fails.
    pub candidates: usize,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This candidate in this rung.
    Trial {
        /// Number of the rung.
        rung: usize,
        /// Number of the candidate.
        candidate: usize,
    },
    /// Nothing more.
    Done,
}

/// The rungs for so many candidates and so many epochs in the end, each `eta` times the epochs and 1/`eta` of the candidates of
/// the one before: as many as epochs and candidates allow. Two go through the last one, the defaults and another.
pub fn rungs(candidates: usize, epochs: u32, eta: u32) -> Vec<Rung> {
    let (eta, epochs) = (eta.max(2), epochs.max(1));
    let times = |n: u64| n.checked_ilog(u64::from(eta)).unwrap_or(0);
    let halvings = times(candidates as u64).min(times(u64::from(epochs)));
    let of = |k: u32| Rung {
        epochs: epochs.div_ceil(eta.pow(halvings - k)),
        candidates: candidates.div_ceil(eta.pow(k) as usize).max(candidates.min(2)),
    };
    (0..=halvings).map(of).collect()
}

/// Epochs that are trained in all, over both updates of each trial.
pub fn epochs_in_all(rungs: &[Rung]) -> u64 {
    let of = |rung: &Rung| 2 * u64::from(rung.epochs) * rung.candidates as u64;
    rungs.iter().map(of).sum()
}

/// What is to be done after the trials of `scores`, by rung and candidate; None is a trial that failed. Into the next rung go the
/// best, the lower number where scores are the same, and the defaults (candidate 0) in any case; a candidate that failed does not,
/// and leaves its place to the next best.
pub fn next(rungs: &[Rung], candidates: usize, scores: &BTreeMap<(usize, usize), Option<f64>>) -> Next {
    let mut entrants: Vec<usize> = (0..candidates).collect();
    for (number, rung) in rungs.iter().enumerate() {
        if number > 0 {
            entrants = survivors(&entrants, rung.candidates, |candidate| {
                scores.get(&(number - 1, candidate)).copied().flatten()
            });
        }
        let open = entrants.iter().find(|&&c| !scores.contains_key(&(number, c)));
        if let Some(&candidate) = open {
            return Next::Trial {
                rung: number,
                candidate,
            };
        }
    }
    Next::Done
}

fn survivors(entrants: &[usize], keep: usize, score: impl Fn(usize) -> Option<f64>) -> Vec<usize> {
    let mut ranked: Vec<(usize, f64)> = entrants.iter().filter_map(|&c| Some((c, score(c)?))).collect();
    ranked.sort_by(|a, b| {
        let defaults_first = (b.0 == 0).cmp(&(a.0 == 0));
        defaults_first.then(b.1.total_cmp(&a.1)).then(a.0.cmp(&b.0))
    });
    let mut kept: Vec<usize> = ranked.into_iter().take(keep).map(|(c, _)| c).collect();
    kept.sort_unstable();
    kept
}
