//! The best of the last rung, and whether it is better than the defaults.

use super::parts::Part;
use crate::gate::paired;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The chance that settings which are no better than the defaults replace them, over all that was tried together.
pub const LEVEL: f64 = 0.05;

/// A text that was asked about after the second update.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its case: texts of one case stand or fall together.
    pub case: String,
    /// Which update had taught its label.
    pub part: Part,
}

/// Shares of right answers after the second update.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Of the old texts.
    pub old: f64,
    /// Of the new ones.
    pub new: f64,
}

impl Score {
    /// Both count the same, however many texts each has.
    pub fn mean(&self) -> f64 {
        (self.old + self.new) / 2.0
    }
}

/// What a search found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The candidate with the best score; 0: the defaults.
    pub best: usize,
    /// Its score minus that of the defaults.
    pub margin: f64,
    /// 95 % of the margins when cases are drawn again (percentile bootstrap).
    pub interval: (f64, f64),
    /// One-sided p-value of the sign-flip test, by whole cases, that the defaults are worse than the best.
    pub p: f64,
    /// What `p` must not exceed: [`LEVEL`] divided by how many were tried beside the defaults (Bonferroni), since the best of many
    /// looks better than it is.
    pub level: f64,
    /// What is used: the best, or 0 where it may be better by chance.
    pub chosen: usize,
}

/// The score of answers to what was asked; None where a part was not asked, or answers do not fit.
pub fn score(asked: &[Asked], right: &[bool]) -> Option<Score> {
    if asked.len() != right.len() {
        return None;
    }
    let of = |part: Part| {
        let answers = asked.iter().zip(right).filter(|(asked, _)| asked.part == part);
        let (n, right) = answers.fold((0u32, 0u32), |(n, sum), (_, right)| (n + 1, sum + u32::from(*right)));
        (n > 0).then(|| f64::from(right) / f64::from(n))
    };
    Some(Score {
        old: of(Part::Old)?,
        new: of(Part::New)?,
    })
}

/// Compares candidates that went through the same rung, by number, of `tried` in all. None without the defaults' answers.
pub fn fit(asked: &[Asked], answers: &BTreeMap<usize, Vec<bool>>, tried: usize, seed: u64) -> Option<Fit> {
    let defaults = answers.get(&0)?;
    let mut best: Option<(usize, f64)> = None;
    // In the order of their numbers: of equal ones the first is the best.
    for (&candidate, right) in answers {
        let mean = score(asked, right)?.mean();
        if best.is_none_or(|(_, most)| mean > most + 1e-12) {
            best = Some((candidate, mean));
        }
    }
    let (best, _) = best?;
    let level = LEVEL / tried.saturating_sub(1).max(1) as f64;
    let worse = by_case(asked, defaults, &answers[&best]);
    let cases = worse.len() as f64;
    // Turned: what is tested is that the defaults are worse.
    let found = paired(&worse, seed)?;
    let is_real = best != 0 && found.worse_p <= level;
    Some(Fit {
        best,
        margin: -found.difference * cases,
        interval: (-found.interval.1 * cases, -found.interval.0 * cases),
        p: found.worse_p,
        level,
        chosen: if is_real { best } else { 0 },
    })
}

/// Score of `a` minus score of `b`, as the sum of what each case adds to it.
fn by_case(asked: &[Asked], a: &[bool], b: &[bool]) -> Vec<f64> {
    let items = |part: Part| asked.iter().filter(|asked| asked.part == part).count().max(1) as f64;
    let (old, new) = (items(Part::Old), items(Part::New));
    let mut cases: BTreeMap<&str, f64> = BTreeMap::new();
    for ((asked, a), b) in asked.iter().zip(a).zip(b) {
        let weight = 0.5 / if asked.part == Part::Old { old } else { new };
        *cases.entry(&asked.case).or_default() += weight * (f64::from(u8::from(*a)) - f64::from(u8::from(*b)));
    }
    cases.into_values().collect()
}
