//! The decision, with all that led to it.

use super::{GateConfig, Levels};
use serde::{Deserialize, Serialize};

/// Version of [`Verdict`]. Version 1 knew one stage, and neither slices nor case files; it is still read.
pub const VERDICT_SCHEMA: u32 = 2;

/// What is to be done with a challenger. Only [`Decision::Promote`] lets it serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It may serve.
    Promote,
    /// Nothing speaks against it, and not enough for it: the champion keeps serving.
    Hold,
    /// It is significantly worse, overall, on an era or on a slice, or it broke an item of the checklist.
    Regressed,
    /// The evaluation contradicts itself or the configuration makes no sense.
    EvalFailed,
    /// The champion did not answer the same items in the same way twice: no comparison means anything.
    NoisyEval,
    /// There are no items to judge by.
    NoData,
}

/// What is compared. The fields of [`Comparison`] that are named after accuracy hold it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Share of items answered right.
    #[default]
    Accuracy,
    /// Mean of the answers' scores.
    MeanScore,
    /// Macro-F1 over the labels.
    MacroF1,
}

impl Metric {
    pub(super) fn is_accuracy(&self) -> bool {
        *self == Metric::Accuracy
    }
}

/// Champion and challenger on one set of items. `b`, `c` and so on are the usual names in McNemar's test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// What is compared.
    #[serde(default, skip_serializing_if = "Metric::is_accuracy")]
    pub metric: Metric,
    /// Items.
    pub n: u64,
    /// The case files that they are from, where some gave several: what was flipped and drawn, and what `min_items`
    /// counts. None where each item stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
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
    /// Two-sided 95 % interval of the difference: Tango's score interval where each item stands alone and is right or
    /// wrong, else a bootstrap of whole case files.
    pub interval95_points: (f64, f64),
    /// The drop is below this with 95 % confidence, one-sided; non-inferiority is this being below the margin. A run with a
    /// reserve may look twice, at the gate set with 96 % and at both sets with 99 %, which is 95 % over both.
    pub drop_bound95_points: f64,
    /// One-sided p that the challenger is worse; mid-p for right and wrong.
    pub p_value: f64,
    /// One-sided exact p of the same, for auditors.
    pub exact_p: f64,
    /// Drop that would be noticed nine times in ten at `alpha`, in both stages where there are two.
    pub mde_points: f64,
    /// The strictest level that this comparison can be held to: its share of the level of all tests.
    pub alpha: f64,
}

impl Comparison {
    /// How many independent things were compared: case files where they share items, else items.
    pub fn units(&self) -> u64 {
        self.files.unwrap_or(self.n)
    }
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
    /// Holm-adjusted p-value on the gate set. None where not judged.
    pub adjusted_p: Option<f64>,
    /// Significantly worse on this era; confirmed, where there is a reserve.
    pub regressed: bool,
}

/// One slice's part of the verdict, over the items of the earlier eras.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SliceVerdict {
    /// Its key, `kind=value`.
    pub slice: String,
    /// The numbers.
    pub comparison: Comparison,
    /// It had enough items to be tested.
    pub judged: bool,
    /// Holm-adjusted p-value on the gate set. None where not judged.
    pub adjusted_p: Option<f64>,
    /// Significantly worse on this slice; confirmed, where there is a reserve.
    pub regressed: bool,
}

/// What a test is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// All items of the earlier eras.
    Earlier,
    /// One era.
    Era(String),
    /// One slice, by its key.
    Slice(String),
}

/// The second stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// Items of the reserve that were answered.
    pub items: u64,
    /// Gate and reserve together, earlier eras: what promotion is decided by once the reserve was used.
    pub pooled: Comparison,
    /// The same for the newest era.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled_newest: Option<Comparison>,
    /// What the gate set found suspect, each tested again.
    pub tests: Vec<Confirmed>,
}

/// One test of the second stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmed {
    /// What it is about.
    pub subject: Subject,
    /// The numbers on the reserve.
    pub comparison: Comparison,
    /// Holm-adjusted p-value over all tests of this stage. None where the reserve has too few such items: then the gate
    /// set's own p-value has to be at or below the level of the whole run.
    pub adjusted_p: Option<f64>,
    /// Worse here too.
    pub regressed: bool,
}

/// Items that must not break.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checklist {
    /// How many there are.
    pub items: u64,
    /// Those that the champion passes and the challenger fails. One is enough.
    pub broken: Vec<String>,
}

/// The champion, asked twice. A difference is noise of the evaluation, and no comparison with a challenger means anything while
/// there is some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// Items that were asked twice.
    pub items: u64,
    /// Those with two different answers. One is enough.
    pub differing: Vec<String>,
}

impl Repeated {
    /// Compares two lists of answers to `items`. None if they do not belong together.
    pub fn compare<A: PartialEq>(items: &[String], first: &[A], second: &[A]) -> Option<Repeated> {
        let fit = items.len() == first.len() && items.len() == second.len();
        let answers = items.iter().zip(first.iter().zip(second));
        let differing = answers.filter(|(_, (a, b))| a != b).map(|(item, _)| item.clone());
        fit.then(|| Repeated {
            items: items.len() as u64,
            differing: differing.collect(),
        })
    }
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
    /// The levels that followed. None in verdicts of version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub levels: Option<Levels>,
    /// BLAKE3 over the names of the items, in order, each with a line feed: what was compared. None in verdicts of
    /// version 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_blake3: Option<String>,
    /// Every random choice follows from it. None in verdicts of version 1, where it was 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// True for a domain's first version, which is compared with always answering the most frequent class.
    pub first: bool,
    /// Present if the champion was asked twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<Repeated>,
    /// Present if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checklist: Option<Checklist>,
    /// All items of all eras. Reported; nothing is decided by it, as new classes would flatter the challenger.
    pub overall: Comparison,
    /// All items of all eras but the newest (all items where there is one era only). Decides.
    pub earlier: Comparison,
    /// Holm-adjusted p-value of `earlier` on the gate set. None where it was not judged.
    pub earlier_adjusted_p: Option<f64>,
    /// Each era, oldest first.
    pub eras: Vec<EraVerdict>,
    /// Each slice, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceVerdict>,
    /// Present if the gate set tripped and the reserve was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
}
