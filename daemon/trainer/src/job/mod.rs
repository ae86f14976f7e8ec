//! A job from its directory to its result.

pub mod files;
mod outcome;
mod pipeline;
pub mod progress;
pub mod spec;
pub mod tensors;

pub use outcome::{check, run};
