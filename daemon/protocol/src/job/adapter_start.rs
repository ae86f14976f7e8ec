//! Where an update's adapter begins, and what it cost to make one of two.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an update makes of its parent's low-rank adapter. Without a parent it begins a new one, whatever this says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterStart {
    /// It is trained on.
    #[default]
    Continue,
    /// It stays as it is, and a new one of the same rank is trained beside it. In the end both become one of that rank.
    Fresh,
    /// The same, and the new one is kept from reading what the parent's reads: O-LoRA (Wang et al. 2023), with the weight
    /// [`super::Learning::orthogonal_lambda`].
    Orthogonal,
}

/// What was lost when the parent's adapter and the new one became one of their rank: `|dW - dW_r| / |dW|` (Frobenius), where dW is
/// what the two add to a weight together and dW_r the nearest update of rank r. 0 where nothing was, 1 where all was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recompression {
    /// Of all adapted layers together.
    pub relative_error: f64,
    /// Of each adapted layer, by its name.
    pub layers: BTreeMap<String, f64>,
}

impl Recompression {
    /// The layer that lost most; None where none is adapted.
    pub fn worst(&self) -> Option<(&str, f64)> {
        let layers = self.layers.iter().map(|(name, &error)| (name.as_str(), error));
        layers.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}
