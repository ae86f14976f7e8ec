//! How far the places are trusted that case files come from: what one of them may bring to an update, when a new one has shown
//! itself, and which of its examples a person should see.
//!
//! Some hundred documents are enough to plant a behaviour, whatever else is learned (Souly et al. 2025), so what counts is how
//! many one source brings, not its share of all that was ever learned.

mod share;
mod standing;

pub use share::{FEW, allowances};
pub use standing::{Agreement, NEAR_CERTAIN, SUSPICIOUS_Z, Standing, judge, stands_out};
