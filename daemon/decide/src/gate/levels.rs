//! From the false alarms that somebody puts up with in a year to the levels of one run's tests.
//!
//! With a reserve set a run is judged in two stages: a loose test on the gate set and, only if it trips, a second one
//! on items that decided nothing so far. Both must agree, so the chance of a false alarm is the product of the levels,
//! at far more power than one strict test on the gate set has: of 5-point drops at 10 % churn, 500 + 1,000 items find 99 %,
//! and 500 items at the same chance of a false alarm 80 %.

use serde::{Deserialize, Serialize};

/// Level of the first of two stages.
pub const FIRST_STAGE_ALPHA: f64 = 0.10;
/// Fewer items than this, gate and reserve together, are judged in one stage.
pub const TWO_STAGE_ITEMS: u64 = 800;
/// No run is judged at a looser level, however seldom it comes: the level of a single strict test.
pub const RUN_ALPHA_MAX: f64 = 0.01;
/// One-sided confidence at which the margin has to be ruled out by the gate set, and by gate set and reserve together once
/// the reserve was asked: 95 % over both looks.
pub(super) const GATE_CONFIDENCE: f64 = 0.96;
pub(super) const POOLED_CONFIDENCE: f64 = 0.99;
/// The same where there is one look.
pub(super) const CONFIDENCE: f64 = 0.95;
/// A second stage that asks for less than this confirms nothing.
const SECOND_STAGE_ALPHA_MAX: f64 = 0.5;

/// Why no level follows.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{what} is {value}; it must be above 0")]
pub struct LevelError {
    what: &'static str,
    value: f64,
}

/// The chance of a false alarm that one of `runs_per_year` runs may have, for `false_alarms_per_year` expected in a year
/// of harmless retrains: all of the run's tests together, the slices' too.
pub fn run_alpha(false_alarms_per_year: f64, runs_per_year: f64) -> Result<f64, LevelError> {
    for (what, value) in [
        ("the number of false alarms a year", false_alarms_per_year),
        ("the number of runs a year", runs_per_year),
    ] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(LevelError { what, value });
        }
    }
    Ok((false_alarms_per_year / runs_per_year).min(RUN_ALPHA_MAX))
}

/// The levels of a run's tests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Levels {
    /// Level of the tests on the gate set, over all of them.
    pub gate: f64,
    /// Level of the tests on the reserve set, over all that the gate set gave rise to. None: the gate set alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<f64>,
}

impl Levels {
    /// Splits `alpha`, the chance of a false alarm of one run.
    pub fn of(alpha: f64, gate_items: u64, reserve_items: u64) -> Levels {
        let reserve = alpha / FIRST_STAGE_ALPHA;
        // A reserve that is smaller than the gate set would rather hide what the gate set saw.
        let enough = reserve_items >= gate_items.max(1) && gate_items + reserve_items >= TWO_STAGE_ITEMS;
        if enough && reserve <= SECOND_STAGE_ALPHA_MAX {
            Levels {
                gate: FIRST_STAGE_ALPHA,
                reserve: Some(reserve),
            }
        } else {
            Levels {
                gate: alpha,
                reserve: None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nightly_gate_with_one_false_alarm_a_year_has_the_planned_levels() {
        let alpha = run_alpha(1.0, 365.0).unwrap();
        let levels = Levels::of(alpha, 500, 1000);
        assert_eq!(levels.gate, 0.10);
        assert!((levels.reserve.unwrap() - 0.0274).abs() < 1e-4);
        // Few items, or too small a reserve: one stage, and still one false alarm a year.
        for (gate, reserve) in [(500, 0), (200, 500), (800, 400)] {
            let one = Levels {
                gate: alpha,
                reserve: None,
            };
            assert_eq!(Levels::of(alpha, gate, reserve), one, "{gate} + {reserve}");
        }
    }

    #[test]
    fn seldom_runs_are_capped_and_nonsense_is_refused() {
        assert_eq!(run_alpha(1.0, 12.0), Ok(RUN_ALPHA_MAX));
        assert!(run_alpha(0.1, 52.0).unwrap() < 0.002);
        assert_eq!(Levels::of(0.05, 500, 1000).reserve, Some(0.5));
        assert_eq!(Levels::of(0.2, 500, 1000).reserve, None);
        let error = run_alpha(1.0, 0.0).unwrap_err();
        assert_eq!(error.to_string(), "the number of runs a year is 0; it must be above 0");
        assert!(run_alpha(f64::NAN, 365.0).is_err() && run_alpha(-1.0, 365.0).is_err());
    }
}
