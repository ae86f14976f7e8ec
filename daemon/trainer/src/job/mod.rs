//! A job from its directory to its result.

mod champion;
pub mod files;
mod memory;
mod outcome;

mod pipeline;
pub mod progress;
pub mod spec;
pub mod tensors;

pub use outcome::{check, run};
