//! From text and plugin segments to the token ids of the base model.
//!
//! The base model's own `tokenizer.json` does the work. Segments add two things: what is dropped is not shown to the
//! model, and no token crosses the borders of a term, which is one token where the vocabulary has it.

mod chat;
mod chunks;
mod growth;
mod guarded;
mod segments;
mod special;
mod terms;
mod tokenizer;
mod words;

pub use chat::{ChatTemplate, InstructionExample, Message};
pub use tokenizer::Tokenizer;
pub use wengu_protocol::plugin::{Segment, SegmentKind};
pub use words::WordTokens;

use std::path::PathBuf;

/// What is wrong with a tokenizer, or with what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TokenizeError {
    /// A file of the model folder cannot be read or understood.
    #[error("{}: {message}", path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        message: String,
    },
    /// More tokens were asked for than the model takes.
    #[error("max_length {asked} is more than the {limit} tokens that the base model takes")]
    TooLong {
        /// What was asked for.
        asked: usize,
        /// What the model takes.
        limit: usize,
    },
    /// There is no room for the text.
    #[error("max_length {asked} leaves no room beside the {special} special tokens")]
    TooShort {
        /// What was asked for.
        asked: usize,
        /// Special tokens around the text.
        special: usize,
    },
    /// The segments do not tile the text.
    #[error("segment {index} ({begin}..{end}): {reason}; segments must tile the text of {bytes} bytes")]
    Segments {
        /// Which one.
        index: usize,
        /// Its first byte.
        begin: u32,
        /// One past its last byte.
        end: u32,
        /// What was wrong.
        reason: &'static str,
        /// Length of the text.
        bytes: usize,
    },
    /// A chat template cannot be read, or fails on a conversation.
    #[error("the base model's chat template ({}): {message}", path.display())]
    Chat {
        /// The file that it stands in.
        path: PathBuf,
        /// What was wrong.
        message: String,
    },
    /// The tokenizer failed on this text.
    #[error("the base model's tokenizer failed: {0}")]
    Encode(String),
}
