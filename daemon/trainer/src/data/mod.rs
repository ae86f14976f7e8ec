//! The data files of a job: read, checked, batched.

mod asked;
pub mod batch;
mod file;
pub mod random;

pub use file::{Limits, Role, TokenSet};
