//! The configuration file: read, checked, every error at once.

mod types;
pub use types::*;
