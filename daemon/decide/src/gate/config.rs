//! What a challenger must show.

use super::verdict::Metric;
use serde::{Deserialize, Serialize};

/// What a challenger must show. Points are percentage points of accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// Chance that a challenger which is no worse anywhere is called a regression, over all tests of a run together.
    /// [`super::run_alpha`] gives it for a number of false alarms a year.
    pub alpha: f64,
    /// A challenger whose accuracy could be this much below the champion's is not promoted.
    pub margin_points: f64,
    /// Fewer items of the earlier eras than this decide nothing. Case files are counted where they share items.
    pub min_items: u64,
    /// An era or slice with fewer items than this is reported and not judged alone.
    pub min_era_items: u64,
    /// What is asked besides not having regressed.
    pub mode: GateMode,
    /// No challenger below this accuracy is promoted, whatever the champion's is; in [0, 1], 0 asks for nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub accuracy_floor: f64,
    /// What is compared, where answers are labels; answers with scores of their own are compared by these.
    #[serde(default, skip_serializing_if = "Metric::is_accuracy")]
    pub metric: Metric,
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// What is asked of a challenger besides not having regressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateMode {
    /// Promote only if a drop of `margin_points` is ruled out at 95 %.
    RequireNoninferiority,
    /// Promote whatever has not regressed.
    PromoteUnlessRegressed,
}

impl GateConfig {
    /// What makes no sense about it, in a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        if !(self.alpha > 0.0 && self.alpha <= 0.5) {
            return Err(format!(
                "The gate's alpha is {}; it must be above 0 and at most 0.5.",
                self.alpha
            ));
        }
        if !(self.margin_points > 0.0 && self.margin_points <= 100.0) {
            return Err(format!(
                "The gate's margin is {} points; it must be above 0 and at most 100.",
                self.margin_points
            ));
        }
        if !(0.0..=1.0).contains(&self.accuracy_floor) {
            return Err(floor(self.accuracy_floor));
        }
        Ok(())
    }
}

pub(super) fn floor(value: f64) -> String {
    format!("The accuracy floor is {value}; it must lie between 0 and 1.")
}
