//! Which version may serve.
//!
//! Champion (the version that serves) and challenger answer the same items; the decision is a paired test, three-way
//! and closed on failure. Items are grouped by era, the stretch of time in which their case files arrived. The newest
//! era is what the challenger has just learned, possibly classes that the champion never saw, so gains there must not
//! pay for losses on what was known: the regression test runs on all earlier eras together and on each era alone, with
//! one level over all of them (Holm), and the challenger must be non-inferior on the earlier eras together.
//!
//! Items count as independent. Where several items come from one case file, give one item per file.

mod compare;
mod judge;
mod paired;
mod report;
pub mod stats;

pub use compare::Judged;
pub use judge::{judge, judge_first};
pub use paired::{Paired, one_sided_low, paired};

use serde::{Deserialize, Serialize};

/// Version of [`Verdict`].
pub const VERDICT_SCHEMA: u32 = 1;

/// What a challenger must show. Points are percentage points of accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// Chance that a challenger which is no worse anywhere is called a regression.
    pub alpha: f64,
    /// A challenger whose accuracy could be this much below the champion's is not promoted.
    pub margin_points: f64,
    /// Fewer items of the earlier eras than this decide nothing.
    pub min_items: u64,
    /// An era with fewer items than this is reported and not judged alone.
    pub min_era_items: u64,
    /// What is asked besides not having regressed.
    pub mode: GateMode,
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

/// Both answers to one item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemOutcome {
    /// Unique over all eras.
    pub item: String,
    /// The champion had it right.
    pub champion_right: bool,
    /// The challenger had it right.
    pub challenger_right: bool,
}

/// What both answers to one item are worth, where an answer is not just right or wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemScores {
    /// Unique over all eras.
    pub item: String,
    /// What the champion's answer is worth, in [0, 1].
    pub champion: f64,
    /// What the challenger's answer is worth, in [0, 1].
    pub challenger: f64,
}

/// The items of one era.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Era<T> {
    /// Its name, for people.
    pub era: String,
    /// Its items.
    pub items: Vec<T>,
}

/// An era whose items were answered right or wrong.
pub type EraOutcomes = Era<ItemOutcome>;

/// An era whose answers have scores.
pub type EraScores = Era<ItemScores>;

impl EraOutcomes {
    /// Pairs the answers of both to the same items. Predictions are label indexes; `expected` is what is right.
    pub fn pair(
        era: &str,
        items: &[String],
        expected: &[u32],
        champion: &[u32],
        challenger: &[u32],
    ) -> Result<EraOutcomes, PairError> {
        for (who, answers) in [
            ("expected labels", expected),
            ("champion", champion),
            ("challenger", challenger),
        ] {
            if answers.len() != items.len() {
                return Err(PairError {
                    era: era.into(),
                    who,
                    answers: answers.len(),
                    items: items.len(),
                });
            }
        }
        let items = items
            .iter()
            .enumerate()
            .map(|(i, item)| ItemOutcome {
                item: item.clone(),
                champion_right: champion[i] == expected[i],
                challenger_right: challenger[i] == expected[i],
            })
            .collect();
        Ok(EraOutcomes { era: era.into(), items })
    }
}

/// Answers that do not belong to the items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("era {era}: {answers} answers ({who}) for {items} items: both versions must answer the same items")]
pub struct PairError {
    /// The era.
    pub era: String,
    /// Whose answers.
    pub who: &'static str,
    /// How many answers.
    pub answers: usize,
    /// How many items.
    pub items: usize,
}

/// What is to be done with a challenger. Only [`Decision::Promote`] lets it serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may serve.
    Promote,
    /// Nothing speaks against it, and not enough for it: the champion keeps serving.
    Hold,
    /// It is significantly worse, overall or on an era.
    Regressed,
    /// The evaluation contradicts itself or the configuration makes no sense.
    EvalFailed,
    /// There are no items to judge by.
    NoData,
}

/// Champion and challenger on one set of items. `b`, `c` and so on are the usual names in McNemar's test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Items.
    pub n: u64,
    /// Items that only the champion had right.
    pub b: u64,
    /// Items that only the challenger had right.
    pub c: u64,
    /// Churn: share of items on which exactly one of them was right.
    pub psi: f64,
    /// In [0, 1]; 0 without items.
    pub champion_accuracy: f64,
    /// In [0, 1]; 0 without items.
    pub challenger_accuracy: f64,
    /// Challenger's accuracy minus champion's.
    pub difference_points: f64,
    /// Two-sided 95 % score interval (Tango) of the difference.
    pub interval95_points: (f64, f64),
    /// The drop is below this with 95 % confidence, one-sided; non-inferiority is this being below the margin.
    pub drop_bound95_points: f64,
    /// One-sided mid-p that the challenger is worse.
    pub p_value: f64,
    /// One-sided exact p of the same, for auditors.
    pub exact_p: f64,
    /// Drop that would be noticed nine times in ten at `alpha`.
    pub mde_points: f64,
    /// The strictest level that this comparison can be held to: the configured alpha over the number of tests.
    pub alpha: f64,
}

/// One era's part of the verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EraVerdict {
    /// Its name.
    pub era: String,
    /// The newest era, which the challenger was trained for.
    pub newest: bool,
    /// The numbers.
    pub comparison: Comparison,
    /// It had enough items to be tested alone.
    pub judged: bool,
    /// Holm-adjusted p-value; at or below the gate's alpha it is a regression. None where not judged.
    pub adjusted_p: Option<f64>,
    /// Significantly worse on this era.
    pub regressed: bool,
}

/// The decision, with all that led to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// [`VERDICT_SCHEMA`].
    pub schema: u32,
    /// What is to be done.
    pub decision: Decision,
    /// Why, in plain sentences; never empty.
    pub reasons: Vec<String>,
    /// What was asked.
    pub config: GateConfig,
    /// True for a domain's first version, which is compared with always answering the most frequent class.
    pub first: bool,
    /// All items of all eras. Reported; nothing is decided by it, as new classes would flatter the challenger.
    pub overall: Comparison,
    /// All items of all eras but the newest (all items where there is one era only). Decides.
    pub earlier: Comparison,
    /// Holm-adjusted p-value of `earlier`. None where it was not judged.
    pub earlier_adjusted_p: Option<f64>,
    /// Each era, oldest first.
    pub eras: Vec<EraVerdict>,
}
