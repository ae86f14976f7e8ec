//! Both answers to each item.

use serde::{Deserialize, Serialize};

/// Both answers to one item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemOutcome {
    /// Unique over all eras.
    pub item: String,
    /// The champion had it right.
    pub champion_right: bool,
    /// The challenger had it right.
    pub challenger_right: bool,
    /// The case file it is from, if that gives several items: they stand or fall together. None: the item stands alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_file: Option<String>,
    /// What it is counted under besides, each as `kind=value`: label, source, language, or what a plugin names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
}

/// What both answers to one item are worth, where an answer is not just right or wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemScores {
    /// Unique over all eras.
    pub item: String,
    /// What the champion's answer is worth, in [0, 1].
    pub champion: f64,
    /// What the challenger's answer is worth, in [0, 1].
    pub challenger: f64,
    /// As for [`ItemOutcome::case_file`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_file: Option<String>,
    /// As for [`ItemOutcome::slices`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
}

/// The labels that both answered to one item, where macro-F1 decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItemLabels {
    /// Unique over all eras.
    pub item: String,
    /// The right label's index.
    pub expected: u32,
    /// The label that the champion answered.
    pub champion: u32,
    /// The label that the challenger answered.
    pub challenger: u32,
    /// As for [`ItemOutcome::case_file`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_file: Option<String>,
    /// As for [`ItemOutcome::slices`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
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
                ..ItemOutcome::default()
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
