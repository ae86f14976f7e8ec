//! Files that look unlike those that were learned from.

use super::mmd::Mmd;
use crate::gate::stats::two_proportions;
use serde::{Deserialize, Serialize};

/// A share must be at least so many times what it was: with many tokens, the smallest change is significant.
const GROWN: f64 = 1.5;

/// How often something was seen, before and now: new terms among terms, or unknown tokens among tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// In what was learned from: how many, of how many.
    pub reference: (u64, u64),
    /// In what has come since.
    pub current: (u64, u64),
}

impl Rates {
    /// One-sided p-value that the share has grown.
    pub fn p_value(&self) -> f64 {
        two_proportions(self.reference, self.current)
    }

    fn grown(&self, alpha: f64) -> bool {
        let share = |(part, whole): (u64, u64)| part as f64 / whole.max(1) as f64;
        self.p_value() <= alpha && share(self.current) >= GROWN * share(self.reference)
    }
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shift {
    /// The embeddings are distributed differently.
    Embeddings,
    /// More terms are new.
    NewTerms,
    /// More tokens are unknown to the tokenizer.
    UnknownTokens,
}

/// What should follow. Nothing here is an alarm: files that are unlike are not answered worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Nothing.
    Nothing,
    /// Tell people: learning from the files does not help, since the tokenizer stays as it is.
    Warn,
    /// Learn from the new files soon.
    Schedule,
}

/// What the tests of the inputs say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputDrift {
    /// What should follow.
    pub advice: Advice,
    /// What has changed.
    pub shifts: Vec<Shift>,
    /// What each test must be at or below: alpha over the number of tests.
    pub level: f64,
    /// Plain sentences; empty where nothing has changed.
    pub reasons: Vec<String>,
}

impl InputDrift {
    /// Judges what was measured; a test that could not be made is None. `alpha` is the chance that files like those before
    /// are called unlike, over all tests.
    pub fn of(embeddings: Option<&Mmd>, new_terms: Option<&Rates>, unknown: Option<&Rates>, alpha: f64) -> InputDrift {
        let tests = [embeddings.is_some(), new_terms.is_some(), unknown.is_some()];
        let level = alpha / tests.iter().filter(|made| **made).count().max(1) as f64;
        let mut drift = InputDrift {
            advice: Advice::Nothing,
            shifts: Vec::new(),
            level,
            reasons: Vec::new(),
        };
        if let Some(mmd) = embeddings.filter(|mmd| mmd.p_value <= level) {
            let reason = format!(
                "The embeddings of {} new texts are distributed unlike those of {} that were learned from (p = {:.4}).",
                mmd.current, mmd.reference, mmd.p_value
            );
            drift.add(Shift::Embeddings, Advice::Schedule, reason);
        }
        if let Some(rates) = new_terms.filter(|rates| rates.grown(level)) {
            let reason = grown("of the terms are new", rates);
            drift.add(Shift::NewTerms, Advice::Schedule, reason);
        }
        if let Some(rates) = unknown.filter(|rates| rates.grown(level)) {
            let reason = grown("of the tokens are unknown", rates);
            drift.add(Shift::UnknownTokens, Advice::Warn, reason);
        }
        drift
    }

    fn add(&mut self, shift: Shift, advice: Advice, reason: String) {
        self.shifts.push(shift);
        self.advice = self.advice.max(advice);
        self.reasons.push(reason);
    }
}

fn grown(what: &str, rates: &Rates) -> String {
    let percent = |(part, whole): (u64, u64)| 100.0 * part as f64 / whole.max(1) as f64;
    format!(
        "{:.2} % {what}, after {:.2} % in what was learned from (p = {:.1e}).",
        percent(rates.current),
        percent(rates.reference),
        rates.p_value()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIKE: Mmd = Mmd {
        reference: 200,
        current: 200,
        squared: 0.0,
        p_value: 0.4,
    };

    #[test]
    fn each_shift_has_its_advice_and_none_is_an_alarm() {
        let unlike = Mmd { p_value: 0.001, ..LIKE };
        let (same, grown) = (
            Rates {
                reference: (100, 10_000),
                current: (51, 5_000),
            },
            Rates {
                reference: (100, 10_000),
                current: (100, 5_000),
            },
        );
        let of = |mmd, terms, unknown| InputDrift::of(Some(mmd), Some(terms), Some(unknown), 0.01);
        let quiet = of(&LIKE, &same, &same);
        assert_eq!((quiet.advice, quiet.reasons.len()), (Advice::Nothing, 0));
        assert!((quiet.level - 0.01 / 3.0).abs() < 1e-15);
        assert_eq!(of(&unlike, &same, &same).advice, Advice::Schedule);
        assert_eq!(of(&LIKE, &grown, &same).shifts, [Shift::NewTerms]);
        let unknown = of(&LIKE, &same, &grown);
        assert_eq!(
            (unknown.advice, unknown.shifts),
            (Advice::Warn, vec![Shift::UnknownTokens])
        );
        assert!(
            unknown.reasons[0].starts_with("2.00 % of the tokens are unknown, after 1.00 %"),
            "{:?}",
            unknown.reasons
        );
        assert_eq!(of(&unlike, &grown, &grown).shifts.len(), 3);
        assert_eq!(InputDrift::of(None, None, None, 0.01).advice, Advice::Nothing);
    }

    #[test]
    fn a_significant_change_that_is_small_is_let_pass() {
        let small = Rates {
            reference: (100_000, 10_000_000),
            current: (110_000, 10_000_000),
        };
        assert!(small.p_value() < 1e-9);
        assert_eq!(InputDrift::of(None, None, Some(&small), 0.01).advice, Advice::Nothing);
        let none = Rates {
            reference: (0, 0),
            current: (3, 10),
        };
        assert_eq!(none.p_value(), 1.0);
    }
}
