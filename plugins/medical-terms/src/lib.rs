//! What the medical plugins share: names of diseases and drugs, how they stand in a sentence, and votes about them.
#![deny(unsafe_code)]

pub mod assertion;
pub mod find;
pub mod lexicon;
mod patterns;
pub mod votes;

pub use assertion::{Assertion, Sentences};
pub use find::{Found, Kind, Terms};
pub use lexicon::{Lexicon, Sense};
pub use votes::SpanVotes;

/// The language of a text; names and triggers are its.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Chinese.
    Zh,
}
