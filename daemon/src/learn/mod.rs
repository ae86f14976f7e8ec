//! From pooled examples to a promoted version.

pub mod adopt;
mod aftermath;
mod data_files;
pub mod evaluator;
pub mod examples;
pub mod guard;
pub mod judging;
mod language;
pub mod manifest;
pub mod memory;
mod old_sample;
pub mod outcome;
pub mod plan;
pub mod prepare;
pub mod review;
pub mod runner;
mod said;
pub mod scores;
pub mod sources;
pub mod supervise;
mod task;
pub mod terms;
pub mod tune;
mod verdict;
pub mod votes;
pub use verdict::decision_name;
pub mod watched;
