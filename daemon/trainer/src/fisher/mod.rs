//! The diagonal Fisher information of a trained model: estimated, accumulated over updates, kept in a file.

mod estimate;
mod file;

pub use estimate::{Estimate, Labels, Rows, squared_gradients};
pub use file::{Entry, FisherState, Provenance};

/// The head's weight in a [`FisherState`].
pub const HEAD_WEIGHT: &str = "classifier.weight";
/// The head's bias in a [`FisherState`].
pub const HEAD_BIAS: &str = "classifier.bias";
