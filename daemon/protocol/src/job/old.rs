//! What was seen of old examples while an update was trained.

use serde::{Deserialize, Serialize};

/// How the share of new examples in a step followed the loss on old ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mixing {
    /// Mean loss on the old examples under the parent.
    pub reference_loss: f64,
    /// What the loss was not to exceed.
    pub limit: f64,
    /// One for each look at the loss, oldest first.
    pub points: Vec<MixingPoint>,
}

/// One look at the loss on old examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MixingPoint {
    /// Optimizer steps before it.
    pub step: u64,
    /// Share of new examples in the steps before it, back to the look before.
    pub new_share: f64,
    /// Mean loss on the old examples.
    pub old_loss: f64,
}

/// Accuracy on old examples while an update was trained (De Lange et al. 2023, "Continual evaluation for lifelong learning: identifying
/// the stability gap"). Means over the eras, of what was trained: without the discriminant that is added afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Of the parent.
    pub before: f64,
    /// The least of each era after the first step: min-ACC.
    pub minimum: f64,
    /// Of the weights that came out.
    pub after: f64,
    /// The stability gap: `before - minimum`.
    pub gap: f64,
    /// Each era by itself.
    pub eras: Vec<EraStability>,
    /// Optimizer steps and the mean over the eras after them, oldest first.
    pub points: Vec<(u64, f64)>,
}

/// One era of [`Stability`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EraStability {
    /// The run that brought the examples.
    pub run: u64,
    /// What it asks for: an answer a text, or one a token.
    pub answers: u64,
    /// Accuracy of the parent.
    pub before: f64,
    /// The least after the first step.
    pub minimum: f64,
    /// Of the weights that came out.
    pub after: f64,
}
