//! The diagonal Fisher information of a trained model: estimated, accumulated over updates, kept in a file.

mod estimate;
mod factored;
mod file;
mod squares;

pub use estimate::{Labels, Rows, squared_gradients};
pub use factored::{FACTORED_FROM, Factored, factored};
pub use file::{Entry, FisherState, Provenance};
pub use squares::{Estimate, Squares};

/// The head's weight in a [`FisherState`].
pub const HEAD_WEIGHT: &str = "classifier.weight";
/// The head's bias in a [`FisherState`].
pub const HEAD_BIAS: &str = "classifier.bias";
